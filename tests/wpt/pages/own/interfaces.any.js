// META: script=/resources/WebIDLParser.js
// META: script=/resources/idlharness.js
// META: variant=?FileAPI
// META: variant=?compression
// META: variant=?dom
// META: variant=?encoding
// META: variant=?fetch
// META: variant=?hr-time
// META: variant=?streams
// META: variant=?url
// META: variant=?webcrypto
// META: variant=?xhr

// Every interface has the members that its standard's Web IDL gives it, and they behave as Web IDL says.

const SPECS = {
  FileAPI: { deps: ["dom", "html"], Blob: ["new Blob([])"], File: ["new File([], '')"] },
  compression: {
    deps: ["streams"], CompressionStream: ["new CompressionStream('gzip')"],
    DecompressionStream: ["new DecompressionStream('gzip')"],
  },
  dom: {
    deps: ["html"], AbortController: ["new AbortController()"], AbortSignal: ["AbortSignal.abort()"],
    CustomEvent: ["new CustomEvent('x')"], Event: ["new Event('x')"], EventTarget: ["new EventTarget()"],
  },
  encoding: {
    deps: ["streams"], TextDecoder: ["new TextDecoder()"], TextDecoderStream: ["new TextDecoderStream()"],
    TextEncoder: ["new TextEncoder()"], TextEncoderStream: ["new TextEncoderStream()"],
  },
  fetch: {
    deps: ["referrer-policy", "html", "dom"], Headers: ["new Headers()"], Request: ["new Request('https://example.com')"],
    Response: ["new Response()"],
  },
  "hr-time": { deps: ["html", "dom"], Performance: ["performance"] },
  streams: {
    deps: ["dom"], ByteLengthQueuingStrategy: ["new ByteLengthQueuingStrategy({ highWaterMark: 5 })"],
    CountQueuingStrategy: ["new CountQueuingStrategy({ highWaterMark: 5 })"],
    ReadableStream: ["new ReadableStream()"],
    ReadableStreamBYOBReader: ["new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' })"],
    ReadableStreamDefaultReader: ["new ReadableStream().getReader()"], TransformStream: ["new TransformStream()"],
    WritableStream: ["new WritableStream()"], WritableStreamDefaultWriter: ["new WritableStream().getWriter()"],
  },
  url: { deps: [], URL: ["new URL('https://example.com')"], URLSearchParams: ["new URLSearchParams('a=b')"] },
  webcrypto: { deps: ["html"], Crypto: ["crypto"], SubtleCrypto: ["crypto.subtle"] },
  xhr: { deps: ["dom", "html"], FormData: ["new FormData()"] },
};

const spec = location.search.slice(1);
const { deps, ...objects } = SPECS[spec];
idl_test([spec], deps, (idl) => { idl.add_objects(objects); });
