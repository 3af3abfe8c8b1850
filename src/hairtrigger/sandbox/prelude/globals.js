// The globals that polling code finds.

// The built-ins that these files use are locked. Code that could replace one of them would be called by the functions
// of these files, with values that it must not get. Code may still add members to the built-ins. Those to which these
// files pass no such values are not locked: Object.prototype, dates, errors, Math.random and the classes that they do
// not use.
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
