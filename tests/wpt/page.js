// The code of a poll that is one page of the Web Platform Tests: it evaluates the page's scripts as scripts of the
// global, with the official testharness.js before them, and returns what each test said.

const { scripts, location, patience } = inputs;
const { URL } = globalThis;
const [passed, failed, timedOut] = [0, 1, 2];
const says = (value) => { try { return String(value?.stack ? `${value}\n${value.stack}` : value); } catch { return ""; } };

// What a shell has and a page of tests takes for granted.
globalThis.self ??= globalThis;
{
  const { href, origin, protocol, host, hostname, port, pathname, search, hash } = new URL(location);
  globalThis.location = { href, origin, protocol, host, hostname, port, pathname, search, hash, toString: () => href };
}
globalThis.GLOBAL = { isWindow: () => false, isWorker: () => true, isShadowRealm: () => false };

// Polling code has no address, so that relative ones mean nothing to it. In a page they do.
const absolute = (input) => {
  if (!["string", "function"].includes(typeof input) || URL.canParse(input) || !URL.canParse(input, location)) return input;
  return new URL(input, location).href;
};
globalThis.fetch = new Proxy(globalThis.fetch, {
  apply: (original, self, [input, ...rest]) => original(absolute(input), ...rest),
});
globalThis.Request = new Proxy(globalThis.Request, {
  construct: (original, values, target) => {
    if (values.length > 0) values[0] = absolute(values[0]);
    return Reflect.construct(original, values, target === Request ? original : target);
  },
});
const { redirect } = Response;
Response.redirect = function (url, ...rest) { return redirect.call(this, absolute(url), ...rest); };

// What pages look into a Blob with.
globalThis.FileReader ??= class extends EventTarget {
  #read(content) {
    content.then((result) => {
      this.result = result;
      for (const type of ["load", "loadend"]) {
        const event = new Event(type);
        this[`on${type}`]?.(event);
        this.dispatchEvent(event);
      }
    });
  }
  readAsText(blob) { this.#read(blob.text()); }
  readAsArrayBuffer(blob) { this.#read(blob.arrayBuffer()); }
};

const wait = globalThis.setTimeout;
const evaluate = eval;
const results = [];
let end;
const ended = new Promise((resolve) => { end = resolve; });
try {
  const [harness, ...others] = scripts;
  evaluate(harness);
  setup({ output: false });
  add_result_callback(({ name, status, message }) => { results.push([name, status, message ?? ""]); });
  add_completion_callback((_, { status, message }) => { end(status === passed ? null : [status, message]); });
  // Which globals an interface is exposed to: those of a worker fit best. Later than the harness, which would else
  // report to a page that does not exist.
  for (const name of ["WorkerGlobalScope", "DedicatedWorkerGlobalScope"])
    globalThis[name] ??= class { static [Symbol.hasInstance](value) { return value === globalThis; } };
  evaluate(others.join("\n;\n")); // at once: scripts share their constants, evaluated texts do not
} catch (error) {
  end([failed, says(error)]);
}
wait(() => { end([timedOut, "The page was not done in time."]); }, patience);
const failure = await ended;
if (failure) results.push(["(the page)", failure[0], failure[1] ?? ""]);
return results;
