"""Code that tries to use more than its share, and the limits that end it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
import wasmtime
from wasmtime import WasmtimeError

from hairtrigger.sandbox.protocol.poll import (
    MEBIBYTE,
    FetchFailed,
    HttpRequest,
    HttpResponse,
    Limits,
    PollErrorKind,
    ResponseTooLarge,
)
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.sandbox.worker.quickjs import configuration
from tests.sandbox.programs import Internet, answer, failed, nowhere, program, returned
from tests.support.clock import pass_time
from tests.support.waiting import until_true

pytestmark = pytest.mark.anyio

MILLISECOND = timedelta(milliseconds=1)

CPU_ATTACKS = {
    "a loop": "while (true) {}",
    "a loop of microtasks": "while (true) await null",
    "a loop of microtasks beside a result": "const f = async () => { while (true) await null }; f(); await f()",
    "a regular expression that backtracks": "return [/(a+)+$/.test('a'.repeat(40) + 'b')]",
    "a native built-in": "return [].concat(new Array(1e9))",
    "a sparse indexOf": "const a = []; a.length = 2 ** 32 - 1; return [Array.prototype.indexOf.call(a, 1)]",
    "a catch around a loop": "for (;;) try { while (true) {} } catch {} finally { continue }",
    "a catch around an allocation": "for (;;) try { const a = []; for (;;) a.push(new Array(1e5).fill(1)) } catch {}",
    "a getter in the result": "return [{ get id() { for (;;); } }]",
    "a toJSON in the result": "return [{ toJSON() { for (;;); } }]",
    "a thenable as the result": "return { then() { for (;;); } }",
    "a message that is thrown": "throw { get message() { for (;;); } }",
    "a loop while it is compiled": "}); for (;;); (async function () {",
    "the console": "for (;;) console.log('x')",
    "timers": "for (;;) setTimeout(() => 0, 1)",
    "a timer's callback": "setTimeout(() => { for (;;); }, 1); await new Promise(() => 0)",
}


@pytest.mark.parametrize("code", CPU_ATTACKS.values(), ids=CPU_ATTACKS)
async def test_cpu_time_ends_at_its_limit(sandbox: Sandbox, code: str) -> None:
    error = await failed(sandbox, code)

    assert error.kind is PollErrorKind.CPU_LIMIT
    assert error.message == f"The code used more than {sandbox.limits.cpu / MILLISECOND:.0f} ms of CPU time."
    assert await returned(sandbox, "return [1]") == [1]


async def test_cpu_time_is_the_sum_of_all_slices(compiled: bytes) -> None:
    internet = Internet(answer([]))
    limits = Limits(cpu=timedelta(milliseconds=50), wall=timedelta(hours=1), fetches=1_000_000)

    async with Sandbox.start(workers=1, limits=limits, compiled=compiled) as sandbox:
        error = await failed(sandbox, "for (;;) await fetch('https://a.example/')", internet.fetch)

    assert error.kind is PollErrorKind.CPU_LIMIT
    assert len(internet.requests) > 1


# Programs for each kind of place where a guest may have to end: hooks, growing memory, copies, collections.
ENDLESS = {
    "hooks": "for (;;) crypto.getRandomValues(new Uint8Array(16))",
    "long hooks": "for (;;) crypto.getRandomValues(new Uint8Array(60000))",
    "growing": "for (;;) { const all = []; for (let i = 0; i < 40; i++) all.push(new Uint8Array(1e6).fill(i)); }",
    "copies": "const bytes = new Uint8Array(2e7); for (;;) bytes.copyWithin(1, 0)",
    "fills": "const bytes = new Uint8Array(2e7); for (;;) bytes.fill(1)",
    "JSON": "const text = 'a≠'.repeat(1e4); for (;;) JSON.parse(JSON.stringify([text]))",
    "numbers": "let x = 1n; for (;;) { x = x * x * 3n + 1n; if (x > 1n << 100000n) x = 1n; }",
    "microtasks": "for (;;) await null",
    "recursion": "for (;;) try { (function f() { f() })() } catch {}",
}


async def test_code_ends_wherever_it_is_and_its_worker_goes_on(compiled: bytes) -> None:
    """The limit is many times longer than the start of a poll, so each program is at its place when it must end."""
    limits = Limits(cpu=timedelta(milliseconds=30))
    async with Sandbox.start(workers=1, limits=limits, compiled=compiled) as sandbox:
        workers = sandbox.workers
        for _ in range(5):
            for code in ENDLESS.values():
                assert (await failed(sandbox, code)).kind is PollErrorKind.CPU_LIMIT
        assert sandbox.workers == workers


def test_a_guest_that_copies_in_wasmtimes_own_code_is_refused() -> None:
    """The process would end if memory were taken away while wasmtime's own code copies it."""
    wasm = wasmtime.Engine(configuration())

    for instruction in ("memory.copy", "memory.fill"):
        code = f"(module (memory 1) (func ({instruction} (i32.const 0) (i32.const 0) (i32.const 9))))"
        with pytest.raises(WasmtimeError, match="bulk memory"):
            wasmtime.Module(wasm, code)


