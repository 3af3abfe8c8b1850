// What polling code finds around it: basics, url, fetch and entries, joined by guest.py into the body of one function
// whose parameters are the host's hooks. It runs once when a worker starts; its memory is copied into every poll.
//
// The hooks live in that closure and nowhere else: never store one in an object or hand one to a function, for polling
// code owns every prototype. The function returns the entries the host calls. The entries use the built-ins kept here,
// so that replaced ones change a poll's own result at most.

const { parse, stringify } = JSON;
const { isArray } = Array;
const { apply, ownKeys } = Reflect;
const { now } = Date;
const { then } = Promise.prototype;
const { toString: sourceOf } = Function.prototype;
const { slice, toWellFormed } = String.prototype;
const AsyncFunction = (async () => {}).constructor;
const string = String;

// Else a stack would hand out the functions below, whose callers are the host and each other only.
Object.defineProperty(Error, "prepareStackTrace", { value: undefined, writable: false, configurable: false });

let limits = null; // the poll's; none while code is only checked

const define = (values) => {
  for (const key of ownKeys(values))
    Object.defineProperty(globalThis, key, { value: values[key], writable: true, configurable: true });
};
const wellFormed = (value) => apply(toWellFormed, string(value), []);
const utf8 = (text) => (text === "" ? new Uint8Array(0) : encode(wellFormed(text)));
const fromUtf8 = (bytes) => (bytes.length === 0 ? "" : decode(bytes));
const isBinary = (value) => value instanceof ArrayBuffer || ArrayBuffer.isView(value);
const bytesOf = (data) =>
  ArrayBuffer.isView(data)
    ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
    : new Uint8Array(data).slice();

// Text, randomness, copies.

class TextEncoder {
  get encoding() { return "utf-8"; }
  encode(text = "") { return utf8(string(text)); }
}

