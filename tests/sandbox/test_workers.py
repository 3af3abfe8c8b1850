"""Worker processes: many polls at once, and what happens when one dies."""

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from hairtrigger.sandbox.code import HttpRequest, HttpResponse, PollError, PollErrorKind
from hairtrigger.sandbox.host import Sandbox
from tests.sandbox.programs import Internet, answer, nowhere, program, returned

pytestmark = pytest.mark.anyio


def workers_of_this_process() -> set[int]:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return {int(child) for child in children if b"hairtrigger.sandbox" in Path(f"/proc/{child}/cmdline").read_bytes()}


class Held:
    """An internet that answers when it is told to."""

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


WAITING = "console.log('asking'); return [(await fetch('https://a.example/')).status]"


async def test_fifty_polls_wait_for_their_fetches_at_the_same_time(sandbox: Sandbox) -> None:
    held = Held(50)
    async with asyncio.TaskGroup() as group:
        polls = [group.create_task(returned(sandbox, WAITING, held.fetch)) for _ in range(50)]
        await asyncio.wait_for(held.all_asked.wait(), 30)
        held.answer()

    assert [poll.result() for poll in polls] == [[200]] * 50


async def test_a_looping_poll_does_not_stop_the_others_of_its_worker() -> None:
    async with Sandbox.start(workers=1) as sandbox:
        held = Held(5)
        async with asyncio.TaskGroup() as group:
            polls = [group.create_task(returned(sandbox, WAITING, held.fetch)) for _ in range(5)]
            await held.all_asked.wait()
            with pytest.raises(PollError):
                await sandbox.run(program("while (true) {}"), nowhere)
            held.answer()

        assert [poll.result() for poll in polls] == [[200]] * 5


async def test_the_polls_of_a_killed_worker_fail_and_the_next_work() -> None:
    before = workers_of_this_process()
    async with Sandbox.start(workers=1) as sandbox:
        held = Held(3)
        polls = [asyncio.create_task(sandbox.run(program(WAITING), held.fetch)) for _ in range(3)]
        await held.all_asked.wait()
        (worker,) = workers_of_this_process() - before

        os.kill(worker, signal.SIGKILL)

        errors = await asyncio.gather(*polls, return_exceptions=True)
        assert [error.kind for error in errors if isinstance(error, PollError)] == [PollErrorKind.SANDBOX_FAULT] * 3
        assert [error.console for error in errors if isinstance(error, PollError)] == [("asking",)] * 3
        assert await returned(sandbox, "return ['new worker']") == ["new worker"]
        assert worker not in workers_of_this_process()


async def test_a_worker_that_hangs_is_killed_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hairtrigger.sandbox.process._SILENT_SECONDS", 0.2)
    before = workers_of_this_process()
    async with Sandbox.start(workers=1) as sandbox:
        held = Held(2)
        cancelled, other = (asyncio.create_task(sandbox.run(program(WAITING), held.fetch)) for _ in range(2))
        await held.all_asked.wait()
        (worker,) = workers_of_this_process() - before
        os.kill(worker, signal.SIGSTOP)

        cancelled.cancel()

        with pytest.raises(PollError) as raised:
            await other
        assert raised.value.kind is PollErrorKind.SANDBOX_FAULT
        assert await returned(sandbox, "return ['new worker']") == ["new worker"]


async def test_a_cancelled_poll_leaves_nothing_behind(sandbox: Sandbox) -> None:
    held = Held(1)
    poll = asyncio.create_task(sandbox.run(program(WAITING), held.fetch))
    await held.all_asked.wait()

    poll.cancel()

    with pytest.raises(asyncio.CancelledError):
        await poll
    assert await returned(sandbox, "return [1]") == [1]


async def test_what_a_poll_has_not_awaited_ends_with_it(sandbox: Sandbox) -> None:
    held = Held(1)
    started = time.monotonic()

    value = await returned(sandbox, "fetch('https://a.example/'); setTimeout(() => 0, 60000); return [1]", held.fetch)

    assert value == [1]
    assert time.monotonic() - started < 10


async def test_a_fault_of_ours_in_fetch_is_not_blamed_on_the_code(sandbox: Sandbox) -> None:
    async def broken(_request: HttpRequest) -> HttpResponse:
        raise ZeroDivisionError

    with pytest.raises(ExceptionGroup) as raised:
        await sandbox.run(program(WAITING), broken)

    assert raised.value.subgroup(ZeroDivisionError)
    assert await returned(sandbox, "return [1]") == [1]


async def test_a_worker_inherits_no_environment_and_few_files(sandbox: Sandbox) -> None:
    os.environ["HAIRTRIGGER_TEST_SECRET"] = "in the environment"
    before = workers_of_this_process()
    try:
        async with Sandbox.start(workers=1) as own:
            await returned(own, "return []")
            (worker,) = workers_of_this_process() - before

            assert Path(f"/proc/{worker}/environ").read_bytes() == b""
            files = [str(file.readlink()) for file in Path(f"/proc/{worker}/fd").iterdir()]
            assert sum(file.startswith("socket:") for file in files) == 1
    finally:
        del os.environ["HAIRTRIGGER_TEST_SECRET"]


async def test_memory_stays_flat_over_many_polls() -> None:
    before = workers_of_this_process()
    internet = Internet(answer([{"id": n, "text": "x" * 100} for n in range(50)]))
    code = "return await (await fetch('https://a.example/')).json()"
    async with Sandbox.start(workers=1) as sandbox:
        (worker,) = workers_of_this_process() - before

        async def resident_kilobytes_after(polls: int) -> int:
            for _ in range(polls):
                await returned(sandbox, code, internet.fetch)
            status = Path(f"/proc/{worker}/status").read_text()
            return int(status.split("VmRSS:")[1].split()[0])

        first = await resident_kilobytes_after(20)
        assert await resident_kilobytes_after(200) < first + 4096
