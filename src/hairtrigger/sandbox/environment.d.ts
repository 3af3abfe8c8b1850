// What polling code finds around it, besides JavaScript itself (lib: ["esnext"], and no other).
//
// Of Intl there are DateTimeFormat, NumberFormat and Collator, in the locales en-US, en-GB, en-CA, de-DE and sv-SE (no
// Collator there). A locale or an option that is not known throws a RangeError that names it, also where TypeScript knows
// it; so do toLocaleString and its like.
//
// Polling code is the body of an async function: `await` and `return` stand at its top level, and it returns an array
// of events. Show it to TypeScript as such: `async function poll(): Promise<unknown[]> { … }`.

/** The values of the trigger's input fields: each under its slug, its label and its label in snake_case. */
declare const inputs: Record<string, any>;
/** The values of the connection: each under the slug of its field. */
declare const secrets: Record<string, string>;
/** When the last poll that worked began, as ISO 8601 in UTC; at first, when the trigger was enabled. */
declare const lastPollTime: string;

/** The builder's names for `inputs` and `secrets`. */
declare const data: { input: Record<string, any>; auth: Record<string, string> };
declare const ld: {
  log(...values: unknown[]): void;
  /** At most 30,000 milliseconds. */
  wait(milliseconds: number): Promise<void>;
  request(options: LdRequest & { responseType: "binary" | "stream" }): Promise<LdBinary>;
  request(options: LdRequest): Promise<LdAnswer>;
};
interface LdRequest {
  url: string | URL;
  method?: string;
  headers?: HeadersInit;
  params?: Record<string, unknown>;
  body?: BodyInit | object | null;
  responseType?: "json" | "text" | "binary" | "stream";
}
interface LdAnswer { status: number; headers: Record<string, string>; json: any; text: string }
interface LdBinary { status: number; headers: Record<string, string>; buffer: Uint8Array; success: boolean }

/** What JSON of a server may be: anything. */
type Json = any[] & Record<string, any>;

// https://fetch.spec.whatwg.org/

type HeadersInit = Headers | Record<string, string> | Iterable<readonly [string, string]>;
type BufferSource = ArrayBuffer | ArrayBufferView;
type BodyInit = string | BufferSource | Blob | FormData | URLSearchParams | ReadableStream<Uint8Array>;
interface RequestInit {
  method?: string;
  headers?: HeadersInit;
  body?: BodyInit | null;
  redirect?: "follow" | "error" | "manual";
  signal?: AbortSignal | null;
  duplex?: "half";
}
interface ResponseInit { status?: number; statusText?: string; headers?: HeadersInit }

declare function fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;

declare class Headers {
  constructor(init?: HeadersInit);
  append(name: string, value: string): void;
  delete(name: string): void;
  get(name: string): string | null;
  getSetCookie(): string[];
  has(name: string): boolean;
  set(name: string, value: string): void;
  forEach(callback: (value: string, name: string, headers: Headers) => void, self?: unknown): void;
  entries(): IteratorObject<[string, string]>;
  keys(): IteratorObject<string>;
  values(): IteratorObject<string>;
  [Symbol.iterator](): IteratorObject<[string, string]>;
}
interface Body {
  readonly body: ReadableStream<Uint8Array> | null;
  readonly bodyUsed: boolean;
  arrayBuffer(): Promise<ArrayBuffer>;
  blob(): Promise<Blob>;
  bytes(): Promise<Uint8Array>;
  formData(): Promise<FormData>;
  json<T = Json>(): Promise<T>;
  text(): Promise<string>;
}
interface Request extends Body {}
declare class Request {
  constructor(input: string | URL | Request, init?: RequestInit);
  readonly method: string;
  readonly url: string;
  readonly headers: Headers;
  readonly redirect: "follow" | "error" | "manual";
  readonly signal: AbortSignal;
  clone(): Request;
}
interface Response extends Body {}
declare class Response {
  constructor(body?: BodyInit | null, init?: ResponseInit);
  static error(): Response;
  static json(value: unknown, init?: ResponseInit): Response;
  static redirect(url: string | URL, status?: number): Response;
  readonly type: "basic" | "default" | "error" | "opaqueredirect";
  readonly url: string;
  readonly redirected: boolean;
  readonly status: number;
  readonly ok: boolean;
  readonly statusText: string;
  readonly headers: Headers;
  clone(): Response;
}

