// What polling code finds by name.

// The built-ins that these files stand on stay as they are: else code that replaces one of them would be handed what is
// ours, in the middle of our steps. Code may add to them. Not locked is what our steps give nothing away to:
// Object.prototype, dates, errors, Math.random and the classes that our steps do not use.
{
  const { getOwnPropertyDescriptor, defineProperty, getPrototypeOf } = Object;
  const lock = (owner, except) => {
    for (const key of ownKeys(owner)) {
      const { configurable, writable } = getOwnPropertyDescriptor(owner, key);
      if (key === except || !(configurable || writable)) continue;
      defineProperty(owner, key, writable ? { writable: false, configurable: false } : { configurable: false });
    }
  };
  const typed = getPrototypeOf(Uint8Array);
  const iterators = [[].values(), new Map().values(), new Set().values(), "".matchAll(/a/g), ""[Symbol.iterator]()];
  const functions = [() => {}, function* () {}, async () => {}, async function* () {}];
  const classes = [
    Array, ArrayBuffer, BigInt, Boolean, Iterator, Map, Number, Promise, RegExp, Set, SharedArrayBuffer, String, Symbol,
    typed, ...ownKeys(TYPED).map((name) => TYPED[name]),
  ];
  const prototypes = [...classes.map((one) => one.prototype), ...[...iterators, ...functions].map(getPrototypeOf)];
  for (const generator of [functions[1], functions[3]]) {
    const of = getPrototypeOf(generator.prototype);
    prototypes.push(of, getPrototypeOf(of));
  }
  for (const owner of [...classes, ...new Set(prototypes), Object, JSON, Reflect]) lock(owner);
  lock(Math, "random");
}

{
  const classes = {
    AbortController, AbortSignal, Blob, ByteLengthQueuingStrategy, CompressionStream, CountQueuingStrategy, Crypto,
    CryptoKey, CustomEvent, DecompressionStream, ErrorEvent, Event, EventTarget, File, FormData, Headers, Navigator,
    Performance, PromiseRejectionEvent, ReadableByteStreamController, ReadableStream, ReadableStreamBYOBReader,
    ReadableStreamBYOBRequest, ReadableStreamDefaultController, ReadableStreamDefaultReader, Request, Response,
    SubtleCrypto, TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream, TransformStream,
    TransformStreamDefaultController, URL, URLSearchParams, WritableStream, WritableStreamDefaultController,
    WritableStreamDefaultWriter,
  };
  interfaced(...Object.values(classes));
  platformClasses = Object.values(classes);
  define({
    ...classes, ...reporting, Buffer, Intl, clearInterval, clearTimeout, console, crypto, fetch, ld, setInterval, setTimeout,
    structuredClone, navigator: new Navigator(internal), performance: new Performance(internal),
    self: globalThis,
  });
}
