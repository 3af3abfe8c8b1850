// The console, after https://console.spec.whatwg.org/, and `ld`, which code from the builder uses.

let linesLeft = 0;
const DEEPEST = 4;
const cut = (value) => wellFormed(apply(slice, string(value), [0, limits?.line ?? 2000]));
const named = (error) => `${error.name}: ${error.message}`;

// Returns a value as text for a reader. `room` counts down the characters that may still be written, so that a large
// value costs no more than a small one.
function inspected(value, room, path = []) {
  if (typeof value === "string") {
    const text = stringify(value.slice(0, room.left));
    room.left -= text.length;
    return text;
  }
  if (!isObject(value)) {
    const text = typeof value === "bigint" ? `${value}n` : Object.is(value, -0) ? "-0" : string(value);
    room.left -= text.length;
    return text;
  }
  room.left -= 2;
  const isUsual = isArray(value) || isPlain(value);
  if (!isUsual) {
    if (typeof value === "function") return `[Function: ${string(value.name)}]`;
    if (value instanceof Error) return `[${named(value)}]`;
    if (value instanceof Date) return isNaN(value) ? "Invalid Date" : value.toISOString();
    if (value instanceof RegExp) return string(value);
  }
  if (path.includes(value)) return "[Circular]";
  if (path.length >= DEEPEST) return isArray(value) ? "[Array]" : "[Object]";
  if (isUsual || typeName(value) !== undefined) return inspectedMembers(value, room, [...path, value]);
  if (isPlatformObject(value)) return inspectedPlatform(value, room);
  return inspectedMembers(value, room, [...path, value]);
}
// Returns an object of a web interface as text: the primitive values of its getters, or the pairs of Headers and
// FormData.
function inspectedPlatform(value, room) {
  const name = string(value[Symbol.toStringTag]);
  if (value instanceof URL || value instanceof URLSearchParams) return `${name} ${inspected(string(value), room)}`;
  if (value instanceof Headers || value instanceof FormData)
    return `${name} ${inspected(Object.fromEntries(value), room, [value])}`;
  const members = [];
  for (let owner = getPrototypeOf(value); owner !== objectPrototype && owner !== null; owner = getPrototypeOf(owner))
    members.push(...gettersShown(value, owner, room));
  return `${name} {${members.join(",")}}`;
}
function gettersShown(value, owner, room) {
  const says = (key) => Object.getOwnPropertyDescriptor(owner, key).get !== undefined && !isObject(value[key]);
  return Object.keys(owner).filter(says).map((key) => `${stringify(key)}:${inspected(value[key], room)}`);
}
// Returns the texts that `show` makes of items, as many as there is room for.
function inspectedItems(items, room, show) {
  const members = [];
  for (const item of items) {
    if (room.left <= 0) {
      members.push("...");
      break;
    }
    members.push(show(item));
  }
  return members;
}
function inspectedMembers(value, room, path) {
  const show = (item) => inspected(item, room, path);
  if (isArray(value)) return `[${inspectedItems(value, room, show).join(",")}]`;
  if (typeName(value) !== undefined)
    return `${typeName(value)}(${value.length}) [${inspectedItems(value, room, show).join(",")}]`;
  if (!isPlain(value)) {
    const pair = ([key, item]) => `${show(key)} => ${show(item)}`;
    if (value instanceof Map) return `Map(${value.size}) {${inspectedItems(value, room, pair).join(", ")}}`;
    if (value instanceof Set) return `Set(${value.size}) {${inspectedItems(value, room, show).join(", ")}}`;
  }
  const members = inspectedItems(Object.keys(value), room, (key) => {
    room.left -= key.length + 3;
    return `${stringify(key)}:${show(value[key])}`;
  });
  return `${kindOf(value)}{${members.join(",")}}`;
}
function kindOf(value) { // the name of its class and a space, or an empty text for a usual object
  const name = isPlain(value) ? "Object" : value[Symbol.toStringTag] ?? value.constructor?.name ?? "Object";
  return name === "Object" ? "" : `${string(name)} `;
}
function shown(value, room) {
  if (typeof value === "string") return value.length > room.left ? value.slice(0, room.left) : value;
  if (typeof value === "symbol" || !isObject(value)) return inspected(value, room);
  if (value instanceof Error) return named(value);
  return inspected(value, room);
}
function formatted(values, room) {
  const [first, ...rest] = values;
  if (typeof first !== "string" || rest.length === 0 || !first.includes("%")) return values;
  const text = first.replace(/%[sdifoOcj%]/g, (specifier) => {
    if (specifier === "%%") return "%";
    if (rest.length === 0) return specifier;
    const value = rest.shift();
    switch (specifier) {
      case "%s": return isObject(value) ? shown(value, room) : string(value);
      case "%d": case "%i": return typeof value === "symbol" ? "NaN" : string(parseInt(value, 10));
      case "%f": return typeof value === "symbol" ? "NaN" : string(parseFloat(value));
      case "%c": return "";
      default: return inspected(value, room);
    }
  });
  return [text, ...rest];
}

