// Aborting, after https://dom.spec.whatwg.org/#aborting-ongoing-activities.

const internal = Symbol(); // the argument of constructors that code cannot call
const abortError = () => new DOMException("The operation was aborted.", "AbortError");
let abortSignal; // aborts a signal, and the signals that depend on it
let isAbortSignal;
let onAbort; // adds steps that run before any event, and returns a function that removes them

class AbortSignal extends EventTarget {
  #aborted = false;
  #reason = undefined;
  #steps = null; // a Set
  #sources = null; // the signals that a dependent signal depends on
  #dependents = null;
  constructor(...key) {
    if (key[0] !== internal) throw new TypeError("Illegal constructor");
    super();
  }
  get aborted() { return this.#aborted; }
  get reason() { return this.#reason; }
  throwIfAborted() { if (this.#aborted) throw this.#reason; }
  get onabort() { return (void this.#aborted, handlerOf(this, "abort")); }
  set onabort(handler) {
    void this.#aborted;
    setHandler(this, "abort", handler);
  }
  #run() {
    const steps = this.#steps;
    this.#steps = null;
    if (steps) for (const step of [...steps]) step();
    if (listenersOf(this).length > 0) dispatch(this, new Event("abort"), true);
  }
  #abort(reason) {
    this.#aborted = true;
    this.#reason = reason;
  }
  static {
    isAbortSignal = (value) => isObject(value) && #aborted in value;
    abortSignal = (signal, reason = abortError()) => {
      if (signal.#aborted) return signal;
      signal.#abort(reason);
      const dependents = signal.#dependents === null ? [] : [...signal.#dependents].filter((one) => !one.#aborted);
      for (const dependent of dependents) dependent.#abort(reason);
      signal.#run();
      for (const dependent of dependents) dependent.#run();
      return signal;
    };
    onAbort = (signal, steps) => {
      if (signal.#aborted) return () => {};
      (signal.#steps ??= new Set()).add(steps);
      return () => { signal.#steps?.delete(steps); };
    };
  }
  static abort(reason = undefined) { return abortSignal(new AbortSignal(internal), reason); }
  static timeout(milliseconds) {
    given(arguments, 1);
    const delay = enforcedRange(milliseconds, 2 ** 53 - 1);
    const signal = new AbortSignal(internal);
    addTimer(() => abortSignal(signal, new DOMException("The operation timed out.", "TimeoutError")), delay);
    return signal;
  }
  static any(signals) {
    given(arguments, 1);
    if (!isObject(signals)) throw new TypeError("The signals are not iterable");
    const all = [...signals];
    if (!all.every(isAbortSignal)) throw new TypeError("What is not an AbortSignal cannot be followed");
    const signal = new AbortSignal(internal);
    const aborted = all.find((one) => one.#aborted);
    if (aborted) {
      signal.#abort(aborted.#reason);
      return signal;
    }
    signal.#sources = new Set();
    for (const one of all)
      for (const source of one.#sources ?? [one]) {
        signal.#sources.add(source);
        (source.#dependents ??= new Set()).add(signal);
      }
    return signal;
  }
}

class AbortController {
  #signal = new AbortSignal(internal);
  get signal() { return this.#signal; }
  abort(reason = undefined) { abortSignal(this.#signal, reason); }
}
