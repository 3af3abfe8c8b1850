"""A replay does the same as the recorded poll, at once and without a network, also with random numbers and times."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hairtrigger.sandbox.protocol.poll import (
    FetchFailed,
    HttpRequest,
    HttpResponse,
    Limits,
    PollError,
    PollErrorKind,
    Program,
    Recording,
)
from hairtrigger.sandbox.service.sandbox import Sandbox
from tests.sandbox.programs import Internet, answer, nowhere, program, returned
from tests.support.clock import pass_time

pytestmark = pytest.mark.anyio

SEED = bytes(range(16))
START = datetime(2026, 3, 1, 12, 30, 15, 250_000, UTC)
CHANCE = "[Math.random(), crypto.randomUUID(), [...crypto.getRandomValues(new Uint8Array(8))], Date.now()]"


async def ended(sandbox: Sandbox, one: Program, fetch: Any) -> tuple[Any, Recording]:
    """Run and record a poll, and return its end, as its user sees it, with the recording."""
    said: Any
    try:
        outcome = await sandbox.run(one, fetch, record=True)
        said, recording = (outcome.value, outcome.console), outcome.recording
    except PollError as error:
        said, recording = _said(error), error.recording
    assert recording
    return said, recording


async def replayed(sandbox: Sandbox, recording: Recording) -> Any:
    try:
        outcome = await sandbox.replay(recording)
    except PollError as error:
        return _said(error)
    return outcome.value, outcome.console


def _said(error: PollError) -> Any:
    return error.kind, error.name, error.message, error.line, error.column, error.console


async def test_seed_and_start_decide_all_that_chance_and_the_clock_say(sandbox: Sandbox) -> None:
    code = f"return [{CHANCE}, new Date().toISOString()]"
    fixed = replace(program(code), seed=SEED, start=START)

    first, second, other = [
        (await sandbox.run(one, nowhere)).value for one in (fixed, fixed, replace(fixed, seed=bytes(16)))
    ]

    assert first == second
    assert first[1] == "2026-03-01T12:30:15.250Z"
    assert all(one != another for one, another in zip(first[0][:3], other[0][:3], strict=True))


async def test_without_a_seed_no_two_polls_are_alike(sandbox: Sandbox) -> None:
    first, second = [await returned(sandbox, f"return {CHANCE}") for _ in range(2)]

    assert all(one != another for one, another in zip(first[:3], second[:3], strict=True))


async def test_draws_of_one_poll_differ(sandbox: Sandbox) -> None:
    uuids = await returned(sandbox, "return Array.from({ length: 100 }, () => crypto.randomUUID())")

    assert len(set(uuids)) == 100


async def test_the_clock_stands_still_while_code_runs_and_moves_while_it_waits(sandbox: Sandbox) -> None:
    code = """
        const start = Date.now(), seen = []
        for (let i = 0; i < 1e5; i++);
        seen.push(Date.now() - start)
        await new Promise((resolve) => setTimeout(resolve, 20))
        seen.push(Date.now() - start)
        await new Promise((resolve) => setTimeout(resolve, 1))
        return [...seen, Date.now() - start]
    """

    assert await returned(sandbox, code) == [0, 20, 21]


async def test_the_clock_is_ours(sandbox: Sandbox) -> None:
    before = datetime.now(UTC)
    [said] = await returned(sandbox, "return [Date.now()]")

    assert before - timedelta(milliseconds=1) <= datetime.fromtimestamp(said / 1000, UTC) <= datetime.now(UTC)


async def test_a_replay_asks_nobody_and_waits_for_nothing(sandbox: Sandbox) -> None:
    """Even a wait of a year takes no time. Its recording is made from the recording of a short wait."""
    internet = Internet(answer({"n": 1}))
    code = """
        await new Promise((resolve) => setTimeout(resolve, inputs.wait))
        return [(await (await fetch('https://a.example/')).json()).n, Date.now()]
    """
    (value, console), recording = await ended(sandbox, program(code, {"wait": 1}), internet.fetch)
    year = 365 * 24 * 3600 * 1000
    long = replace(
        recording,
        program=replace(recording.program, inputs={"wait": year}),
        entries=tuple(replace(entry, at=entry.at + year - 1) for entry in recording.entries),
    )

    assert await replayed(sandbox, recording) == (value, console)
    assert await replayed(sandbox, long) == ([value[0], value[1] + year - 1], console)
    assert len(internet.requests) == 1


@pytest.mark.parametrize(("first", "then"), [("answer", "timer"), ("timer", "answer")])
async def test_a_replay_has_answers_and_timers_in_the_order_they_came(sandbox: Sandbox, first: str, then: str) -> None:
    timer = asyncio.Event()
    code = """
        const seen = []
        const fetched = fetch('https://a.example/slow').then(() => seen.push('answer'))
        if (inputs.first === 'answer') await fetched
        await new Promise((resolve) => setTimeout(resolve, 1)).then(() => seen.push('timer'))
        await fetch('https://a.example/timer')
        await fetched
        return seen
    """

    async def fetch(request: HttpRequest) -> HttpResponse:
        if request.url.endswith("timer"):
            timer.set()
        elif first == "timer":
            await timer.wait()
        return answer([])

    said, recording = await ended(sandbox, program(code, {"first": first}), fetch)

    assert said[0] == [first, then]
    assert await replayed(sandbox, recording) == said


async def test_a_poll_that_was_given_up_is_given_up_again(compiled: bytes) -> None:
    limits = Limits(wall=timedelta(hours=1))
    code = """
        let said = 0
        await new Promise(() => setInterval(() => {
            console.log(Date.now())
            if (++said === 4) fetch('https://slow.example/')
        }, 20))
    """

    async def never(_request: HttpRequest) -> HttpResponse:
        pass_time(limits.wall)
        await asyncio.Event().wait()
        raise AssertionError

    async with Sandbox.start(workers=1, limits=limits, compiled=compiled) as impatient:
        said, recording = await ended(impatient, program(code), never)
        assert said[0] is PollErrorKind.WALL_LIMIT
        assert len(said[-1]) > 3
        assert await replayed(impatient, recording) == said
        cut = replace(recording, heard=recording.heard - 1)  # given up after a timer began and before its line came
        assert await replayed(impatient, cut) == (*said[:-1], said[-1][:-1])


async def test_a_recording_of_other_code_is_found_out(sandbox: Sandbox) -> None:
    _, recording = await ended(sandbox, program("await fetch('https://a.example/'); return []"), nowhere_else)
    other = replace(recording, program=replace(recording.program, code="await new Promise((r) => setTimeout(r, 9))"))

    with pytest.raises(PollError) as raised:
        await sandbox.replay(other)

    assert raised.value.kind is PollErrorKind.SANDBOX_FAULT


async def test_what_is_not_recorded_has_no_recording(sandbox: Sandbox) -> None:
    assert (await sandbox.run(program("return []"), nowhere)).recording is None


async def nowhere_else(_request: HttpRequest) -> HttpResponse:
    return answer([])


STEPS = [
    f"seen.push({CHANCE})",
    "await new Promise((resolve) => setTimeout(resolve, Math.random() * 4))",
    "later.push(fetch('https://a.example/1').then(async (r) => seen.push(await r.text(), Date.now())))",
    "seen.push((await fetch('https://a.example/2', { method: 'POST', body: crypto.randomUUID() })).status)",
    "later.push(fetch('https://a.example/fails').catch((error) => seen.push(String(error), Date.now())))",
    """{ const stop = new AbortController(); setTimeout(() => stop.abort(), Math.random() * 3)
       later.push(fetch('https://a.example/3', { signal: stop.signal }).then(() => seen.push('in time'),
           (error) => seen.push(error.name))) }""",
    "seen.push(await Promise.race([fetch('https://a.example/4').then(() => 'fetch'), wait(2).then(() => 'timer')]))",
    "await Promise.all([1, 1, 0].map((ms, i) => wait(ms).then(() => seen.push(i))))",
    "console.log(new Date().toISOString(), Math.random())",
    "{ let left = 3; const id = setInterval(() => { seen.push(Date.now()); if (--left === 0) clearInterval(id) }, 1) }",
    "if (Math.random() < 0.3) throw new Error('at ' + Date.now())",
    "if (Math.random() < 0.2) await new Promise(() => 0)",
]
PROLOGUE = "const seen = [], later = [], wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))"


async def chancy(request: HttpRequest) -> HttpResponse:
    """Answer each URL after a different delay, some at once. The test does not depend on the order."""
    await asyncio.sleep(crc32(request.url.encode()) % 5 / 1000)
    if request.url.endswith("fails"):
        raise FetchFailed
    body = request.body or b""
    assert not body or re.fullmatch(rb"[0-9a-f-]{36}", body)
    return answer({"asked": request.url, "sent": body.decode()})


@settings(max_examples=60)
@given(steps=st.lists(st.sampled_from(STEPS), max_size=8), seed=st.binary(min_size=16, max_size=16))
async def test_a_replay_is_the_poll_again(sandbox: Sandbox, steps: list[str], seed: bytes) -> None:
    code = "\n".join([PROLOGUE, *steps, "await Promise.allSettled(later); return seen"])
    said, recording = await ended(sandbox, replace(program(code), seed=seed), chancy)

    assert await replayed(sandbox, recording) == said