let indent = "";
const counts = new Map();
const clocks = new Map();

function print(...values) {
  if (linesLeft <= 0) return; // the host replaces the last line by a note
  linesLeft--;
  const room = { left: limits?.line ?? 2000 };
  let text;
  try {
    text = formatted(values, room).map((value) => shown(value, room)).join(" ");
  } catch {
    text = "What was to be shown cannot be read.";
  }
  log(cut(indent + text));
}
const labelled = (label) => (label === undefined ? "default" : `${label}`);
function elapsed(label, ...values) {
  const name = labelled(label);
  if (!clocks.has(name)) return print(`There is no timer '${name}'`);
  print(`${name}: ${now() - clocks.get(name)} ms`, ...values);
}
function group(...values) {
  if (values.length > 0) print(...values);
  if (indent.length < 40) indent += "  ";
}
const console = {
  assert(condition = false, ...values) {
    if (condition) return;
    if (typeof values[0] === "string") print(`Assertion failed: ${values[0]}`, ...values.slice(1));
    else print("Assertion failed", ...values);
  },
  clear() { indent = ""; },
  count(label = undefined) {
    const name = labelled(label);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    print(`${name}: ${counts.get(name)}`);
  },
  countReset(label = undefined) {
    const name = labelled(label);
    if (counts.has(name)) counts.set(name, 0);
    else print(`There is no count '${name}'`);
  },
  debug: (...values) => print(...values),
  dir: (value = undefined) => print(value),
  dirxml: (...values) => print(...values),
  error: (...values) => print(...values),
  group,
  groupCollapsed: (...values) => group(...values),
  groupEnd() { indent = indent.slice(2); },
  info: (...values) => print(...values),
  log: (...values) => print(...values),
  table: (value = undefined) => print(value),
  time(label = undefined) {
    const name = labelled(label);
    if (clocks.has(name)) print(`There is a timer '${name}' already`);
    else clocks.set(name, now());
  },
  timeEnd(label = undefined) {
    elapsed(label);
    clocks.delete(labelled(label));
  },
  timeLog: (label = undefined, ...values) => elapsed(label, ...values),
  trace: (...values) => print("Trace", ...values),
  warn: (...values) => print(...values),
};
Object.setPrototypeOf(console, {});
Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });

const ld = {
  log: (...values) => print(...values),
  wait: (delay) => new Promise((resolve) => { setTimeout(resolve, Math.min(delay, 30000)); }),
  async request({ method, url, headers, params, body, responseType }) {
    const target = new URL(url);
    for (const [name, values] of Object.entries(params ?? {}))
      for (const value of [values ?? []].flat()) target.searchParams.append(name, value);
    const sent = new Headers(headers ?? {});
    const isOwn = isBinary(body) || isBlob(body) || isForm(body) || body instanceof URLSearchParams;
    const isJson = isObject(body) && !isOwn;
    if (isJson && !sent.has("content-type")) sent.set("content-type", "application/json");
    const response = await fetch(target, { method, headers: sent, body: isJson ? stringify(body) : body });
    const received = { status: response.status, headers: Object.fromEntries(response.headers) };
    if (responseType === "binary" || responseType === "stream")
      return { ...received, buffer: await response.bytes(), success: response.ok };
    const text = await response.text();
    try {
      return { ...received, json: parse(text), text };
    } catch {
      return { ...received, json: null, text };
    }
  },
};
