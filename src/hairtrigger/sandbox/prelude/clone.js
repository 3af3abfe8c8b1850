// Copies of values, after https://html.spec.whatwg.org/multipage/structured-data.html.

const uncloneable = (what) => { throw new DOMException(`${what} cannot be cloned`, "DataCloneError"); };
const ERRORS = { __proto__: null, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError };
const { getPrototypeOf, prototype: objectPrototype } = Object;
const { toString: described } = objectPrototype;
const isPlain = (value) => { // a quick test: other values may be plain, too, which is found out below
  const owner = getPrototypeOf(value);
  return (owner === objectPrototype || owner === null) && apply(described, value, []) === "[object Object]";
};
const tagOf = (value) => { // its kind by its internal slots, which code can't forge
  for (const [name, isOne] of BRANDS) if (isOne(value)) return name;
  return "Object";
};
const tries = (method, ...values) => (value) => {
  try {
    apply(method, value, values);
    return true;
  } catch {
    return false;
  }
};
const getter = (owner, name) => Object.getOwnPropertyDescriptor(owner.prototype, name).get;
const BRANDS = [
  ["ArrayBuffer", tries(getter(ArrayBuffer, "byteLength"))],
  ["SharedArrayBuffer", tries(getter(SharedArrayBuffer, "byteLength"))],
  ["View", ArrayBuffer.isView],
  ["Map", tries(getter(Map, "size"))],
  ["Set", tries(getter(Set, "size"))],
  ["Date", tries(Date.prototype.getTime)],
  ["RegExp", (value) => value !== RegExp.prototype && value instanceof RegExp],
  ["Error", Error.isError ?? ((value) => value instanceof Error)],
  ["Boolean", tries(Boolean.prototype.valueOf)],
  ["Number", tries(Number.prototype.valueOf)],
  ["String", tries(String.prototype.valueOf)],
  ["BigInt", tries(BigInt.prototype.valueOf)],
  ["Symbol", tries(Symbol.prototype.valueOf)],
  ["WeakMap", tries(WeakMap.prototype.has, {})],
  ["WeakSet", tries(WeakSet.prototype.has, {})],
  ["WeakRef", tries(WeakRef.prototype.deref)],
  ["Promise", (value) => value instanceof Promise],
  ["Generator", (value) => /Generator|Iterator$/.test(value[Symbol.toStringTag])],
];

function clonedError(error, clone) {
  const name = error.name === undefined ? "Error" : `${error.name}`;
  const Type = ERRORS[name] ?? Error;
  const own = Object.getOwnPropertyDescriptor(error, "message");
  const made = own && "value" in own ? new Type(`${own.value}`) : new Type();
  Object.defineProperty(made, "stack", { value: `${error.stack}`, writable: true, configurable: true });
  const cause = Object.getOwnPropertyDescriptor(error, "cause");
  if (cause && "value" in cause)
    Object.defineProperty(made, "cause", { value: clone(cause.value), writable: true, configurable: true });
  return made;
}
function clonedView(view, clone) {
  const buffer = clone(view.buffer);
  if (view.buffer.detached) uncloneable("A view of a detached buffer");
  const name = typeName(view);
  if (name === undefined) return new DataView(buffer, view.byteOffset, view.byteLength);
  return new TYPED[name](buffer, view.byteOffset, view.length);
}

function cloned(value, seen) {
  if (typeof value === "symbol") uncloneable("A symbol");
  if (!isObject(value)) return value;
  if (seen.has(value)) return seen.get(value);
  const keep = (copy) => { seen.set(value, copy); return copy; };
  const clone = (item) => cloned(item, seen);
  if (typeof value === "function") uncloneable("A function");
  if (isArray(value)) return clonedMembers(value, keep(new Array(value.length)), clone);
  if (isPlain(value)) return clonedMembers(value, keep({}), clone);
  if (isFile(value)) return keep(new File([value], value.name, { type: value.type, lastModified: value.lastModified }));
  if (isBlob(value)) return keep(value.slice(0, value.size, value.type));
  if (value instanceof DOMException) return keep(new DOMException(value.message, value.name));
  return clonedOf(tagOf(value), value, keep, clone);
}
function clonedOf(tag, value, keep, clone) {
  switch (tag) {
    case "ArrayBuffer":
      if (value.detached) uncloneable("A detached buffer");
      return keep(value.resizable ? resizableCopy(value) : value.slice(0));
    case "View": return keep(clonedView(value, clone));
    case "Date": return keep(new Date(+apply(Date.prototype.getTime, value, [])));
    case "RegExp": return keep(new RegExp(value.source, value.flags));
    case "Error": return keep(clonedError(value, clone));
    case "Boolean": case "Number": case "String":
      return keep(Object(globalThis[tag].prototype.valueOf.call(value)));
    case "BigInt": return keep(Object(BigInt.prototype.valueOf.call(value)));
    case "Map": {
      const copy = keep(new Map());
      for (const [key, item] of [...apply(Map.prototype.entries, value, [])]) copy.set(clone(key), clone(item));
      return copy;
    }
    case "Set": {
      const copy = keep(new Set());
      for (const item of [...apply(Set.prototype.values, value, [])]) copy.add(clone(item));
      return copy;
    }
    case "Object":
      if (isPlatformObject(value)) uncloneable("Such an object");
      return clonedMembers(value, keep({}), clone);
    default: return uncloneable(`A ${tag}`);
  }
}
function clonedMembers(value, copy, clone) {
  for (const key of Object.keys(value))
    if (Object.hasOwn(value, key)) {
      const item = clone(value[key]);
      Object.defineProperty(copy, key, { value: item, writable: true, enumerable: true, configurable: true });
    }
  return copy;
}
function resizableCopy(buffer) {
  const copy = new ArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength });
  new Uint8Array(copy).set(new Uint8Array(buffer));
  return copy;
}
let platformClasses = []; // set in globals.js, when all classes exist
const isPlatformObject = (value) => platformClasses.some((one) => value instanceof one);

function transferOf(options) {
  const { transfer } = dictionary(options);
  if (transfer === undefined) return [];
  if (!isObject(transfer)) throw new TypeError("transfer is not a list");
  const list = [...transfer];
  if (new Set(list).size < list.length) uncloneable("A buffer that is transferred twice");
  for (const one of list) {
    if (!isObject(one)) throw new TypeError("What is transferred is not an object");
    if (tagOf(one) !== "ArrayBuffer") uncloneable("What is transferred here");
    if (one.detached) uncloneable("A detached buffer");
  }
  return list;
}
function structuredClone(value, options = {}) {
  given(arguments, 1);
  const transfer = transferOf(options);
  const seen = new Map();
  // The buffers are moved only after everything else is copied, because a getter may throw or read them.
  const moved = transfer.map((buffer) => {
    const copy = buffer.resizable ? new ArrayBuffer(buffer.byteLength, { maxByteLength: buffer.maxByteLength })
      : new ArrayBuffer(buffer.byteLength);
    seen.set(buffer, copy);
    return [buffer, copy];
  });
  const copy = cloned(value, seen);
  for (const [buffer, place] of moved) {
    if (buffer.detached) uncloneable("A detached buffer");
    new Uint8Array(place).set(new Uint8Array(buffer));
    buffer.transfer();
  }
  return copy;
}
