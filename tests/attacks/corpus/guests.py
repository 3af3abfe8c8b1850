"""Polling code that deceives the sandbox's own code, floods the host with messages, or returns what is hard to read.

Each piece of code runs beside a poll of the victim, in the same sandbox worker. The code may fail, but nothing else may
fail with it: no message from polling code may end the sandbox worker.
"""

from tests.attacks.attack import Attack
from tests.attacks.attacker import Attacker

_LOST = ("sandbox_fault", "worker_lost")
_SLOW = "await new Promise((done) => setTimeout(done, 100));"

# This code keeps every function that is passed to a built-in method, and calls each again and again.
_EVERYTHING_REPLACED = """
const kept = [];
for (const C of [Set, Map, WeakMap, WeakSet, Array, Promise, String, RegExp, Date, Uint8Array, ArrayBuffer, Object])
  for (const o of [C.prototype, C])
    for (const k of Reflect.ownKeys(o)) {
      const f = Reflect.getOwnPropertyDescriptor(o, k).value;
      if (typeof f !== 'function' || k === 'constructor') continue;
      const g = function (...a) {
        for (const x of a) if (typeof x === 'function' && kept.length < 50) kept[kept.length] = x;
        return Reflect.apply(f, this, a);
      };
      try { Reflect.defineProperty(o, k, { value: g, writable: true, configurable: true }); } catch {}
    }
const c = new AbortController();
fetch(inputs.address, { signal: c.signal }).catch(() => {});
setTimeout(() => {}, 5);
await 0;
for (let i = 0; i < 2000; i++) for (let j = 0; j < kept.length; j++) try { kept[j](); } catch {}
return [];
"""


def _code(name: str, code: str, case: str, *, short: bool = False, polled: bool = False) -> Attack:
    """Run polling code as a dry run or, if `polled` is true, as a poll of a trigger."""

    async def run(attacker: Attacker) -> None:
        async with attacker.beside_a_poll():
            if polled:
                ended = (await attacker.poll_code(code)).get("error_kind")
            else:
                report = await attacker.run(code, inputs={"address": f"{attacker.server.url}/nowhere"})
                ended = report["error"] and report["error"]["kind"]
        assert ended not in _LOST, f"the code ended as {ended}, so its worker did too"

    return Attack(f"code: {name}", case, run, short=short)


def _replaced(what: str) -> str:
    """Return code that keeps every function that is passed to `what`, and then calls each 2,000 times."""
    return f"""
    const original = {what}, kept = [];
    {what} = function (...a) {{
      for (const x of a) if (typeof x === 'function') kept[kept.length] = x;
      return Reflect.apply(original, this, a);
    }};
    const controller = new AbortController();
    fetch(inputs.address, {{ signal: controller.signal }}).catch(() => {{}});
    await 0;
    for (let i = 0; i < 2000; i++) for (let j = 0; j < kept.length; j++) kept[j]();
    return [];
    """


_NUMBERS = (
    "Number.MAX_SAFE_INTEGER",
    "2 ** 53",
    "2 ** 63",
    "1e308",
    "Infinity",
    "-Infinity",
    "NaN",
    "-1",
    "10n ** 30n",
)


def _timer(call: str, number: str) -> Attack:
    code = f"try {{ {call.format(number)}; }} catch {{}} {_SLOW} return [];"
    return _code(call.format(number), code, "H1")


def _returned(name: str, value: str, *, polled: bool = False) -> Attack:
    return _code(f"it returns {name}", f"return {value};", "H", polled=polled)


