"""Batches of items from many callers: items that arrive while one batch is written form the next batch."""

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
    """Collects items and passes them to `flush` in batches. Each caller gets the result of its own item.

    At most `max_waiting` items with `max_waiting_bytes` in all may wait, or a single larger item. `submit` raises
    `Unavailable` at once if there is no room for an item. If the flush of several items fails, each half of the batch
    is flushed again by itself, and so on, so that one bad item never makes the others fail. If `flush` raises
    `Unavailable`, nothing can be stored, and all callers that wait get that error. `run` does the work until it is
    cancelled; up to `concurrency` flushes run at the same time.
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
        self._bytes = 0  # the size of all waiting items
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
        """Return the next batch, without items whose callers have gone. One item may be larger than the limit."""
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
        except Exception as error:  # noqa: BLE001 the callers handle it
            await self._blame(batch, error)
        else:
            for one, result in zip(batch, results, strict=True):
                if not one.result.done():
                    one.result.set_result(result)

    async def _blame(self, batch: Sequence[_Waiting[T, R]], error: Exception) -> None:
        """Pass the error to the caller of a single item, or flush each half of a larger batch again."""
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
    """Return a copy for one caller: an exception raised to several callers would collect the tracebacks of all."""
    return type(error)(error.message) if isinstance(error, HairtriggerError) else error
