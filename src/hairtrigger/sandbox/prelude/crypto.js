// Randomness and cryptography, after https://w3c.github.io/webcrypto/: digests and HMAC.

const HASHES = { __proto__: null, "SHA-1": 64, "SHA-256": 64, "SHA-384": 128, "SHA-512": 128 }; // bytes of a block
const HASH_NAMES = { __proto__: null, "SHA-1": "HS1", "SHA-256": "HS256", "SHA-384": "HS384", "SHA-512": "HS512" };
const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];
const FORMATS = ["raw", "spki", "pkcs8", "jwk"];
const MOST_HASHED = 16 * 2 ** 20; // bytes in one call, for the host does not stop in the middle

const refused = (name, message) => { throw new DOMException(message, name); };
const isInteger = (array) => /^(Big)?(Ui|I)nt/.test(typeName(array) ?? "");

function uuid() {
  const bytes = random("16");
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = bytes.toHex();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

class Crypto {
  constructor(...key) {
    if (key[0] !== internal) throw new TypeError("Illegal constructor");
    stamp(this, "crypto", {});
  }
  get subtle() { return (it(this, "crypto"), subtle); }
  getRandomValues(array) {
    it(this, "crypto");
    given(arguments, 1);
    if (!ArrayBuffer.isView(array)) throw new TypeError("getRandomValues needs a view of a buffer");
    if (!isInteger(array)) refused("TypeMismatchError", "Not an array of integers");
    const { buffer, byteOffset, byteLength } = array;
    if (byteLength > 65536) refused("QuotaExceededError", "More than 65,536 bytes at once");
    if (byteLength > 0) new Uint8Array(buffer, byteOffset, byteLength).set(random(string(byteLength)));
    return array;
  }
  randomUUID() {
    it(this, "crypto");
    return uuid();
  }
}

// The state of the engine's own Math.random is part of the copied memory: it would repeat itself in every poll.
function randomNumbers() {
  let [a, b, c, d] = new Uint32Array(random("16").buffer);
  const next = () => { // sfc32
    const t = (a + b + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + t) | 0;
    return t >>> 0;
  };
  return function random() { return ((next() >>> 5) * 67108864 + (next() >>> 6)) / 9007199254740992; };
}

class CryptoKey {
  constructor() { throw new TypeError("Illegal constructor"); }
  get type() { return it(this, "key").type; }
  get extractable() { return it(this, "key").extractable; }
  get algorithm() { return it(this, "key").algorithm; }
  get usages() { return it(this, "key").usages; }
}

// Algorithms: a name, or an object with one.

function algorithmName(algorithm, known) {
  const given = isObject(algorithm) ? algorithm.name : algorithm;
  if (isObject(algorithm) && given === undefined) throw new TypeError("The algorithm has no name");
  const upper = `${given}`.toUpperCase();
  return known.includes(upper) ? upper : refused("NotSupportedError", `'${given}' is not supported here`);
}
const hashName = (hash) => algorithmName(hash, Object.keys(HASHES));
const onlyHmac = (algorithm) => algorithmName(algorithm, ["HMAC"]);

function hmacParameters(algorithm) { // the hash and the length in bits, if one is given
  onlyHmac(algorithm);
  const { hash, length } = dictionary(algorithm);
  if (hash === undefined) throw new TypeError("HMAC needs a hash");
  return { hash: hashName(hash), length: length === undefined ? undefined : enforcedRange(length, 2 ** 32 - 1) };
}
function usagesOf(usages) {
  if (!isObject(usages)) throw new TypeError("The usages are not a list");
  const wanted = [...usages].map((usage) => `${usage}`);
  const unknown = wanted.find((usage) => !USAGES.includes(usage));
  if (unknown !== undefined) throw new TypeError(`'${unknown}' is no usage of a key`);
  return USAGES.filter((usage) => wanted.includes(usage));
}
const onlySigning = (usages) => {
  if (usages.some((usage) => usage !== "sign" && usage !== "verify"))
    refused("SyntaxError", "HMAC signs and verifies only");
};
function hmacKey(bytes, hash, extractable, usages) {
  const key = Object.create(CryptoKey.prototype);
  const algorithm = { name: "HMAC", hash: { name: hash }, length: bytes.length * 8 };
  stamp(key, "key", { type: "secret", extractable, algorithm, usages, bytes, hash });
  return key;
}
const keyFor = (key, algorithm, usage) => {
  const record = it(key, "key");
  onlyHmac(algorithm);
  if (!record.usages.includes(usage)) refused("InvalidAccessError", `The key is not for '${usage}'`);
  return record;
};
const hashed = (data) => {
  if (!isBinary(data)) throw new TypeError("Only bytes can be hashed");
  const bytes = bytesOf(data);
  if (bytes.length > MOST_HASHED) refused("OperationError", `More than ${MOST_HASHED} bytes at once`);
  return bytes;
};
function sameBytes(one, other) { // in a time that tells nothing of where they differ
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let i = 0; i < one.length; i++) difference |= one[i] ^ other[i];
  return difference === 0;
}

