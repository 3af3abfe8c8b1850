// Blob and File after https://w3c.github.io/FileAPI/, FormData after https://xhr.spec.whatwg.org/, and the parts that
// they share with fetch: members and iterators after https://webidl.spec.whatwg.org/, and MIME types.

function interfaced(...classes) { // makes the members enumerable, and gives objects the tag of their class
  for (const one of classes) {
    for (const owner of [one, one.prototype])
      for (const key of ownKeys(owner)) {
        if (typeof key === "symbol" || ["constructor", "length", "name", "prototype"].includes(key)) continue;
        Object.defineProperty(owner, key, { enumerable: true });
      }
    Object.defineProperty(one.prototype, Symbol.toStringTag, { value: one.name, configurable: true });
  }
}

// Gives a class the members of an iterable of pairs. `pairsOf` throws for an object that is no instance of the class.
// An iterator sees changes, because each of its steps reads the pairs as they are then.
function iterable(Class, pairsOf) {
  const PAIR = 2;
  class Iterator {
    #target;
    #kind;
    #position = 0;
    constructor(target, kind) {
      pairsOf(target);
      this.#target = target;
      this.#kind = kind;
    }
    next() {
      const pair = pairsOf(this.#target)[this.#position];
      if (pair === undefined) return { value: undefined, done: true };
      this.#position++;
      return { value: this.#kind === PAIR ? [pair[0], pair[1]] : pair[this.#kind], done: false };
    }
  }
  delete Iterator.prototype.constructor;
  Object.setPrototypeOf(Iterator.prototype, Object.getPrototypeOf(Object.getPrototypeOf([].values())));
  Object.defineProperty(Iterator.prototype, "next", { enumerable: true });
  const tag = { value: `${Class.name} Iterator`, configurable: true };
  Object.defineProperty(Iterator.prototype, Symbol.toStringTag, tag);
  const members = {
    entries() { return new Iterator(this, PAIR); },
    keys() { return new Iterator(this, 0); },
    values() { return new Iterator(this, 1); },
    forEach(callback, self = undefined) {
      pairsOf(this);
      if (typeof callback !== "function") throw new TypeError("forEach needs a function");
      for (let i = 0, pair; (pair = pairsOf(this)[i]) !== undefined; i++)
        apply(callback, self, [pair[1], pair[0], this]);
    },
  };
  for (const name of ownKeys(members))
    Object.defineProperty(Class.prototype, name, { value: members[name], writable: true, configurable: true });
  const { entries } = members;
  Object.defineProperty(Class.prototype, Symbol.iterator, { value: entries, writable: true, configurable: true });
}

// Returns an iterable that calls an iterator method which was read before, because the standards read it only once.
const iterating = (value, method) => ({ __proto__: null, [Symbol.iterator]: () => apply(method, value, []) });
const usv = (value) => wellFormed(`${value}`); // throws for a symbol

const concatenated = (chunks) => {
  if (chunks.length === 1) return chunks[0];
  const bytes = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, end);
    end += chunk.length;
  }
  return bytes;
};

// MIME types, after https://mimesniff.spec.whatwg.org/.

const TOKEN = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+$/;
const QUOTABLE = /^[\t -~\x80-\xff]*$/;
const PARAMETER = /[\t\n\r ]*([^;=]*)(?:=(?:"((?:[^"\\]|\\[^]|\\$)*)(?:"[^;]*|$)|([^;]*)))?(?:;|$)/y;

function parseMime(text) { // the essence and the parameters, or null if the text is no MIME type
  const [, type, rest] = /^[\t\n\r ]*([^;]*)(.*)$/s.exec(text);
  const [, main, sub] = /^([^/]*)\/(.*?)[\t\n\r ]*$/s.exec(type) ?? [];
  if (main === undefined || !TOKEN.test(main) || !TOKEN.test(sub)) return null;
  const parameters = new Map();
  for (PARAMETER.lastIndex = 1; PARAMETER.lastIndex < rest.length; ) {
    const [, name, quoted, bare] = PARAMETER.exec(rest);
    const key = name.toLowerCase();
    const value = quoted?.replace(/\\([^])/g, "$1") ?? bare?.replace(/[\t\n\r ]+$/, "");
    if (value === undefined || (quoted === undefined && value === "")) continue;
    if (TOKEN.test(key) && QUOTABLE.test(value) && !parameters.has(key)) parameters.set(key, value);
  }
  return { essence: type.replace(/[\t\n\r ]+$/, "").toLowerCase(), parameters };
}

function serialisedMime({ essence, parameters }) {
  let text = essence;
  for (const [name, value] of parameters)
    text += `;${name}=${TOKEN.test(value) ? value : `"${value.replace(/["\\]/g, "\\$&")}"`}`;
  return text;
}

