"""Many callers, one transaction: what arrives while a batch is being written makes the next batch."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from hairtrigger.domain.errors import HairtriggerError, Unavailable

T = TypeVar("T")
R = TypeVar("R")

MEBIBYTE = 1024 * 1024


class _Waiting(NamedTuple, Generic[T, R]):
    item: T
    size: int
    result: "asyncio.Future[R]"


class Batcher(Generic[T, R]):
    """Collects items and hands them to `flush` together; each caller gets its own item's result after the flush.

    At most `max_waiting` items of `max_waiting_bytes` wait, or a single larger one; beyond that `submit` raises
    `Unavailable` at once. When a flush of several items fails its halves are flushed apart, and so on, so that one bad
    item never fails the others. When nothing can be stored at all, everybody who waits hears it. `run` does the work
    until it is cancelled; `concurrency` flushes may be under way at a time.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        size: Callable[[T], int] = lambda _: 0,
        max_batch: int = 256,
        max_batch_bytes: int = 8 * MEBIBYTE,
        max_waiting: int = 10_000,
        max_waiting_bytes: int = 64 * MEBIBYTE,
        concurrency: int = 2,
    ) -> None:
        self._flush = flush
        self._size = size
        self._max_batch = max_batch
        self._max_batch_bytes = max_batch_bytes
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._concurrency = concurrency
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._bytes = 0  # of what is waiting
        self._something = asyncio.Event()

    async def submit(self, item: T) -> R:
        size = self._size(item)
        if len(self._waiting) >= self._max_waiting or (self._waiting and self._bytes + size > self._max_waiting_bytes):
            raise Unavailable("Too much is waiting to be stored. Try again in a moment.")
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, size, result))
        self._bytes += size
        self._something.set()
        return await result

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._concurrency):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._something.wait()
            await self._settle(self._next())

    def _next(self) -> list[_Waiting[T, R]]:
        """What goes together: at least one item, however large, of those whose callers still wait."""
        batch: list[_Waiting[T, R]] = []
        room = self._max_batch_bytes
        while self._waiting and len(batch) < self._max_batch and (not batch or self._waiting[0].size <= room):
            one = self._waiting.popleft()
            self._bytes -= one.size
            if not one.result.done():
                batch.append(one)
                room -= one.size
        if not self._waiting:
            self._something.clear()
        return batch

    async def _settle(self, batch: Sequence[_Waiting[T, R]]) -> None:
        if not batch:
            return
        try:
            results = await self._flush([one.item for one in batch])
        except asyncio.CancelledError:
            for one in batch:
                one.result.cancel()
            raise
        except Unavailable as error:
            self._refuse([*batch, *self._everything()], error)
        except Exception as error:  # noqa: BLE001 it belongs to the callers
            await self._blame(batch, error)
        else:
            for one, result in zip(batch, results, strict=True):
                if not one.result.done():
                    one.result.set_result(result)

    async def _blame(self, batch: Sequence[_Waiting[T, R]], error: Exception) -> None:
        """The one item that failed hears it. Of several each half goes again."""
        if len(batch) == 1:
            self._refuse(batch, error)
            return
        middle = len(batch) // 2
        await self._settle(batch[:middle])
        await self._settle(batch[middle:])

    def _everything(self) -> list[_Waiting[T, R]]:
        waiting = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        self._something.clear()
        return waiting

    def _refuse(self, batch: Sequence[_Waiting[T, R]], error: Exception) -> None:
        for one in batch:
            if not one.result.done():
                one.result.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """One exception raised to several callers would collect all their tracebacks."""
    return type(error)(error.message) if isinstance(error, HairtriggerError) else error
