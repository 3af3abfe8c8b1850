// What mini-racer and quickjs-ng lack to run polling code: a fetch that asks the host, with the classes that most code
// touches. There is no URL, Request, stream, AbortController, Blob, FormData, timer, crypto or encoder, and nothing here
// is checked against the standard: an engine with the whole platform has more to load than this.
const [start, take, respond] = (() => {
  "use strict";
  const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
  const AsyncFunction = (async () => {}).constructor;
  const { parse, stringify } = JSON;
  const messages = [];
  const waiting = new Map();
  let fetches = 0;

  class Headers {
    #list = new Map();
    constructor(init = undefined) {
      if (init === undefined) return;
      const pairs = typeof init[Symbol.iterator] === "function" ? init : Object.entries(init);
      for (const [name, value] of pairs) this.append(name, value);
    }
    static #name(name) {
      if (!TOKEN.test(name)) throw new TypeError(`'${name}' is not a header name`);
      return `${name}`.toLowerCase();
    }
    static #value(value) {
      const text = `${value}`.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
      if (/[\0\n\r]|[^\0-\xff]/.test(text)) throw new TypeError("A header's value has a character that is not allowed");
      return text;
    }
    append(name, value) {
      const key = Headers.#name(name);
      const held = this.#list.get(key);
      this.#list.set(key, held === undefined ? Headers.#value(value) : `${held}, ${Headers.#value(value)}`);
    }
    delete(name) { this.#list.delete(Headers.#name(name)); }
    get(name) { return this.#list.get(Headers.#name(name)) ?? null; }
    has(name) { return this.#list.has(Headers.#name(name)); }
    set(name, value) { this.#list.set(Headers.#name(name), Headers.#value(value)); }
    forEach(callback, self) { for (const [name, value] of this) callback.call(self, value, name, this); }
    entries() { return [...this.#list].sort(([one], [other]) => (one < other ? -1 : 1)).values(); }
    *keys() { for (const [name] of this) yield name; }
    *values() { for (const [, value] of this) yield value; }
    [Symbol.iterator]() { return this.entries(); }
  }

  class Response {
    #body;
    #used = false;
    #status;
    #headers;
    constructor(body = null, { status = 200, headers } = {}) {
      this.#body = body;
      this.#status = status;
      this.#headers = new Headers(headers);
    }
    get status() { return this.#status; }
    get ok() { return this.#status >= 200 && this.#status <= 299; }
    get headers() { return this.#headers; }
    get bodyUsed() { return this.#used; }
    async text() {
      if (this.#used) throw new TypeError("The body was read already");
      this.#used = true;
      return this.#body ?? "";
    }
    async json() { return parse(await this.text()); }
  }

  function fetch(url, { method = "GET", headers, body = null } = {}) {
    const sent = [...new Headers(headers)];
    const number = ++fetches;
    messages.push(stringify({ fetch: number, request: { method, url: `${url}`, headers: sent }, body }));
    return new Promise((resolve, reject) => { waiting.set(number, { resolve, reject }); });
  }

  const print = (...values) => { messages.push(stringify({ log: values.map(String).join(" ") })); };
  Object.assign(globalThis, { Headers, Response, fetch, console: { log: print, info: print, warn: print, error: print } });

  return [
    (job) => {
      const { code, inputs, secrets, lastPollTime } = parse(job);
      const run = new AsyncFunction("inputs", "secrets", "lastPollTime", code);
      run(inputs, secrets, lastPollTime).then(
        (events) => { messages.push(stringify({ events })); },
        (error) => { messages.push(stringify({ error: `${error}` })); },
      );
    },
    () => messages.shift() ?? "",
    (number, head, body) => {
      waiting.get(number).resolve(new Response(body, parse(head)));
      waiting.delete(number);
    },
  ];
})();