// https://xhr.spec.whatwg.org/#interface-formdata and https://w3c.github.io/FileAPI/

type FormDataValue = string | File;
declare class FormData {
  constructor();
  append(name: string, value: unknown): void;
  append(name: string, value: Blob, filename?: string): void;
  set(name: string, value: unknown): void;
  set(name: string, value: Blob, filename?: string): void;
  delete(name: string): void;
  get(name: string): FormDataValue | null;
  getAll(name: string): FormDataValue[];
  has(name: string): boolean;
  forEach(callback: (value: FormDataValue, name: string, form: FormData) => void, self?: unknown): void;
  entries(): IteratorObject<[string, FormDataValue]>;
  keys(): IteratorObject<string>;
  values(): IteratorObject<FormDataValue>;
  [Symbol.iterator](): IteratorObject<[string, FormDataValue]>;
}
interface BlobInit { type?: string; endings?: "transparent" | "native" }
declare class Blob {
  constructor(parts?: Iterable<string | BufferSource | Blob>, init?: BlobInit);
  readonly size: number;
  readonly type: string;
  slice(start?: number, end?: number, type?: string): Blob;
  stream(): ReadableStream<Uint8Array>;
  text(): Promise<string>;
  arrayBuffer(): Promise<ArrayBuffer>;
  bytes(): Promise<Uint8Array>;
}
declare class File extends Blob {
  constructor(parts: Iterable<string | BufferSource | Blob>, name: string, init?: BlobInit & { lastModified?: number });
  readonly name: string;
  readonly lastModified: number;
}

// https://url.spec.whatwg.org/

declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static parse(url: string | URL, base?: string | URL): URL | null;
  static canParse(url: string | URL, base?: string | URL): boolean;
  href: string;
  readonly origin: string;
  protocol: string;
  username: string;
  password: string;
  host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  readonly searchParams: URLSearchParams;
  hash: string;
  toString(): string;
  toJSON(): string;
}
declare class URLSearchParams {
  constructor(init?: string | Record<string, string> | Iterable<readonly [string, string]>);
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  forEach(callback: (value: string, name: string, params: URLSearchParams) => void, self?: unknown): void;
  entries(): IteratorObject<[string, string]>;
  keys(): IteratorObject<string>;
  values(): IteratorObject<string>;
  toString(): string;
  [Symbol.iterator](): IteratorObject<[string, string]>;
}

// https://dom.spec.whatwg.org/