// Returns the MIME type of all values of Content-Type together: the last valid one, with the charset of an earlier
// value if it has none of its own and the same essence.
function extractedMime(values) {
  let found = null;
  for (const [value] of values.matchAll(/(?:"(?:[^"\\]|\\[^])*(?:"|$)|[^",])+/g)) {
    const mime = parseMime(value);
    if (mime === null || mime.essence === "*/*") continue;
    const charset = mime.essence === found?.essence ? found.parameters.get("charset") : undefined;
    if (charset !== undefined && !mime.parameters.has("charset")) mime.parameters.set("charset", charset);
    found = mime;
  }
  return found;
}

// Blob and File.

let bytesOfBlob; // returns the bytes of the blob itself, which must never be changed
let typeOfBlob;
let isBlob;
let isFile;

const blobType = (value) => {
  const text = `${value}`;
  return /[^ -~]/.test(text) ? "" : text.toLowerCase();
};
const clamped = (value, size) => {
  const position = Math.trunc(+value) || 0;
  return position < 0 ? Math.max(size + position, 0) : Math.min(position, size);
};

function blobParts(parts) {
  if (parts === undefined) return [];
  const method = isObject(parts) ? parts[Symbol.iterator] : undefined;
  if (typeof method !== "function") throw new TypeError("A Blob is made of an array of parts");
  const taken = [];
  for (const part of iterating(parts, method)) taken.push(isBinary(part) || isBlob(part) ? part : usv(part));
  return taken;
}
const blobBytes = (parts, native) =>
  concatenated(parts.map((part) => {
    if (typeof part !== "string") return isBlob(part) ? bytesOfBlob(part) : bytesOf(part);
    return utf8(native ? part.replace(/\r\n?/g, "\n") : part);
  }));

