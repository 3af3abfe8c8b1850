// The console, and the builder's dialect: data.input, data.auth, ld.

let linesLeft = 0;
const cut = (value) => wellFormed(apply(slice, string(value), [0, limits?.line ?? 2000]));

function shown(value) {
  if (typeof value === "string") return value;
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  try {
    return (isObject(value) && stringify(value)) || string(value);
  } catch {
    return string(value);
  }
}
function print(...values) {
  if (linesLeft-- > 0) log(cut(values.map(shown).join(" ")));
}

const ld = {
  log: print,
  wait: (delay) => new Promise((resolve) => { setTimeout(resolve, Math.min(delay, 30000)); }),
  async request({ method, url, headers, params, body, responseType }) {
    const target = new URL(url);
    for (const [name, values] of Object.entries(params ?? {}))
      for (const value of [values ?? []].flat()) target.searchParams.append(name, value);
    const sent = new Headers(headers ?? {});
    const isJson = isObject(body) && !isBinary(body) && !(body instanceof URLSearchParams);
    if (isJson && !sent.has("content-type")) sent.set("content-type", "application/json");
    const response = await fetch(target, { method, headers: sent, body: isJson ? stringify(body) : body });
    const received = { status: response.status, headers: Object.fromEntries(response.headers) };
    if (responseType === "binary" || responseType === "stream")
      return { ...received, buffer: await response.bytes(), success: response.ok };
    const text = await response.text();
    try {
      return { ...received, json: parse(text), text };
    } catch {
      return { ...received, json: null, text };
    }
  },
};

define({
  AbortController, AbortSignal, Headers, Request, Response, TextDecoder, TextEncoder, URL, URLSearchParams,
  clearTimeout, crypto, fetch, ld, setTimeout, structuredClone,
  console: { log: print, info: print, warn: print, error: print, debug: print },
});

// The entries.

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

function compiled(text) {
  const code = wellFormed(text);
  const run = new AsyncFunction(code);
  // The engine only pastes the code between the brackets of a function. Code that closes them has run by now, with
  // nothing in reach that it would not have had anyway; it does not become a poll.
  if (typeof run !== "function" || apply(sourceOf, run, []) !== `async function anonymous(\n) {\n${code}\n}`)
    throw new SyntaxError("The code closes a bracket that it did not open");
  return run;
}

function finish(value) {
  try {
    const text = isArray(value) ? stringify(value) : undefined;
    if (text === undefined) fail("not_an_array", "TypeError", "The code must return an array of events.", "");
    if (value.length > limits.results) fail("result_too_large", "RangeError", "", "");
    done(text);
  } catch (error) {
    report(error);
  }
}

function start(text) {
  const job = parse(text);
  const { inputs, secrets, lastPollTime } = job;
  let run;
  try {
    run = compiled(job.code);
  } catch (error) {
    report(error, "syntax_error");
  }
  limits = job.limits;
  linesLeft = limits.lines;
  Object.defineProperty(Math, "random", { value: randomNumbers(), writable: true, configurable: true });
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
