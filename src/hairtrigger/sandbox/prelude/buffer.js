// Buffer, after https://nodejs.org/api/buffer.html, for code that was written for Node.

const OF_BUFFERS = {
  __proto__: null, utf8: "utf8", "utf-8": "utf8", hex: "hex", base64: "base64", base64url: "base64url", latin1: "latin1",
  binary: "latin1", ascii: "ascii", utf16le: "utf16le", "utf-16le": "utf16le", ucs2: "utf16le", "ucs-2": "utf16le",
};
const CHARACTERS = 8192; // the most in one call of String.fromCharCode

function bufferEncoding(encoding = "utf8") {
  const known = OF_BUFFERS[`${encoding}`.toLowerCase()];
  if (known === undefined) throw new TypeError(`Unknown encoding: ${encoding}`);
  return known;
}
function encoded(text, encoding) {
  switch (encoding) {
    case "utf8": return utf8(text);
    case "hex": return Uint8Array.fromHex(/^(?:[\da-f]{2})*/i.exec(text)[0]);
    case "base64": case "base64url": {
      const plain = text.replace(/=.*/s, "").replaceAll("-", "+").replaceAll("_", "/").replace(/[^A-Za-z\d+/]/g, "");
      return Uint8Array.fromBase64(plain.length % 4 === 1 ? plain.slice(0, -1) : plain);
    }
    case "utf16le": {
      const bytes = new Uint8Array(text.length * 2);
      for (let i = 0; i < text.length; i++) {
        const unit = text.charCodeAt(i);
        bytes[2 * i] = unit & 255;
        bytes[2 * i + 1] = unit >> 8;
      }
      return bytes;
    }
    default: return Uint8Array.from({ length: text.length }, (_, i) => text.charCodeAt(i) & 255);
  }
}
function characters(units) {
  let text = "";
  for (let i = 0; i < units.length; i += CHARACTERS)
    text += apply(String.fromCharCode, null, units.slice(i, i + CHARACTERS));
  return text;
}
function decoded(bytes, encoding) {
  switch (encoding) {
    case "utf8": return fromUtf8(bytes);
    case "hex": return bytes.toHex();
    case "base64": return bytes.toBase64();
    case "base64url": return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
    case "ascii": return characters(bytes.map((byte) => byte & 127));
    case "utf16le": return characters(Uint16Array.from({ length: bytes.length >> 1 }, (_, i) => bytes[2 * i] | (bytes[2 * i + 1] << 8)));
    default: return characters(bytes);
  }
}
function lengthOf(text, encoding) { // the number of bytes, as if all characters were valid in this encoding
  if (encoding === "hex") return text.length >>> 1;
  if (!encoding.startsWith("base64")) return encoded(text, encoding).length;
  return (/^.*?(?=={0,2}$)/s.exec(text)[0].length * 3) >>> 2;
}
const plainBytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
const asBuffer = (bytes) => new Buffer(bytes.buffer, bytes.byteOffset, bytes.length);
const sizeOf = (size) => {
  if (typeof size !== "number" || !(size >= 0 && size <= 2 ** 53)) throw new RangeError(`${string(size)} is no size`);
  return Math.trunc(size);
};
function within(value, least, most, otherwise) {
  const number = value === undefined ? otherwise : Math.trunc(+value) || 0;
  return Math.min(Math.max(number, least), most);
}
function needle(value, encoding) {
  if (typeof value === "number") return Uint8Array.of(value & 255);
  if (typeof value === "string") return encoded(value, bufferEncoding(encoding));
  if (value instanceof Uint8Array) return plainBytes(value);
  throw new TypeError("What is looked for is a text, bytes or a number");
}
function matchesAt(bytes, wanted, at) {
  for (let i = 0; i < wanted.length; i++) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}
function compareBytes(one, other) {
  const length = Math.min(one.length, other.length);
  for (let i = 0; i < length; i++) if (one[i] !== other[i]) return one[i] < other[i] ? -1 : 1;
  return Math.sign(one.length - other.length);
}