interface EventInit { bubbles?: boolean; cancelable?: boolean; composed?: boolean }
declare class Event {
  constructor(type: string, init?: EventInit);
  readonly type: string;
  readonly target: EventTarget | null;
  readonly currentTarget: EventTarget | null;
  readonly eventPhase: number;
  readonly bubbles: boolean;
  readonly cancelable: boolean;
  readonly defaultPrevented: boolean;
  readonly composed: boolean;
  readonly timeStamp: number;
  composedPath(): EventTarget[];
  stopPropagation(): void;
  stopImmediatePropagation(): void;
  preventDefault(): void;
}
declare class CustomEvent<T = any> extends Event {
  constructor(type: string, init?: EventInit & { detail?: T });
  readonly detail: T;
}
declare class ErrorEvent extends Event {
  constructor(type: string, init?: EventInit & { message?: string; error?: unknown });
  readonly message: string;
  readonly filename: string;
  readonly lineno: number;
  readonly colno: number;
  readonly error: any;
}
declare class PromiseRejectionEvent extends Event {
  constructor(type: string, init: EventInit & { promise: Promise<unknown>; reason?: unknown });
  readonly promise: Promise<unknown>;
  readonly reason: any;
}
type EventListener = ((event: any) => void) | { handleEvent(event: any): void };
interface ListenerOptions { capture?: boolean; once?: boolean; passive?: boolean; signal?: AbortSignal }
declare class EventTarget {
  constructor();
  addEventListener(type: string, listener: EventListener | null, options?: boolean | ListenerOptions): void;
  removeEventListener(type: string, listener: EventListener | null, options?: boolean | { capture?: boolean }): void;
  dispatchEvent(event: Event): boolean;
}
declare class AbortSignal extends EventTarget {
  private constructor();
  static abort(reason?: unknown): AbortSignal;
  static timeout(milliseconds: number): AbortSignal;
  static any(signals: Iterable<AbortSignal>): AbortSignal;
  readonly aborted: boolean;
  readonly reason: any;
  onabort: ((event: Event) => void) | null;
  throwIfAborted(): void;
}
declare class AbortController {
  constructor();
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
}
declare class DOMException extends Error {
  constructor(message?: string, name?: string);
  readonly code: number;
}

// https://encoding.spec.whatwg.org/

declare class TextEncoder {
  constructor();
  readonly encoding: "utf-8";
  encode(text?: string): Uint8Array<ArrayBuffer>;
  encodeInto(text: string, into: Uint8Array): { read: number; written: number };
}
declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(data?: BufferSource, options?: { stream?: boolean }): string;
}
// https://nodejs.org/api/buffer.html

type BufferEncoding =
  | "utf8" | "utf-8" | "hex" | "base64" | "base64url" | "latin1" | "binary" | "ascii" | "utf16le" | "utf-16le" | "ucs2"
  | "ucs-2";
type BufferOrder = "LE" | "BE";
type BufferNumber = "UInt16" | "Uint16" | "Int16" | "UInt32" | "Uint32" | "Int32" | "Float" | "Double";
type BufferReaders =
  & { [K in `read${BufferNumber}${BufferOrder}`]: (offset?: number) => number }
  & { [K in `write${BufferNumber}${BufferOrder}`]: (value: number, offset?: number) => number }
  & { [K in `readBig${"UInt" | "Uint" | "Int"}64${BufferOrder}`]: (offset?: number) => bigint }
  & { [K in `writeBig${"UInt" | "Uint" | "Int"}64${BufferOrder}`]: (value: bigint, offset?: number) => number }
  & { [K in `read${"UInt" | "Uint" | "Int"}${BufferOrder}`]: (offset: number, size: number) => number }
  & { [K in `write${"UInt" | "Uint" | "Int"}${BufferOrder}`]: (value: number, offset: number, size: number) => number }
  & { [K in `read${"UInt" | "Uint" | "Int"}8`]: (offset?: number) => number }
  & { [K in `write${"UInt" | "Uint" | "Int"}8`]: (value: number, offset?: number) => number };
