// The files of this folder define the environment that polling code finds. environment.py joins them to the body of one
// function, whose parameters are the host's hooks and which returns the entries that the host calls. The function runs
// once, when the image is made, and the guest's memory after that run is copied into every poll.
//
// The hooks exist only as variables of that function. Never store a hook in an object or pass it to a function, because
// polling code may change almost everything that it can reach. Code can't change the built-ins that these files use:
// the names of the built-ins are kept in constants here, and globals.js locks the built-ins themselves.

const {
  Array, ArrayBuffer, BigInt, BigInt64Array, BigUint64Array, Boolean, DataView, Date, DOMException, Error, EvalError,
  Float16Array, Float32Array, Float64Array, Function, Int8Array, Int16Array, Int32Array, Iterator, JSON, Map, Math,
  Number, Object, Promise, RangeError, ReferenceError, Reflect, RegExp, Set, SharedArrayBuffer, String, Symbol,
  SyntaxError, TypeError, URIError, Uint8Array, Uint8ClampedArray, Uint16Array, Uint32Array, WeakMap, WeakRef, WeakSet,
  atob, btoa, decodeURIComponent, encodeURIComponent, isNaN, parseFloat, parseInt, queueMicrotask,
} = globalThis;
const { parse, stringify } = JSON;
const { isArray } = Array;
const { apply, defineProperty: defineOwn, ownKeys } = Reflect;
const { isInteger: isWhole, isSafeInteger: isExact } = Number;
const { now } = Date;
const { then } = Promise.prototype;
const { toString: sourceOf } = Function.prototype;
const { slice, toWellFormed } = String.prototype;
const AsyncFunction = (async () => {}).constructor;
const string = String;

// Otherwise code could get the functions below, which only the host and each other may call, out of a stack.
Object.defineProperty(Error, "prepareStackTrace", { value: undefined, writable: false, configurable: false });

// These would make numbers of any length and size, which other programs that read JSON do not expect.
delete JSON.rawJSON;
delete JSON.isRawJSON;

let limits = null; // the limits of the poll; null while code is only checked
let skipped = null; // the ids of items that the host has already

const define = (values) => {
  for (const key of ownKeys(values))
    Object.defineProperty(globalThis, key, {
      value: values[key], writable: true, enumerable: false, configurable: true,
    });
};
const wellFormed = (value) => apply(toWellFormed, string(value), []);
const utf8 = (text) => (text === "" ? new Uint8Array(0) : encode(wellFormed(text)));
const fromUtf8 = (bytes) => (bytes.length === 0 ? "" : decode(bytes));
const isBinary = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value);
const bytesOf = (data) =>
  ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
    : new Uint8Array(data).slice();

const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";

// Web IDL, https://webidl.spec.whatwg.org/: conversions, and the records behind the objects that code sees.

const dictionary = (value) => {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw new TypeError("The options are not an object");
  return value;
};
const given = (values, least) => {
  if (values.length < least) throw new TypeError(`${least} argument(s) are needed, ${values.length} given`);
};
function enforcedRange(value, most) {
  const number = Math.trunc(+value);
  if (!(number >= 0 && number <= most)) throw new TypeError(`${string(value)} is not a number from 0 to ${most}`);
  return number + 0;
}
const TYPED = { __proto__: null };
for (const Type of [
  Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array,
  BigUint64Array, Float16Array, Float32Array, Float64Array,
])
  TYPED[Type.name] = Type;
const typeTag = Object.getOwnPropertyDescriptor(Object.getPrototypeOf(Uint8Array.prototype), Symbol.toStringTag).get;
const typeName = (value) => apply(typeTag, value, []); // of a typed array, else undefined

let stamp; // gives an object its record, of a kind
let it; // the record of an object of this kind
let isStamped;
{
  const Itself = function (face) { return face; };
  class Stamped extends Itself {
    #kind;
    #record;
    constructor(face, kind, record) {
      super(face);
      this.#kind = kind;
      this.#record = record;
    }
    static {
      stamp = (face, kind, record) => {
        new Stamped(face, kind, record);
        return record;
      };
      isStamped = (face, kind) => isObject(face) && #record in face && face.#kind === kind;
      it = (face, kind) => {
        if (!isStamped(face, kind)) throw new TypeError("Illegal invocation");
        return face.#record;
      };
    }
  }
}