function jwkBytes(jwk, hash, extractable, usages) {
  if (!isObject(jwk) || isBinary(jwk)) throw new TypeError("The key is no JSON Web Key");
  const { alg, ext, k, key_ops: operations, kty, use } = jwk;
  if (kty !== "oct" || typeof k !== "string" || !/^[\w-]*$/.test(k))
    refused("DataError", "The key is no octet sequence");
  if (alg !== undefined && alg !== HASH_NAMES[hash]) refused("DataError", `The key is for '${alg}'`);
  if (usages.length > 0 && use !== undefined && use !== "sig") refused("DataError", `The key is for '${use}'`);
  if (operations !== undefined && !usages.every((usage) => [...operations].includes(usage)))
    refused("DataError", "The key has other key_ops");
  if (ext === false && extractable) refused("DataError", "The key is not extractable");
  return Uint8Array.fromBase64(k, { alphabet: "base64url" });
}
function imported(format, data, parameters, extractable, usages) {
  onlySigning(usages);
  const { hash, length } = parameters;
  if (format !== "raw" && format !== "jwk") refused("NotSupportedError", `'${format}' is no format of such a key`);
  if (format === "raw" && !isBinary(data)) throw new TypeError("The key is no bytes");
  const bytes = format === "raw" ? bytesOf(data) : jwkBytes(data, hash, extractable, usages);
  if (bytes.length === 0 || bytes.length > PIECE) refused("DataError", `A key has no ${bytes.length} bytes`);
  if (length !== undefined && (length > bytes.length * 8 || length <= bytes.length * 8 - 8))
    refused("DataError", `The key has not ${length} bits`);
  if (usages.length === 0) refused("SyntaxError", "The key has no usages");
  const key = hmacKey(bytes, hash, extractable, usages);
  if (length !== undefined) it(key, "key").algorithm.length = length;
  return key;
}
function exported({ algorithm, bytes, extractable, hash, usages }, format) {
  if (format !== "raw" && format !== "jwk") refused("NotSupportedError", `'${format}' is no format of such a key`);
  if (!extractable) refused("InvalidAccessError", "The key is not extractable");
  if (format === "raw") return bytes.slice().buffer;
  const k = bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  return { kty: "oct", k, alg: HASH_NAMES[hash], key_ops: [...usages], ext: extractable };
}
const formatOf = (format) => {
  const name = `${format}`;
  if (!FORMATS.includes(name)) throw new TypeError(`'${name}' is no format of a key`);
  return name;
};
const unsupported = (name) => class {
  async [name](...values) {
    it(this, "subtle");
    const algorithm = name === "wrapKey" ? values[3] : name === "unwrapKey" ? values[3] : values[0];
    refused("NotSupportedError", `${name} is not supported here: ${isObject(algorithm) ? algorithm.name : algorithm}`);
  }
};

class SubtleCrypto {
  constructor(...key) {
    if (key[0] !== internal) throw new TypeError("Illegal constructor");
    stamp(this, "subtle", {});
  }
  async digest(algorithm, data) {
    it(this, "subtle");
    given(arguments, 2);
    const name = hashName(algorithm);
    return hash(name, hashed(data)).buffer;
  }
  async importKey(format, data, algorithm, extractable, usages) {
    it(this, "subtle");
    given(arguments, 5);
    const kind = formatOf(format);
    const wanted = usagesOf(usages);
    return imported(kind, data, hmacParameters(algorithm), !!extractable, wanted);
  }
  async exportKey(format, key) {
    it(this, "subtle");
    given(arguments, 2);
    const kind = formatOf(format);
    return exported(it(key, "key"), kind);
  }
  async generateKey(algorithm, extractable, usages) {
    it(this, "subtle");
    given(arguments, 3);
    const wanted = usagesOf(usages);
    const { hash: name, length = HASHES[name] * 8 } = hmacParameters(algorithm);
    onlySigning(wanted);
    if (length === 0) refused("OperationError", "A key has a length");
    if (wanted.length === 0) refused("SyntaxError", "The key has no usages");
    if (length > 65536 * 8) refused("OperationError", "The key is too long");
    const key = hmacKey(random(string(Math.ceil(length / 8))), name, !!extractable, wanted);
    it(key, "key").algorithm.length = length;
    return key;
  }
  async sign(algorithm, key, data) {
    it(this, "subtle");
    given(arguments, 3);
    const bytes = hashed(data);
    const { bytes: secret, hash: name } = keyFor(key, algorithm, "sign");
    return hmac(name, secret, bytes).buffer;
  }
  async verify(algorithm, key, signature, data) {
    it(this, "subtle");
    given(arguments, 4);
    const [claimed, bytes] = [hashed(signature), hashed(data)];
    const { bytes: secret, hash: name } = keyFor(key, algorithm, "verify");
    return sameBytes(hmac(name, secret, bytes), claimed);
  }
}
for (const name of ["encrypt", "decrypt", "deriveBits", "deriveKey", "wrapKey", "unwrapKey"]) {
  const { prototype } = unsupported(name);
  Object.defineProperty(SubtleCrypto.prototype, name, Object.getOwnPropertyDescriptor(prototype, name));
}
const subtle = new SubtleCrypto(internal);
const crypto = new Crypto(internal);
