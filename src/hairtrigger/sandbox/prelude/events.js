// Events, after https://dom.spec.whatwg.org/#events. Targets have no parents here, so no event bubbles.

const PHASES = { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 };
const constants = (Class, values) => {
  for (const owner of [Class, Class.prototype])
    for (const key of ownKeys(values)) Object.defineProperty(owner, key, { value: values[key], enumerable: true });
};
const trust = { get isTrusted() { return it(this, "event").trusted; } };
const isTrusted = { ...Object.getOwnPropertyDescriptor(trust, "isTrusted"), configurable: false };

class Event {
  constructor(type, init = {}) {
    given(arguments, 1);
    const name = `${type}`;
    const { bubbles, cancelable, composed } = dictionary(init);
    stamp(this, "event", {
      type: name, bubbles: !!bubbles, cancelable: !!cancelable, composed: !!composed, target: null, current: null,
      phase: 0, stopped: false, stoppedNow: false, canceled: false, passive: false, dispatching: false, trusted: false,
      ready: true, time: sinceStart(),
    });
    Object.defineProperty(this, "isTrusted", isTrusted);
  }
  get type() { return it(this, "event").type; }
  get target() { return it(this, "event").target; }
  get srcElement() { return it(this, "event").target; }
  get currentTarget() { return it(this, "event").current; }
  composedPath() {
    const { current } = it(this, "event");
    return current === null ? [] : [current];
  }
  get eventPhase() { return it(this, "event").phase; }
  stopPropagation() { it(this, "event").stopped = true; }
  get cancelBubble() { return it(this, "event").stopped; }
  set cancelBubble(value) { if (value) it(this, "event").stopped = true; }
  stopImmediatePropagation() {
    const event = it(this, "event");
    event.stopped = event.stoppedNow = true;
  }
  get bubbles() { return it(this, "event").bubbles; }
  get cancelable() { return it(this, "event").cancelable; }
  get returnValue() { return !it(this, "event").canceled; }
  set returnValue(value) { if (!value) this.preventDefault(); }
  preventDefault() {
    const event = it(this, "event");
    if (event.cancelable && !event.passive) event.canceled = true;
  }
  get defaultPrevented() { return it(this, "event").canceled; }
  get composed() { return it(this, "event").composed; }
  get timeStamp() { return it(this, "event").time; }
  initEvent(type, bubbles = false, cancelable = false) {
    given(arguments, 1);
    const event = it(this, "event");
    const name = `${type}`;
    if (event.dispatching) return;
    event.stopped = event.stoppedNow = event.canceled = event.trusted = false;
    event.target = null;
    [event.type, event.bubbles, event.cancelable] = [name, !!bubbles, !!cancelable];
  }
}
constants(Event, PHASES);

