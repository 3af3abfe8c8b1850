// Text and bytes, after https://encoding.spec.whatwg.org/: utf-8, utf-16 and the encodings of one byte.

const withoutMark = (text, keep) => (!keep && text[0] === "\ufeff" ? text.slice(1) : text);

const ENCODINGS = { // the encodings that can be decoded, with their labels
  "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf-8 utf8 x-unicode20utf8",
  "utf-16be": "unicodefffe utf-16be",
  "utf-16le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le",
  "ibm866": "866 cp866 csibm866 ibm866",
  "iso-8859-2": "csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
  "iso-8859-3": "csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
  "iso-8859-4": "csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
  "iso-8859-5": "csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
  "iso-8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6 iso-8859-6-e " +
    "iso-8859-6-i iso-ir-127 iso8859-6 iso88596 iso_8859-6 iso_8859-6:1987",
  "iso-8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso-ir-126 iso8859-7 iso88597 " +
    "iso_8859-7 iso_8859-7:1987 sun_eu_greek",
  "iso-8859-8": "csiso88598e csisolatinhebrew hebrew iso-8859-8 iso-8859-8-e iso-ir-138 iso8859-8 iso88598 " +
    "iso_8859-8 iso_8859-8:1988 visual",
  "iso-8859-8-i": "csiso88598i iso-8859-8-i logical",
  "iso-8859-10": "csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6",
  "iso-8859-13": "iso-8859-13 iso8859-13 iso885913",
  "iso-8859-14": "iso-8859-14 iso8859-14 iso885914",
  "iso-8859-15": "csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9",
  "iso-8859-16": "iso-8859-16",
  "koi8-r": "cskoi8r koi koi8 koi8-r koi8_r",
  "koi8-u": "koi8-ru koi8-u",
  "macintosh": "csmacintosh mac macintosh x-mac-roman",
  "windows-874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874",
  "windows-1250": "cp1250 windows-1250 x-cp1250",
  "windows-1251": "cp1251 windows-1251 x-cp1251",
  "windows-1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 " +
    "iso_8859-1 iso_8859-1:1987 l1 latin1 us-ascii windows-1252 x-cp1252",
  "windows-1253": "cp1253 windows-1253 x-cp1253",
  "windows-1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 " +
    "windows-1254 x-cp1254",
  "windows-1255": "cp1255 windows-1255 x-cp1255",
  "windows-1256": "cp1256 windows-1256 x-cp1256",
  "windows-1257": "cp1257 windows-1257 x-cp1257",
  "windows-1258": "cp1258 windows-1258 x-cp1258",
  "x-mac-cyrillic": "x-mac-cyrillic x-mac-ukrainian",
  "x-user-defined": "x-user-defined",
};
const LABELS = new Map();
for (const name of Object.keys(ENCODINGS)) for (const label of ENCODINGS[name].split(" ")) LABELS.set(label, name);

function encodingOf(label) {
  const text = `${label}`;
  const name = LABELS.get(text.replace(/^[\t\n\f\r ]+|[\t\n\f\r ]+$/g, "").toLowerCase());
  if (name === undefined) throw new RangeError(`'${text}' is not a supported encoding`);
  return name;
}
const MALFORMED = "The data is not valid ";
const PIECE = 2 ** 20; // the most bytes that the host is asked to decode at once
const UNITS = 4096; // the most units that become a string at once

