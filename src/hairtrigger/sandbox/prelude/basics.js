// What polling code finds around it: these files, joined by environment.py into the body of one function whose
// parameters are the host's hooks. It runs once, when the image is made; its memory is copied into every poll.
//
// The hooks live in that closure and nowhere else: never store one in an object or hand one to a function, for polling
// code may change what it likes. The function returns the entries the host calls. What these files stand on, code cannot
// take away: the names of the built-ins are kept here, and globals.js locks the built-ins themselves.

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

// Else a stack would hand out the functions below, whose callers are the host and each other only.
Object.defineProperty(Error, "prepareStackTrace", { value: undefined, writable: false, configurable: false });

// Numbers of any length and size, which nothing that reads JSON elsewhere expects.
delete JSON.rawJSON;
delete JSON.isRawJSON;

let limits = null; // the poll's; none while code is only checked
let skipped = null; // ids of items that the host has

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

// Web IDL, https://webidl.spec.whatwg.org/: conversions, and what an object is behind its face.

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
