// Fetch, after https://fetch.spec.whatwg.org/, without streams.

const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;

class Headers {
  #list = new Map(); // lower-cased name: values
  constructor(init = undefined) {
    if (init === undefined) return;
    if (!isObject(init)) throw new TypeError("Headers are made of an object or of pairs");
    for (const [name, value] of pairsOf(init)) this.append(name, value);
  }
  static #name(name) {
    if (!TOKEN.test(name)) throw new TypeError(`'${name}' is not a header name`);
    return string(name).toLowerCase();
  }
  static #value(value) {
    const text = string(value).replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
    if (/[\0\n\r]|[^\0-\xff]/.test(text)) throw new TypeError("A header's value has a character that is not allowed");
    return text;
  }
  append(name, value) {
    const key = Headers.#name(name);
    this.#list.set(key, [...(this.#list.get(key) ?? []), Headers.#value(value)]);
  }
  delete(name) { this.#list.delete(Headers.#name(name)); }
  get(name) { return this.#list.get(Headers.#name(name))?.join(", ") ?? null; }
  getSetCookie() { return [...(this.#list.get("set-cookie") ?? [])]; }
  has(name) { return this.#list.has(Headers.#name(name)); }
  set(name, value) { this.#list.set(Headers.#name(name), [Headers.#value(value)]); }
  forEach(callback, self) { for (const [name, value] of this) apply(callback, self, [value, name, this]); }
  *entries() {
    for (const name of [...this.#list.keys()].sort()) {
      const values = this.#list.get(name);
      for (const value of name === "set-cookie" ? values : [values.join(", ")]) yield [name, value];
    }
  }
  *keys() { for (const [name] of this) yield name; }
  *values() { for (const [, value] of this) yield value; }
  [Symbol.iterator]() { return this.entries(); }
}

function extracted(body) { // the body as string or bytes, and its content type
  if (body === undefined || body === null) return [null, null];
  if (isBinary(body)) return [bytesOf(body), null];
  if (body instanceof URLSearchParams) return [body.toString(), "application/x-www-form-urlencoded;charset=UTF-8"];
  return [wellFormed(body), "text/plain;charset=UTF-8"];
}

let contentOf;
let takeContent;

class Body {
  #content; // a string, bytes or null
  #used = false;
  constructor(content) { this.#content = content; }
  get bodyUsed() { return this.#used; }
  static {
    contentOf = (body) => {
      if (body.#used) throw new TypeError("The body was read already");
      return body.#content;
    };
    takeContent = (body) => {
      const content = contentOf(body);
      body.#used = content !== null;
      return content;
    };
  }
  async text() {
    const content = takeContent(this) ?? "";
    return typeof content === "string" ? content : withoutMark(fromUtf8(content), false);
  }
  async json() { return parse(await this.text()); }
  async bytes() {
    const content = takeContent(this) ?? "";
    return typeof content === "string" ? utf8(content) : content.slice();
  }
  async arrayBuffer() { return (await this.bytes()).buffer; }
}

const oneOf = (value, ...allowed) => {
  if (!allowed.includes(value)) throw new TypeError(`'${value}' is not one of ${allowed.join(", ")}`);
  return value;
};

class Request extends Body {
  #url;
  #method;
  #headers;
  #redirect;
  #signal;
  constructor(input, init) {
    const { method, headers, body, redirect, signal } = init ?? {};
    const from = input instanceof Request ? input : null;
    const url = new URL(from ? from.url : input);
    if (url.username || url.password) throw new TypeError("A URL with a user name or password cannot be fetched");
    const verb = string(method ?? from?.method ?? "GET");
    if (!TOKEN.test(verb) || /^(connect|trace|track)$/i.test(verb))
      throw new TypeError(`The method '${verb}' is not allowed`);
    const known = /^(delete|get|head|options|post|put)$/i.test(verb) ? verb.toUpperCase() : verb;
    const [given, type] = extracted(body);
    const content = given ?? (from && takeContent(from));
    if (content !== null && /^(GET|HEAD)$/.test(known)) throw new TypeError(`A ${known} request has no body`);
    super(content);
    this.#url = url;
    this.#method = known;
    this.#headers = new Headers(headers ?? from?.headers);
    if (type !== null && !this.#headers.has("content-type")) this.#headers.set("content-type", type);
    this.#redirect = oneOf(redirect ?? from?.redirect ?? "follow", "follow", "error", "manual");
    this.#signal = (signal === undefined ? from?.signal : signal) ?? new AbortSignal(internal);
    if (!(this.#signal instanceof AbortSignal)) throw new TypeError("The signal is not an AbortSignal");
  }
  get url() { return this.#url.href; }
  get method() { return this.#method; }
  get headers() { return this.#headers; }
  get redirect() { return this.#redirect; }
  get signal() { return this.#signal; }
  clone() {
    const { method, headers, redirect, signal } = this;
    return new Request(this.url, { method, headers, redirect, signal, body: contentOf(this) });
  }
}

let answerOf;

class Response extends Body {
  #status;
  #statusText;
  #headers;
  #url = "";
  #redirected = false;
  #type = "default";
  constructor(body, init) {
    const { status = 200, statusText = "", headers } = init ?? {};
    if (!(status >= 200 && status <= 599)) throw new RangeError(`${status} is not a status`);
    const [content, type] = extracted(body);
    if (content !== null && [204, 205, 304].includes(+status))
      throw new TypeError(`A ${status} response has no body`);
    super(content);
    this.#status = Math.trunc(status);
    this.#statusText = string(statusText);
    this.#headers = new Headers(headers);
    if (type !== null && !this.#headers.has("content-type")) this.#headers.set("content-type", type);
  }
  static {
    answerOf = ({ status, statusText, url, redirected, headers }, content) => {
      const response = new Response(content, { statusText });
      response.#status = status;
      response.#url = url;
      response.#redirected = redirected;
      response.#type = "basic";
      for (const [name, value] of headers) {
        try { response.#headers.append(name, value); } catch { /* what no code could have sent, none receives */ }
      }
      return response;
    };
  }
  static json(value, init = {}) {
    const text = stringify(value);
    if (text === undefined) throw new TypeError("The value is not JSON");
    const headers = new Headers(init.headers);
    if (!headers.has("content-type")) headers.set("content-type", "application/json");
    return new Response(text, { ...init, headers });
  }
  get ok() { return this.#status >= 200 && this.#status <= 299; }
  get status() { return this.#status; }
  get statusText() { return this.#statusText; }
  get headers() { return this.#headers; }
  get url() { return this.#url; }
  get redirected() { return this.#redirected; }
  get type() { return this.#type; }
  clone() {
    const { status, statusText, url, redirected, headers } = this;
    const copy = answerOf({ status, statusText, url, redirected, headers: [] }, contentOf(this));
    copy.#headers = new Headers(headers);
    copy.#type = this.#type;
    return copy;
  }
}

const waiting = { __proto__: null }; // fetches, by their number
let lastFetch = 0;

function fetch(input, init) {
  const failed = new TypeError("fetch failed"); // made here because its stack is the caller's
  return new Promise((resolve, reject) => {
    const request = new Request(input, init);
    const { url, method, headers, redirect, signal } = request;
    if (signal.aborted) throw signal.reason;
    if (limits === null || !/^https?:/.test(url)) throw failed;
    const head = stringify({ method, url: url.replace(/#.*/s, ""), headers: [...headers], redirect });
    const content = takeContent(request);
    const id = string(++lastFetch);
    const refusal = content === null ? fetchFromHost(id, head) : fetchFromHost(id, head, content);
    if (refusal !== undefined) throw new TypeError(refusal);
    waiting[id] = { resolve, reject, failed };
    signal.addEventListener("abort", () => {
      if (!waiting[id]) return;
      delete waiting[id];
      abort(id);
      reject(signal.reason);
    });
  });
}

function respond(id, text, content) {
  const { resolve, reject, failed } = waiting[id];
  delete waiting[id];
  const head = parse(text);
  if (!head.error) return resolve(answerOf(head, content ?? null));
  failed.message = head.error;
  reject(failed);
}