class CustomEvent extends Event {
  #detail;
  constructor(type, init = {}) {
    given(arguments, 1);
    super(type, init);
    const { detail = null } = dictionary(init);
    this.#detail = detail;
  }
  get detail() { return this.#detail; }
  initCustomEvent(type, bubbles = false, cancelable = false, detail = null) {
    given(arguments, 1);
    if (it(this, "event").dispatching) return;
    this.initEvent(type, bubbles, cancelable);
    this.#detail = detail;
  }
}

class ErrorEvent extends Event {
  #values;
  constructor(type, init = {}) {
    given(arguments, 1);
    super(type, init);
    const { colno = 0, error = undefined, filename = "", lineno = 0, message = "" } = dictionary(init);
    this.#values = { colno: colno >>> 0, error, filename: `${filename}`, lineno: lineno >>> 0, message: `${message}` };
  }
  get message() { return this.#values.message; }
  get filename() { return this.#values.filename; }
  get lineno() { return this.#values.lineno; }
  get colno() { return this.#values.colno; }
  get error() { return this.#values.error; }
}

class PromiseRejectionEvent extends Event {
  #promise;
  #reason;
  constructor(type, init) {
    given(arguments, 2);
    super(type, init);
    const { promise, reason } = dictionary(init);
    if (!isObject(promise)) throw new TypeError("promise is not an object");
    this.#promise = promise;
    this.#reason = reason;
  }
  get promise() { return this.#promise; }
  get reason() { return this.#reason; }
}

function listenerOptions(options) {
  if (!isObject(options)) return { capture: !!options, once: false, passive: false, signal: undefined };
  const { capture, once, passive, signal } = options;
  if (signal !== undefined && !isAbortSignal(signal)) throw new TypeError("signal is no AbortSignal");
  return { capture: !!capture, once: !!once, passive: !!passive, signal };
}
const checkedListener = (callback) => {
  if (callback !== null && callback !== undefined && !isObject(callback))
    throw new TypeError("A listener is a function or an object");
  return callback ?? null;
};

let dispatch;
let listenersOf;

class EventTarget {
  #listeners = [];
  #handlers = null;
  static {
    listenersOf = (target) => target.#listeners;
    const drop = (target, listener) => {
      listener.removed = true;
      target.#listeners = target.#listeners.filter((one) => one !== listener);
    };
    const call = (target, listener, face, event) => {
      const { callback } = listener;
      event.passive = !!listener.passive;
      try {
        if (typeof callback === "function") apply(callback, target, [face]);
        else {
          const { handleEvent } = callback;
          if (typeof handleEvent !== "function") throw new TypeError("handleEvent is not a function");
          apply(handleEvent, callback, [face]);
        }
      } catch (error) {
        report(error);
      }
      event.passive = false;
    };
    const invoke = (target, face, event, capture) => {
      for (const listener of target.#listeners) {
        if (listener.removed || listener.type !== event.type || listener.capture !== capture) continue;
        if (listener.once) drop(target, listener);
        call(target, listener, face, event);
        if (event.stoppedNow) return;
      }
    };
    dispatch = (target, face, trusted) => {
      const event = it(face, "event");
      event.trusted = trusted;
      event.dispatching = true;
      event.target = event.current = target;
      event.phase = PHASES.AT_TARGET;
      if (!event.stopped) invoke(target, face, event, true);
      if (!event.stopped) invoke(target, face, event, false);
      event.phase = PHASES.NONE;
      event.current = null;
      event.dispatching = event.stopped = event.stoppedNow = false;
      return !event.canceled;
    };
    EventTarget.handlerOf = (target, type) => target.#handlers?.[type]?.value ?? null;
    EventTarget.setHandler = (target, type, value) => { // sets onabort and its like, which keep their place in the list
      const handlers = (target.#handlers ??= { __proto__: null });
      const handler = handlers[type];
      if (!isObject(value)) {
        if (handler) {
          drop(target, handler.listener);
          delete handlers[type];
        }
        return;
      }
      if (handler) {
        handler.value = value;
        return;
      }
      const made = (handlers[type] = { value, listener: null });
      const callback = function (face) {
        if (typeof made.value === "function" && apply(made.value, this, [face]) === false) face.preventDefault();
      };
      made.listener = {
        type, callback, capture: false, once: false, passive: false, signal: undefined, removed: false,
      };
      target.#listeners.push(made.listener);
    };
  }
  addEventListener(type, callback, options = {}) {
    given(arguments, 2);
    const all = this.#listeners;
    const name = `${type}`;
    checkedListener(callback);
    const { capture, once, passive, signal } = listenerOptions(options);
    if (signal?.aborted || callback === null || callback === undefined) return;
    if (all.some((one) => one.type === name && one.callback === callback && one.capture === capture)) return;
    const listener = { type: name, callback, capture, once, passive, removed: false };
    // This makes a new list, because listeners that are added during a dispatch must not be called in it.
    this.#listeners = [...all, listener];
    if (signal) onAbort(signal, () => {
      listener.removed = true;
      this.#listeners = this.#listeners.filter((one) => one !== listener);
    });
  }
  removeEventListener(type, callback, options = {}) {
    given(arguments, 2);
    const all = this.#listeners;
    const name = `${type}`;
    checkedListener(callback);
    const capture = isObject(options) ? !!options.capture : !!options;
    const found = all.find((one) => one.type === name && one.callback === callback && one.capture === capture);
    if (!found) return;
    found.removed = true;
    this.#listeners = all.filter((one) => one !== found);
  }
  dispatchEvent(event) {
    given(arguments, 1);
    void this.#listeners;
    const record = it(event, "event");
    if (record.dispatching) throw new DOMException("The event is being dispatched already", "InvalidStateError");
    return dispatch(this, event, false);
  }
}
const { handlerOf, setHandler } = EventTarget;
delete EventTarget.handlerOf;
delete EventTarget.setHandler;