interface Buffer extends Uint8Array<ArrayBuffer>, BufferReaders {
  toString(encoding?: BufferEncoding, start?: number, end?: number): string;
  toJSON(): { type: "Buffer"; data: number[] };
  equals(other: Uint8Array): boolean;
  compare(target: Uint8Array, targetStart?: number, targetEnd?: number, start?: number, end?: number): number;
  includes(value: string | number | Uint8Array, from?: number, encoding?: BufferEncoding): boolean;
  indexOf(value: string | number | Uint8Array, from?: number, encoding?: BufferEncoding): number;
  lastIndexOf(value: string | number | Uint8Array, from?: number, encoding?: BufferEncoding): number;
  slice(start?: number, end?: number): Buffer;
  subarray(start?: number, end?: number): Buffer;
  copy(target: Uint8Array, targetStart?: number, start?: number, end?: number): number;
  fill(value: string | number | Uint8Array, start?: number, end?: number, encoding?: BufferEncoding): this;
  write(text: string, start?: number, length?: number, encoding?: BufferEncoding): number;
  swap16(): this;
  swap32(): this;
  swap64(): this;
}
declare const Buffer: {
  readonly prototype: Buffer;
  from(text: string, encoding?: BufferEncoding): Buffer;
  from(data: ArrayBuffer | SharedArrayBuffer, offset?: number, length?: number): Buffer;
  from(data: Uint8Array | ArrayLike<number> | { type: "Buffer"; data: number[] }): Buffer;
  of(...values: number[]): Buffer;
  alloc(size: number, fill?: string | number | Uint8Array, encoding?: BufferEncoding): Buffer;
  allocUnsafe(size: number): Buffer;
  allocUnsafeSlow(size: number): Buffer;
  byteLength(value: string | ArrayBuffer | ArrayBufferView, encoding?: BufferEncoding): number;
  compare(one: Uint8Array, other: Uint8Array): number;
  concat(list: readonly Uint8Array[], length?: number): Buffer;
  isBuffer(value: unknown): value is Buffer;
  isEncoding(encoding: string): encoding is BufferEncoding;
};

declare function atob(data: string): string;
declare function btoa(data: string): string;

// https://w3c.github.io/webcrypto/

declare class Crypto {
  private constructor();
  readonly subtle: SubtleCrypto;
  getRandomValues<T extends ArrayBufferView>(array: T): T;
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}
declare const crypto: Crypto;
type HashName = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";
type Hash = HashName | { name: HashName };
type NamedCurve = "P-256" | "P-384" | "P-521";
interface HmacParams { name: "HMAC"; hash: Hash; length?: number }
interface RsaParams { name: "RSASSA-PKCS1-v1_5"; hash: Hash }
interface CurveParams { name: "ECDSA"; namedCurve: NamedCurve }
type SignatureParams =
  | "HMAC" | { name: "HMAC" } | "RSASSA-PKCS1-v1_5" | { name: "RSASSA-PKCS1-v1_5" } | { name: "ECDSA"; hash: Hash };
type KeyUse = "sign" | "verify";
interface JsonWebKey {
  kty?: string; use?: string; key_ops?: string[]; alg?: string; ext?: boolean; k?: string; crv?: string; x?: string;
  y?: string; d?: string; n?: string; e?: string; p?: string; q?: string; dp?: string; dq?: string; qi?: string;
}
interface KeyAlgorithm {
  name: string; hash?: { name: HashName }; length?: number; namedCurve?: NamedCurve; modulusLength?: number;
  publicExponent?: Uint8Array;
}
declare class CryptoKey {
  private constructor();
  readonly type: "secret" | "private" | "public";
  readonly extractable: boolean;
  readonly algorithm: KeyAlgorithm;
  readonly usages: KeyUse[];
}
/** Digests, and signatures by HMAC, by RSA keys of 2,048 to 4,096 bits (PKCS#1 v1.5), and by ECDSA (RFC 6979). */
declare class SubtleCrypto {
  private constructor();
  digest(hash: Hash, data: BufferSource): Promise<ArrayBuffer>;
  importKey(format: "raw", key: BufferSource, as: HmacParams, extractable: boolean, uses: KeyUse[]): Promise<CryptoKey>;
  importKey(
    format: "pkcs8" | "spki", key: BufferSource, as: RsaParams | CurveParams, extractable: boolean, uses: KeyUse[],
  ): Promise<CryptoKey>;
  importKey(
    format: "jwk", key: JsonWebKey, as: HmacParams | RsaParams | CurveParams, extractable: boolean, uses: KeyUse[],
  ): Promise<CryptoKey>;
  exportKey(format: "raw" | "pkcs8" | "spki", key: CryptoKey): Promise<ArrayBuffer>;
  exportKey(format: "jwk", key: CryptoKey): Promise<JsonWebKey>;
  generateKey(as: HmacParams, extractable: boolean, uses: KeyUse[]): Promise<CryptoKey>;
  sign(algorithm: SignatureParams, key: CryptoKey, data: BufferSource): Promise<ArrayBuffer>;
  verify(algorithm: SignatureParams, key: CryptoKey, signature: BufferSource, data: BufferSource): Promise<boolean>;
}