const SECOND = { // the second bytes that may follow a first byte, for those that not every continuation byte may follow
  __proto__: null, 0xe0: [0xa0, 0xbf], 0xed: [0x80, 0x9f], 0xf0: [0x90, 0xbf], 0xf4: [0x80, 0x8f],
};
// Returns how many bytes at the end of `bytes` are the beginning of a utf-8 character whose other bytes are missing.
function unfinishedUtf8(bytes) {
  const { length } = bytes;
  for (let back = 1; back <= Math.min(3, length); back++) {
    const byte = bytes[length - back];
    if ((byte & 0xc0) === 0x80) continue;
    const needed = byte < 0xc2 || byte > 0xf4 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    if (back >= needed) return 0;
    const second = bytes[length - back + 1]; // undefined if it is not there
    const [low, high] = SECOND[byte] ?? [0x80, 0xbf];
    return second < low || second > high ? 0 : back;
  }
  return 0;
}
function utf8Text(bytes, fatal) {
  if (bytes.length === 0) return "";
  const text = fatal ? decode(bytes, "strict") : decode(bytes);
  if (text === undefined) throw new TypeError(`${MALFORMED}utf-8`);
  return text;
}
function unitsText(units) {
  let text = "";
  for (let i = 0; i < units.length; i += UNITS)
    text += apply(string.fromCharCode, undefined, units.subarray(i, i + UNITS));
  return text;
}
function utf16Text(bytes, isBig) { // `bytes` must be whole units
  const units = new Uint16Array(bytes.length >> 1);
  new Uint8Array(units.buffer).set(bytes.subarray(0, units.length * 2));
  if (isBig) for (let i = 0; i < units.length; i++) units[i] = (units[i] >> 8) | ((units[i] & 255) << 8);
  return unitsText(units);
}
function singleByteText(bytes, name) {
  if (name === "x-user-defined")
    return unitsText(Uint16Array.from(bytes, (byte) => (byte < 128 ? byte : 0xf700 + byte)));
  let text = "";
  for (let i = 0; i < bytes.length; i += PIECE) text += decodeSingleByte(bytes.slice(i, i + PIECE), SINGLE_BYTE[name]);
  return text;
}
const joinedBytes = (one, other) => {
  if (one.length === 0) return other;
  const joined = new Uint8Array(one.length + other.length);
  joined.set(one);
  joined.set(other, one.length);
  return joined;
};
const NO_BYTES = new Uint8Array(0);

// Decodes a text in pieces. `last` is false if more pieces may come.
class Decoding {
  constructor(name, fatal, keepMark) {
    this.name = name;
    this.fatal = fatal;
    this.keepMark = keepMark;
    this.reset();
  }
  reset() {
    this.left = NO_BYTES; // the beginning of a character whose other bytes have not come
    this.begun = false;
  }
  text(bytes, last) {
    const { name } = this;
    try {
      const text = name === "utf-8" ? this.utf8(bytes, last)
        : name.startsWith("utf-16") ? this.utf16(bytes, last) : this.singleByte(bytes);
      if (this.begun || text === "" || !name.startsWith("utf")) return text;
      this.begun = true;
      return withoutMark(text, this.keepMark);
    } catch (error) {
      this.reset();
      throw error;
    } finally {
      if (last) this.reset();
    }
  }
  utf8(bytes, last) {
    const all = joinedBytes(this.left, bytes);
    const kept = last ? 0 : unfinishedUtf8(all);
    if (kept === 0) {
      this.left = NO_BYTES;
      return utf8Text(all, this.fatal);
    }
    this.left = all.slice(all.length - kept);
    return utf8Text(all.slice(0, all.length - kept), this.fatal);
  }
  utf16(bytes, last) {
    const all = joinedBytes(this.left, bytes);
    const text = utf16Text(all, this.name === "utf-16be");
    const isCut = /[\ud800-\udbff]$/.test(text);
    const kept = (all.length % 2) + (isCut ? 2 : 0);
    const whole = isCut ? text.slice(0, -1) : text;
    this.left = last ? NO_BYTES : all.slice(all.length - kept);
    if (this.fatal && (!whole.isWellFormed() || (last && kept > 0))) throw new TypeError(MALFORMED + this.name);
    return whole.toWellFormed() + (last && kept > 0 ? "\ufffd" : "");
  }
  singleByte(bytes) {
    const text = singleByteText(bytes, this.name);
    if (this.fatal && text.includes("\ufffd")) throw new TypeError(MALFORMED + this.name);
    return text;
  }
}