class Buffer extends Uint8Array {
  static poolSize = 8192;
  static from(value, encodingOrOffset, length) {
    if (typeof value === "string") return asBuffer(encoded(value, bufferEncoding(encodingOrOffset)));
    if (value instanceof ArrayBuffer || value instanceof SharedArrayBuffer)
      return new Buffer(value, encodingOrOffset, length);
    if (!isObject(value)) throw new TypeError("Buffer.from takes a text, bytes or an array");
    if (ArrayBuffer.isView(value) || isArray(value)) return asBuffer(Uint8Array.from(value));
    const primitive = value.valueOf?.();
    if (primitive !== undefined && primitive !== null && primitive !== value) return Buffer.from(primitive, encodingOrOffset, length);
    if (value.type === "Buffer" && isArray(value.data)) return asBuffer(Uint8Array.from(value.data));
    if (typeof value.length === "number") return asBuffer(Uint8Array.from(value));
    throw new TypeError("Buffer.from takes a text, bytes or an array");
  }
  static of(...values) { return asBuffer(Uint8Array.of(...values)); }
  static alloc(size, fill, encoding) {
    const made = new Buffer(sizeOf(size));
    return fill === undefined ? made : made.fill(fill, encoding);
  }
  static allocUnsafe(size) { return new Buffer(sizeOf(size)); }
  static allocUnsafeSlow(size) { return new Buffer(sizeOf(size)); }
  static byteLength(value, encoding) {
    if (typeof value === "string") return lengthOf(value, OF_BUFFERS[`${encoding}`.toLowerCase()] ?? "utf8");
    if (!isBinary(value) && !(value instanceof SharedArrayBuffer)) throw new TypeError("A text or bytes have a length");
    return value.byteLength;
  }
  static compare(one, other) { return compareBytes(one, other); }
  static concat(list, length) {
    if (!isArray(list)) throw new TypeError("Buffer.concat takes an array");
    const all = Buffer.alloc(length === undefined ? list.reduce((sum, one) => sum + one.length, 0) : length);
    let at = 0;
    for (const one of list) {
      all.set(plainBytes(one).subarray(0, Math.max(0, all.length - at)), Math.min(at, all.length));
      at += one.length;
    }
    return all;
  }
  static isBuffer(value) { return value instanceof Buffer; }
  static isEncoding(encoding) { return typeof encoding === "string" && OF_BUFFERS[encoding.toLowerCase()] !== undefined; }

