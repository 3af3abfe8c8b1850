// Randomness and cryptography, after https://w3c.github.io/webcrypto/: digests, HMAC, and signatures by keys of RSA and
// of elliptic curves.

const HASHES = { __proto__: null, "SHA-1": 64, "SHA-256": 64, "SHA-384": 128, "SHA-512": 128 }; // bytes of a block
const HASH_NAMES = { __proto__: null, "SHA-1": "HS1", "SHA-256": "HS256", "SHA-384": "HS384", "SHA-512": "HS512" };
const CURVES = { __proto__: null, "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };
const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];
const FORMATS = ["raw", "spki", "pkcs8", "jwk"];
const MOST_HASHED = 16 * 2 ** 20; // the most bytes in one call, because the host does not stop in the middle

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

// The state of the engine's own Math.random is part of the copied memory, so every poll would get the same numbers.
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

// Algorithms. Code gives one as a name, or as an object with a name.

function algorithmName(algorithm, known) {
  const given = isObject(algorithm) ? algorithm.name : algorithm;
  if (isObject(algorithm) && given === undefined) throw new TypeError("The algorithm has no name");
  const upper = `${given}`.toUpperCase();
  return known.includes(upper) ? upper : refused("NotSupportedError", `'${given}' is not supported here`);
}
const hashName = (hash) => algorithmName(hash, ownKeys(HASHES));
const hashOf = (algorithm, name) => {
  const { hash } = dictionary(algorithm);
  return hash === undefined ? refusedType(`${name} needs a hash`) : hashName(hash);
};
const refusedType = (message) => { throw new TypeError(message); };

const hmacAlgorithm = {
  __proto__: null,
  name: "HMAC",
  formats: ["raw", "jwk"],
  parameters(algorithm) { // the hash and the length in bits, if one is given
    const hash = hashOf(algorithm, "HMAC");
    const { length } = algorithm;
    return { hash, length: length === undefined ? undefined : enforcedRange(length, 2 ** 32 - 1) };
  },
  imported(format, data, { hash, length }, extractable, usages) {
    onlyFor(usages, "sign", "verify");
    if (format === "raw" && !isBinary(data)) throw new TypeError("The key is no bytes");
    const bytes = format === "raw" ? bytesOf(data) : jwkBytes(data, hash, extractable, usages);
    if (bytes.length === 0 || bytes.length > PIECE) refused("DataError", `A key has no ${bytes.length} bytes`);
    if (length !== undefined && (length > bytes.length * 8 || length <= bytes.length * 8 - 8))
      refused("DataError", `The key has not ${length} bits`);
    return hmacKey(bytes, { hash, length }, extractable, usages);
  },
  exported({ algorithm, bytes, extractable, usages }, format) {
    if (format === "raw") return bytes.slice().buffer;
    const k = bytes.toBase64({ alphabet: "base64url", omitPadding: true });
    return { kty: "oct", k, alg: HASH_NAMES[algorithm.hash.name], key_ops: [...usages], ext: extractable };
  },
  generated({ hash, length = HASHES[hash] * 8 }, extractable, usages) {
    onlyFor(usages, "sign", "verify");
    if (length === 0) refused("OperationError", "A key has a length");
    if (usages.length === 0) refused("SyntaxError", "The key has no usages");
    if (length > 65536 * 8) refused("OperationError", "The key is too long");
    return hmacKey(random(string(Math.ceil(length / 8))), { hash, length }, extractable, usages);
  },
  signing: () => undefined,
  sign: ({ algorithm, bytes }, _, data) => hmac(algorithm.hash.name, bytes, data),
  verify: ({ algorithm, bytes }, _, claimed, data) => sameBytes(hmac(algorithm.hash.name, bytes, data), claimed),
};
const rsaAlgorithm = {
  __proto__: null,
  name: "RSASSA-PKCS1-v1_5",
  kty: "RSA",
  members: ["n", "e", "d", "p", "q", "dp", "dq", "qi"],
  formats: ["pkcs8", "spki", "jwk"],
  parameters: (algorithm) => ({ kind: "RSA", hash: hashOf(algorithm, "RSASSA-PKCS1-v1_5") }),
  jwkNames: ({ hash }) => ({ alg: HASH_NAMES[hash].replace("H", "R") }),
  properties({ hash }, { n, e }) {
    const [modulus, publicExponent] = [n, e].map((number) => Uint8Array.fromBase64(number, { alphabet: "base64url" }));
    const modulusLength = modulus.length * 8 - Math.clz32(modulus[0]) + 24;
    return { modulusLength, publicExponent, hash: { name: hash } };
  },
  signing: () => undefined,
  hashFor: ({ hash }) => hash,
};
const curveAlgorithm = {
  __proto__: null,
  name: "ECDSA",
  kty: "EC",
  members: ["x", "y", "d"],
  formats: ["pkcs8", "spki", "jwk"],
  parameters(algorithm) {
    const { namedCurve } = dictionary(algorithm);
    if (namedCurve === undefined) throw new TypeError("ECDSA needs a namedCurve");
    const curve = `${namedCurve}`;
    return CURVES[curve] ? { kind: curve } : refused("NotSupportedError", `'${curve}' is not supported here`);
  },
  jwkNames: ({ kind }) => ({ crv: kind, alg: CURVES[kind] }),
  properties: ({ kind }) => ({ namedCurve: kind }),
  signing: (algorithm) => hashOf(algorithm, "ECDSA"),
  hashFor: (_, hash) => hash,
};
for (const algorithm of [rsaAlgorithm, curveAlgorithm]) { // the members that both have
  Object.assign(algorithm, {
    imported: (...values) => pairKey(algorithm, ...values),
    exported: (record, format) => pairExported(algorithm, record, format),
    generated: () => refused("NotSupportedError", `Keys of ${algorithm.name} are not made here, only imported`),
    sign({ parameters, numbers }, hash, data) {
      return signByKey(parameters.kind, algorithm.hashFor(parameters, hash), numbers, data);
    },
    verify({ parameters, numbers }, hash, claimed, data) {
      return verifyByKey(parameters.kind, algorithm.hashFor(parameters, hash), numbers, claimed, data) !== undefined;
    },
  });
}
const ALGORITHMS = {
  __proto__: null, HMAC: hmacAlgorithm, "RSASSA-PKCS1-V1_5": rsaAlgorithm, ECDSA: curveAlgorithm,
};
const algorithmOf = (given) => ALGORITHMS[algorithmName(given, ownKeys(ALGORITHMS))];

