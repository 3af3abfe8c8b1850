"""Hostile code shares a sandbox worker with the polls of another tenant, which must not notice it."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from hairtrigger.sandbox.protocol.poll import HttpRequest, HttpResponse, Limits, PollError, PollErrorKind
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import Internet, answer, failed, nowhere, program, returned

pytestmark = pytest.mark.anyio

# Each program is short enough to be the code of a trigger. Most get around the prelude, or try to.
HOSTILE = {
    "a time-out at the end of time": "return await fetch('https://a.example/',"
    " {signal: AbortSignal.timeout(Number.MAX_SAFE_INTEGER)}).then(() => new Promise(() => {}))",
    "time-outs of every size": """for (const n of [0, 1, 2 ** 31, 2 ** 32, 2 ** 52, 2 ** 53 - 1])
        AbortSignal.timeout(n); for (const n of [NaN, Infinity, -1, 2 ** 63, '9'.repeat(400), {}, null])
        try { setTimeout(() => 0, n); AbortSignal.timeout(n) } catch {}
        await new Promise(() => {})""",
    "the step that aborts, many times": """const steps = []; const { add } = Set.prototype;
        Set.prototype.add = function (step) { steps.push(step); return add.call(this, step) };
        Object.defineProperty(globalThis, 'Set', { value: class { add(step) { steps.push(step) } } });
        const control = new AbortController(); fetch('https://a.example/', { signal: control.signal }).catch(() => 0);
        for (let i = 0; i < 2000; i++) for (const step of steps) step();
        return [steps.length]""",
    "listeners and steps in replaced arrays": """const got = []; const { push, filter, some } = Array.prototype;
        Array.prototype.push = function (...all) { got[got.length] = all; return push.apply(this, all) };
        Array.prototype.filter = function (f) { got[got.length] = [f]; return filter.call(this, f) };
        Array.prototype[Symbol.iterator] = function* () { for (let i = 0; i < this.length; i++) yield this[i] };
        const c = new AbortController(); fetch('https://a.example/', { signal: c.signal }).catch(() => 0); c.abort();
        for (const all of got) for (const one of all) try { for (let i = 0; i < 1000; i++) one() } catch {}""",
    "a promise's then": """const { then } = Promise.prototype;
        Promise.prototype.then = function (a, b) { for (let i = 0; i < 3000; i++) try { a([]) } catch {}
        return then.call(this, a, b) }; await fetch('https://a.example/'); return []""",
    "an array's constructor": """Array.prototype.constructor = { [Symbol.species]: function () {
        return new Proxy({}, { defineProperty(_, k, { value }) { for (let i = 0; i < 9999; i++) value?.() } }) } };
        const c = new AbortController(); fetch('https://a.example/', { signal: c.signal }).catch(() => 0); c.abort()""",
    "a console without end": "for (;;) console.log('x'.repeat(5000))",
    "a console that counts backwards": """Math.max = Math.min = () => NaN;
        String.prototype.slice = () => 'x'.repeat(9e6);
        for (let i = 0; i < 5000; i++) console.log('y'); return []""",
    "fetches without end": "for (;;) fetch('https://a.example/').catch(() => 0)",
    "aborts without end": """for (;;) { const c = new AbortController();
        fetch('https://a.example/', { signal: c.signal }).catch(() => 0); c.abort() }""",
    "timers without end": "for (let i = 0; ; i++) setTimeout(() => 0, i % 9)",
    "timers that set timers": "const f = () => { setTimeout(f); setTimeout(f) }; f(); await new Promise(() => {})",
    "timers set and cleared": "for (;;) clearTimeout(setTimeout(() => 0, 1e9))",
    "times that are no numbers": """Math.max = () => 'NaN'; Math.min = () => -Infinity; Date.now = () => 1e308;
        Number.prototype.valueOf = () => NaN; setTimeout(() => 0, 5); AbortSignal.timeout(1e15);
        await new Promise((done) => setTimeout(done, 20)); return []""",
    "a request of headers": """const headers = {}; for (let i = 0; i < 2e4; i++) headers['a' + i] = '';
        await fetch('https://a.example/', { headers })""",
    "a request of one header": "await fetch('https://a.example/', { headers: { ['x'.repeat(5e5)]: 'y'.repeat(4e5) } })",
    "a request that is a spoof": """JSON.stringify = () => '['.repeat(1e6); Map.prototype.get = () => Symbol();
        Object.defineProperty(Object.prototype, 'toJSON', { value: () => '['.repeat(9e5) });
        for (let i = 0; i < 50; i++) fetch('https://a.example/').catch(() => 0); await null; return []""",
    "a result of nothing, very often": "return [Array(3e5).fill(0)]",
    "a result of objects": "return [Array.from({ length: 1.2e5 }, () => ({}))]",
    "a deep result": "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a",
    "a result of halves": "return ['\\ud800'.repeat(1e5)]",
    "an error of everything": """const big = 'x'.repeat(4e6); throw Object.assign(new Error(big),
        { name: big, stack: Array(1e5).fill('(<input>:9:9)').join() })""",
    "an error that is a trap": """throw new Proxy({}, { get() { throw new Proxy({}, { get() { throw 1 } }) } })""",
    "a host name without end": "try { new URL('https://' + 'é'.repeat(5e6)) } catch {} return []",
    "chance without end": "for (;;) crypto.getRandomValues(new Uint8Array(65536))",
    "hashes without end": "for (;;) await crypto.subtle.digest('SHA-512', new Uint8Array(9e6))",
    "coders without end": """const all = []; for (;;) all.push(new CompressionStream('gzip').writable.getWriter()
        .write(new Uint8Array(1e6)).catch(() => 0)) && await null""",
    "all memory": "const all = []; for (;;) all.push(new Uint8Array(1e6).fill(1))",
    "all the stack": "(function f() { try { f() } finally { f() } })()",
    "brackets that close": "return [] } } ) ; for (;;) setTimeout(() => 0, 0) ; (async () => { {",
    "setters on everything": """for (const k of ['kind', 'signal', 'run', 'due', 'id', 'then', 'callback', 'resolve'])
        Object.defineProperty(Object.prototype, k, {
            set(v) { for (let i = 0; i < 9999; i++) v?.() }, get() { return 1 } });
        for (let i = 0; i < 9; i++) Object.defineProperty(Object.prototype, i, { set(v) { v?.() } });
        const c = new AbortController(); c.signal.onabort = () => 0;
        fetch('https://a.example/', { signal: c.signal }).catch(() => 0); c.abort(); setTimeout(() => 0, 1)""",
}
VICTIM = """
    console.log('begun');
    await new Promise((done) => setTimeout(done, 1));
    const first = await (await fetch('https://a.example/', { signal: AbortSignal.timeout(1e9) })).json();
    console.log('done', new URL('?a=b', 'https://b.example/').href);
    return first.items