// https://streams.spec.whatwg.org/ and https://compression.spec.whatwg.org/

interface QueuingStrategy<T = any> { highWaterMark?: number; size?: (chunk: T) => number }
declare class CountQueuingStrategy {
  constructor(init: { highWaterMark: number });
  readonly highWaterMark: number;
  readonly size: (chunk?: any) => number;
}
declare class ByteLengthQueuingStrategy {
  constructor(init: { highWaterMark: number });
  readonly highWaterMark: number;
  readonly size: (chunk: ArrayBufferView) => number;
}
interface UnderlyingSource<R> {
  type?: "bytes";
  autoAllocateChunkSize?: number;
  start?(controller: any): unknown;
  pull?(controller: any): unknown;
  cancel?(reason?: any): unknown;
}
interface StreamPipeOptions {
  preventAbort?: boolean;
  preventCancel?: boolean;
  preventClose?: boolean;
  signal?: AbortSignal;
}
type ReadResult<R> = { done: false; value: R } | { done: true; value: R | undefined };
declare class ReadableStream<R = any> {
  constructor(source?: UnderlyingSource<R>, strategy?: QueuingStrategy<R>);
  static from<R>(values: Iterable<R> | AsyncIterable<R>): ReadableStream<R>;
  readonly locked: boolean;
  cancel(reason?: any): Promise<void>;
  getReader(): ReadableStreamDefaultReader<R>;
  getReader(options: { mode: "byob" }): ReadableStreamBYOBReader;
  pipeThrough<T>(
    through: { readable: ReadableStream<T>; writable: WritableStream<any> }, options?: StreamPipeOptions,
  ): ReadableStream<T>;
  pipeTo(into: WritableStream<R>, options?: StreamPipeOptions): Promise<void>;
  tee(): [ReadableStream<R>, ReadableStream<R>];
  values(options?: { preventCancel?: boolean }): AsyncIteratorObject<R>;
  [Symbol.asyncIterator](options?: { preventCancel?: boolean }): AsyncIteratorObject<R>;
}
declare class ReadableStreamDefaultReader<R = any> {
  constructor(stream: ReadableStream<R>);
  readonly closed: Promise<undefined>;
  read(): Promise<ReadResult<R>>;
  cancel(reason?: any): Promise<void>;
  releaseLock(): void;
}
declare class ReadableStreamBYOBReader {
  constructor(stream: ReadableStream<Uint8Array>);
  readonly closed: Promise<undefined>;
  read<T extends ArrayBufferView>(view: T, options?: { min?: number }): Promise<ReadResult<T>>;
  cancel(reason?: any): Promise<void>;
  releaseLock(): void;
}
declare class ReadableStreamBYOBRequest {
  private constructor();
  readonly view: ArrayBufferView | null;
  respond(written: number): void;
  respondWithNewView(view: ArrayBufferView): void;
}
declare class ReadableStreamDefaultController<R = any> {
  private constructor();
  readonly desiredSize: number | null;
  close(): void;
  enqueue(chunk?: R): void;
  error(reason?: any): void;
}
declare class ReadableByteStreamController {
  private constructor();
  readonly byobRequest: ReadableStreamBYOBRequest | null;
  readonly desiredSize: number | null;
  close(): void;
  enqueue(chunk: ArrayBufferView): void;
  error(reason?: any): void;
}
interface UnderlyingSink<W> {
  start?(controller: WritableStreamDefaultController): unknown;
  write?(chunk: W, controller: WritableStreamDefaultController): unknown;
  close?(): unknown;
  abort?(reason?: any): unknown;
}
declare class WritableStream<W = any> {
  constructor(sink?: UnderlyingSink<W>, strategy?: QueuingStrategy<W>);
  readonly locked: boolean;
  abort(reason?: any): Promise<void>;
  close(): Promise<void>;
  getWriter(): WritableStreamDefaultWriter<W>;
}
declare class WritableStreamDefaultWriter<W = any> {
  constructor(stream: WritableStream<W>);
  readonly closed: Promise<undefined>;
  readonly desiredSize: number | null;
  readonly ready: Promise<undefined>;
  abort(reason?: any): Promise<void>;
  close(): Promise<void>;
  releaseLock(): void;
  write(chunk?: W): Promise<void>;
}
declare class WritableStreamDefaultController {
  private constructor();
  readonly signal: AbortSignal;
  error(reason?: any): void;
}
interface Transformer<I, O> {
  start?(controller: TransformStreamDefaultController<O>): unknown;
  transform?(chunk: I, controller: TransformStreamDefaultController<O>): unknown;
  flush?(controller: TransformStreamDefaultController<O>): unknown;
  cancel?(reason?: any): unknown;
}
declare class TransformStream<I = any, O = any> {
  constructor(transformer?: Transformer<I, O>, writable?: QueuingStrategy<I>, readable?: QueuingStrategy<O>);
  readonly readable: ReadableStream<O>;
  readonly writable: WritableStream<I>;
}
declare class TransformStreamDefaultController<O = any> {
  private constructor();
  readonly desiredSize: number | null;
  enqueue(chunk?: O): void;
  error(reason?: any): void;
  terminate(): void;
}
declare class TextEncoderStream {
  constructor();
  readonly encoding: "utf-8";
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<string>;
}
declare class TextDecoderStream {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  readonly readable: ReadableStream<string>;
  readonly writable: WritableStream<BufferSource>;
}
type CompressionFormat = "deflate" | "deflate-raw" | "gzip";
declare class CompressionStream {
  constructor(format: CompressionFormat);
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<BufferSource>;
}
declare class DecompressionStream {
  constructor(format: CompressionFormat);
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<BufferSource>;
}

