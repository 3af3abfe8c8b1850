// Compression, after https://compression.spec.whatwg.org/. The host keeps a state for each stream and returns the
// output in pieces, so that the output of a decompression bomb counts towards the memory limit of this poll.

function coding(way, format) {
  const name = `${format}`;
  if (!["deflate", "deflate-raw", "gzip"].includes(name)) throw new TypeError(`'${name}' is no format of compression`);
  let coder; // the number of the stream at the host, which is opened when the first chunk comes
  const output = (bytes, enqueue) => {
    coder ??= openCoder(way, name);
    if (coder === undefined) throw new TypeError("Too many streams are compressed or decompressed at once");
    for (let piece = bytes; ; piece = undefined) {
      const coded = piece === undefined ? moreOfCoder(coder) : writeCoder(coder, piece);
      if (typeof coded === "string") throw new TypeError(coded);
      if (coded === undefined) return;
      enqueue(coded);
    }
  };
  return transforming((chunk, enqueue) => {
    if (!isBinary(chunk)) throw new TypeError("A chunk is no buffer");
    const bytes = bytesOf(chunk);
    for (let i = 0; i < bytes.length; i += PIECE) output(bytes.slice(i, i + PIECE), enqueue);
  }, (enqueue) => {
    coder ??= openCoder(way, name);
    if (coder === undefined) throw new TypeError("Too many streams are compressed or decompressed at once");
    const coded = endCoder(coder);
    if (typeof coded === "string") throw new TypeError(coded);
    if (coded !== undefined) enqueue(coded);
  }, () => { if (coder !== undefined) endCoder(coder); });
}

class CompressionStream {
  constructor(format) {
    given(arguments, 1);
    stamp(this, "compression", coding("compress", format));
  }
  get readable() { return it(this, "compression").readable; }
  get writable() { return it(this, "compression").writable; }
}

class DecompressionStream {
  constructor(format) {
    given(arguments, 1);
    stamp(this, "decompression", coding("decompress", format));
  }
  get readable() { return it(this, "decompression").readable; }
  get writable() { return it(this, "decompression").writable; }
}