MEMORY_ATTACKS = {
    "arrays": "const all = []; for (;;) all.push(new Array(100000).fill(all.length));",
    "one array": "return new Array(2 ** 28).fill(0)",
    "buffers": "const all = []; for (;;) all.push(new Uint8Array(1e6).fill(1));",
    "strings": "const all = []; for (let i = 0; ; i++) all.push('x'.repeat(1e6) + i);",
}


@pytest.fixture(scope="session")
async def patient_sandbox(compiled: bytes) -> AsyncIterator[Sandbox]:
    """Start a sandbox in which every other limit is reached before the time limits, also on a slow machine."""
    limits = Limits(cpu=timedelta(hours=1), wall=timedelta(hours=1))
    async with Sandbox.start(workers=1, limits=limits, compiled=compiled) as started:
        yield started


@pytest.mark.parametrize("code", MEMORY_ATTACKS.values(), ids=MEMORY_ATTACKS)
async def test_memory_ends_at_its_limit(patient_sandbox: Sandbox, code: str) -> None:
    error = await failed(patient_sandbox, code)

    assert error.kind is PollErrorKind.MEMORY_LIMIT
    assert error.message == "The code used more than 50331648 bytes of memory."
    assert await returned(patient_sandbox, "return [1]") == [1]


async def test_a_buffer_that_no_memory_could_hold_is_refused_to_the_code(sandbox: Sandbox) -> None:
    code = "try { new ArrayBuffer(3e9) } catch (error) { return [error.name] }"

    assert await returned(sandbox, code) == ["RangeError"]


STACK_ATTACKS = {
    "recursion": "(function f() { f() })()",
    "deep JSON": "JSON.parse('['.repeat(1e5))",
    "a deep result": "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return a",
    "deep source": "eval('['.repeat(1e5))",
    "proxies of proxies": "let p = {}; for (let i = 0; i < 1e5; i++) p = new Proxy(p, {}); p.x",
}


@pytest.mark.parametrize("code", STACK_ATTACKS.values(), ids=STACK_ATTACKS)
async def test_depth_ends_in_an_error_of_the_code(patient_sandbox: Sandbox, code: str) -> None:
    error = await failed(patient_sandbox, code)

    assert error.kind is PollErrorKind.STACK_LIMIT
    assert error.message in {
        "Maximum call stack size exceeded",  # the engine noticed
        "The code calls functions too deeply inside each other.",  # WebAssembly did
    }
    assert await returned(patient_sandbox, "return [1]") == [1]


async def test_code_may_catch_that_it_was_too_deep(sandbox: Sandbox) -> None:
    code = "try { (function f() { f() })() } catch (error) { return [error.name] }"

    assert await returned(sandbox, code) == ["RangeError"]


async def test_a_result_too_deep_for_the_service_is_refused(sandbox: Sandbox) -> None:
    error = await failed(sandbox, "let a = []; for (let i = 0; i < 200; i++) a = [a]; return a")
    assert len(await returned(sandbox, "let a = []; for (let i = 0; i < 199; i++) a = [a]; return a")) == 1

    assert error.kind is PollErrorKind.RESULT_TOO_DEEP
    assert error.message == "The code returned events of more than 200 levels inside each other."


