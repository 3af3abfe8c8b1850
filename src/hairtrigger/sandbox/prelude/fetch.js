// Fetch, after https://fetch.spec.whatwg.org/, as servers have it: without an origin, cookies or a cache.
//
// Polls are many and short. So everything that a plain `fetch(url, { headers })` and `.json()` need is done at once and
// with few calls. Everything else is made when it is asked for: the headers of a response, the signal of a request, the
// stream of a body.

const adopting = Symbol(); // the first argument of a constructor that gets its state as the second argument

// Headers. A list of headers is a Map from each name in lower case to its value, and from set-cookie to an array of its
// values.

const NAMES = new Map( // names that need not be checked
  ["Accept", "Accept-Language", "Authorization", "Cache-Control", "Content-Length", "Content-Type", "Date", "ETag",
    "If-Modified-Since", "If-None-Match", "Last-Modified", "Link", "Location", "Notion-Version", "Retry-After",
    "User-Agent", "X-API-Key", "X-GitHub-Api-Version", "X-Request-Id",
  ].flatMap((name) => [[name, name.toLowerCase()], [name.toLowerCase(), name.toLowerCase()]]),
);
const USUAL_VALUE = /^[!-~][\t -~]*$/;

function headerName(name) {
  const known = NAMES.get(name);
  if (known !== undefined) return known;
  const text = `${name}`;
  if (!TOKEN.test(text)) throw new TypeError(`'${text}' is not a header name`);
  return text.toLowerCase();
}

function headerValue(value) {
  const text = `${value}`;
  if (USUAL_VALUE.test(text) && text.charCodeAt(text.length - 1) > 32) return text;
  const trimmed = text.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
  if (/[\0\n\r]|[^\0-\xff]/.test(trimmed)) throw new TypeError("A header's value has a character that is not allowed");
  return trimmed;
}

function addHeader(list, name, value) {
  const key = headerName(name);
  const text = headerValue(value);
  const before = list.get(key);
  if (key === "set-cookie") list.set(key, before === undefined ? [text] : [...before, text]);
  else list.set(key, before === undefined ? text : `${before}, ${text}`);
}

function headerList(init) {
  if (!isObject(init)) throw new TypeError("Headers are made of an object or of pairs");
  const iterator = init[Symbol.iterator];
  if (isHeaders(init) && iterator === Headers.prototype.entries) return new Map(listOfHeaders(init));
  const list = new Map();
  if (iterator !== undefined && iterator !== null) {
    for (const pair of iterating(init, iterator)) {
      const parts = isObject(pair) ? [...pair] : [];
      if (parts.length !== 2) throw new TypeError("Each header is a pair of a name and a value");
      addHeader(list, parts[0], parts[1]);
    }
    return list;
  }
  for (const name of ownKeys(init))
    if (Reflect.getOwnPropertyDescriptor(init, name)?.enumerable) {
      const key = headerName(name); // a text that can't be a name is refused before its value is read
      addHeader(list, key, init[name]);
    }
  return list;
}

function sortedHeaders(list) {
  if (list.size === 0) return [];
  const pairs = [];
  for (const name of list.size === 1 ? list.keys() : [...list.keys()].sort()) {
    const value = list.get(name);
    if (typeof value === "string") pairs.push([name, value]);
    else for (const one of value) pairs.push([name, one]);
  }
  return pairs;
}

let headersOf;
let isHeaders;
let listOfHeaders;
let pairsOfHeaders;