class TextDecoder {
  #fatal;
  #keepMark;
  constructor(label = "utf-8", { fatal = false, ignoreBOM = false } = {}) {
    if (!/^\s*(unicode-1-1-)?utf-?8\s*$/i.test(label)) throw new RangeError(`'${label}' is not a supported encoding`);
    this.#fatal = !!fatal;
    this.#keepMark = !!ignoreBOM;
  }
  get encoding() { return "utf-8"; }
  get fatal() { return this.#fatal; }
  get ignoreBOM() { return this.#keepMark; }
  decode(data = new Uint8Array(0)) {
    const bytes = bytesOf(data);
    if (bytes.length === 0) return "";
    const text = this.#fatal ? decode(bytes, "strict") : decode(bytes);
    if (text === undefined) throw new TypeError("The data is not valid utf-8");
    return withoutMark(text, this.#keepMark);
  }
}
const withoutMark = (text, keep) => (!keep && text[0] === "\ufeff" ? text.slice(1) : text);

const crypto = {
  getRandomValues(array) {
    if (!ArrayBuffer.isView(array) || array instanceof DataView || /^Float/.test(array[Symbol.toStringTag]))
      throw new DOMException("Not an array of integers", "TypeMismatchError");
    const { buffer, byteOffset, byteLength } = array;
    if (byteLength > 65536) throw new DOMException("More than 65,536 bytes at once", "QuotaExceededError");
    if (byteLength > 0) new Uint8Array(buffer, byteOffset, byteLength).set(random(string(byteLength)));
    return array;
  },
  randomUUID() {
    const bytes = random("16");
    bytes[6] = (bytes[6] & 15) | 64;
    bytes[8] = (bytes[8] & 63) | 128;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  },
};

// The state of the engine's own Math.random is part of the copied memory: it would repeat itself in every poll.
function randomNumbers() {
  let [a, b, c, d] = new Uint32Array(random("16").buffer);
  const next = () => { // sfc32
    const t = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return t >>> 0;
  };
  return function random() { return ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992; };
}

function cloned(value, seen) {
  if (typeof value === "function" || typeof value === "symbol")
    throw new DOMException("A function or symbol cannot be cloned", "DataCloneError");
  if (typeof value !== "object" || value === null) return value;
  if (seen.has(value)) return seen.get(value);
  const keep = (copy) => { seen.set(value, copy); return copy; };
  const clone = (item) => cloned(item, seen);
  if (value instanceof Date) return keep(new Date(value));
  if (value instanceof RegExp) return keep(new RegExp(value.source, value.flags));
  if (value instanceof ArrayBuffer) return keep(value.slice(0));
  if (ArrayBuffer.isView(value)) {
    const length = value instanceof DataView ? value.byteLength : value.length;
    return keep(new value.constructor(clone(value.buffer), value.byteOffset, length));
  }
  if (value instanceof Map) {
    const copy = keep(new Map());
    for (const [key, item] of [...value]) copy.set(clone(key), clone(item));
    return copy;
  }
  if (value instanceof Set) {
    const copy = keep(new Set());
    for (const item of [...value]) copy.add(clone(item));
    return copy;
  }
  const copy = keep(isArray(value) ? new Array(value.length) : value instanceof Error ? Error(value.message) : {});
  for (const key of Object.keys(value)) copy[key] = clone(value[key]);
  return copy;
}
const structuredClone = (value) => cloned(value, new Map());

// Timers: the host knows only when the next one is due.

const timers = new Map();
let lastTimer = 0;

function announceNextTimer() {
  let next = Infinity;
  for (const { due } of timers.values()) next = Math.min(next, due);
  wake(next === Infinity ? "" : string(Math.max(0, next - now())));
}
function setTimeout(callback, delay = 0, ...values) {
  if (typeof callback !== "function") throw new TypeError("setTimeout needs a function");
  timers.set(++lastTimer, { due: now() + Math.min(Math.max(0, +delay || 0), 2147483647), callback, values });
  announceNextTimer();
  return lastTimer;
}
function clearTimeout(timer) {
  if (timers.delete(timer)) announceNextTimer();
}
function runTimers() {
  const due = [...timers].filter(([, timer]) => timer.due <= now()).sort(([, a], [, b]) => a.due - b.due);
  for (const [id, { callback, values }] of due) {
    if (!timers.delete(id)) continue; // cleared by one before it
    try {
      callback(...values);
    } catch (error) {
      report(error);
    }
  }
  announceNextTimer();
}

// Aborting.

const internal = Symbol();
let abortSignal;

class AbortSignal {
  #listeners = new Set();
  #aborted = false;
  #reason = undefined;
  onabort = null;
  constructor(key) { if (key !== internal) throw new TypeError("Illegal constructor"); }
  get aborted() { return this.#aborted; }
  get reason() { return this.#reason; }
  throwIfAborted() { if (this.#aborted) throw this.#reason; }
  addEventListener(type, listener) { if (type === "abort" && listener) this.#listeners.add(listener); }
  removeEventListener(type, listener) { if (type === "abort") this.#listeners.delete(listener); }
  static {
    abortSignal = (signal, reason = new DOMException("The operation was aborted.", "AbortError")) => {
      if (signal.#aborted) return signal;
      signal.#aborted = true;
      signal.#reason = reason;
      const event = { type: "abort", target: signal };
      const listeners = [signal.onabort, ...signal.#listeners];
      signal.#listeners.clear(); // it fires once
      for (const listener of listeners) {
        if (typeof listener === "function") apply(listener, signal, [event]);
        else listener?.handleEvent(event);
      }
      return signal;
    };
  }
  static abort(reason) { return abortSignal(new AbortSignal(internal), reason); }
  static timeout(delay) {
    const signal = new AbortSignal(internal);
    setTimeout(() => abortSignal(signal, new DOMException("The operation timed out.", "TimeoutError")), delay);
    return signal;
  }
  static any(signals) {
    const signal = new AbortSignal(internal);
    const all = [...signals];
    const aborted = all.find((one) => one.aborted);
    if (aborted) return abortSignal(signal, aborted.reason);
    for (const one of all) one.addEventListener("abort", () => abortSignal(signal, one.reason));
    return signal;
  }
}

class AbortController {
  #signal = new AbortSignal(internal);
  get signal() { return this.#signal; }
  abort(reason) { abortSignal(this.#signal, reason); }
}