async def test_wall_time_ends_at_its_limit(compiled: bytes) -> None:
    limits = Limits(wall=timedelta(hours=1))
    answered = asyncio.Event()

    async def late(request: HttpRequest) -> HttpResponse:
        if request.url.endswith("answered"):
            answered.set()
            return answer([])
        return await too_late(limits)

    async with Sandbox.start(workers=1, limits=limits, compiled=compiled) as sandbox:
        error = await failed(sandbox, "console.log('asking'); await fetch('https://slow.example/')", late)
        code = "await fetch('https://a.example/answered'); await new Promise((resolve) => setTimeout(resolve, 1e9))"
        waiting = asyncio.create_task(failed(sandbox, code, late))
        await answered.wait()
        pass_time(limits.wall)

        assert error.kind is (await waiting).kind is PollErrorKind.WALL_LIMIT
        assert error.message == "The code was not done after 3600 seconds."
        assert error.console == ("asking",)
        assert await returned(sandbox, "return [1]") == [1]


@pytest.mark.parametrize(
    "code",
    [
        "return new Promise(() => {})",
        "await new Promise(() => {})",
        "clearTimeout(setTimeout(() => 0, 60000)); await new Promise(() => {})",
        "await fetch('https://a.example/').catch(() => 0); await new Promise(() => {})",
        "return { then() {} }",
    ],
)
async def test_code_that_can_never_settle_is_found_out_at_once(sandbox: Sandbox, code: str) -> None:
    error = await failed(sandbox, code)

    assert error.kind is PollErrorKind.NEVER_SETTLES


async def test_fetches_end_at_their_limit(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))
    code = "\nfor (let i = 0; i < 60; i++) await fetch('https://a.example/' + i)"

    error = await failed(sandbox, code, internet.fetch)

    assert (error.kind, error.line) == (PollErrorKind.TOO_MANY_FETCHES, 2)
    assert (error.name, error.message) == ("TypeError", "fetch failed: this poll made more than 50 fetches")
    assert len(internet.requests) == 50


async def test_code_may_catch_that_it_has_no_fetches_left(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))
    code = """
        let made = 0
        try { for (;; made++) await fetch('https://a.example/' + made) } catch (error) { return [made, error.name] }
    """

    assert await returned(sandbox, code, internet.fetch) == [50, "TypeError"]


async def test_code_that_does_not_listen_to_refused_fetches_is_ended(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))

    error = await failed(sandbox, "for (let i = 0; i < 10000; i++) fetch('https://a.example/' + i)", internet.fetch)

    assert error.kind is PollErrorKind.TOO_MANY_FETCHES
    assert error.message == "The code made more than 50 fetches."
    assert len(internet.requests) <= 50


async def test_at_most_six_fetches_of_a_poll_are_under_way(sandbox: Sandbox) -> None:
    under_way = most = 0
    go_on = asyncio.Event()

    async def fetch(_request: HttpRequest) -> HttpResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await go_on.wait()
        under_way -= 1
        return answer([1])

    code = """
        const fetched = Array.from({ length: 20 }, (_, i) => fetch('https://a.example/' + i));
        return (await Promise.all(fetched)).map((response) => response.status)
    """
    poll = asyncio.create_task(returned(sandbox, code, fetch))
    await until_true(lambda: _asked_for(sandbox) == 20)
    await until_true(lambda: under_way >= 6)
    go_on.set()

    assert await poll == [200] * 20
    assert most == 6


def _asked_for(sandbox: Sandbox) -> int:
    """Return how many fetches the polls under way have asked for, also those that have not begun."""
    return sum(live._fetches for worker in sandbox._serving.values() for live in worker._polls.values())