  toString(encoding, start, end) {
    const from = within(start, 0, this.length, 0);
    const part = plainBytes(this).subarray(from, within(end, from, this.length, this.length));
    return part.length === 0 ? "" : decoded(part, bufferEncoding(encoding));
  }
  toLocaleString(encoding, start, end) { return this.toString(encoding, start, end); }
  toJSON() { return { type: "Buffer", data: [...this] }; }
  equals(other) {
    if (!(other instanceof Uint8Array)) throw new TypeError("Bytes are compared with bytes");
    return compareBytes(this, other) === 0;
  }
  compare(target, targetStart = 0, targetEnd = target.length, start = 0, end = this.length) {
    return compareBytes(plainBytes(this).subarray(start, end), plainBytes(target).subarray(targetStart, targetEnd));
  }
  indexOf(value, from, encoding) {
    if (typeof from === "string") return this.indexOf(value, 0, from);
    const wanted = needle(value, encoding);
    const start = Math.trunc(+from) || 0;
    const first = start < 0 ? Math.max(0, this.length + start) : start;
    if (wanted.length === 0) return Math.min(first, this.length);
    for (let at = first; at + wanted.length <= this.length; at++) if (matchesAt(this, wanted, at)) return at;
    return -1;
  }
  lastIndexOf(value, from, encoding) {
    if (typeof from === "string") return this.lastIndexOf(value, undefined, from);
    const wanted = needle(value, encoding);
    const start = from === undefined || isNaN(+from) ? this.length : Math.trunc(+from);
    const first = start < 0 ? this.length + start : start;
    for (let at = Math.min(first, this.length - wanted.length); at >= 0; at--) if (matchesAt(this, wanted, at)) return at;
    return -1;
  }
  includes(value, from, encoding) { return this.indexOf(value, from, encoding) !== -1; }
  slice(start, end) { return this.subarray(start, end); }
  copy(target, targetStart = 0, start = 0, end = this.length) {
    const part = plainBytes(this).subarray(start, Math.min(end, start + Math.max(0, target.length - targetStart)));
    target.set(part, targetStart);
    return part.length;
  }
  fill(value, start, end, encoding) {
    if (typeof start === "string") return this.fill(value, 0, this.length, start);
    if (typeof end === "string") return this.fill(value, start, this.length, end);
    const from = within(start, 0, this.length, 0);
    const part = plainBytes(this).subarray(from, within(end, from, this.length, this.length));
    const wanted = typeof value === "boolean" ? Uint8Array.of(+value) : needle(value, encoding);
    for (let i = 0; i < part.length; i++) part[i] = wanted.length === 0 ? 0 : wanted[i % wanted.length];
    return this;
  }
  write(text, start, length, encoding) {
    if (typeof start === "string") return this.write(text, 0, undefined, start);
    if (typeof length === "string") return this.write(text, start, undefined, length);
    const from = within(start, 0, this.length, 0);
    const room = within(length, 0, this.length - from, this.length - from);
    const kind = bufferEncoding(encoding);
    let part = encoded(text, kind).subarray(0, room);
    if (kind === "utf8") while (part.length > 0 && fromUtf8(part) !== text.slice(0, fromUtf8(part).length)) part = part.subarray(0, -1);
    this.set(part, from);
    return part.length;
  }
}
{
  const { prototype } = Buffer;
  const hidden = (name, value) => defineOwn(prototype, name, { value, writable: true, enumerable: false, configurable: true });
  const at = (bytes, offset, size) => {
    if (!isWhole(offset) || offset < 0 || offset + size > bytes.length) throw new RangeError(`The offset ${string(offset)} is out of range`);
    return new DataView(bytes.buffer, bytes.byteOffset + offset, size);
  };
  for (const [name, size, method = name] of [
    ["UInt8", 1, "Uint8"], ["Int8", 1], ["UInt16", 2, "Uint16"], ["Int16", 2], ["UInt32", 4, "Uint32"], ["Int32", 4],
    ["BigUInt64", 8, "BigUint64"], ["BigInt64", 8], ["Float", 4, "Float32"], ["Double", 8, "Float64"],
  ])
    for (const order of size === 1 ? [""] : ["LE", "BE"]) {
      const read = function (offset = 0) { return at(this, offset, size)[`get${method}`](0, order === "LE"); };
      const write = function (value, offset = 0) {
        at(this, offset, size)[`set${method}`](0, value, order === "LE");
        return offset + size;
      };
      for (const spelled of new Set([name, name.replace("UInt", "Uint")])) {
        hidden(`read${spelled}${order}`, read);
        hidden(`write${spelled}${order}`, write);
      }
    }
  for (const order of ["LE", "BE"]) {
    const places = (bytes, offset, size) => {
      if (!isWhole(size) || size < 1 || size > 6) throw new RangeError(`${string(size)} is no number of bytes from 1 to 6`);
      at(bytes, offset, size);
      return Array.from({ length: size }, (_, i) => offset + (order === "LE" ? size - 1 - i : i)); // the highest first
    };
    const unsigned = function (offset, size) {
      return places(this, offset, size).reduce((number, place) => number * 256 + this[place], 0);
    };
    const signed = function (offset, size) {
      const number = apply(unsigned, this, [offset, size]);
      return number >= 2 ** (8 * size - 1) ? number - 2 ** (8 * size) : number;
    };
    const write = function (value, offset, size) {
      let rest = value < 0 ? value + 2 ** (8 * size) : value;
      for (const place of places(this, offset, size).reverse()) {
        this[place] = rest % 256;
        rest = Math.floor(rest / 256);
      }
      return offset + size;
    };
    for (const [name, value] of [["readUInt", unsigned], ["readUint", unsigned], ["readInt", signed]]) hidden(`${name}${order}`, value);
    for (const name of ["writeUInt", "writeUint", "writeInt"]) hidden(`${name}${order}`, write);
  }
  for (const size of [2, 4, 8])
    hidden(`swap${8 * size}`, function () {
      if (this.length % size !== 0) throw new RangeError(`The length is no multiple of ${size}`);
      for (let i = 0; i < this.length; i += size) plainBytes(this).subarray(i, i + size).reverse();
      return this;
    });
}
