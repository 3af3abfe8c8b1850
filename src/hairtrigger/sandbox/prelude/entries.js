// The entries, which the host calls.

function report(error, kind = "js_error") {
  let [name, message, stack] = ["Error", "", ""];
  try {
    if (isObject(error)) {
      name = cut(error.name ?? "Error");
      stack = cut(error.stack ?? "");
      message = cut(error.message ?? stringify(error));
    } else message = cut(error);
  } catch {
    message = "What was thrown cannot be read.";
  }
  fail(kind, name, message, stack);
}

const evaluate = eval;

function compiled(text) {
  const code = wellFormed(text);
  const run = new AsyncFunction(code);
  // The engine pastes the code between the brackets of a function. Code that closes these brackets has run by now. It
  // could reach nothing that a poll can't reach, and it is refused as a poll.
  if (typeof run !== "function" || apply(sourceOf, run, []) !== `async function anonymous(\n) {\n${code}\n}`)
    throw closedEarly(code);
  return run;
}
function closedEarly(code) {
  const error = new SyntaxError("The code closes a bracket that it did not open");
  try {
    evaluate(`\n[async () => {\n${code}\n}]`); // here such code is a syntax error, on the same line
  } catch (found) {
    if (found instanceof SyntaxError) error.stack = found.stack;
  }
  return error;
}

// The result.

function finish(value) {
  try {
    if (isArray(value) && value.some(isPromise)) apply(then, Promise.all(value), [deliver, report]);
    else deliver(value);
  } catch (error) {
    report(error);
  }
}
const isPromise = (value) => isObject(value) && typeof value.then === "function";

function deliver(value) {
  try {
    const text = isArray(value) ? inJson(value) : undefined;
    if (text === undefined) fail("not_an_array", "TypeError", "The code must return an array of events.", "");
    if (value.length > limits.results) deliverPart(value, "too_many_results");
    else if (text.length * 3 > limits.bytes && utf8(text).length > limits.bytes) deliverPart(value, "result_too_large");
    else done(text);
  } catch (error) {
    report(error);
  }
}

// Reports the first items of a result that is too large, with the ids of the others. The host runs the code again for
// these, and says which items it has already.
function deliverPart(value, kind) {
  const pieces = [];
  const doubtful = []; // items whose ids are numbers that are not exact; the host tells the user about some of them
  const rest = [];
  let bytes = 2;
  for (const one of value) {
    const piece = stringify(one);
    const id = piece === undefined ? undefined : parse(piece)?.id;
    const key = typeof id === "number" && isExact(id) ? string(id) : id;
    if (typeof key === "number" && isWhole(key)) {
      if (doubtful.length < 10) doubtful.push(piece);
    } else if (typeof key !== "string" || key === "") fail(kind, "RangeError", "", "");
    else if (!skipped.has(key)) {
      const length = utf8(piece).length + 1;
      if (length + 2 > limits.bytes) fail("result_too_large", "RangeError", "", "");
      if (rest.length === 0 && pieces.length < limits.results && bytes + length <= limits.bytes) {
        pieces.push(piece);
        bytes += length;
      } else rest.push(key);
    }
  }
  for (const piece of doubtful) {
    bytes += utf8(piece).length + 1;
    if (pieces.length < limits.results && bytes <= limits.bytes) pieces.push(piece);
  }
  done(`[${pieces.join(",")}]`, rest.length > 0 ? stringify(rest) : "");
}

// Returns the value as JSON. For many objects, JSON.stringify gives {}. If that occurs, it is called once more, with
// `toJSON` methods that throw an error for such objects.
function inJson(value) {
  const text = stringify(value);
  if (text === undefined || !text.includes("{}")) return text;
  for (const [Type, way] of CONTENTLESS) {
    const { prototype } = Type;
    if (ownKeys(prototype).includes("toJSON")) continue;
    defineOwn(prototype, "toJSON", {
      value() { throw new TypeError(`The events contain ${nameOf(Type)}, which is {} in JSON: ${way}`); },
    });
  }
  defineOwn(Error.prototype, "toJSON", { value() { return { name: this.name, message: this.message }; } });
  return stringify(value);
}
const nameOf = ({ name }) => `${/^[AEIO]/.test(name) ? "an" : "a"} ${name}`;
const WAY = "return plain values";
const CONTENTLESS = [
  [Promise, "await it"], [Map, "use Object.fromEntries(map) or [...map]"], [Set, "use [...set]"],
  [WeakMap, WAY], [WeakSet, WAY], [WeakRef, WAY], [ArrayBuffer, "use Uint8Array and toBase64()"],
  [SharedArrayBuffer, WAY], [DataView, WAY], [RegExp, "use its source"], [Iterator, "use [...iterator]"],
  ...platformClasses.filter(({ prototype }) => !("toJSON" in prototype)).map((Type) => [Type, WAY]),
];

function start(text) {
  const job = parse(text);
  const { inputs, secrets, lastPollTime } = job;
  skipped = new Set(job.skip);
  let run;
  try {
    run = compiled(job.code);
  } catch (error) {
    report(error, "syntax_error");
  }
  limits = job.limits;
  linesLeft = limits.lines;
  timeOrigin = now() - 1; // a millisecond before the code begins, so that no time since then is 0
  define({ inputs, secrets, lastPollTime, data: { input: inputs, auth: secrets } });
  apply(then, run(), [finish, report]);
}

function check(text) {
  try {
    compiled(parse(text));
  } catch (error) {
    report(error, "syntax_error");
  }
  done("[]");
}

return { start, check, respond, runTimers };