class TextEncoder {
  constructor() { stamp(this, "encoder", {}); }
  get encoding() { return (it(this, "encoder"), "utf-8"); }
  encode(text = "") {
    it(this, "encoder");
    return utf8(`${text}`);
  }
  encodeInto(source, destination) {
    it(this, "encoder");
    given(arguments, 2);
    const text = wellFormed(`${source}`);
    if (typeName(destination) !== "Uint8Array") throw new TypeError("The destination is no Uint8Array");
    const room = destination.length;
    let read = Math.min(text.length, room); // each unit needs at least one byte
    if (read < text.length && read > 0 && /[\ud800-\udbff]/.test(text[read - 1])) read--;
    const bytes = utf8(text.slice(0, read));
    if (bytes.length <= room) {
      destination.set(bytes);
      return { read, written: bytes.length };
    }
    let written = room;
    while (written > 0 && (bytes[written] & 0xc0) === 0x80) written--;
    destination.set(bytes.subarray(0, written));
    return { read: fromUtf8(bytes.slice(0, written)).length, written };
  }
}

class TextDecoder {
  constructor(label = "utf-8", options = {}) {
    const name = encodingOf(label);
    const { fatal, ignoreBOM } = dictionary(options);
    stamp(this, "decoder", { decoding: new Decoding(name, !!fatal, !!ignoreBOM), continues: false });
  }
  get encoding() { return it(this, "decoder").decoding.name; }
  get fatal() { return it(this, "decoder").decoding.fatal; }
  get ignoreBOM() { return it(this, "decoder").decoding.keepMark; }
  decode(input = undefined, options = {}) {
    const decoder = it(this, "decoder");
    if (input !== undefined && !isBinary(input) && !(input instanceof SharedArrayBuffer))
      throw new TypeError("Only bytes can be decoded");
    const { stream } = dictionary(options);
    const { decoding } = decoder;
    if (!decoder.continues) decoding.reset();
    decoder.continues = !!stream;
    const bytes = input === undefined || (input.buffer ?? input).detached ? NO_BYTES : bytesOf(input);
    return decoding.text(bytes, !stream);
  }
}

// The streams for encoding and decoding.

class TextEncoderStream {
  constructor() {
    let half = ""; // the first half of a surrogate pair
    stamp(this, "encoderStream", transforming((chunk, enqueue) => {
      const text = half + `${chunk}`;
      const isCut = /[\ud800-\udbff]$/.test(text);
      half = isCut ? text.at(-1) : "";
      const bytes = utf8(isCut ? text.slice(0, -1) : text);
      if (bytes.length > 0) enqueue(bytes);
    }, (enqueue) => { if (half !== "") enqueue(utf8("\ufffd")); }));
  }
  get encoding() { return (it(this, "encoderStream"), "utf-8"); }
  get readable() { return it(this, "encoderStream").readable; }
  get writable() { return it(this, "encoderStream").writable; }
}

class TextDecoderStream {
  constructor(label = "utf-8", options = {}) {
    const name = encodingOf(label);
    const { fatal, ignoreBOM } = dictionary(options);
    const decoding = new Decoding(name, !!fatal, !!ignoreBOM);
    const decoded = (bytes, last, enqueue) => {
      const text = decoding.text(bytes, last);
      if (text !== "") enqueue(text);
    };
    const pair = transforming((chunk, enqueue) => {
      if (!isBinary(chunk) && !(chunk instanceof SharedArrayBuffer)) throw new TypeError("Only bytes can be decoded");
      decoded(bytesOf(chunk), false, enqueue);
    }, (enqueue) => decoded(NO_BYTES, true, enqueue));
    stamp(this, "decoderStream", { ...pair, decoding });
  }
  get encoding() { return it(this, "decoderStream").decoding.name; }
  get fatal() { return it(this, "decoderStream").decoding.fatal; }
  get ignoreBOM() { return it(this, "decoderStream").decoding.keepMark; }
  get readable() { return it(this, "decoderStream").readable; }
  get writable() { return it(this, "decoderStream").writable; }
}
