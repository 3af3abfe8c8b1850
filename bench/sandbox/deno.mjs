// One poll in a process of its own, with the platform's real classes. Only the network is a stub: a request goes to the
// host as a line, and its answer comes back as a line and as many bytes as this line says.
const encoder = new TextEncoder();
const decoder = new TextDecoder();
let held = new Uint8Array(0);

function write(message) {
  let bytes = encoder.encode(`${JSON.stringify(message)}\n`);
  while (bytes.length) bytes = bytes.subarray(Deno.stdout.writeSync(bytes));
}
function read(chunk) {
  const count = Deno.stdin.readSync(chunk);
  if (count === null) Deno.exit(1);
  return chunk.subarray(0, count);
}
function line() {
  let end;
  while ((end = held.indexOf(10)) < 0) {
    const more = read(new Uint8Array(65536));
    const both = new Uint8Array(held.length + more.length);
    both.set(held);
    both.set(more, held.length);
    held = both;
  }
  const text = decoder.decode(held.subarray(0, end));
  held = held.subarray(end + 1);
  return JSON.parse(text);
}
function bytes(length) {
  const all = new Uint8Array(length);
  const before = held.subarray(0, length);
  all.set(before);
  held = held.subarray(before.length);
  for (let filled = before.length; filled < length;) filled += read(all.subarray(filled)).length;
  return all;
}

let fetches = 0;
globalThis.fetch = async (input, init) => {
  const { method, url, headers } = new Request(input, init);
  write({ fetch: ++fetches, request: { method, url, headers: [...headers] } });
  const { status, headers: received, length } = line();
  return new Response(bytes(length), { status, headers: received });
};

const { code, inputs, secrets, lastPollTime } = line();
const AsyncFunction = (async () => {}).constructor;
const run = new AsyncFunction("inputs", "secrets", "lastPollTime", code);
try {
  write({ events: await run(inputs, secrets, lastPollTime) });
} catch (error) {
  write({ error: `${error}` });
}
