// URL, after https://url.spec.whatwg.org/. Host names outside ASCII are only normalised (NFKC), not fully mapped.

const PORTS = // of the special schemes
  { __proto__: null, "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
const ENCODE = {
  control: /[^\x20-\x7e]/gu,
  fragment: /[^\x21-\x7e]|["<>`]/gu,
  query: /[^\x21-\x7e]|["#<>]/gu,
  specialQuery: /[^\x21-\x7e]|["#<>']/gu,
  path: /[^\x21-\x7e]|["#<>?^`{}]/gu,
  userinfo: /[^\x21-\x7e]|["#<>?^`{}/:;=@[\\\]|]/gu,
};
const percentEncode = (text, set) =>
  text.replace(set, (character) => (character === "'" ? "%27" : encodeURIComponent(character)));

function percentDecode(text) {
  try {
    return decodeURIComponent(text);
  } catch { // a "%" that stands for itself, or bytes that are not utf-8
    const bytes = utf8(text);
    const decoded = [];
    for (let i = 0; i < bytes.length; i++) {
      const hex = bytes[i] === 37 ? string.fromCharCode(bytes[i + 1], bytes[i + 2]) : "";
      const encoded = /^[\da-f]{2}$/i.test(hex);
      decoded.push(encoded ? parseInt(hex, 16) : bytes[i]);
      if (encoded) i += 2;
    }
    return fromUtf8(new Uint8Array(decoded));
  }
}

const invalid = (input) => { throw new TypeError(`Invalid URL: '${input}'`); };
const isSpecial = (url) => url.protocol in PORTS;
const isDriveLetter = (segment) => /^[a-z][:|]$/i.test(segment);
const startsWithDrive = (text) => /^[a-z][:|]([/\\?#]|$)/i.test(text);
const blank = (protocol) =>
  ({ protocol, username: "", password: "", host: null, port: "", path: [], query: null, fragment: null });

function parseIpv4(host) {
  const parts = host.replace(/\.$/, "").split(".");
  if (!/^(\d+|0x[\da-f]*)$/i.test(parts.at(-1))) return null; // a name
  if (parts.length > 4) invalid(host);
  const numbers = parts.map((part) => {
    if (/^0x[\da-f]*$/i.test(part)) return parseInt(part.slice(2) || "0", 16);
    if (/^0[0-7]*$/.test(part)) return parseInt(part, 8);
    return /^[1-9]\d*$/.test(part) ? parseInt(part, 10) : invalid(host);
  });
  const last = numbers.pop();
  if (numbers.some((number) => number > 255) || last >= 256 ** (4 - numbers.length)) invalid(host);
  const address = numbers.reduce((sum, number, i) => sum + number * 256 ** (3 - i), last);
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join(".");
}

function parseIpv6(text) {
  const dotted = /(?<=:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  if (dotted) {
    const byte = (part) => (/^(0|[1-9]\d{0,2})$/.test(part) && part < 256 ? +part : invalid(text));
    const [a, b, c, d] = dotted.slice(1).map(byte);
    text = text.slice(0, dotted.index) + (a * 256 + b).toString(16) + ":" + (c * 256 + d).toString(16);
  }
  const halves = text.split("::");
  const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
  const missing = 8 - head.length - (tail?.length ?? 0);
  if (halves.length > 2 || (tail ? missing < 1 : missing !== 0)) invalid(text);
  const pieces = [...head, ...Array(missing).fill("0"), ...(tail ?? [])];
  if (!pieces.every((piece) => /^[\da-f]{1,4}$/i.test(piece))) invalid(text);
  const short = pieces.map((piece) => parseInt(piece, 16).toString(16));
  const [zeros] = short.join(":").match(/\b0(:0)+\b/g)?.sort((a, b) => b.length - a.length) ?? [];
  if (!zeros) return short.join(":");
  return `:${short.join(":")}:`.replace(`:${zeros}:`, "::").replace(/^:(?!:)|(?<!:):$/g, "");
}

function punycode(label) { // RFC 3492
  const points = [...label].map((character) => character.codePointAt(0));
  let output = points.filter((point) => point < 128).map((point) => string.fromCharCode(point)).join("");
  const basic = output.length;
  let [n, delta, bias, handled] = [128, 0, 72, basic];
  if (basic) output += "-";
  while (handled < points.length) {
    const next = Math.min(...points.filter((point) => point >= n));
    delta += (next - n) * (handled + 1);
    n = next;
    for (const point of points) {
      if (point < n) delta++;
      if (point !== n) continue;
      let rest = delta;
      for (let k = 36; ; k += 36) {
        const threshold = k <= bias ? 1 : Math.min(26, k - bias);
        if (rest < threshold) break;
        output += (threshold + ((rest - threshold) % (36 - threshold))).toString(36).replace(/./, digit);
        rest = Math.floor((rest - threshold) / (36 - threshold));
      }
      output += digit(rest.toString(36));
      let k = 0;
      delta = Math.floor(delta / (handled === basic ? 700 : 2));
      for (delta += Math.floor(delta / (handled + 1)); delta > 455; k += 36) delta = Math.floor(delta / 35);
      bias = k + Math.floor((36 * delta) / (delta + 38));
      delta = 0;
      handled++;
    }
    delta++;
    n++;
  }
  return `xn--${output}`;
}
// Punycode's digits are a-z0-9, those of toString(36) 0-9a-z.
const digit = (character) => "abcdefghijklmnopqrstuvwxyz0123456789"[parseInt(character, 36)];

function parseHost(text, special) {
  if (text[0] === "[") return text.at(-1) === "]" ? `[${parseIpv6(text.slice(1, -1))}]` : invalid(text);
  if (!special)
    return /[\0\t\n\r #/:<>?@[\\\]^|]/.test(text) ? invalid(text) : percentEncode(text, ENCODE.control);
  const name = percentDecode(text)
    .replace(/[\u3002\uff0e\uff61]/g, ".").replace(/[\u00ad\u200b\u2060\ufeff]/g, "")
    .normalize("NFKC").toLowerCase().normalize("NFC");
  const host = name.split(".").map((label) => (/[^\0-\x7f]/.test(label) ? punycode(label) : label)).join(".");
  if (host === "" || /[\0-\x20"#%/:<>?@[\\\]^`{|}\x7f\ufffd]/.test(host) || name.includes("\ufffd")) invalid(text);
  return parseIpv4(host) ?? host;
}

function parsePort(text, protocol) {
  if (!/^\d*$/.test(text) || +text > 65535) invalid(text);
  return text === "" || string(+text) === PORTS[protocol] ? "" : string(+text);
}

function shorten(url) {
  if (!(url.protocol === "file:" && url.path.length === 1 && /^[a-z]:$/i.test(url.path[0]))) url.path.pop();
}

function parsePath(text, url) {
  const segments = text.split(isSpecial(url) ? /[/\\]/ : "/");
  segments.forEach((segment, i) => {
    const last = i === segments.length - 1;
    if (/^(\.|%2e){2}$/i.test(segment)) {
      shorten(url);
      if (last) url.path.push("");
    } else if (/^(\.|%2e)$/i.test(segment)) {
      if (last) url.path.push("");
    } else {
      const drive = url.protocol === "file:" && url.path.length === 0 && isDriveLetter(segment);
      url.path.push(drive ? `${segment[0]}:` : percentEncode(segment, ENCODE.path));
    }
  });
}

function parseAuthority(text, url) {
  const [authority] = (isSpecial(url) ? /^[^/\\]*/ : /^[^/]*/).exec(text);
  const at = authority.lastIndexOf("@");
  const [, host, port] = /^((?:\[[^\]]*\]?|[^:[])*)(?::(.*))?$/s.exec(authority.slice(at + 1)) ?? invalid(authority);
  if (host === "" && (isSpecial(url) || at >= 0 || port !== undefined)) invalid(authority);
  if (at >= 0) {
    const [, username, password = ""] = /^([^:]*):?(.*)$/s.exec(authority.slice(0, at));
    url.username = percentEncode(username, ENCODE.userinfo);
    url.password = percentEncode(password, ENCODE.userinfo);
  }
  url.host = host === "" ? "" : parseHost(host, isSpecial(url));
  url.port = parsePort(port ?? "", url.protocol);
  const path = text.slice(authority.length);
  if (path !== "") parsePath(path.slice(1), url);
  else if (isSpecial(url)) url.path = [""];
}

function parseFile(text, url, base) {
  const from = base?.protocol === "file:" ? base : null;
  url.host = "";
  if (/^[/\\]{2}/.test(text)) {
    const [host] = /^[^/\\]*/.exec(text.slice(2));
    if (isDriveLetter(host)) return parsePath(text.slice(2), url);
    url.host = host === "" ? "" : parseHost(host, true).replace(/^localhost$/, "");
    return parsePath(text.slice(host.length + 3), url);
  }
  if (/^[/\\]/.test(text)) {
    if (from) {
      url.host = from.host;
      if (!startsWithDrive(text.slice(1)) && /^[a-z]:$/i.test(from.path[0] ?? "")) url.path = [from.path[0]];
    }
    return parsePath(text.slice(1), url);
  }
  if (!from) return parsePath(text, url);
  url.host = from.host;
  if (text === "") return inherit(url, from);
  if (!startsWithDrive(text)) {
    url.path = [...from.path];
    shorten(url);
  }
  return parsePath(text, url);
}

function inherit(url, base) { // an empty reference keeps the base's path, and its query unless it has its own
  url.path = [...base.path];
  url.query ??= base.query;
}

function parseRelative(text, url, base) {
  const special = isSpecial(url);
  if (special ? /^[/\\]{2}/.test(text) : text.startsWith("//"))
    return parseAuthority(special ? text.replace(/^[/\\]+/, "") : text.slice(2), url);
  Object.assign(url, { username: base.username, password: base.password, host: base.host, port: base.port });
  if (special ? /^[/\\]/.test(text) : text[0] === "/") return parsePath(text.slice(1), url);
  if (text === "") return inherit(url, base);
  url.path = [...base.path];
  shorten(url);
  return parsePath(text, url);
}

function parseUrl(input, base) {
  const text = wellFormed(input).replace(/^[\0-\x20]+|[\0-\x20]+$/g, "").replace(/[\t\n\r]/g, "");
  const [, scheme, start, query, fragment] = /^([a-z][a-z\d+.-]*:)?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/is.exec(text);
  const url = blank(scheme ? scheme.toLowerCase() : base?.protocol ?? invalid(input));
  url.query = query ?? null;
  if (!scheme && typeof base.path === "string") {
    if (start !== "" || query !== undefined || fragment === undefined) invalid(input);
    Object.assign(url, { path: base.path, query: base.query, host: null });
  } else if (url.protocol === "file:") parseFile(start, url, scheme && base?.protocol !== "file:" ? null : base);
  else if (!scheme) parseRelative(start, url, base);
  else if (isSpecial(url)) {
    if (base?.protocol === url.protocol && !/^\/\//.test(start)) parseRelative(start, url, base);
    else parseAuthority(start.replace(/^[/\\]+/, ""), url);
  } else if (start.startsWith("//")) parseAuthority(start.slice(2), url);
  else if (start[0] === "/") parsePath(start.slice(1), url);
  else url.path = percentEncode(start, ENCODE.control);
  if (query !== undefined) url.query = percentEncode(query, isSpecial(url) ? ENCODE.specialQuery : ENCODE.query);
  if (fragment !== undefined) url.fragment = percentEncode(fragment, ENCODE.fragment);
  return url;
}

const pathOf = ({ path }) => (typeof path === "string" ? path : path.map((segment) => `/${segment}`).join(""));
const hostOf = ({ host, port }) => (host ?? "") + (port === "" ? "" : `:${port}`);
function serialised(url) {
  const { protocol, username, password, host, path, query, fragment } = url;
  const credentials = username || password ? `${username}${password ? `:${password}` : ""}@` : "";
  const ambiguous = isArray(path) && path.length > 1 && path[0] === ""; // its path would read as a host
  const authority = host !== null ? `//${credentials}${hostOf(url)}` : ambiguous ? "/." : "";
  const rest = (query === null ? "" : `?${query}`) + (fragment === null ? "" : `#${fragment}`);
  return protocol + authority + pathOf(url) + rest;
}

class URL {
  #url;
  #searchParams = null;
  constructor(input, base = undefined) {
    this.#url = parseUrl(input, base === undefined ? undefined : parseUrl(base));
  }
  static parse(input, base) {
    try { return new URL(input, base); } catch { return null; }
  }
  static canParse(input, base) { return URL.parse(input, base) !== null; }
  // A setter that is given nonsense changes nothing.
  #change(change) {
    const changed = { ...this.#url, path: isArray(this.#url.path) ? [...this.#url.path] : this.#url.path };
    try { change(changed); } catch { return; }
    this.#url = changed;
  }
  get #fixed() { return !this.#url.host || this.#url.protocol === "file:"; }
  get href() { return serialised(this.#url); }
  set href(value) { this.#url = parseUrl(value); this.#refresh(); }
  get origin() {
    const { protocol } = this.#url;
    if (protocol === "blob:" && /^https?:/.test(this.pathname)) return URL.parse(this.pathname)?.origin ?? "null";
    return isSpecial(this.#url) && protocol !== "file:" ? `${protocol}//${this.host}` : "null";
  }
  get protocol() { return this.#url.protocol; }
  set protocol(value) {
    const scheme = /^[a-z][a-z\d+.-]*(?=:|$)/i.exec(value)?.[0].toLowerCase();
    this.#change((url) => {
      const next = `${scheme ?? invalid(value)}:`;
      if (next in PORTS !== isSpecial(url) || url.protocol === "file:" && url.host === "") invalid(value);
      if (next === "file:" && (url.username || url.password || url.port)) invalid(value);
      url.protocol = next;
      url.port = parsePort(url.port, next);
    });
  }
  get username() { return this.#url.username; }
  set username(value) { if (!this.#fixed) this.#url.username = percentEncode(wellFormed(value), ENCODE.userinfo); }
  get password() { return this.#url.password; }
  set password(value) { if (!this.#fixed) this.#url.password = percentEncode(wellFormed(value), ENCODE.userinfo); }
  get host() { return hostOf(this.#url); }
  set host(value) {
    const text = wellFormed(value).replace(/[\t\n\r]/g, "");
    const [, host, port] = /^((?:\[[^\]]*\]|[^:/?#\\[])*)(?::(\d*))?/.exec(text);
    this.hostname = this.#url.protocol === "file:" ? text : host;
    if (port && host !== "") this.port = port;
  }
  get hostname() { return this.#url.host ?? ""; }
  set hostname(value) {
    const text = wellFormed(value).replace(/[\t\n\r]/g, "");
    this.#change((url) => {
      const [host] = (isSpecial(url) ? /^[^/?#\\]*/ : /^[^/?#]*/).exec(text);
      if (typeof url.path === "string" || (!host.startsWith("[") && host.includes(":"))) invalid(value);
      const needed = isSpecial(url) || url.username || url.password || url.port;
      if (host === "" && url.protocol !== "file:" && needed) invalid(value);
      url.host = host === "" ? "" : parseHost(host, isSpecial(url));
      if (url.protocol === "file:" && url.host === "localhost") url.host = "";
    });
  }
  get port() { return this.#url.port; }
  set port(value) {
    if (this.#fixed) return;
    const text = string(value).replace(/[\t\n\r]/g, "");
    const [digits] = /^\d*/.exec(text);
    if (digits !== "" || text === "") this.#change((url) => { url.port = parsePort(digits, url.protocol); });
  }
  get pathname() { return pathOf(this.#url); }
  set pathname(value) {
    const text = wellFormed(value).replace(/[\t\n\r]/g, "");
    this.#change((url) => {
      if (typeof url.path === "string") invalid(value);
      url.path = [];
      if (text === "" && !isSpecial(url) && url.host !== null) return;
      parsePath(text.replace(isSpecial(url) ? /^[/\\]/ : /^\//, ""), url);
    });
  }
  get search() { return this.#url.query ? `?${this.#url.query}` : ""; }
  set search(value) {
    const text = wellFormed(value).replace(/[\t\n\r]/g, "").replace(/^\?/, "");
    const set = isSpecial(this.#url) ? ENCODE.specialQuery : ENCODE.query;
    this.#url.query = string(value) === "" ? null : percentEncode(text, set);
    this.#refresh();
  }
  get searchParams() {
    this.#searchParams ??= searchParamsOf(this.search, (text) => { this.#url.query = text === "" ? null : text; });
    return this.#searchParams;
  }
  #refresh() { if (this.#searchParams) resetSearchParams(this.#searchParams, this.search); }
  get hash() { return this.#url.fragment ? `#${this.#url.fragment}` : ""; }
  set hash(value) {
    const text = wellFormed(value).replace(/[\t\n\r]/g, "").replace(/^#/, "");
    this.#url.fragment = string(value) === "" ? null : percentEncode(text, ENCODE.fragment);
  }
  toString() { return this.href; }
  toJSON() { return this.href; }
}

const percent = (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
const formEncode = (text) => encodeURIComponent(text).replace(/[!'()~]/g, percent).replace(/%20/g, "+");
const isObject = (value) => (typeof value === "object" && value !== null) || typeof value === "function";
function pairsOf(init) {
  const pairs = init[Symbol.iterator] ? [...init].map((pair) => [...pair]) : Object.entries(init);
  if (pairs.some((pair) => pair.length !== 2)) throw new TypeError("Each pair needs a name and a value");
  return pairs;
}
let searchParamsOf;
let resetSearchParams;

class URLSearchParams {
  #list = [];
  #changed = null;
  constructor(init = "") {
    if (isObject(init)) this.#list = pairsOf(init).map((pair) => pair.map(wellFormed));
    else this.#list = URLSearchParams.#parse(wellFormed(init).replace(/^\?/, ""));
  }
  static #parse(text) {
    return text.split("&").filter((part) => part !== "").map((part) => {
      const [, name, value = ""] = /^([^=]*)=?(.*)$/s.exec(part.replace(/\+/g, " "));
      return [percentDecode(name), percentDecode(value)];
    });
  }
  static {
    resetSearchParams = (params, search) => { params.#list = URLSearchParams.#parse(search.slice(1)); };
    searchParamsOf = (search, changed) => { // those of a URL, which hears of every change
      const params = new URLSearchParams(search);
      params.#changed = changed;
      return params;
    };
  }
  #set(list) { this.#list = list; this.#changed?.(this.toString()); }
  get size() { return this.#list.length; }
  append(name, value) { this.#set([...this.#list, [wellFormed(name), wellFormed(value)]]); }
  delete(name, value) { this.#set(this.#list.filter((pair) => !URLSearchParams.#matches(pair, name, value))); }
  get(name) { return this.#list.find((pair) => URLSearchParams.#matches(pair, name))?.[1] ?? null; }
  getAll(name) { return this.#list.filter((pair) => URLSearchParams.#matches(pair, name)).map(([, value]) => value); }
  has(name, value) { return this.#list.some((pair) => URLSearchParams.#matches(pair, name, value)); }
  set(name, value) {
    const first = this.#list.findIndex((pair) => URLSearchParams.#matches(pair, name));
    if (first < 0) return this.append(name, value);
    const changed = this.#list.with(first, [wellFormed(name), wellFormed(value)]);
    this.#set(changed.filter((pair, i) => i <= first || !URLSearchParams.#matches(pair, name)));
  }
  static #matches([key, item], name, value) {
    return key === wellFormed(name) && (value === undefined || item === wellFormed(value));
  }
  sort() { this.#set([...this.#list].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))); }
  forEach(callback, self) { for (const [name, value] of this) apply(callback, self, [value, name, this]); }
  *entries() { for (let i = 0; i < this.#list.length; i++) yield [...this.#list[i]]; }
  *keys() { for (const [name] of this) yield name; }
  *values() { for (const [, value] of this) yield value; }
  [Symbol.iterator]() { return this.entries(); }
  toString() { return this.#list.map((pair) => pair.map(formEncode).join("=")).join("&"); }
}
