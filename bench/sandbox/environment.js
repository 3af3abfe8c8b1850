// Our own environment in another engine. The hooks of the environment are defined here, with the interface of shim.js.
// Decoding costs less here than it could in truth: the text of a response is handed over with bytes that are all zero.
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
    () => [messages.shift() ?? ""].join(""), // long templates make ropes, which the host cannot read
    (number, head, body) => {
      text = body;
      entries.respond(number, head, new Uint8Array(body.length));
    },
  ];
})(/* the environment and the names of its hooks */);
