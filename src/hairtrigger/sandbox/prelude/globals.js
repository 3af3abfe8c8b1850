// What polling code finds by name.

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
    ...classes, ...reporting, clearInterval, clearTimeout, console, crypto, fetch, ld, setInterval, setTimeout,
    structuredClone, navigator: new Navigator(internal), performance: new Performance(internal),
    self: globalThis,
  });
}