"""


def test_every_hostile_snippet_may_be_a_triggers_code() -> None:
    assert max(map(len, HOSTILE.values())) <= 1000


@pytest.fixture(scope="module")
async def one_worker() -> AsyncIterator[Sandbox]:
    async with Sandbox.start(workers=1, limits=Limits(wall=timedelta(minutes=5))) as sandbox:
        yield sandbox


@pytest.mark.parametrize("code", HOSTILE.values(), ids=HOSTILE)
async def test_hostile_code_ends_alone_and_its_worker_goes_on(one_worker: Sandbox, code: str) -> None:
    workers = one_worker.workers
    net = Internet(answer({"items": [1, 2]}))
    hostile = [
        asyncio.create_task(one_worker.run(replace(program(code), tenant="hostile"), net.fetch)) for _ in range(3)
    ]

    for _ in range(3):
        outcome = await one_worker.run(replace(program(VICTIM), tenant="victim"), net.fetch)
        assert outcome.value == [1, 2]
        assert outcome.console == ("begun", "done https://b.example/?a=b")
        await asyncio.sleep(0)
    for poll in hostile:
        poll.cancel()  # some polls wait for something that never comes
    ended = await asyncio.gather(*hostile, return_exceptions=True)

    assert all(isinstance(one, PollError | asyncio.CancelledError) or not isinstance(one, Exception) for one in ended)
    assert not any(isinstance(one, PollError) and one.kind is PollErrorKind.WORKER_LOST for one in ended)
    assert one_worker.workers == workers
    assert not one_worker._apart


ENDS = {
    "a request of headers": (PollErrorKind.JS_ERROR, "TypeError"),
    "a result of nothing, very often": (PollErrorKind.TOO_MANY_VALUES, "TooManyValues"),
    "a result of objects": (PollErrorKind.TOO_MANY_VALUES, "TooManyValues"),
    "fetches without end": (PollErrorKind.TOO_MANY_FETCHES, "TooManyFetches"),
    "aborts without end": (PollErrorKind.TOO_MANY_FETCHES, "TooManyFetches"),
}


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("return Array(10).fill(Array(4998).fill(0))", 10),
        ("return [',[{'.repeat(1e5)]", 1),
        ("return ['\\ud800', 'a\\\\ud800']", 2),
    ],
)
async def test_what_only_looks_like_too_many_values_is_a_result(one_worker: Sandbox, code: str, values: int) -> None:
    value = await returned(one_worker, code)

    assert len(value) == values
    assert json.dumps(value, ensure_ascii=False).encode()


@pytest.mark.parametrize("name", ENDS)
async def test_a_flood_ends_with_what_it_met(one_worker: Sandbox, name: str) -> None:
    limits = one_worker.limits

    async with Sandbox.start(1, replace(limits, cpu=timedelta(minutes=5)), one_worker._compiled) as patient:
        error = await failed(patient, HOSTILE[name], Internet(answer([])).fetch)

    assert (error.kind, error.name) == ENDS[name]


async def test_what_built_ins_are_handed_is_never_ours(one_worker: Sandbox) -> None:
    """Replace every method of every built-in, as far as that is possible, by one that records its calls."""
    code = """
        const names = ['Array', 'ArrayBuffer', 'Function', 'Iterator', 'Map', 'Number', 'Promise', 'RegExp', 'Set',
                       'String', 'Symbol', 'Uint8Array', 'JSON', 'Reflect', 'Object'];
        const { defineProperty, getPrototypeOf, getOwnPropertyDescriptor } = Object, { ownKeys, apply } = Reflect;
        const owners = names.flatMap((name) => name === 'Object' ? [Object]
            : [globalThis[name], globalThis[name].prototype ?? {}]);
        owners.push(...[[].values(), new Map().values(), new Set().values(), ''[Symbol.iterator](), 'a'.matchAll(/a/g),
            (function* () {}).prototype, (async function* () {}).prototype, new Uint8Array()].map(getPrototypeOf));
        const called = [];
        let count = 0, on = false;
        for (const owner of owners) for (const key of ownKeys(owner)) {
            const { value } = getOwnPropertyDescriptor(owner, key);
            if (typeof value !== 'function' || key === 'constructor') continue;
            const spy = function (...given) { if (on) called[count++] = String(key); return apply(value, this, given) };
            count++;
            owner[key] = spy;
            try { defineProperty(owner, key, { value: spy }) } catch {}
        }
        const tried = count;
        count = 0;
        for (const name of ['Set', 'Map', 'Promise', 'Array', 'Uint8Array', 'TypeError', 'Symbol'])
            globalThis[name] = new Proxy(globalThis[name], { construct(...all) {
                if (on) called[count++] = name; return Reflect.construct(...all) } });
        on = true;
        const control = new AbortController();
        control.signal.addEventListener('abort', () => {});
        control.signal.onabort = () => {};
        AbortSignal.any([control.signal, AbortSignal.timeout(1e9)]);
        fetch('https://a.example/', { signal: control.signal, headers: { a: 'b' } }).catch(() => 0);
        control.abort();
        const response = await fetch(new URL('?a=b', 'https://a.example/'), { method: 'POST', body: 'text' });
        console.log('%s', [1, { a: 2 }], new Headers({ a: 'b' }), response);
        await new Response(response.body.pipeThrough(new TextDecoderStream())
            .pipeThrough(new TextEncoderStream())).text();
        await new Promise((done) => setTimeout(done, 1));
        structuredClone(new Map([[1, new Set([2])]]));
        on = false;
        return [tried, called]
    """

    tried, called = await returned(one_worker, code, Internet(answer({"a": 1})).fetch)

    assert tried > 150
    assert set(called) <= {"Promise", "Map", "Set"}  # the code itself made these


async def test_inherited_setters_and_getters_are_not_handed_what_is_ours(one_worker: Sandbox) -> None:
    code = """
        const seen = [];
        const names = ['kind', 'once', 'passive', 'removed', 'listener', 'callback', 'capture', 'run', 'due', 'turn',
                       'repeats', 'unfollow', 'failed', 'reject', 'resolve', 'isHead', 'stopped', 'record', 'steps'];
        for (const name of names) Object.defineProperty(Object.prototype, name, { configurable: true,
            get() { if (Object.keys(this).length > 0) seen.push('get ' + name) }, set() { seen.push('set ' + name) } });
        for (let i = 0; i < 4; i++) Object.defineProperty(Object.prototype, i, { configurable: true,
            set(value) { if (typeof value === 'function' || value?.callback) seen[seen.length] = 'set ' + i } });
        const control = new AbortController();
        control.signal.onabort = () => {};
        control.signal.addEventListener('abort', () => {});
        fetch('https://a.example/', { signal: control.signal }).catch(() => 0);
        setTimeout(() => 0, 1);
        control.abort();
        for (const name of names) delete Object.prototype[name];
        for (let i = 0; i < 4; i++) delete Object.prototype[i];
        return [[...new Set(seen)]]
    """

    assert await returned(one_worker, code, Internet(answer([])).fetch) == [[]]


async def test_the_worker_drops_what_a_flood_says_beyond_its_limits(one_worker: Sandbox) -> None:
    """The sandbox worker itself drops fetches above the limit, and aborts of fetches that do not wait."""
    asked = 0

    async def count(_request: HttpRequest) -> HttpResponse:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        raise AssertionError

    limits = replace(one_worker.limits, cpu=timedelta(minutes=5), concurrent_fetches=1000)
    async with Sandbox.start(1, limits, one_worker._compiled) as patient:
        error = await failed(patient, HOSTILE["fetches without end"], count)

    assert error.kind is PollErrorKind.TOO_MANY_FETCHES
    assert asked <= limits.fetches
    assert await returned(one_worker, "return [1]", nowhere) == [1]