function usagesOf(usages) {
  if (!isObject(usages)) throw new TypeError("The usages are not a list");
  const wanted = [...usages].map((usage) => `${usage}`);
  const unknown = wanted.find((usage) => !USAGES.includes(usage));
  if (unknown !== undefined) throw new TypeError(`'${unknown}' is no usage of a key`);
  return USAGES.filter((usage) => wanted.includes(usage));
}
const onlyFor = (usages, ...possible) => {
  const other = usages.find((usage) => !possible.includes(usage));
  if (other !== undefined) refused("SyntaxError", `Such a key is for '${possible.join("' and '")}', not '${other}'`);
};
function newKey(type, name, properties, extractable, usages, rest) {
  const key = Object.create(CryptoKey.prototype);
  stamp(key, "key", { type, extractable, algorithm: { name, ...properties }, usages, ...rest });
  return key;
}
const hmacKey = (bytes, { hash, length = bytes.length * 8 }, extractable, usages) =>
  newKey("secret", "HMAC", { hash: { name: hash }, length }, extractable, usages, { by: hmacAlgorithm, bytes });

const keyFor = (key, algorithm, usage) => {
  const record = it(key, "key");
  if (record.by !== algorithm) refused("InvalidAccessError", `The key is not for ${algorithm.name}`);
  if (!record.usages.includes(usage)) refused("InvalidAccessError", `The key is not for '${usage}'`);
  return record;
};
const hashed = (data) => {
  if (!isBinary(data)) throw new TypeError("Only bytes can be hashed");
  const bytes = bytesOf(data);
  if (bytes.length > MOST_HASHED) refused("OperationError", `More than ${MOST_HASHED} bytes at once`);
  return bytes;
};
function sameBytes(one, other) { // takes the same time wherever the bytes differ
  if (one.length !== other.length) return false;
  let difference = 0;
  for (let i = 0; i < one.length; i++) difference |= one[i] ^ other[i];
  return difference === 0;
}

function jwkIsFor(jwk, alg, extractable, usages) {
  const { use } = jwk;
  if (usages.length > 0 && use !== undefined && use !== "sig") refused("DataError", `The key is for '${use}'`);
  if (jwk.key_ops !== undefined && !usages.every((usage) => [...jwk.key_ops].includes(usage)))
    refused("DataError", "The key has other key_ops");
  if (jwk.ext === false && extractable) refused("DataError", "The key is not extractable");
  if (jwk.alg !== undefined && jwk.alg !== alg) refused("DataError", `The key is for '${jwk.alg}'`);
}
const jwkOf = (data) => (isObject(data) && !isBinary(data) ? data : refusedType("The key is no JSON Web Key"));
function jwkBytes(data, hash, extractable, usages) {
  const jwk = jwkOf(data);
  if (jwk.kty !== "oct" || typeof jwk.k !== "string" || !/^[\w-]*$/.test(jwk.k))
    refused("DataError", "The key is no octet sequence");
  jwkIsFor(jwk, HASH_NAMES[hash], extractable, usages);
  return Uint8Array.fromBase64(jwk.k, { alphabet: "base64url" });
}

