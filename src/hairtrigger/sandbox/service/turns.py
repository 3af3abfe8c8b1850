"""Turns at a scarce thing, shared fairly among tenants."""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

_POLLS_AT_A_TIME = 200
_POLLS_OF_A_TENANT = 50


class PollTurns:
    """Turns of polls in one sandbox worker. One tenant has no more than a quarter of them."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(_POLLS_AT_A_TIME)
        self._of_tenants: defaultdict[str, asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(_POLLS_OF_A_TENANT)
        )

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Wait until one more poll may run. A poll of no tenant waits only for the worker."""
        async with AsyncExitStack() as stack:
            if tenant:
                await stack.enter_async_context(self._of_tenants[tenant])
            await stack.enter_async_context(self._all)
            yield


class Turns:
    """Gives at most `most` turns at a time. The waiting tenant that has the fewest turns gets the next one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        await self._taken_by(tenant)
        try:
            yield
        finally:
            self._give_back(tenant)

    async def _taken_by(self, tenant: str) -> None:
        if self._taken.total() < self._most:
            self._taken[tenant] += 1
            return
        given = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(given)
        try:
            await given
        except asyncio.CancelledError:
            if given.done() and not given.cancelled():
                self._give_back(tenant)
            else:
                self._forget(tenant, given)
            raise

    def _give_back(self, tenant: str) -> None:
        self._taken[tenant] -= 1
        if not self._taken[tenant]:
            del self._taken[tenant]
        if self._waiting:
            next_ = min(self._waiting, key=lambda waiting: self._taken[waiting])
            given = self._waiting[next_][0]
            self._forget(next_, given)
            self._taken[next_] += 1
            given.set_result(None)

    def _forget(self, tenant: str, given: asyncio.Future[None]) -> None:
        """Remove a waiting poll, and put the tenant's other ones behind those of all other tenants."""
        others = self._waiting.pop(tenant)
        others.remove(given)
        if others:
            self._waiting[tenant] = others