ATTACKS = (
    _code(
        "a signal that times out in 285,616 years",
        "await fetch(inputs.address, { signal: AbortSignal.timeout(Number.MAX_SAFE_INTEGER) }); return [];",
        "H1",
        short=True,
    ),
    *(_timer("AbortSignal.timeout({})", number) for number in _NUMBERS),
    *(_timer("setTimeout(() => {{}}, {})", number) for number in _NUMBERS),
    *(_timer("setInterval(() => {{}}, {})", number) for number in _NUMBERS[:3]),
    _code("Set.prototype.add keeps the steps of a signal", _replaced("Set.prototype.add"), "H2", short=True),
    *(
        _code(f"{what} keeps what it is handed", _replaced(what), "H2")
        for what in (
            *("Map.prototype.set", "Array.prototype.push", "Array.prototype.map", "Promise.prototype.then"),
            *("Function.prototype.call", "Function.prototype.apply", "Function.prototype.bind", "Reflect.apply"),
            *("Object.defineProperty", "EventTarget.prototype.addEventListener", "Promise.withResolvers"),
        )
    ),
    _code("every built-in keeps what it is handed", _EVERYTHING_REPLACED, "H2"),
    _code("100,000 lines of console", "for (let i = 0; i < 1e5; i++) console.log(i); return [];", "H2"),
    _code("lines of console of 1 MB", "for (let i = 0; i < 90; i++) console.log('x'.repeat(1e6)); return [];", "H2"),
    _code(
        "2,000 fetches that are aborted at once",
        "for (let i = 0; i < 2000; i++) { const c = new AbortController();"
        "fetch(inputs.address, { signal: c.signal }).catch(() => {}); c.abort(); } return [];",
        "H2",
        short=True,
    ),
    _code(
        "one fetch that is aborted 100,000 times",
        "const c = new AbortController(); fetch(inputs.address, { signal: c.signal }).catch(() => {});"
        "for (let i = 0; i < 1e5; i++) c.abort(); return [];",
        "H2",
    ),
    _code(
        "100,000 timers", f"for (let i = 0; i < 1e5; i++) setTimeout(() => console.log(i)); {_SLOW} return [];", "H2"
    ),
    _code("it never ends", "for (;;);", "H"),
    _code("a regular expression that goes back for ever", "/^(a+)+$/.test('a'.repeat(40) + '!'); return [];", "H"),
    _code("it never settles", "await new Promise(() => {});", "H"),
    _code("promises that make promises", "const f = () => Promise.resolve().then(f); await f();", "H"),
    _code("all memory", "const a = []; for (;;) a.push('x'.repeat(1e6) + a.length);", "H"),
    _code("a stack without end", "const f = () => f(); try { f(); } catch {} return [f()];", "H"),
    _code("an error of 10 MB", "throw new Error('e'.repeat(1e7));", "H"),
    _code(
        "an error with a stack of 10 MB",
        "const e = new Error('x'); e.stack = '    at <anonymous> (polling.js:1:1)\\n'.repeat(2e5); throw e;",
        "H",
    ),
    _code("an error whose name throws", "throw { get name() { throw this; }, get message() { throw this; } };", "H"),
    _code("JSON.stringify gives no JSON", "JSON.stringify = () => '[1e999, NaN, {'; return [{ id: 1 }];", "H2"),
    _code(
        "a raw number of 100,000 digits",
        "return [{ id: JSON.rawJSON ? JSON.rawJSON('9'.repeat(1e5)) : 1 }];",
        "H1",
    ),
    _code("toJSON of everything", "Object.prototype.toJSON = () => 'x'.repeat(1e6); return [{}, {}];", "H2"),
    _code(
        "50 requests of 1 MB",
        "await Promise.allSettled(Array.from({ length: 50 }, (_, i) =>"
        "fetch(inputs.address, { method: 'POST', body: i + 'x'.repeat(1e6) }))); return [];",
        "H",
    ),
    _returned("500,000 numbers", "[Array(5e5).fill(0)]"),
    _returned("300,000 empty objects", "[Array(3e5).fill({})]", polled=True),
    _returned("300,000 empty arrays", "Array(900).fill(Array(330).fill([]))", polled=True),
    _returned(
        "arrays inside each other", "(() => { let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return [a]; })()"
    ),
    _returned("keys that are half characters", "[{ id: '\\ud800'.repeat(1e5), ['\\udfff']: 1 }]", polled=True),
    _returned("an id of 1 MB", "[{ id: 'i'.repeat(1e6) }]", polled=True),
    _returned("a time of 1 MB", "[{ id: 1, timestamp: '2026-01-01T'.repeat(9e4), data: {} }]", polled=True),
    _returned("numbers that are none", "[NaN, Infinity, -0, 1e308, 5e-324, 2 ** 1023, 10n].map((x) => ({ id: x }))"),
)
