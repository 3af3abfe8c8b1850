// Timers, after https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#timers, microtasks and time.
// The host knows only when the next timer is due. Each timer runs in a slice of its own, so that microtasks run between
// two timers.

const NESTED = 5; // the depth from which on timers that were set by timers wait at least so long:
const LEAST_NESTED = 4; // milliseconds
const timers = new Map();
let lastTimer = 0;
let nesting = 0;
let announced = Infinity;

function nextTimer() { // the earliest timer; of those that are due together, the one that was set first
  let next = null;
  for (const timer of timers.values())
    if (next === null || timer.due < next.due || (timer.due === next.due && timer.turn < next.turn)) next = timer;
  return next;
}
function announceNextTimer() {
  const next = nextTimer();
  announced = next === null ? Infinity : next.due;
  wake(next === null ? "" : string(Math.max(0, next.due - now())));
}
let lastTurn = 0;
function schedule(timer, delay) {
  timer.turn = ++lastTurn;
  timer.due = now() + (timer.nesting > NESTED ? Math.max(delay, LEAST_NESTED) : delay);
  timers.set(timer.id, timer);
  if (timer.due >= announced) return;
  announced = timer.due;
  wake(string(timer.due - now()));
}
function addTimer(run, delay, repeats = false) {
  const timer = { id: ++lastTimer, run, delay, repeats, nesting: nesting + 1, due: 0, turn: 0 };
  schedule(timer, delay);
  return timer.id;
}
function handlerTimer(handler, timeout, values, repeats) {
  if (typeof handler !== "function") throw new TypeError("A timer needs a function; code in a string is not run");
  return addTimer(() => apply(handler, globalThis, values), Math.max(0, timeout | 0), repeats);
}
function removeTimer(id) {
  const timer = timers.get(id | 0);
  if (timer === undefined) return;
  timers.delete(timer.id);
  if (timer.due <= announced) announceNextTimer();
}
function runTimers() {
  const timer = nextTimer();
  if (timer !== null) {
    timers.delete(timer.id);
    nesting = timer.nesting;
    running = timer.id;
    try {
      timer.run();
    } catch (error) {
      report(error);
    }
    if (timer.repeats && running === timer.id) {
      timer.nesting++;
      schedule(timer, timer.delay);
    }
    running = nesting = 0;
  }
  announceNextTimer();
}
let running = 0;
const stopTimer = (id) => {
  if ((id | 0) === running) running = 0;
  removeTimer(id);
};

function setTimeout(handler, timeout = 0, ...values) { return handlerTimer(handler, timeout, values, false); }
function setInterval(handler, timeout = 0, ...values) { return handlerTimer(handler, timeout, values, true); }
function clearTimeout(id = 0) { stopTimer(id); }
function clearInterval(id = 0) { stopTimer(id); }

const enqueueJob = queueMicrotask;
const queueTask = (steps) => {
  enqueueJob(() => {
    try {
      steps();
    } catch (error) {
      report(error);
    }
  });
};
const reporting = { // globals in an object, so that they do not hide the functions of the same names above
  queueMicrotask(callback) {
    if (typeof callback !== "function") throw new TypeError("queueMicrotask needs a function");
    queueTask(callback);
  },
  reportError(error) {
    given(arguments, 1);
    report(error);
  },
};

let timeOrigin = 0; // when the poll started
const sinceStart = () => Math.max(0, now() - timeOrigin);

class Performance extends EventTarget {
  #isOne = true; // reading it throws for other objects
  constructor(...key) {
    if (key[0] !== internal) throw new TypeError("Illegal constructor");
    super();
  }
  now() { return this.#isOne && sinceStart(); }
  get timeOrigin() { return this.#isOne && timeOrigin; }
  toJSON() { return this.#isOne && { timeOrigin }; }
}

class Navigator {
  #userAgent = "hairtrigger";
  constructor(...key) { if (key[0] !== internal) throw new TypeError("Illegal constructor"); }
  get userAgent() { return this.#userAgent; }
}
