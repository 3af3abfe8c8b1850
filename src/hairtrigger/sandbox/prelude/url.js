// URL and URLSearchParams, after https://url.spec.whatwg.org/.
//
// The record of a URL has its path as a string. It has "/" before each segment, is empty if there are no segments, and
// is left as it is if it is opaque. The host converts names outside of ASCII: `toAscii` returns undefined for an
// invalid name.

const PORTS = // the ports of the special schemes
  { __proto__: null, "http:": "80", "https:": "443", "ws:": "80", "wss:": "443", "ftp:": "21", "file:": "" };
const ENCODE = { // the characters that are percent-encoded in each part
  control: /[^ -~]/gu,
  fragment: /[^!-~]|["<>`]/gu,
  query: /[^!-~]|["#<>]/gu,
  specialQuery: /[^!-~]|["#<>']/gu,
  path: /[^!-~]|["#<>?^`{}]/gu,
  userinfo: /[^!-~]|["#<>?^`{}/:;=@[\\\]|]/gu,
};
const FORBIDDEN_IN_HOST = /[\0\t\n\r #/:<>?@[\\\]^|]/;
const FORBIDDEN_IN_DOMAIN = /[\0-\x20#%/:<>?@[\\\]^|\x7f]/;
const DRIVE = /^[a-z][:|]$/i;
const BEGINS_WITH_DRIVE = /^[a-z][:|](?:[/\\]|$)/i;
const DOT = /^(?:\.|%2e)$/i;
const DOUBLE_DOT = /^(?:\.|%2e){2}$/i;
// Matches a URL that parsing would not change, except that it adds an empty path and removes the scheme's own port.
const PLAIN_URL = new RegExp(
  String.raw`^(https?:)\/\/((?:[a-z\d-]+\.)*[a-z][a-z\d-]*)(?::([1-9]\d{0,3}))?` +
    String.raw`((?:\/(?!\.|%2[eE])[!$-.0-;=@-Z[\]_a-z|~]*)*)(?:\?([!$-&(-;=?-~]*))?(?:#([!#-;=?-_a-~]*))?$`,
);

const percentEncode = (text, set) =>
  text.replace(set, (character) => (character === "'" ? "%27" : encodeURIComponent(character)));

function percentDecode(text) {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch { // a "%" that stands for itself, or bytes that are not utf-8
    const bytes = utf8(text);
    let length = 0;
    for (let i = 0; i < bytes.length; i++) {
      const hex = bytes[i] === 37 ? string.fromCharCode(bytes[i + 1], bytes[i + 2]) : "";
      const isEncoded = /^[\da-f]{2}$/i.test(hex);
      bytes[length++] = isEncoded ? parseInt(hex, 16) : bytes[i];
      if (isEncoded) i += 2;
    }
    return fromUtf8(bytes.slice(0, length));
  }
}

const invalid = (input) => { throw new TypeError(`Invalid URL: '${input}'`); };
const isSpecial = (url) => url.protocol in PORTS;
const withoutBreaks = (value) => usv(value).replace(/[\t\n\r]/g, "");

function parseIpv4(host) { // the address, or null if the host is a name
  const parts = host.replace(/\.$/, "").split(".");
  if (!/^(?:\d+|0x[\da-f]*)$/i.test(parts.at(-1))) return null;
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

function parseHost(text, special) {
  if (text[0] === "[") return text.at(-1) === "]" ? `[${parseIpv6(text.slice(1, -1))}]` : invalid(text);
  if (!special) return FORBIDDEN_IN_HOST.test(text) ? invalid(text) : percentEncode(text, ENCODE.control);
  const name = percentDecode(text);
  const host = /^[\0-\x7f]*$/.test(name) ? name.toLowerCase() : toAscii(name) ?? ""; // "xn--" is not checked
  if (host === "" || FORBIDDEN_IN_DOMAIN.test(host)) invalid(text);
  return parseIpv4(host) ?? host;
}
const parseFileHost = (text) => (text === "" ? "" : parseHost(text, true).replace(/^localhost$/, ""));

function parsePort(text, protocol) {
  if (!/^\d*$/.test(text) || +text > 65535) invalid(text);
  return text === "" || string(+text) === PORTS[protocol] ? "" : string(+text);
}

function shorten(url) {
  const isDrive = url.protocol === "file:" && /^\/[a-z]:$/i.test(url.path);
  if (!isDrive) url.path = url.path.slice(0, Math.max(0, url.path.lastIndexOf("/")));
}

function addPath(text, url) {
  const segments = text.split(isSpecial(url) ? /[/\\]/ : "/");
  const end = segments.length - 1;
  for (let i = 0; i <= end; i++) {
    const segment = segments[i];
    const isDouble = DOUBLE_DOT.test(segment);
    if (isDouble) shorten(url);
    if (isDouble || DOT.test(segment)) {
      if (i === end) url.path += "/";
    } else if (url.protocol === "file:" && url.path === "" && DRIVE.test(segment)) url.path = `/${segment[0]}:`;
    else url.path += `/${percentEncode(segment, ENCODE.path)}`;
  }
}

// Matches a host and a port. The port is undefined if there is no ":".
const PLACE = /^((?:\[[^\]]*\]?|[^:[])*)(?::(.*))?$/s;

function parseAuthority(text, url) {
  const special = isSpecial(url);
  const [authority] = (special ? /^[^/\\]*/ : /^[^/]*/).exec(text);
  const at = authority.lastIndexOf("@");
  const [, host, port] = PLACE.exec(authority.slice(at + 1));
  if (host === "" && (special || at >= 0 || port !== undefined)) invalid(text);
  if (at >= 0) {
    const [, username, password = ""] = /^([^:]*):?(.*)$/s.exec(authority.slice(0, at));
    url.username = percentEncode(username, ENCODE.userinfo);
    url.password = percentEncode(password, ENCODE.userinfo);
  }
  url.host = host === "" ? "" : parseHost(host, special);
  url.port = parsePort(port ?? "", url.protocol);
  const path = text.slice(authority.length);
  if (path !== "" || special) addPath(path.slice(1), url);
}

function parseFile(text, url, base) {
  const from = base?.protocol === "file:" ? base : null;
  url.host = "";
  if (/^[/\\]{2}/.test(text)) {
    const [host] = /^[^/\\]*/.exec(text.slice(2));
    if (DRIVE.test(host)) return addPath(text.slice(2), url);
    url.host = parseFileHost(host);
    return addPath(text.slice(host.length + 3), url);
  }
  if (from) url.host = from.host;
  if (/^[/\\]/.test(text)) {
    if (from && !BEGINS_WITH_DRIVE.test(text.slice(1))) url.path = /^\/[a-z]:(?=\/|$)/i.exec(from.path)?.[0] ?? "";
    return addPath(text.slice(1), url);
  }
  if (from && text === "") return inherit(url, from);
  if (from && !BEGINS_WITH_DRIVE.test(text)) {
    url.path = from.path;
    shorten(url);
  }
  return addPath(text, url);
}

function inherit(url, base) { // for an empty reference, which keeps the base's path, and its query if it has none
  url.path = base.path;
  url.query ??= base.query;
}

function parseRelative(text, url, base) {
  const special = isSpecial(url);
  if (special ? /^[/\\]{2}/.test(text) : text.startsWith("//"))
    return parseAuthority(special ? text.replace(/^[/\\]+/, "") : text.slice(2), url);
  url.username = base.username;
  url.password = base.password;
  url.host = base.host;
  url.port = base.port;
  if (special ? /^[/\\]/.test(text) : text[0] === "/") return addPath(text.slice(1), url);
  if (text === "") return inherit(url, base);
  url.path = base.path;
  shorten(url);
  return addPath(text, url);
}

const recordOf = (protocol, host, port, path, query, fragment, href) =>
  ({ protocol, username: "", password: "", host, port, path, opaque: false, query, fragment, href });

function parseUrl(text, base = null) { // the record of a URL in a string; throws
  const plain = PLAIN_URL.exec(text);
  if (plain) {
    const [, protocol, host, written = "", path, query = null, fragment = null] = plain;
    const port = written === PORTS[protocol] ? "" : written;
    return recordOf(protocol, host, port, path || "/", query, fragment, path && port === written ? text : null);
  }
  const cleaned = withoutBreaks(text.replace(/^[\0-\x20]+/, "").replace(/(?<![\0-\x20])[\0-\x20]+$/, ""));
  const [, scheme, start, query, fragment] =
    /^([a-z][a-z\d+.-]*:)?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/is.exec(cleaned);
  const protocol = scheme ? scheme.toLowerCase() : base?.protocol ?? invalid(text);
  const url = recordOf(protocol, null, "", "", query ?? null, null, null);
  const special = isSpecial(url);
  if (!scheme && base.opaque) {
    if (start !== "" || query !== undefined || fragment === undefined) invalid(text);
    Object.assign(url, { path: base.path, opaque: true, query: base.query });
  } else if (protocol === "file:") parseFile(start, url, base);
  else if (!scheme) parseRelative(start, url, base);
  else if (special) {
    if (base?.protocol === protocol && !start.startsWith("//")) parseRelative(start, url, base);
    else parseAuthority(start.replace(/^[/\\]+/, ""), url);
  } else if (start.startsWith("//")) parseAuthority(start.slice(2), url);
  else if (start[0] === "/") addPath(start.slice(1), url);
  else {
    const isLast = query === undefined && fragment === undefined; // if not, a space at the end is encoded, to be kept
    url.path = percentEncode(isLast ? start : start.replace(/ $/, "%20"), ENCODE.control);
    url.opaque = true;
  }
  if (query !== undefined) url.query = percentEncode(query, special ? ENCODE.specialQuery : ENCODE.query);
  if (fragment !== undefined) url.fragment = percentEncode(fragment, ENCODE.fragment);
  return url;
}

const hostOf = ({ host, port }) => (port === "" ? host ?? "" : `${host}:${port}`);
function serialised(url) {
  if (url.href !== null) return url.href;
  const { protocol, username, password, host, path, opaque, query, fragment } = url;
  const credentials = username || password ? `${username}${password ? `:${password}` : ""}@` : "";
  const ambiguous = !opaque && path.startsWith("//"); // the path would be parsed as a host
  const authority = host !== null ? `//${credentials}${hostOf(url)}` : ambiguous ? "/." : "";
  const rest = (query === null ? "" : `?${query}`) + (fragment === null ? "" : `#${fragment}`);
  return (url.href = protocol + authority + path + rest);
}

function originOf(url) {
  const { protocol } = url;
  if (protocol === "blob:") {
    try {
      const inner = parseUrl(url.path);
      return /^https?:$/.test(inner.protocol) ? originOf(inner) : "null";
    } catch {
      return "null";
    }
  }
  return isSpecial(url) && protocol !== "file:" ? `${protocol}//${hostOf(url)}` : "null";
}

// The work of the setters. A setter that throws changes nothing after that.

function setProtocol(url, value) {
  const [, scheme] = /^([a-z][a-z\d+.-]*)(?::|$)/i.exec(withoutBreaks(value)) ?? invalid(value);
  const protocol = `${scheme.toLowerCase()}:`;
  if (protocol in PORTS !== isSpecial(url) || (url.protocol === "file:" && url.host === "")) return;
  if (protocol === "file:" && (url.username || url.password || url.port)) return;
  url.protocol = protocol;
  url.port = parsePort(url.port, protocol);
}

function setHost(url, value, withPort) {
  const text = withoutBreaks(value);
  const special = isSpecial(url);
  const [place] = (special ? /^[^/?#\\]*/ : /^[^/?#]*/).exec(text);
  if (url.protocol === "file:") {
    url.host = parseFileHost(place);
    return;
  }
  const [, host, port] = PLACE.exec(place);
  if (host === "" && (special || port !== undefined || url.username || url.password || url.port)) return;
  if (port !== undefined && !withPort) return;
  url.host = host === "" ? "" : parseHost(host, special);
  if (port !== undefined) setPort(url, port);
}

function setPort(url, text) {
  const [digits] = /^\d*/.exec(text);
  if (digits !== "") url.port = parsePort(digits, url.protocol);
}

function setPath(url, value) {
  const text = withoutBreaks(value);
  const special = isSpecial(url);
  url.path = "";
  if (special || text !== "") addPath(text.replace(special ? /^[/\\]/ : /^\//, ""), url);
  else if (url.host === null) url.path = "/";
}

function setQuery(url, value) {
  const text = usv(value);
  const set = isSpecial(url) ? ENCODE.specialQuery : ENCODE.query;
  url.query = text === "" ? null : percentEncode(withoutBreaks(text.replace(/^\?/, "")), set);
}

function setFragment(url, value) {
  const text = usv(value);
  url.fragment = text === "" ? null : percentEncode(withoutBreaks(text.replace(/^#/, "")), ENCODE.fragment);
}

const parsed = (input, base) => {
  const text = usv(input); // both arguments are converted before one is parsed
  const from = base === undefined ? undefined : usv(base);
  return () => parseUrl(text, from === undefined ? null : parseUrl(from));
};
const NO_RECORD = Symbol();

class URL {
  #url;
  #searchParams = null;
  constructor(input, base = undefined) {
    if (input === NO_RECORD) this.#url = base;
    else {
      given(arguments, 1);
      this.#url = base === undefined && typeof input === "string" ? parseUrl(wellFormed(input)) : parsed(input, base)();
    }
  }
  static parse(input, base = undefined) {
    given(arguments, 1);
    const parse = parsed(input, base);
    let url;
    try { url = parse(); } catch { return null; }
    return new URL(NO_RECORD, url);
  }
  static canParse(input, base = undefined) {
    given(arguments, 1);
    const parse = parsed(input, base);
    try { parse(); } catch { return false; }
    return true;
  }
  #change(change, value, option) {
    const text = usv(value);
    const url = this.#url;
    url.href = null;
    try { change(url, text, option); } catch {} // an invalid value is ignored
  }
  get #hasPlace() { return this.#url.host && this.#url.protocol !== "file:"; } // for credentials and a port
  #refresh() { if (this.#searchParams) resetSearchParams(this.#searchParams, this.#url.query ?? ""); }
  get href() { return serialised(this.#url); }
  set href(value) {
    this.#url = parseUrl(usv(value));
    this.#refresh();
  }
  get origin() { return originOf(this.#url); }
  get protocol() { return this.#url.protocol; }
  set protocol(value) { this.#change(setProtocol, value); }
  get username() { return this.#url.username; }
  set username(value) {
    this.#change((url, text) => { if (this.#hasPlace) url.username = percentEncode(text, ENCODE.userinfo); }, value);
  }
  get password() { return this.#url.password; }
  set password(value) {
    this.#change((url, text) => { if (this.#hasPlace) url.password = percentEncode(text, ENCODE.userinfo); }, value);
  }
  get host() { return hostOf(this.#url); }
  set host(value) { if (!this.#url.opaque) this.#change(setHost, value, true); }
  get hostname() { return this.#url.host ?? ""; }
  set hostname(value) { if (!this.#url.opaque) this.#change(setHost, value, false); }
  get port() { return this.#url.port; }
  set port(value) {
    this.#change((url, text) => {
      if (!this.#hasPlace) return;
      if (text === "") url.port = "";
      else setPort(url, withoutBreaks(text));
    }, value);
  }
  get pathname() { return this.#url.path; }
  set pathname(value) { if (!this.#url.opaque) this.#change(setPath, value); }
  get search() { return this.#url.query ? `?${this.#url.query}` : ""; }
  set search(value) {
    this.#change(setQuery, value);
    this.#refresh();
  }
  get searchParams() {
    this.#searchParams ??= searchParamsOf(this.#url.query ?? "", (text) => {
      this.#url.href = null;
      this.#url.query = text === "" ? null : text;
    });
    return this.#searchParams;
  }
  get hash() { return this.#url.fragment ? `#${this.#url.fragment}` : ""; }
  set hash(value) { this.#change(setFragment, value); }
  toString() { return serialised(this.#url); }
  toJSON() { return serialised(this.#url); }
}

const FORM_ESCAPES = { __proto__: null, "%20": "+", "!": "%21", "'": "%27", "(": "%28", ")": "%29", "~": "%7E" };
const formEncode = (text) =>
  /^[\w*.-]*$/.test(text) ? text : encodeURIComponent(text).replace(/%20|[!'()~]/g, (found) => FORM_ESCAPES[found]);
const formDecode = (text) => percentDecode(text.replace(/\+/g, " "));

function parseForm(text) { // application/x-www-form-urlencoded
  const pairs = [];
  for (const part of text.split("&")) {
    if (part === "") continue;
    const equals = part.indexOf("=");
    const end = equals < 0 ? part.length : equals;
    pairs.push([formDecode(part.slice(0, end)), formDecode(part.slice(end + 1))]);
  }
  return pairs;
}

function pairsOf(init) { // of a sequence of pairs, or of a record
  const method = init[Symbol.iterator];
  if (method !== undefined && method !== null) {
    const pairs = [];
    for (const item of { [Symbol.iterator]: () => apply(method, init, []) }) {
      if (!isObject(item)) throw new TypeError("Each pair needs a name and a value");
      const pair = [...item].map(usv);
      if (pair.length !== 2) throw new TypeError("Each pair needs a name and a value");
      pairs.push(pair);
    }
    return pairs;
  }
  const record = new Map();
  for (const key of ownKeys(init))
    if (Reflect.getOwnPropertyDescriptor(init, key)?.enumerable) record.set(usv(key), usv(init[key]));
  return [...record];
}
let searchParamsOf;
let resetSearchParams;

class URLSearchParams {
  #list = null; // parsed when it is needed
  #text = "";
  #changed = null;
  constructor(init = "") {
    if (isObject(init)) this.#list = pairsOf(init);
    else this.#text = usv(init).replace(/^\?/, "");
  }
  static {
    resetSearchParams = (params, query) => {
      params.#list = null;
      params.#text = query;
    };
    searchParamsOf = (query, changed) => { // for a URL, which is told of every change
      const params = new URLSearchParams();
      params.#text = query;
      params.#changed = changed;
      return params;
    };
    iterable(URLSearchParams, (params) => params.#pairs);
  }
  get #pairs() { return (this.#list ??= parseForm(this.#text)); }
  #set(list) {
    this.#list = list;
    this.#changed?.(this.toString());
  }
  get size() { return this.#pairs.length; }
  append(name, value) {
    given(arguments, 2);
    const pair = [usv(name), usv(value)];
    this.#pairs.push(pair);
    this.#set(this.#list);
  }
  delete(name, value = undefined) {
    given(arguments, 1);
    const gone = matching(name, value);
    this.#set(this.#pairs.filter((pair) => !gone(pair)));
  }
  get(name) {
    given(arguments, 1);
    return this.#pairs.find(matching(name))?.[1] ?? null;
  }
  getAll(name) {
    given(arguments, 1);
    return this.#pairs.filter(matching(name)).map(([, value]) => value);
  }
  has(name, value = undefined) {
    given(arguments, 1);
    return this.#pairs.some(matching(name, value));
  }
  set(name, value) {
    given(arguments, 2);
    const pair = [usv(name), usv(value)];
    const isNamed = matching(pair[0]);
    const first = this.#pairs.findIndex(isNamed);
    if (first < 0) this.#list.push(pair);
    else this.#list[first] = pair;
    this.#set(this.#list.filter((one, i) => i <= first || first < 0 || !isNamed(one)));
  }
  sort() { this.#set([...this.#pairs].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))); }
  toString() { return this.#pairs.map(([name, value]) => `${formEncode(name)}=${formEncode(value)}`).join("&"); }
}
function matching(name, value) {
  const key = usv(name);
  const wanted = value === undefined ? undefined : usv(value);
  return (pair) => pair[0] === key && (wanted === undefined || pair[1] === wanted);
}