class Blob {
  #bytes;
  #type;
  constructor(parts = undefined, options = undefined) {
    const taken = blobParts(parts);
    const { endings: given = "transparent", type = "" } = dictionary(options);
    const endings = `${given}`;
    if (endings !== "transparent" && endings !== "native")
      throw new TypeError(`'${endings}' is not one of transparent, native`);
    this.#type = blobType(type);
    this.#bytes = blobBytes(taken, endings === "native");
  }
  static {
    isBlob = (value) => isObject(value) && #bytes in value;
    bytesOfBlob = (blob) => blob.#bytes;
    typeOfBlob = (blob) => blob.#type;
  }
  get size() { return this.#bytes.length; }
  get type() { return this.#type; }
  slice(start = 0, end = undefined, contentType = "") {
    const { length } = this.#bytes;
    const [from, to] = [clamped(start, length), end === undefined ? length : clamped(end, length)];
    const part = new Blob(undefined, { type: contentType });
    part.#bytes = this.#bytes.subarray(from, Math.max(from, to));
    return part;
  }
  stream() {
    const bytes = this.#bytes;
    return byteStream(() => bytes.slice());
  }
  async text() { return withoutMark(fromUtf8(this.#bytes), false); }
  async arrayBuffer() { return this.#bytes.slice().buffer; }
  async bytes() { return this.#bytes.slice(); }
}

class File extends Blob {
  #name;
  #lastModified;
  constructor(parts, name, options = undefined) {
    given(arguments, 2);
    if (parts === undefined) throw new TypeError("A File is made of an array of parts");
    super(parts, options);
    const { lastModified } = dictionary(options);
    this.#name = usv(name);
    this.#lastModified = lastModified === undefined ? now() : Math.trunc(+lastModified) || 0;
  }
  static { isFile = (value) => isObject(value) && #name in value; }
  get name() { return this.#name; }
  get lastModified() { return this.#lastModified; }
  get webkitRelativePath() { return this.#name && ""; }
}

// Forms.

let entriesOfForm;
let isForm;

function formValue(value, filename) { // `filename` is a list with one name, or an empty list
  if (!isBlob(value)) return usv(value);
  if (isFile(value) && filename.length === 0) return value;
  const name = filename.length > 0 ? usv(filename[0]) : "blob";
  const { lastModified } = isFile(value) ? value : {};
  return new File([value], name, { type: typeOfBlob(value), lastModified });
}

class FormData {
  #entries = [];
  constructor(form = undefined) {
    if (form !== undefined) throw new TypeError("There are no form elements here");
  }
  static {
    isForm = (value) => isObject(value) && #entries in value;
    entriesOfForm = (form) => form.#entries;
  }
  static #entry(values, name, value, filename) {
    given(values, 2);
    if (filename.length > 0 && !isBlob(value)) throw new TypeError("Only a Blob has a file name");
    return [usv(name), formValue(value, filename)];
  }
  append(name, value, ...filename) {
    this.#entries.push(FormData.#entry(arguments, name, value, filename.slice(0, 1)));
  }
  set(name, value, ...filename) {
    const entry = FormData.#entry(arguments, name, value, filename.slice(0, 1));
    const first = this.#entries.findIndex(([key]) => key === entry[0]);
    if (first < 0) this.#entries.push(entry);
    else this.#entries = this.#entries.with(first, entry).filter(([key], i) => i <= first || key !== entry[0]);
  }
  delete(name) {
    given(arguments, 1);
    const gone = usv(name);
    this.#entries = this.#entries.filter(([key]) => key !== gone);
  }
  get(name) {
    given(arguments, 1);
    const wanted = usv(name);
    return this.#entries.find(([key]) => key === wanted)?.[1] ?? null;
  }
  getAll(name) {
    given(arguments, 1);
    const wanted = usv(name);
    return this.#entries.filter(([key]) => key === wanted).map(([, value]) => value);
  }
  has(name) {
    given(arguments, 1);
    const wanted = usv(name);
    return this.#entries.some(([key]) => key === wanted);
  }
}
iterable(FormData, entriesOfForm);

// multipart/form-data, after https://html.spec.whatwg.org/#multipart-form-data and RFC 7578.

const CRLF = new Uint8Array([13, 10]);
const lines = (text) => text.replace(/\r\n?|\n/g, "\r\n");
const escaped = (name) => name.replace(/\n/g, "%0A").replace(/\r/g, "%0D").replace(/"/g, "%22");
const unescaped = (name) => name.replace(/%0A/gi, "\n").replace(/%0D/gi, "\r").replace(/%22/g, '"');

function multipart(form) { // the body as bytes, and its boundary
  const boundary = `----formdata-${Array.from(random("16"), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  const chunks = [];
  for (const [name, value] of entriesOfForm(form)) {
    const head = `--${boundary}\r\nContent-Disposition: form-data; name="${escaped(lines(name))}"`;
    if (typeof value === "string") chunks.push(utf8(`${head}\r\n\r\n${lines(value)}\r\n`));
    else {
      const type = typeOfBlob(value) || "application/octet-stream";
      const file = `${head}; filename="${escaped(value.name)}"\r\nContent-Type: ${type}\r\n\r\n`;
      chunks.push(utf8(file), bytesOfBlob(value), CRLF);
    }
  }
  chunks.push(utf8(`--${boundary}--\r\n`));
  return [concatenated(chunks), boundary];
}

function found(bytes, wanted, from) { // the first place of `wanted` from `from` on, or -1
  for (let at = bytes.indexOf(wanted[0], from); at >= 0; at = bytes.indexOf(wanted[0], at + 1)) {
    let length = 1;
    while (length < wanted.length && bytes[at + length] === wanted[length]) length++;
    if (length === wanted.length) return at;
  }
  return -1;
}

const notAForm = () => { throw new TypeError("The body is not the form its Content-Type says"); };

function parsedPart(head, content, form) {
  const headers = new Map();
  for (const line of head.split("\r\n").filter((line) => line !== "")) {
    const [, name, value] = /^([^:]+):[\t ]*(.*?)[\t ]*$/s.exec(line) ?? notAForm();
    headers.set(name.toLowerCase(), value);
  }
  const disposition = headers.get("content-disposition") ?? "";
  if (!/^form-data[\t ]*;/i.test(disposition)) notAForm();
  const named = /[; \t]name=(?:"([^"]*)"|([^;\s"]+))/i.exec(disposition) ?? notAForm();
  const file = /[; \t]filename=(?:"([^"]*)"|([^;\s"]+))/i.exec(disposition);
  const name = unescaped(named[1] ?? named[2]);
  if (file === null) return form.append(name, withoutMark(fromUtf8(content), false));
  const type = headers.get("content-type") ?? "text/plain";
  form.append(name, new File([content], unescaped(file[1] ?? file[2]), { type }));
}

function parseMultipart(bytes, boundary) {
  const form = new FormData();
  const delimiter = utf8(`\r\n--${boundary}`);
  const data = concatenated([CRLF, bytes]); // so that the first delimiter looks like the others
  let at = found(data, delimiter, 0);
  while (at >= 0) {
    const start = at + delimiter.length;
    if (data[start] === 45 && data[start + 1] === 45) return form;
    if (data[start] !== 13 || data[start + 1] !== 10) notAForm();
    const content = found(data, utf8("\r\n\r\n"), start) + 4;
    at = found(data, delimiter, Math.max(content - 2, start));
    if (content < 4 || at < 0) notAForm();
    parsedPart(fromUtf8(data.subarray(start + 2, content - 4)), data.subarray(content, Math.max(at, content)), form);
  }
  return notAForm();
}

function formOf(bytes, mime) {
  if (mime?.essence === "multipart/form-data" && mime.parameters.has("boundary"))
    return parseMultipart(bytes, mime.parameters.get("boundary"));
  if (mime?.essence !== "application/x-www-form-urlencoded")
    throw new TypeError("The Content-Type is not that of a form");
  const form = new FormData();
  for (const [name, value] of new URLSearchParams(`?${withoutMark(fromUtf8(bytes), false)}`)) form.append(name, value);
  return form;
}