async def too_late(limits: Limits) -> HttpResponse:
    """Let the time limit pass, and never answer."""
    pass_time(limits.wall)
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_response_that_is_too_large_fails_its_fetch(sandbox: Sandbox) -> None:
    internet = Internet(answer(b"x" * (2 * 1024 * 1024 + 1)))
    code = "try { await fetch('https://a.example/') } catch (error) { return [String(error)] }"

    expected = ["TypeError: fetch failed: the response is larger than 2097152 bytes"]
    assert await returned(sandbox, code, internet.fetch) == expected
    error = await failed(sandbox, "await fetch('https://a.example/')", internet.fetch)
    assert (error.kind, error.message) == (PollErrorKind.RESPONSE_TOO_LARGE, expected[0].removeprefix("TypeError: "))


async def test_a_response_whose_receiver_gave_up_is_too_large_too(sandbox: Sandbox) -> None:
    async def fetch(_request: HttpRequest) -> HttpResponse:
        raise ResponseTooLarge

    error = await failed(sandbox, "await fetch('https://a.example/')", fetch)

    assert error.kind is PollErrorKind.RESPONSE_TOO_LARGE


async def test_responses_that_are_costly_to_read_count_as_larger_ones(sandbox: Sandbox) -> None:
    """An example is a gzip body of many empty members."""
    internet = Internet(replace(answer(b""), cost=2 * 1024 * 1024))
    code = """
        let errors = 0;
        for (let i = 0; i < 20; i++) try { await fetch('https://a.example/') } catch { errors++ }
        return [errors]
    """

    outcome = await sandbox.run(program(code), internet.fetch)

    assert outcome.value == [15]
    assert len(internet.requests) == 6  # after the response that exceeded the limit, no request is made
    assert outcome.usage.response_bytes == 12 * 1024 * 1024


async def test_what_was_read_in_vain_counts_as_well(sandbox: Sandbox) -> None:
    asked = []

    async def fetch(request: HttpRequest) -> HttpResponse:
        asked.append(request)
        raise FetchFailed("truncated", cost=2 * 1024 * 1024)

    code = "for (let i = 0; i < 20; i++) try { await fetch('https://a.example/') } catch {}; return []"
    outcome = await sandbox.run(program(code), fetch)

    assert len(asked) == 6
    assert outcome.usage.response_bytes == 12 * 1024 * 1024


async def test_responses_that_are_too_large_together_fail_the_last(sandbox: Sandbox) -> None:
    internet = Internet(answer(b"x" * (2 * 1024 * 1024)))
    code = """
        const seen = []
        for (let i = 0; i < 6; i++)
            try { seen.push((await (await fetch('https://a.example/')).bytes()).length) }
            catch (error) { seen.push(error.message) }
        return seen
    """

    *fitting, last = await returned(sandbox, code, internet.fetch)

    assert fitting == [2 * 1024 * 1024] * 5
    assert last == "fetch failed: the responses of this poll are larger than 10485760 bytes"
    error = await failed(sandbox, "for (;;) await fetch('https://a.example/')", internet.fetch)
    assert (error.kind, error.message) == (PollErrorKind.RESPONSES_TOO_LARGE, last)


async def test_a_request_that_is_too_large_is_not_sent(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))
    code = "await fetch('https://a.example/', { method: 'POST', body: 'ü'.repeat(2 ** 19) })"

    error = await failed(sandbox, code, internet.fetch)

    assert error.kind is PollErrorKind.REQUEST_TOO_LARGE
    assert (error.name, error.message) == ("TypeError", "fetch failed: the request is larger than 1048576 bytes")
    assert internet.requests == []


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (
            "return ['x'.repeat(2 ** 20)]",
            PollErrorKind.RESULT_TOO_LARGE,
            "The code returned events of more than 1048576 bytes.",
        ),
        (
            "return new Array(1001).fill(0)",
            PollErrorKind.TOO_MANY_RESULTS,
            "The code returned more than 1000 events.",
        ),
    ],
)
async def test_a_result_that_is_too_large_is_refused(
    sandbox: Sandbox, code: str, kind: PollErrorKind, message: str
) -> None:
    error = await failed(sandbox, code)

    assert (error.kind, error.message) == (kind, message)


