"""Few calls of costly work run at a time, and few calls wait, but not for long."""

import asyncio
import threading
from datetime import timedelta

import pytest

from hairtrigger.domain.errors import RateLimited
from hairtrigger.platform.thread_queue import ThreadQueue

pytestmark = pytest.mark.anyio

LONG = timedelta(minutes=5)


class Work:
    """Work that goes on until it is let go, and counts how many calls run at once."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.let_go = threading.Event()
        self.at_once = self.most = 0
        self._lock = threading.Lock()

    def do(self) -> str:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.begun.release()
        self.let_go.wait()
        with self._lock:
            self.at_once -= 1
        return "done"

    async def has_begun(self, count: int) -> None:
        for _ in range(count):
            await asyncio.to_thread(self.begun.acquire)


async def test_two_at_a_time_and_the_others_wait_their_turn() -> None:
    work, queue = Work(), ThreadQueue(2, waiting=5, patience=LONG)
    asked = [asyncio.create_task(queue.run(work.do)) for _ in range(7)]
    await work.has_begun(2)
    assert work.at_once == 2
    work.let_go.set()
    assert await asyncio.gather(*asked) == ["done"] * 7
    assert work.most == 2


async def test_what_would_wait_behind_too_many_is_refused_at_once() -> None:
    work, queue = Work(), ThreadQueue(2, waiting=3, patience=LONG, refusal="Too many.")
    asked = [asyncio.create_task(queue.run(work.do)) for _ in range(5)]
    await work.has_begun(2)
    with pytest.raises(RateLimited, match="Too many") as refused:
        await queue.run(work.do)
    assert refused.value.retry_after > timedelta()
    work.let_go.set()
    assert await asyncio.gather(*asked) == ["done"] * 5
    assert await queue.run(work.do) == "done"


async def test_what_has_waited_too_long_is_refused_and_leaves_its_place() -> None:
    work, queue = Work(), ThreadQueue(1, waiting=1, patience=timedelta(milliseconds=1))
    asked = asyncio.create_task(queue.run(work.do))
    await work.has_begun(1)
    for _ in range(3):
        with pytest.raises(RateLimited):
            await queue.run(work.do)
    work.let_go.set()
    assert await asked == "done"
    patient = ThreadQueue(1, waiting=0, patience=LONG)
    assert await patient.run(work.do) == "done"


async def test_who_goes_away_leaves_its_turn_when_the_work_has_ended() -> None:
    work, queue = Work(), ThreadQueue(1, waiting=1, patience=LONG)
    gone = asyncio.create_task(queue.run(work.do))
    await work.has_begun(1)
    gone.cancel()
    waiting = asyncio.create_task(queue.run(work.do))
    await asyncio.sleep(0)
    assert work.at_once == 1
    work.let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert await waiting == "done"
    assert work.most == 1
