// Our own environment in an engine of others: what its hooks ask for is answered here, in the shape of shim.js.
// Encoding is cheaper here than it can be: the text of a response comes along with bytes that say nothing.
const [start, take, respond] = ((environment, names) => {
  "use strict";
  const messages = [];
  let text = "";
  const hooks = {
    decode: () => text,
    encode: (value) => Uint8Array.from(unescape(encodeURIComponent(value)), (character) => character.charCodeAt(0)),
    done: (events) => { messages.push(`{"events":${events}}`); },
    fail: (kind, name, message) => { messages.push(JSON.stringify({ error: `${kind}: ${name}: ${message}` })); },
    fetchFromHost: (number, request) => { messages.push(`{"fetch":${JSON.stringify(number)},"request":${request}}`); },
    random: (length) => new Uint8Array(+length),
  };
  const entries = environment(...names.map((name) => hooks[name] ?? (() => undefined)));
  return [
    (job) => entries.start(job),
    () => [messages.shift() ?? ""].join(""), // its host cannot read the ropes that long templates make
    (number, head, body) => {
      text = body;
      entries.respond(number, head, new Uint8Array(body.length));
    },
  ];
})(/* the environment and the names of its hooks */);
