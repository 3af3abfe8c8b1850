"""Many callers, one transaction: what arrives while a batch is being written makes the next batch."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from hairtrigger.domain.errors import HairtriggerError, Unavailable

T = TypeVar("T")
R = TypeVar("R")


class Batcher(Generic[T, R]):
    """Collects items and hands them to `flush` together; each caller gets its own item's result after the flush.

    At most `max_waiting` items wait; beyond that `submit` raises `Unavailable` at once. When a flush of several items
    fails they are flushed one by one, so that one bad item never fails the others. `run` does the work until it is
    cancelled; `concurrency` flushes may be under way at a time.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        max_batch: int = 256,
        max_waiting: int = 10_000,
        concurrency: int = 2,
    ) -> None:
        self._flush = flush
        self._max_batch = max_batch
        self._concurrency = concurrency
        self._waiting: asyncio.Queue[tuple[T, asyncio.Future[R]]] = asyncio.Queue(max_waiting)

    async def submit(self, item: T) -> R:
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((item, result))
        except asyncio.QueueFull as error:
            raise Unavailable("Too much is waiting to be stored. Try again in a moment.") from error
        return await result

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._concurrency):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < self._max_batch and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._settle([one for one in batch if not one[1].done()])

    async def _settle(self, batch: Sequence[tuple[T, "asyncio.Future[R]"]]) -> None:
        if not batch:
            return
        try:
            results = await self._flush([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:  # noqa: BLE001 it belongs to the callers
            await self._blame(batch, error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)

    async def _blame(self, batch: Sequence[tuple[T, "asyncio.Future[R]"]], error: Exception) -> None:
        """The one item that failed hears it. Several go again alone, unless it was nobody's fault."""
        if len(batch) > 1 and not isinstance(error, Unavailable):
            for one in batch:
                await self._settle([one])
            return
        for _, future in batch:
            if not future.done():
                future.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """One exception raised to several callers would collect all their tracebacks."""
    return type(error)(error.message) if isinstance(error, HairtriggerError) else error
