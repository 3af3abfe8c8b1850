"""Code that tries to use more than its share, and what becomes of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from hairtrigger.sandbox.code import HttpRequest, HttpResponse, Limits, PollErrorKind
from hairtrigger.sandbox.host import Sandbox
from tests.sandbox.programs import Internet, answer, failed, nowhere, program, returned

pytestmark = pytest.mark.anyio

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
    assert error.message == "The code used more than 250 ms of CPU time."
    assert await returned(sandbox, "return [1]") == [1]


async def test_cpu_time_is_the_sum_of_all_slices(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))
    code = "for (;;) { for (let i = 0; i < 3e5; i++); await fetch('https://a.example/') }"

    error = await failed(sandbox, code, internet.fetch)

    assert error.kind is PollErrorKind.CPU_LIMIT
    assert len(internet.requests) > 1


MEMORY_ATTACKS = {
    "arrays": "const all = []; for (;;) all.push(new Array(100000).fill(all.length));",
    "one array": "return new Array(2 ** 28).fill(0)",
    "buffers": "const all = []; for (;;) all.push(new Uint8Array(1e6).fill(1));",
    "strings": "const all = []; for (let i = 0; ; i++) all.push('x'.repeat(1e6) + i);",
}


@pytest.fixture(scope="session")
async def patient_sandbox() -> AsyncIterator[Sandbox]:
    """One in which memory runs out before CPU time, on a slow machine too."""
    async with Sandbox.start(workers=1, limits=Limits(cpu=timedelta(seconds=20))) as started:
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
async def test_depth_ends_in_an_error_of_the_code(sandbox: Sandbox, code: str) -> None:
    error = await failed(sandbox, code)

    assert (error.kind, error.name) == (PollErrorKind.JS_ERROR, "RangeError")
    assert await returned(sandbox, "return [1]") == [1]


async def test_a_result_too_deep_for_the_service_is_refused(sandbox: Sandbox) -> None:
    error = await failed(sandbox, "let a = []; for (let i = 0; i < 200; i++) a = [a]; return a")
    assert len(await returned(sandbox, "let a = []; for (let i = 0; i < 199; i++) a = [a]; return a")) == 1

    assert error.kind is PollErrorKind.RESULT_TOO_LARGE


async def test_wall_time_ends_at_its_limit() -> None:
    async def never(_request: HttpRequest) -> HttpResponse:
        await asyncio.Event().wait()
        raise AssertionError

    async with Sandbox.start(workers=1, limits=Limits(wall=timedelta(milliseconds=300))) as sandbox:
        started = time.monotonic()
        error = await failed(sandbox, "console.log('asking'); await fetch('https://slow.example/')", never)
        waiting = await failed(sandbox, "await new Promise((resolve) => setTimeout(resolve, 60000))")

        assert error.kind is waiting.kind is PollErrorKind.WALL_LIMIT
        assert error.message == "The code was not done after 0.3 seconds."
        assert error.console == ("asking",)
        assert time.monotonic() - started < 5
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

    error = await failed(sandbox, "for (let i = 0; i < 10000; i++) fetch('https://a.example/' + i)", internet.fetch)

    assert error.kind is PollErrorKind.TOO_MANY_FETCHES
    assert len(internet.requests) <= 50


async def test_at_most_six_fetches_of_a_poll_are_under_way(sandbox: Sandbox) -> None:
    under_way = most = 0

    async def fetch(_request: HttpRequest) -> HttpResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.01)
        under_way -= 1
        return answer([1])

    code = """
        const fetched = Array.from({ length: 20 }, (_, i) => fetch('https://a.example/' + i));
        return (await Promise.all(fetched)).map((response) => response.status)
    """
    assert await returned(sandbox, code, fetch) == [200] * 20
    assert most == 6


async def test_a_response_that_is_too_large_fails_its_fetch(sandbox: Sandbox) -> None:
    internet = Internet(answer(b"x" * (2 * 1024 * 1024 + 1)))
    code = "try { await fetch('https://a.example/') } catch (error) { return [String(error)] }"

    expected = ["TypeError: fetch failed: the response is larger than 2097152 bytes"]
    assert await returned(sandbox, code, internet.fetch) == expected


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


async def test_a_request_that_is_too_large_is_not_sent(sandbox: Sandbox) -> None:
    internet = Internet(answer([]))
    code = "await fetch('https://a.example/', { method: 'POST', body: 'ü'.repeat(2 ** 19) })"

    error = await failed(sandbox, code, internet.fetch)

    assert (error.name, error.message) == ("TypeError", "fetch failed: the request is larger than 1048576 bytes")
    assert internet.requests == []


@pytest.mark.parametrize("code", ["return ['x'.repeat(2 ** 20)]", "return new Array(1001).fill(0)"])
async def test_a_result_that_is_too_large_is_refused(sandbox: Sandbox, code: str) -> None:
    error = await failed(sandbox, code)

    assert error.kind is PollErrorKind.RESULT_TOO_LARGE
    assert error.message == "The code returned more than 1000 events or 1048576 bytes."


async def test_the_console_keeps_a_hundred_lines_of_two_thousand_characters(sandbox: Sandbox) -> None:
    code = "for (let i = 0; i < 300; i++) console.log(i + 'x'.repeat(5000)); return []"

    outcome = await sandbox.run(program(code), nowhere)

    assert len(outcome.console) == 100
    assert {len(line) for line in outcome.console} == {2048}
    assert outcome.console[99].startswith("99x")