// Pairs of a private and a public key. The host reads and checks them. They are kept as JSON text with their numbers.
function pairKey(by, format, data, parameters, extractable, usages) {
  const jwk = format === "jwk" ? jwkOf(data) : undefined;
  const isPrivate = jwk ? jwk.d !== undefined : format === "pkcs8";
  onlyFor(usages, isPrivate ? "sign" : "verify");
  if (!jwk && !isBinary(data)) throw new TypeError("The key is no bytes");
  const given = jwk ? jwkNumbers(by, jwk, parameters, extractable, usages) : bytesOf(data);
  const numbers = readKey(parameters.kind, format, given);
  const { error, ...members } = parse(numbers);
  if (error !== undefined) refused("DataError", error);
  if (isPrivate && usages.length === 0) refused("SyntaxError", "The key has no usages");
  const type = isPrivate ? "private" : "public";
  const rest = { by, parameters, numbers };
  return newKey(type, by.name, by.properties(parameters, members), extractable, usages, rest);
}
function jwkNumbers({ kty, members, jwkNames }, jwk, parameters, extractable, usages) {
  const { alg, crv } = jwkNames(parameters);
  if (jwk.kty !== kty) refused("DataError", `The key's kty is not '${kty}'`);
  if (crv !== undefined && jwk.crv !== crv) refused("DataError", `The key's crv is not '${crv}'`);
  if (jwk.oth !== undefined) refused("NotSupportedError", "Keys of more than two primes are not supported here");
  jwkIsFor(jwk, alg, extractable, usages);
  const values = members.map((name) => [name, jwk[name]]).filter(([, value]) => value !== undefined);
  return stringify({ __proto__: null, ...Object.fromEntries(values.map(([name, value]) => [name, `${value}`])) });
}
function pairExported({ kty, jwkNames, name }, { type, extractable, usages, parameters, numbers }, format) {
  if (format !== "jwk") {
    if (type !== (format === "pkcs8" ? "private" : "public"))
      refused("InvalidAccessError", `A ${type} key is not exported as '${format}'`);
    return writeKey(parameters.kind, format, numbers).buffer;
  }
  const { alg, crv } = jwkNames(parameters);
  const names = name === "ECDSA" ? { crv } : { alg };
  return { kty, ...names, ...parse(numbers), key_ops: [...usages], ext: extractable };
}

function imported(by, format, data, parameters, extractable, usages) {
  if (!by.formats.includes(format)) refused("NotSupportedError", `'${format}' is no format of such a key`);
  const key = by.imported(format, data, parameters, extractable, usages);
  if (it(key, "key").type === "secret" && usages.length === 0) refused("SyntaxError", "The key has no usages");
  return key;
}
function exported(record, format) {
  if (!record.by.formats.includes(format)) refused("NotSupportedError", `'${format}' is no format of such a key`);
  if (!record.extractable) refused("InvalidAccessError", "The key is not extractable");
  return record.by.exported(record, format);
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
    const by = algorithmOf(algorithm);
    return imported(by, kind, data, by.parameters(algorithm), !!extractable, wanted);
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
    const by = algorithmOf(algorithm);
    return by.generated(by.parameters(algorithm), !!extractable, wanted);
  }
  async sign(algorithm, key, data) {
    it(this, "subtle");
    given(arguments, 3);
    const bytes = hashed(data);
    const by = algorithmOf(algorithm);
    const hash = by.signing(algorithm);
    return by.sign(keyFor(key, by, "sign"), hash, bytes).buffer;
  }
  async verify(algorithm, key, signature, data) {
    it(this, "subtle");
    given(arguments, 4);
    const [claimed, bytes] = [hashed(signature), hashed(data)];
    const by = algorithmOf(algorithm);
    const hash = by.signing(algorithm);
    return by.verify(keyFor(key, by, "verify"), hash, claimed, bytes);
  }
}
for (const name of ["encrypt", "decrypt", "deriveBits", "deriveKey", "wrapKey", "unwrapKey"]) {
  const { prototype } = unsupported(name);
  Object.defineProperty(SubtleCrypto.prototype, name, Object.getOwnPropertyDescriptor(prototype, name));
}
const subtle = new SubtleCrypto(internal);
const crypto = new Crypto(internal);