// https://html.spec.whatwg.org/, https://w3c.github.io/hr-time/ and https://console.spec.whatwg.org/

declare function setTimeout<A extends unknown[]>(callback: (...values: A) => void, delay?: number, ...values: A): number;
declare function setInterval<A extends unknown[]>(callback: (...values: A) => void, delay?: number, ...values: A): number;
declare function clearTimeout(timer?: number): void;
declare function clearInterval(timer?: number): void;
declare function queueMicrotask(callback: () => void): void;
declare function structuredClone<T>(value: T, options?: { transfer?: unknown[] }): T;
declare function reportError(error: unknown): void;
declare const self: typeof globalThis;

declare class Navigator {
  private constructor();
  readonly userAgent: string;
}
declare const navigator: Navigator;
/** The clock stands still while code runs, and moves while it waits. */
declare class Performance extends EventTarget {
  private constructor();
  readonly timeOrigin: number;
  now(): number;
  toJSON(): { timeOrigin: number };
}
declare const performance: Performance;

/** What a poll by hand and a dry run show. */
declare const console: {
  assert(condition?: unknown, ...values: unknown[]): void;
  clear(): void;
  count(label?: string): void;
  countReset(label?: string): void;
  debug(...values: unknown[]): void;
  dir(value?: unknown, options?: unknown): void;
  dirxml(...values: unknown[]): void;
  error(...values: unknown[]): void;
  group(...values: unknown[]): void;
  groupCollapsed(...values: unknown[]): void;
  groupEnd(): void;
  info(...values: unknown[]): void;
  log(...values: unknown[]): void;
  table(rows?: unknown, columns?: string[]): void;
  time(label?: string): void;
  timeEnd(label?: string): void;
  timeLog(label?: string, ...values: unknown[]): void;
  trace(...values: unknown[]): void;
  warn(...values: unknown[]): void;
};
