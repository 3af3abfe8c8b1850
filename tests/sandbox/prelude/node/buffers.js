const tried = (make) => { try { return make(); } catch (error) { return "throws"; } };
const texts = ["", "a", "hé€😀", "YQ==", "YWI", "YWJj", "-_-_", "+/+/", "Y Q\n=", "YQ==YQ", "0aFg", "abc", "zz", "\u{feff}x"];
const kinds = ["utf8", "UTF-8", "hex", "base64", "base64url", "latin1", "binary", "ascii", "utf16le", "ucs2", "none"];
const found = [];
for (const text of texts) for (const kind of kinds) {
  found.push(tried(() => [...Buffer.from(text, kind)]), tried(() => Buffer.byteLength(text, "hex") && 1));
  found.push(tried(() => Buffer.from(text).toString(kind)), tried(() => Buffer.from(text).toString(kind, 1, 3)));
}
const b = Buffer.from("hello world, hello");
const n = Buffer.from([1, 2, 3, 4, 250, 251, 252, 253, 254, 255]);
found.push(
  tried(() => JSON.stringify(b.subarray(0, 2))), b.slice(1, 3).toString(), b.slice(-5).toString(), b.indexOf("hello", 1),
  b.indexOf("o"), b.lastIndexOf("hello"), b.lastIndexOf("hello", 5), b.includes("wor"), b.includes("xyz"), b.indexOf(108),
  b.indexOf(Buffer.from("world")), b.equals(Buffer.from("hello world, hello")), Buffer.compare(b, n), Buffer.compare(n, b),
  b.compare(Buffer.from("hello")), Buffer.concat([b, n]).length, [...Buffer.concat([n, n], 12)], [...Buffer.concat([n], 12)],
  Buffer.isBuffer(b), Buffer.isBuffer(new Uint8Array(1)), Buffer.isEncoding("HEX"), Buffer.isEncoding("no"),
  [...Buffer.alloc(5, "ab")], [...Buffer.alloc(3)], [...Buffer.alloc(4, "YQ", "base64")], [...Buffer.from(n.buffer, n.byteOffset, 3)],
  [...Buffer.from({ type: "Buffer", data: [1, 2] })], [...Buffer.from(new Uint16Array([1, 257]))], [...Buffer.from([1, 256, -1, "7"])],
  tried(() => [...Buffer.from(5)]), tried(() => [...Buffer.from(null)]), tried(() => Buffer.alloc(-1)), b.toString("utf8", 3),
  [...Buffer.alloc(6).fill("abc", 1, 5)], [...Buffer.alloc(4).fill(7)], b instanceof Uint8Array, b.subarray(1) instanceof Buffer,
  (() => { const w = Buffer.alloc(8); return [w.write("hé€", 1), w.write("ff00", 6, "hex"), [...w]]; })(),
  (() => { const w = Buffer.alloc(4); return [b.copy(w, 1, 2, 9), [...w]]; })(),
  [...Buffer.from(n).swap16()], tried(() => Buffer.alloc(3).swap16()), `${b}`, b + "!", Buffer.from(b).length, typeof b.buffer,
);
for (const order of ["LE", "BE"]) {
  for (const kind of ["UInt16", "Int16", "UInt32", "Int32", "Float", "Double", "BigUInt64", "BigInt64", "Uint16"])
    for (const at of [0, 1, 2, 9]) found.push(tried(() => `${n[`read${kind}${order}`](at)}`));
  for (const size of [1, 2, 3, 4, 5, 6]) found.push(n[`readUInt${order}`](3, size), n[`readInt${order}`](3, size));
  const w = Buffer.alloc(16);
  found.push(w[`writeUInt32${order}`](4000000000, 1), w[`writeInt16${order}`](-2, 6), w[`writeUIntBE`](0x123456, 9, 3),
    w[`writeIntLE`](-5, 12, 4), [...w]);
}
found.push(n.readUInt8(4), n.readInt8(4), tried(() => n.readUInt8(10)), tried(() => n.readInt32LE(7)));
return found;
