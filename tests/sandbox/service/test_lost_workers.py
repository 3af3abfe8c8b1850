"""When a sandbox worker dies, each of its polls may be the cause: each runs once more, alone."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from hairtrigger.sandbox.protocol.poll import HttpRequest, HttpResponse, Limits, PollErrorKind
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.sandbox.service.worker_process import WorkerProcess
from tests.sandbox.programs import answer, failed, nowhere, program, returned

pytestmark = pytest.mark.anyio

WAITING = "console.log('asking'); return [(await fetch('https://a.example/')).status]"
KILLER = "console.log('asking'); return [(await fetch('https://killer.example/')).status]"


LIMITS = Limits(cpu=timedelta(minutes=10), wall=timedelta(minutes=10))


@pytest.fixture(scope="module")
async def compiled() -> bytes:
    return await Sandbox.compiled()


@pytest.fixture
async def sandbox(compiled: bytes) -> AsyncIterator[Sandbox]:
    """Start a sandbox with one sandbox worker, which all polls share."""
    async with Sandbox.start(workers=1, limits=LIMITS, compiled=compiled) as one:
        yield one


def worker_of(sandbox: Sandbox, code: str) -> WorkerProcess:
    (worker,) = (
        worker
        for worker in (*sandbox._serving.values(), *sandbox._apart)
        if any(live._program.code == code for live in worker._polls.values())
    )
    return worker


class Net:
    """An internet that counts the requests, and tells when all that are expected have come. It answers when told to."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        self.counted: Counter[tuple[str, str]] = Counter()
        self.all_asked = asyncio.Event()
        self.answers = asyncio.Event()

    async def fetch(self, request: HttpRequest) -> HttpResponse:
        self.counted[request.method, request.url] += 1
        if self.counted.total() == self._expected:
            self.all_asked.set()
        await self.answers.wait()
        return answer([])


async def test_no_poll_of_a_killed_worker_notices(sandbox: Sandbox) -> None:
    net = Net(6)
    posting = "return [(await fetch('https://a.example/', { method: 'POST', body: 'x' })).status]"
    polls = [asyncio.create_task(returned(sandbox, code, net.fetch)) for code in (WAITING, posting) * 3]
    await net.all_asked.wait()
    (worker,) = sandbox.workers

    os.kill(worker, signal.SIGKILL)
    net.answers.set()

    assert await asyncio.gather(*polls) == [[200]] * 6
    assert worker not in sandbox.workers


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_what_was_answered_before_the_loss_is_not_sent_again(sandbox: Sandbox, method: str) -> None:
    net = Net(1)
    code = f"""
        const id = crypto.randomUUID();
        const made = [];
        for (const n of [1, 2])
            made.push((await fetch('https://made.example/' + id, {{ method: '{method}' }})).status);
        return [...made, (await fetch('https://a.example/')).status, id]
    """
    made: Counter[str] = Counter()

    async def fetch(request: HttpRequest) -> HttpResponse:
        if request.method != method:
            return await net.fetch(request)
        made[request.url] += 1
        return answer([], 200 + made.total())

    poll = asyncio.create_task(returned(sandbox, code, fetch))
    await net.all_asked.wait()

    worker_of(sandbox, code)._spawned.kill()
    net.answers.set()

    first, second, read, id_ = await poll
    assert (first, second, read) == (201, 202, 200)
    assert made == {f"https://made.example/{id_}": 2}


async def test_the_poll_that_kills_two_workers_is_the_only_one_that_fails(sandbox: Sandbox) -> None:
    net = Net(4)

    async def deadly(_request: HttpRequest) -> HttpResponse:
        await net.all_asked.wait()
        worker_of(sandbox, KILLER)._spawned.kill()
        net.answers.set()
        await asyncio.Event().wait()
        raise AssertionError

    others = [asyncio.create_task(returned(sandbox, WAITING, net.fetch)) for _ in range(4)]
    error = await failed(sandbox, KILLER, deadly)

    assert error.kind is PollErrorKind.WORKER_LOST
    assert error.console == ("asking",)
    assert await asyncio.gather(*others) == [[200]] * 4
    assert await returned(sandbox, "return [1]") == [1]
    assert not sandbox._apart


async def test_a_suspect_is_alone_in_its_second_worker(sandbox: Sandbox) -> None:
    net, alone = Net(6), Net(1)

    async def fetch(request: HttpRequest) -> HttpResponse:
        if net.all_asked.is_set():
            seen.append([worker.load for worker in sandbox._apart])
            return await alone.fetch(request)
        return await net.fetch(request)

    seen: list[list[int]] = []
    alone.answers.set()
    polls = [asyncio.create_task(returned(sandbox, WAITING, fetch)) for _ in range(6)]
    await net.all_asked.wait()

    worker_of(sandbox, WAITING)._spawned.kill()

    assert await asyncio.gather(*polls) == [[200]] * 6
    assert {load for loads in seen for load in loads} <= {0, 1}
    assert 1 <= max(map(len, seen)) <= 4


async def test_code_that_loops_while_its_worker_is_killed_is_a_suspect_like_the_others(sandbox: Sandbox) -> None:
    async def deadly(_request: HttpRequest) -> HttpResponse:
        started.set()
        return answer([])

    started = asyncio.Event()
    looping = "if (!(await fetch('https://a.example/')).ok) return []; while (true) {}"
    guilty = asyncio.create_task(failed(sandbox, looping, deadly))
    for _ in range(2):
        await started.wait()
        started.clear()
        worker_of(sandbox, looping)._spawned.kill()

    assert (await guilty).kind is PollErrorKind.WORKER_LOST


async def test_a_suspect_that_is_cancelled_leaves_nothing_behind(sandbox: Sandbox) -> None:
    first, second = Net(1), Net(1)

    async def fetch(request: HttpRequest) -> HttpResponse:
        return await (second if first.all_asked.is_set() else first).fetch(request)

    poll = asyncio.create_task(sandbox.run(program(WAITING), fetch))
    await first.all_asked.wait()
    worker_of(sandbox, WAITING)._spawned.kill()
    await second.all_asked.wait()
    (worker,) = sandbox._apart

    poll.cancel()

    with pytest.raises(asyncio.CancelledError):
        await poll
    assert worker._process.returncode is not None
    assert not sandbox._apart


async def test_checking_code_survives_the_loss_of_a_worker(sandbox: Sandbox) -> None:
    checks = [asyncio.create_task(sandbox.check(f"return [{n}]")) for n in range(20)]
    polls = [asyncio.create_task(sandbox.run(replace(program("return [1]"), tenant="a"), nowhere)) for _ in range(5)]
    await asyncio.sleep(0)

    os.kill(sandbox.workers[0], signal.SIGKILL)

    assert await asyncio.gather(*checks) == [None] * 20
    assert [one.value for one in await asyncio.gather(*polls)] == [[1]] * 5