class Headers {
  #list;
  #immutable = false;
  #sorted = null;
  constructor(init = undefined) {
    this.#list = init === undefined ? new Map() : headerList(init);
  }
  static {
    headersOf = (list, immutable) => {
      const headers = new Headers();
      headers.#list = list;
      headers.#immutable = immutable;
      return headers;
    };
    isHeaders = (value) => #list in value;
    listOfHeaders = (headers) => headers.#list;
    pairsOfHeaders = (headers) => (headers.#sorted ??= sortedHeaders(headers.#list));
  }
  #changed() {
    if (this.#immutable) throw new TypeError("These headers are immutable");
    this.#sorted = null;
    return this.#list;
  }
  append(name, value) {
    given(arguments, 2);
    addHeader(this.#changed(), name, value);
  }
  delete(name) {
    given(arguments, 1);
    this.#changed().delete(headerName(name));
  }
  get(name) {
    given(arguments, 1);
    const value = this.#list.get(headerName(name));
    return value === undefined ? null : typeof value === "string" ? value : value.join(", ");
  }
  getSetCookie() { return [...(this.#list.get("set-cookie") ?? [])]; }
  has(name) {
    given(arguments, 1);
    return this.#list.has(headerName(name));
  }
  set(name, value) {
    given(arguments, 2);
    const list = this.#changed();
    const [key, text] = [headerName(name), headerValue(value)];
    list.set(key, key === "set-cookie" ? [text] : text);
  }
}
iterable(Headers, pairsOfHeaders);

// Bodies. The state of a request or response has the body as `content`: a string, or bytes that no other object has.
// When the stream of the body is asked for, it is made of `content`. A body that was given as a stream has null as
// `content`. `used` tells whether the body was read without a stream.

const alreadyRead = () => new TypeError("The body was read already, or something else reads it");

function extracted(body) { // its content or its stream, and its Content-Type
  if (typeof body === "string") return { content: wellFormed(body), stream: null, type: "text/plain;charset=UTF-8" };
  if (isBinary(body)) return { content: bytesOf(body), stream: null, type: null };
  if (isObject(body)) {
    if (isBlob(body)) return { content: bytesOfBlob(body), stream: null, type: typeOfBlob(body) || null };
    if (isForm(body)) {
      const [content, boundary] = multipart(body);
      return { content, stream: null, type: `multipart/form-data; boundary=${boundary}` };
    }
    if (body instanceof URLSearchParams)
      return { content: `${body}`, stream: null, type: "application/x-www-form-urlencoded;charset=UTF-8" };
    if (isReadableStream(body)) {
      if (isDisturbed(body) || isLocked(body)) throw alreadyRead();
      return { content: null, stream: body, type: null };
    }
  }
  return extracted(`${body}`);
}
const NO_BODY = { content: null, stream: null, type: null };

const hasBody = (state) => state.content !== null || state.stream !== null;
const disturbed = ({ used, stream }) => used || (stream !== null && isDisturbed(stream));
const unusable = (state) => disturbed(state) || (state.stream !== null && isLocked(state.stream));
const refuseAborted = (signal) => { if (signal !== null && signal.aborted) throw signal.reason; };
const contentBytes = (content) => (typeof content === "string" ? utf8(content) : content.slice());
const contentText = (content) => {
  const text = typeof content === "string" ? content : fromUtf8(content);
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
};

function streamOf(state) {
  const { content, signal, used } = state;
  if (state.stream !== null || content === null) return state.stream;
  state.stream = byteStream(() => {
    if (!used) refuseAborted(signal);
    return contentBytes(content);
  });
  if (used) bytesOfStream(state.stream);
  return state.stream;
}

// Returns a whole body: as text or bytes if it is there, or as a promise of an object with its bytes if it is a stream.
// From then on, the body counts as read.
function consumed(state, most = Infinity) {
  if (unusable(state)) throw alreadyRead();
  if (state.stream !== null) return bytesOfStream(state.stream, most);
  if (state.content === null) return "";
  refuseAborted(state.signal);
  const { content } = state;
  state.used = true;
  state.content = ""; // frees memory that may be needed
  return content;
}

function movedBody(state) { // to another request
  if (unusable(state)) throw alreadyRead();
  const { content, stream } = state;
  state.used = true;
  if (stream === null) return { content, stream };
  if (content === null) return { content, stream: stream.pipeThrough(new TransformStream()) };
  bytesOfStream(stream);
  return { content, stream: null };
}

function clonedBody(state) {
  if (unusable(state)) throw alreadyRead();
  const { content, stream } = state;
  if (stream === null) return { content, stream };
  const [one, other] = teedStream(stream);
  state.stream = one;
  return { content: null, stream: other };
}

const mimeOf = (state) => {
  const type = listOf(state).get("content-type");
  return type === undefined ? null : extractedMime(type);
};

function bodied(Class, stateOf) {
  const members = {
    get body() { return streamOf(stateOf(this)); },
    get bodyUsed() { return disturbed(stateOf(this)); },
    async arrayBuffer() {
      const content = consumed(stateOf(this));
      return contentBytes(isContent(content) ? content : (await content).bytes).buffer;
    },
    async blob() {
      const state = stateOf(this);
      const mime = mimeOf(state);
      const content = consumed(state);
      const part = isContent(content) ? content : (await content).bytes;
      return new Blob([part], { type: mime === null ? "" : serialisedMime(mime) });
    },
    async bytes() {
      const content = consumed(stateOf(this));
      return contentBytes(isContent(content) ? content : (await content).bytes);
    },
    async formData() {
      const state = stateOf(this);
      const mime = mimeOf(state);
      const content = consumed(state);
      return formOf(contentBytes(isContent(content) ? content : (await content).bytes), mime);
    },
    async json() {
      const content = consumed(stateOf(this));
      const body = isContent(content) ? content : (await content).bytes;
      return (typeof body === "object" && body !== null ? parseJson(body) : undefined) ?? parse(contentText(body));
    },
    async text() {
      const content = consumed(stateOf(this));
      return contentText(isContent(content) ? content : (await content).bytes);
    },
  };
  for (const key of ownKeys(members))
    Object.defineProperty(Class.prototype, key, Reflect.getOwnPropertyDescriptor(members, key));
}
const isContent = (value) => typeof value === "string" || isBinary(value);

// Returns the list of headers of a request or response. A state has this list as `list`, or null as `list` and the
// pairs that came from the host as `received`. It has a Headers object as `headers` once that was asked for.
function listOf(state) {
  if (state.list !== null) return state.list;
  state.list = new Map();
  for (const pair of state.received) {
    try { addHeader(state.list, pair[0], pair[1]); } catch { /* a header that code could not send is left out */ }
  }
  return state.list;
}
const headersOfState = (state) => (state.headers ??= headersOf(listOf(state), state.immutable));

// Requests.

// Matches a URL that parsing would not change: its host is a name that ends in letters, and it has no port and no dots
// in its path that must be resolved.
const PLAIN = new RegExp(
  String.raw`^https?:\/\/(?:(?!xn--)[a-z\d][a-z\d-]*\.)+[a-z]{2,}` +
    String.raw`(?:\/(?!\.|%2[Ee])[!$-.0-;=@-Z[\]_a-z|~]*)+(?:\?[!$-&(-;=?-~]*)?$`,
);
const METHODS = new Set(["DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"]);
const CHOICES = {
  __proto__: null,
  cache: ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
  credentials: ["same-origin", "omit", "include"],
  duplex: ["half"],
  mode: ["cors", "same-origin", "no-cors", "navigate"],
  priority: ["auto", "high", "low"],
  redirect: ["follow", "error", "manual"],
  referrerPolicy: ["", "no-referrer", "no-referrer-when-downgrade", "same-origin", "origin", "strict-origin",
    "origin-when-cross-origin", "strict-origin-when-cross-origin", "unsafe-url"],
};
const DEFAULTS = {
  cache: "default", credentials: "same-origin", integrity: "", keepalive: false, mode: "cors",
  referrer: "about:client", referrerPolicy: "",
};
const NOTHING = { __proto__: null };

function choice(name, value, usual) {
  if (value === undefined) return usual;
  const text = `${value}`;
  if (!CHOICES[name].includes(text)) throw new TypeError(`'${text}' is not a ${name}`);
  return text;
}

function fetchable(input) {
  const text = `${input}`;
  if (PLAIN.test(text)) return text;
  const url = new URL(text);
  if (url.username || url.password) throw new TypeError("A URL with a user name or password cannot be fetched");
  return url.href;
}

function methodOf(value) {
  const text = `${value}`;
  if (METHODS.has(text)) return text;
  const upper = text.toUpperCase();
  if (!TOKEN.test(text) || upper === "CONNECT" || upper === "TRACE" || upper === "TRACK")
    throw new TypeError(`The method '${text}' is not allowed`);
  return METHODS.has(upper) ? upper : text;
}

function choices(wanted, before) {
  const { cache, credentials, integrity, keepalive, mode, referrer, referrerPolicy } = wanted;
  const chosen = {
    cache: choice("cache", cache, before.cache),
    credentials: choice("credentials", credentials, before.credentials),
    integrity: integrity === undefined ? before.integrity : usv(integrity),
    keepalive: keepalive === undefined ? before.keepalive : !!keepalive,
    mode: choice("mode", mode, before.mode),
    referrer: referrer === undefined ? before.referrer : usv(referrer),
    referrerPolicy: choice("referrerPolicy", referrerPolicy, before.referrerPolicy),
  };
  if (referrer !== undefined && chosen.referrer !== "") chosen.referrer = new URL(chosen.referrer).href;
  if (chosen.mode === "navigate") throw new TypeError("The mode 'navigate' is a browser's");
  if (chosen.cache === "only-if-cached" && chosen.mode !== "same-origin")
    throw new TypeError("The cache mode 'only-if-cached' needs the mode 'same-origin'");
  return chosen;
}

function requested(input, init) {
  if (init !== undefined && init !== null && !isObject(init)) throw new TypeError("The options are not an object");
  const from = isObject(input) && isRequest(input) ? stateOfRequest(input) : null;
  const url = from === null ? fetchable(input) : from.url;
  const { // in the order in which Web IDL reads them
    body, cache, credentials, duplex, headers, integrity, keepalive, method, mode, priority, redirect, referrer,
    referrerPolicy, signal, window,
  } = init ?? NOTHING;
  const usual = from === null ? DEFAULTS : from.chosen;
  const isUsual = cache === undefined && credentials === undefined && integrity === undefined &&
    keepalive === undefined && mode === undefined && referrer === undefined && referrerPolicy === undefined;
  const chosen = isUsual
    ? usual
    : choices({ cache, credentials, integrity, keepalive, mode, referrer, referrerPolicy }, usual);
  if (priority !== undefined) choice("priority", priority);
  if (duplex !== undefined) choice("duplex", duplex);
  if (window !== undefined && window !== null) throw new TypeError("There is no window here");
  const verb = method === undefined ? from?.method ?? "GET" : methodOf(method);
  if (chosen.mode === "no-cors" && !["GET", "HEAD", "POST"].includes(verb))
    throw new TypeError(`The method '${verb}' is not allowed in the mode 'no-cors'`);
  const followed = signal === undefined ? from?.follows ?? null : signal;
  if (followed !== null && !isAbortSignal(followed)) throw new TypeError("The signal is not an AbortSignal");
  const list = headers !== undefined ? headerList(headers) : from === null ? new Map() : new Map(listOf(from));
  const hasOwnBody = body !== undefined && body !== null;
  if ((verb === "GET" || verb === "HEAD") && (hasOwnBody || (from !== null && hasBody(from))))
    throw new TypeError(`A ${verb} request has no body`);
  let content = null;
  let stream = null;
  if (hasOwnBody) {
    const extract = extracted(body);
    ({ content, stream } = extract);
    if (extract.type !== null && !list.has("content-type")) list.set("content-type", extract.type);
    if (stream !== null && duplex === undefined) throw new TypeError("A body that is a stream needs duplex: 'half'");
  } else if (from !== null && hasBody(from)) ({ content, stream } = movedBody(from));
  return {
    url, method: verb, redirect: redirect === undefined ? from?.redirect ?? "follow" : choice("redirect", redirect),
    list, headers: null, immutable: false, content, stream, used: false, signal: null, follows: followed,
    ownSignal: null, chosen,
  };
}

const followingSignal = (signal) => AbortSignal.any(signal === null ? [] : [signal]);
let isRequest;
let stateOfRequest;

class Request {
  #state;
  constructor(input, init = undefined) {
    given(arguments, 1);
    this.#state = input === adopting ? init : requested(input, init);
  }
  static {
    isRequest = (value) => #state in value;
    stateOfRequest = (request) => request.#state;
  }
  get method() { return this.#state.method; }
  get url() { return this.#state.url; }
  get headers() { return headersOfState(this.#state); }
  get destination() { return this.#state && ""; }
  get referrer() { return this.#state.chosen.referrer; }
  get referrerPolicy() { return this.#state.chosen.referrerPolicy; }
  get mode() { return this.#state.chosen.mode; }
  get credentials() { return this.#state.chosen.credentials; }
  get cache() { return this.#state.chosen.cache; }
  get redirect() { return this.#state.redirect; }
  get integrity() { return this.#state.chosen.integrity; }
  get keepalive() { return this.#state.chosen.keepalive; }
  get isReloadNavigation() { return this.#state && false; }
  get isHistoryNavigation() { return this.#state && false; }
  get duplex() { return this.#state && "half"; }
  get signal() { return (this.#state.ownSignal ??= followingSignal(this.#state.follows)); }
  clone() {
    const body = clonedBody(this.#state);
    const list = new Map(listOf(this.#state));
    return new Request(adopting, { ...this.#state, ...body, list, headers: null, ownSignal: null });
  }
}
bodied(Request, stateOfRequest);

// Responses.

const NULL_BODY = [101, 103, 204, 205, 304];
const REDIRECTS = [301, 302, 303, 307, 308];
let stateOfResponse;

function statusOf(value) {
  const status = (Math.trunc(+value) || 0) & 0xffff;
  if (status < 200 || status > 599) throw new RangeError(`${value} is not a status from 200 to 599`);
  return status;
}

function responded(extract, { headers, status = 200, statusText = "" }) {
  const [code, reason] = [statusOf(status), `${statusText}`];
  if (!/^[\t -~\x80-\xff]*$/.test(reason)) throw new TypeError("The statusText has a character that is not allowed");
  const list = headers === undefined ? new Map() : headerList(headers);
  const { content, stream, type } = extract;
  if (extract !== NO_BODY && NULL_BODY.includes(code)) throw new TypeError(`A ${code} response has no body`);
  if (type !== null && !list.has("content-type")) list.set("content-type", type);
  return {
    type: "default", url: "", redirected: false, status: code, statusText: reason,
    list, received: null, headers: null, immutable: false, content, stream, used: false, signal: null,
  };
}
const withoutBody = (type, status, list) => ({
  type, url: "", redirected: false, status, statusText: "",
  list, received: null, headers: null, immutable: true, content: null, stream: null, used: false, signal: null,
});

class Response {
  #state;
  constructor(body = null, init = undefined) {
    if (body === adopting) this.#state = init;
    else {
      const extract = body === null || body === undefined ? NO_BODY : extracted(body);
      this.#state = responded(extract, dictionary(init));
    }
  }
  static { stateOfResponse = (response) => response.#state; }
  static error() { return new Response(adopting, withoutBody("error", 0, new Map())); }
  static json(data, init = undefined) {
    given(arguments, 1);
    const content = stringify(data);
    if (content === undefined) throw new TypeError("The value is not JSON");
    const extract = { content: wellFormed(content), stream: null, type: "application/json" };
    return new Response(adopting, responded(extract, dictionary(init)));
  }
  static redirect(url, status = 302) {
    given(arguments, 1);
    const { href } = new URL(usv(url));
    if (!REDIRECTS.includes(+status)) throw new RangeError(`${status} is not the status of a redirect`);
    return new Response(adopting, withoutBody("default", +status, new Map([["location", href]])));
  }
  get type() { return this.#state.type; }
  get url() { return this.#state.url; }
  get redirected() { return this.#state.redirected; }
  get status() { return this.#state.status; }
  get ok() {
    const { status } = this.#state;
    return status >= 200 && status <= 299;
  }
  get statusText() { return this.#state.statusText; }
  get headers() { return headersOfState(this.#state); }
  clone() {
    const body = clonedBody(this.#state);
    const list = new Map(listOf(this.#state));
    return new Response(adopting, { ...this.#state, ...body, list, headers: null });
  }
}
bodied(Response, stateOfResponse);

// Fetching.

const waiting = { __proto__: null }; // the fetches without an answer, by number
let lastFetch = 0;

function fetch(input, init = undefined) {
  const failed = new TypeError("fetch failed"); // made here, so that its stack names the caller
  return new Promise((resolve, reject) => {
    const request = requested(input, init);
    const { chosen: { integrity }, follows: signal, method, url } = request;
    refuseAborted(signal);
    if (limits === null) throw failed;
    const content = hasBody(request) ? consumed(request, limits.request) : null;
    if (!url.startsWith("https:") && !url.startsWith("http:")) {
      const response = integrity === "" ? local(url, method, signal) : null;
      return response === null ? reject(failed) : resolve(response);
    }
    const call = { resolve, reject, failed, signal, integrity, isHead: method === "HEAD", unfollow: null };
    if (content === null || isContent(content)) return send(request, content, call);
    apply(then, content, [
      ({ bytes }) => {
        try {
          refuseAborted(signal);
          send(request, bytes, call);
        } catch (error) {
          reject(error);
        }
      },
      reject,
    ]);
  });
}

function send({ url, method, list, redirect, follows }, content, call) {
  const fragment = url.indexOf("#");
  const sent = fragment < 0 ? url : url.slice(0, fragment);
  const head = stringify({ method, url: sent, headers: sortedHeaders(list), redirect });
  const id = string(++lastFetch);
  const refusal = content === null ? fetchFromHost(id, head) : fetchFromHost(id, head, content);
  if (refusal !== undefined) {
    call.failed.message = refusal;
    throw call.failed;
  }
  waiting[id] = call;
  if (follows === null) return;
  call.unfollow = onAbort(follows, () => {
    delete waiting[id];
    abort(id);
    call.reject(follows.reason);
  });
}

function answered(head, content, { isHead, signal }) {
  const isNull = isHead || NULL_BODY.includes(head.status);
  return new Response(adopting, {
    type: "basic", url: head.url, redirected: head.redirected, status: head.status, statusText: head.statusText,
    list: null, received: head.headers, headers: null, immutable: true,
    content: isNull ? null : content, stream: null, used: false, signal,
  });
}

function respond(id, text, content) {
  const call = waiting[id];
  delete waiting[id];
  if (call.unfollow !== null) call.unfollow();
  const head = parse(text);
  const error = head.error ?? (call.integrity === "" || isIntact(content ?? "", call.integrity) ? null : NOT_INTACT);
  if (error === null) return call.resolve(answered(head, content ?? "", call));
  call.failed.message = error;
  call.reject(call.failed);
}

// Returns whether one of the strongest hashes in `integrity` is that of the body, after https://www.w3.org/TR/sri/.
const NOT_INTACT = "fetch failed: the body is not what its integrity says";
const INTEGRITY_HASHES = /(?<![!-~])sha(256|384|512)-([\w+/-]+)=*(?:\?[!-~]*)?(?![!-~])/g;
function isIntact(content, integrity) {
  const all = [...integrity.matchAll(INTEGRITY_HASHES)];
  const strongest = Math.max(...all.map(([, size]) => size));
  if (all.length === 0) return true;
  const digest = btoa(string.fromCharCode(...hash(`SHA-${strongest}`, contentBytes(content)))).replace(/=+$/, "");
  const plain = (base64) => base64.replaceAll("-", "+").replaceAll("_", "/");
  return all.some(([, size, base64]) => +size === strongest && plain(base64) === digest);
}

// Returns a response with the contents of a data: URL, after https://fetch.spec.whatwg.org/#data-url-processor, or null
// for any other URL.
function local(url, method, signal) {
  const [, type, isBase64, rest] = /^data:([^,#]*?)(; *base64)?[\t\n\f\r ]*,([^#]*)/i.exec(url) ?? [];
  if (rest === undefined) return null;
  const bytes = percentDecoded(rest);
  const content = isBase64 ? decodedBase64(fromUtf8(bytes)) : bytes;
  if (content === null) return null;
  const trimmed = type.replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "");
  const mime = parseMime(trimmed[0] === ";" ? `text/plain${trimmed}` : trimmed);
  const received = [["content-type", mime === null ? "text/plain;charset=US-ASCII" : serialisedMime(mime)]];
  const head = { url: url.replace(/#.*/s, ""), redirected: false, status: 200, statusText: "OK", headers: received };
  return answered(head, content, { isHead: method === "HEAD", signal });
}
function percentDecoded(text) {
  const bytes = utf8(text);
  if (!text.includes("%")) return bytes;
  let length = 0;
  for (let i = 0; i < bytes.length; i++) {
    const hex = bytes[i] === 37 ? string.fromCharCode(bytes[i + 1], bytes[i + 2]) : "";
    const isEncoded = /^[\da-f]{2}$/i.test(hex);
    bytes[length++] = isEncoded ? parseInt(hex, 16) : bytes[i];
    if (isEncoded) i += 2;
  }
  return bytes.subarray(0, length);
}
function decodedBase64(text) {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return null;
  }
}

// This rehearses a fetch before the memory is copied. The engine makes some things when a built-in is first used, which
// it would otherwise make anew in every poll. The same holds for the shapes of the objects of a fetch. The engine keeps
// a shape as long as an object has it.
const kept = [];
function keepShapes(example) {
  const entries = Object.entries(example);
  entries.forEach((_, i) => kept.push(Object.fromEntries(entries.slice(0, i + 1))));
}
{
  const request = requested("https://a.example/b?c=d", { headers: { Authorization: "Bearer e" } });
  const { method, url, list, redirect, follows: signal } = request;
  const head = { method, url, headers: sortedHeaders(list), redirect };
  const headers = [["content-type", "application/json"]];
  const received = parse(stringify({ status: 200, statusText: "OK", url, redirected: false, headers }));
  const failed = new TypeError("fetch failed");
  const call = { resolve: null, reject: null, failed, signal, integrity: "", isHead: false, unfollow: null };
  const response = answered(received, stringify([head]), call);
  for (const example of [request, head, received, call, stateOfResponse(response)]) keepShapes(example);
  new Promise(() => {});
  response.headers.get("content-type");
  response.json();
}