async def test_the_console_keeps_a_hundred_lines_of_two_thousand_characters_and_says_so(sandbox: Sandbox) -> None:
    code = "for (let i = 0; i < 300; i++) console.log(i + 'x'.repeat(5000)); return []"

    *lines, last = (await sandbox.run(program(code), nowhere)).console

    assert len(lines) == 100
    assert {len(line) for line in lines} == {2048}
    assert lines[99].startswith("99x")
    assert last == "The console keeps 100 lines. What came after them was dropped."


async def test_a_console_that_is_just_full_says_nothing_of_it(sandbox: Sandbox) -> None:
    outcome = await sandbox.run(program("for (let i = 0; i < 100; i++) console.log(i); return []"), nowhere)

    assert outcome.console == tuple(map(str, range(100)))


async def test_a_poll_says_what_it_used_also_when_it_failed(sandbox: Sandbox) -> None:
    internet = Internet(answer(b"x" * 1000))
    work = "await fetch('https://a.example/'); const a = new Uint8Array(4e6).fill(1); for (let i = 0; i < 1e6; i++);"
    idle = (await sandbox.run(program("return []"), nowhere)).usage

    usages = [
        (await sandbox.run(program(f"{work} return []"), internet.fetch)).usage,
        (await failed(sandbox, f"{work} throw new Error('late')", internet.fetch)).usage,
    ]

    for usage in usages:
        assert usage
        assert usage.cpu > idle.cpu > timedelta(0)
        assert usage.wall >= usage.cpu
        assert (usage.fetches, usage.response_bytes) == (1, 1000)
        assert 3_990_000 <= usage.memory_bytes < 48 * MEBIBYTE


SMALL = Limits(
    cpu=timedelta(milliseconds=100),
    wall=timedelta(minutes=10),
    memory_bytes=4 * MEBIBYTE,
    fetches=2,
    response_bytes=100,
    total_bytes=150,
    request_bytes=200,
    console_lines=2,
    console_line_chars=3,
    result_bytes=50,
    result_count=5,
    result_levels=2,
)


@pytest.fixture(scope="session")
async def small_sandbox(compiled: bytes) -> AsyncIterator[Sandbox]:
    async with Sandbox.start(workers=1, limits=SMALL, compiled=compiled) as started:
        yield started


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("for (;;);", PollErrorKind.CPU_LIMIT),
        ("await fetch('https://a.example/late')", PollErrorKind.WALL_LIMIT),
        ("return [new Uint8Array(5e6).length]", PollErrorKind.MEMORY_LIMIT),
        ("for (;;) await fetch('https://a.example/1')", PollErrorKind.TOO_MANY_FETCHES),
        ("await fetch('https://a.example/101')", PollErrorKind.RESPONSE_TOO_LARGE),
        ("for (;;) await fetch('https://a.example/80')", PollErrorKind.RESPONSES_TOO_LARGE),
        ("await fetch('https://a.example/' + 'a'.repeat(200))", PollErrorKind.REQUEST_TOO_LARGE),
        ("return ['x'.repeat(50)]", PollErrorKind.RESULT_TOO_LARGE),
        ("return [1, 2, 3, 4, 5, 6]", PollErrorKind.TOO_MANY_RESULTS),
        ("return [[[]]]", PollErrorKind.RESULT_TOO_DEEP),
    ],
)
async def test_every_limit_can_be_set(small_sandbox: Sandbox, code: str, kind: PollErrorKind) -> None:
    async def sized(request: HttpRequest) -> HttpResponse:
        size = request.url.rpartition("/")[2]
        return await too_late(SMALL) if size == "late" else answer(b"x" * int(size))

    error = await failed(small_sandbox, code, sized)

    assert error.kind is kind


async def test_the_consoles_limits_can_be_set(small_sandbox: Sandbox) -> None:
    outcome = await small_sandbox.run(program("for (const a of 'abc') console.log(a + '1234'); return []"), nowhere)

    assert outcome.console == ("a12", "b12", "The console keeps 2 lines. What came after them was dropped.")
