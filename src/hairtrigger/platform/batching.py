"""Collect items from many callers into batches. Items that arrive while one batch is written form the next batch."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from hairtrigger.domain.errors import HairtriggerError, Unavailable
from hairtrigger.platform.shares import within_share

T = TypeVar("T")
R = TypeVar("R")

MEBIBYTE = 1024 * 1024


class _Waiting(NamedTuple, Generic[T, R]):
    item: T
    size: int
    result: "asyncio.Future[R]"


@dataclass
class _Queue(Generic[T, R]):
    """The items of one tenant that wait, and their total size in bytes."""

    items: deque[_Waiting[T, R]] = field(default_factory=deque)
    bytes: int = 0


class Batcher(Generic[T, R]):
    """Collects items and passes them to `flush` in batches. Each call of `submit` returns the result of its own item.

    `flush` must return the results in the order of its items, and must store nothing if it raises. `run` does the work
    until it is cancelled; up to `concurrency` flushes run at the same time.

    A tenant alone may have `max_waiting` items waiting, with `max_waiting_bytes` in all. There is a quarter more room,
    which only other tenants get. An item larger than all of the room may wait if no other item does. `submit` raises
    `Unavailable` at once if there is no room for an item. Tenants take turns in each batch, so that the items of one
    tenant never wait for all items of another.

    If the flush of several items fails, each half of the batch is flushed again by itself, and so on, so that one bad
    item never makes the others fail. If `flush` raises `Unavailable`, nothing can be stored, and all callers that wait
    get that error.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        size: Callable[[T], int] = lambda _: 0,
        tenant: Callable[[T], Hashable] = lambda _: None,
        max_batch: int = 256,
        max_batch_bytes: int = 8 * MEBIBYTE,
        max_waiting: int = 10_000,
        max_waiting_bytes: int = 64 * MEBIBYTE,
        concurrency: int = 2,
    ) -> None:
        self._flush = flush
        self._size = size
        self._tenant = tenant
        self._max_batch = max_batch
        self._max_batch_bytes = max_batch_bytes
        self._max_waiting = max_waiting
        self._max_waiting_bytes = max_waiting_bytes
        self._concurrency = concurrency
        self._waiting: dict[Hashable, _Queue[T, R]] = {}  # by tenant, in the order of their turns
        self._count = 0  # of all waiting items
        self._bytes = 0  # the size of all waiting items
        self._something = asyncio.Event()

    @property
    def waiting(self) -> int:
        """Return how many items wait for a batch."""
        return self._count

    async def submit(self, item: T) -> R:
        size, tenant = self._size(item), self._tenant(item)
        queue = self._waiting.get(tenant) or _Queue[T, R]()
        if not self._has_room(queue, size):
            raise Unavailable("Too much is waiting to be stored. Try again in a moment.")
        result: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._waiting[tenant] = queue
        queue.items.append(_Waiting(item, size, result))
        queue.bytes += size
        self._count += 1
        self._bytes += size
        self._something.set()
        return await result

    def _has_room(self, queue: _Queue[T, R], size: int) -> bool:
        if not within_share(len(queue.items) + 1, self._count + 1, self._max_waiting):
            return False
        return not self._count or within_share(queue.bytes + size, self._bytes + size, self._max_waiting_bytes)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._concurrency):
                tasks.create_task(self._work())

    async def _work(self) -> None:
        while True:
            await self._something.wait()
            await self._settle(self._next())

    def _next(self) -> list[_Waiting[T, R]]:
        """Take the next batch from the queues, without items whose callers have gone.

        The batch may be empty. An item larger than `max_batch_bytes` is a batch of its own.
        """
        batch: list[_Waiting[T, R]] = []
        room = self._max_batch_bytes
        while self._waiting and len(batch) < self._max_batch:
            tenant, queue = next(iter(self._waiting.items()))
            if batch and queue.items[0].size > room:
                break
            one = queue.items.popleft()
            del self._waiting[tenant]
            if queue.items:
                self._waiting[tenant] = queue  # its next turn comes after all other tenants' turns
            queue.bytes -= one.size
            self._count -= 1
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
        waiting = [one for queue in self._waiting.values() for one in queue.items]
        self._waiting.clear()
        self._count = self._bytes = 0
        self._something.clear()
        return waiting

    def _refuse(self, batch: Sequence[_Waiting[T, R]], error: Exception) -> None:
        for one in batch:
            if not one.result.done():
                one.result.set_exception(_own(error))


def _own(error: Exception) -> Exception:
    """Return the error for one caller: a copy of an error of this service, and any other error as it is.

    An exception that is raised to several callers would collect the tracebacks of all of them.
    """
    return type(error)(error.message) if isinstance(error, HairtriggerError) else error
