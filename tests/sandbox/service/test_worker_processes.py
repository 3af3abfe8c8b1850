"""Processes of sandbox workers: they run many polls at once, and are replaced when they die."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from hairtrigger.sandbox.protocol.poll import (
    DEFAULT_LIMITS,
    MEBIBYTE,
    Fetch,
    HttpRequest,
    HttpResponse,
    Limits,
    PollError,
    PollErrorKind,
)
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.sandbox.service.worker_process import WorkerProcess
from tests.sandbox.beats import Beats
from tests.sandbox.programs import Internet, answer, failed, nowhere, program, returned
from tests.support.waiting import until_true

pytestmark = pytest.mark.anyio


class Held:
    """An internet that holds its answers back until it is told to give them."""

    def __init__(self, expected: int) -> None:
        self._answer = asyncio.Event()
        self._expected = expected
        self._asked = 0
        self.all_asked = asyncio.Event()

    async def fetch(self, _request: HttpRequest) -> HttpResponse:
        self._asked += 1
        if self._asked == self._expected:
            self.all_asked.set()
        await self._answer.wait()
        return answer([self._asked])

    def answer(self) -> None:
        self._answer.set()


Workers = Callable[..., AbstractAsyncContextManager[Sandbox]]


@pytest.fixture
def workers(compiled: bytes) -> Workers:
    """Return a function that starts a sandbox with a number of sandbox workers."""

    def start(count: int, limits: Limits = DEFAULT_LIMITS) -> AbstractAsyncContextManager[Sandbox]:
        return Sandbox.start(workers=count, limits=limits, compiled=compiled)

    return start


def both(first: Held, then: Held) -> Fetch:
    """Return a fetch that asks `first` until it has had all the requests it expects, and `then` afterwards."""

    async def fetch(request: HttpRequest) -> HttpResponse:
        return await (then if first.all_asked.is_set() else first).fetch(request)

    return fetch


async def between_two_polls(sandbox: Sandbox) -> None:
    """Wait until no guest runs: a sandbox worker reports a fetch before it has left the guest.

    No poll can be the cause of anything that happens afterwards.
    """
    await until_true(lambda: serving(sandbox)._progress.read().poll == 0)


def serving(sandbox: Sandbox) -> WorkerProcess:
    (worker,) = sandbox._serving.values()
    return worker


WAITING = "console.log('asking'); return [(await fetch('https://a.example/')).status]"


async def test_fifty_polls_wait_for_their_fetches_at_the_same_time(sandbox: Sandbox) -> None:
    held = Held(50)
    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(returned(sandbox, WAITING, held.fetch)) for _ in range(50)]
        await held.all_asked.wait()
        held.answer()

    assert [poll.result() for poll in polls] == [[200]] * 50


async def test_a_looping_poll_does_not_stop_the_others_of_its_worker(workers: Workers) -> None:
    async with workers(1) as sandbox:
        held = Held(5)
        async with asyncio.TaskGroup() as group:
            polls = [group.create_task(returned(sandbox, WAITING, held.fetch)) for _ in range(5)]
            await held.all_asked.wait()
            with pytest.raises(PollError):
                await sandbox.run(program("while (true) {}"), nowhere)
            held.answer()

        assert [poll.result() for poll in polls] == [[200]] * 5


async def test_polls_of_a_killed_worker_that_only_read_run_again_unnoticed(workers: Workers) -> None:
    async with workers(1) as sandbox:
        held, again = Held(3), Held(6)
        again.answer()
        polls = [asyncio.create_task(returned(sandbox, WAITING, both(held, again))) for _ in range(3)]
        await held.all_asked.wait()
        await between_two_polls(sandbox)
        (worker,) = sandbox.workers

        os.kill(worker, signal.SIGKILL)

        assert await asyncio.gather(*polls) == [[200]] * 3
        assert worker not in sandbox.workers


async def test_a_worker_that_hangs_is_killed_and_replaced(workers: Workers, beats: Beats) -> None:
    async with workers(1) as sandbox:
        held, again = Held(2), Held(4)
        again.answer()
        polls = [asyncio.create_task(returned(sandbox, WAITING, both(held, again))) for _ in range(2)]
        await held.all_asked.wait()
        await between_two_polls(sandbox)
        (worker,) = sandbox.workers

        os.kill(worker, signal.SIGSTOP)
        await beats.until(lambda: worker not in sandbox.workers)

        assert await asyncio.gather(*polls) == [[200]] * 2


async def test_a_worker_that_is_busy_with_one_poll_is_not_taken_for_dead(workers: Workers, beats: Beats) -> None:
    """It has the time of a whole slice, and two seconds more. A beat is half a second."""
    async with workers(1, Limits(cpu=timedelta(hours=1), wall=timedelta(hours=1))) as sandbox:
        before = sandbox.workers
        endless = asyncio.create_task(failed(sandbox, "while (true) {}"))
        await until_true(lambda: serving(sandbox)._progress.read().poll == 1)

        for _ in range(2 * 3600):
            beats.beat()
            await asyncio.sleep(0)

        assert sandbox.workers == before
        endless.cancel()


async def test_a_worker_that_other_programs_keep_from_running_is_not_taken_for_dead(
    workers: Workers, beats: Beats
) -> None:
    """Its code has an ordinary limit of CPU time, of which next to nothing has passed."""
    async with workers(1, Limits(cpu=timedelta(seconds=60), wall=timedelta(hours=1))) as sandbox:
        before = sandbox.workers
        endless = asyncio.create_task(failed(sandbox, "while (true) {}"))
        await until_true(lambda: serving(sandbox)._progress.read().poll == 1)

        for _ in range(3600):
            beats.beat()
            await asyncio.sleep(0)

        assert sandbox.workers == before
        endless.cancel()


async def test_a_worker_that_does_not_read_is_not_sent_everything_and_is_replaced(
    workers: Workers, beats: Beats
) -> None:
    async def large(request: HttpRequest) -> HttpResponse:
        await held.fetch(request)
        return answer(b"x" * 2**20)

    async with workers(1) as sandbox:
        worker, held = serving(sandbox), Held(20)
        code = "return [(await (await fetch('https://a.example/')).bytes()).length]"
        polls = [asyncio.create_task(returned(sandbox, code, large)) for _ in range(20)]
        await held.all_asked.wait()
        await between_two_polls(sandbox)

        os.kill(worker.pid, signal.SIGSTOP)
        held.answer()
        await until_true(lambda: not any(live._tasks for live in worker._polls.values()))  # each waits to be sent

        assert 0 < worker._writer.transport.get_write_buffer_size() < 3 * 2**20

        await beats.until(lambda: worker.pid not in sandbox.workers)
        assert await asyncio.gather(*polls) == [[2**20]] * 20


async def test_a_worker_that_holds_too_much_memory_is_replaced(
    workers: Workers, beats: Beats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hairtrigger.sandbox.service.worker_process._OWN_BYTES", 150 * MEBIBYTE)
    limits = Limits(memory_bytes=300 * MEBIBYTE, cpu=timedelta(hours=1), wall=timedelta(hours=1))
    async with workers(1, limits) as sandbox:
        (worker,) = sandbox.workers
        code = "const kept = new Uint8Array(200 * 2 ** 20).fill(1); await fetch('https://a.example/'); return [kept]"

        async with beats.going_on():
            error = await failed(sandbox, code, Held(1).fetch)

        assert error.kind is PollErrorKind.WORKER_LOST
        assert worker not in sandbox.workers
        assert await returned(sandbox, "return [1]") == [1]


async def test_a_worker_that_has_done_its_share_is_replaced_and_no_poll_notices(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hairtrigger.sandbox.service.worker_process._POLLS", 5)
    async with workers(1) as sandbox:
        old, held = serving(sandbox), Held(1)
        waiting = asyncio.create_task(returned(sandbox, WAITING, held.fetch))
        await held.all_asked.wait()

        assert [await returned(sandbox, f"return [{n}]") for n in range(7)] == [[n] for n in range(7)]

        assert old.pid not in sandbox.workers
        assert old.load == 1
        held.answer()
        assert await waiting == [200]
        assert await old._process.wait() is not None


async def test_the_worker_that_takes_over_is_there_already(workers: Workers) -> None:
    async with workers(1) as sandbox:
        await until_true(lambda: sandbox._spares.qsize() > 0)
        spare = sandbox._spares._queue[0].pid  # type: ignore[attr-defined]

        os.kill(sandbox.workers[0], signal.SIGKILL)

        await until_true(lambda: sandbox.workers == (spare,))
        assert await returned(sandbox, "return [1]") == [1]


# Tenants.


async def test_the_polls_of_a_tenant_run_on_one_worker_and_tenants_on_all(workers: Workers) -> None:
    tenants = [f"tenant {n}" for n in range(40)]
    async with workers(3) as sandbox:
        await until_true(lambda: len(sandbox.workers) == 3)
        places = {tenant: (await sandbox._worker_for(tenant)).pid for tenant in tenants}

        assert set(places.values()) == set(sandbox.workers)
        assert {tenant: (await sandbox._worker_for(tenant)).pid for tenant in tenants} == places


async def test_only_the_tenants_of_a_killed_worker_move(workers: Workers) -> None:
    tenants = [f"tenant {n}" for n in range(40)]
    async with workers(2) as sandbox:
        await until_true(lambda: len(sandbox.workers) == 2)
        before = {tenant: (await sandbox._worker_for(tenant)).pid for tenant in tenants}
        killed = sandbox.workers[0]

        os.kill(killed, signal.SIGKILL)
        await until_true(lambda: killed not in sandbox.workers and len(sandbox.workers) == 2)

        after = {tenant: (await sandbox._worker_for(tenant)).pid for tenant in tenants}
        assert killed not in after.values()
        assert all((after[tenant] == pid) is (pid != killed) for tenant, pid in before.items())


async def test_a_tenant_with_many_polls_leaves_room_for_the_others(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hairtrigger.sandbox.service.worker_process._PLACES", 2)
    async with workers(1) as sandbox:
        held = Held(2)
        greedy = replace(program(WAITING), tenant="greedy")
        polls = [asyncio.create_task(sandbox.run(greedy, held.fetch)) for _ in range(10)]
        await held.all_asked.wait()

        modest = await sandbox.run(replace(program("return [1]"), tenant="modest"), nowhere)

        assert modest.value == [1]
        assert serving(sandbox).load == 2
        held.answer()
        assert [poll.value for poll in await asyncio.gather(*polls)] == [[200]] * 10


async def test_a_cancelled_poll_leaves_nothing_behind(sandbox: Sandbox) -> None:
    held = Held(1)
    poll = asyncio.create_task(sandbox.run(program(WAITING), held.fetch))
    await held.all_asked.wait()

    poll.cancel()

    with pytest.raises(asyncio.CancelledError):
        await poll
    assert await returned(sandbox, "return [1]") == [1]


async def test_what_a_poll_has_not_awaited_ends_with_it(sandbox: Sandbox) -> None:
    """If they went on, the poll would reach its time limit and fail."""
    held = Held(1)

    value = await returned(sandbox, "fetch('https://a.example/'); setTimeout(() => 0, 60000); return [1]", held.fetch)

    assert value == [1]


async def test_a_fault_of_ours_in_fetch_is_not_blamed_on_the_code(sandbox: Sandbox) -> None:
    async def broken(_request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        await sandbox.run(program(WAITING), broken)

    assert raised.value.subgroup(ZeroDivisionError)
    assert await returned(sandbox, "return [1]") == [1]


async def test_a_worker_inherits_no_environment(sandbox: Sandbox) -> None:
    for worker in sandbox.workers:
        assert Path(f"/proc/{worker}/environ").read_bytes() == b""


async def test_memory_stays_flat_over_many_polls(workers: Workers) -> None:
    internet = Internet(answer([{"id": n, "text": "x" * 100} for n in range(50)]))
    code = "return await (await fetch('https://a.example/')).json()"
    async with workers(1) as sandbox:
        (worker,) = sandbox.workers

        async def resident_bytes_after(polls: int) -> int:
            for _ in range(polls):
                await returned(sandbox, code, internet.fetch)
            status = Path(f"/proc/{worker}/status").read_text()
            return 1024 * int(status.split("VmRSS:")[1].split()[0])

        of_one = (await sandbox.run(program(code), internet.fetch)).usage.memory_bytes
        first = await resident_bytes_after(20)
        assert await resident_bytes_after(200) - first < 200 * of_one / 10


async def test_a_tenant_whose_code_takes_long_gets_a_worker_apart_from_the_others(workers: Workers) -> None:
    """Its polls that have not begun move there, too."""
    async with workers(2) as sandbox:
        await until_true(lambda: len(sandbox.workers) == 2)
        first = sandbox._serving[0].pid
        names = [f"tenant {n}" for n in range(40)]
        costly, *_ = [name for name in names if (await sandbox._worker_for(name)).pid == first]

        async def end(code: str) -> PollErrorKind | None:
            try:
                await sandbox.run(replace(program(code), tenant=costly), nowhere)
            except PollError as error:
                return error.kind
            return None

        ended = await asyncio.gather(*(end("for (;;);") for _ in range(4)), end("return []"))

        assert ended == [PollErrorKind.CPU_LIMIT] * 4 + [None]
        assert (await sandbox._worker_for(costly)).pid != first
        assert {(await sandbox._worker_for(name)).pid for name in names if name != costly} == {first}
