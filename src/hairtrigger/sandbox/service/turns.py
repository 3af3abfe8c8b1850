"""Turns at a scarce thing, shared fairly among tenants."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


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
