"""A number of places that tenants share fairly."""

import asyncio
from asyncio import CancelledError, Future
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Shares:
    """A number of places. One tenant has at most `of_one` of them at a time.

    Tenants that wait take turns. So the wait of a tenant depends on the number of other tenants, not on how many places
    each of them asks for.
    """

    def __init__(self, places: int, of_one: int) -> None:
        self._free = places
        self._of_one = of_one
        self._held: Counter[str] = Counter()
        self._waiting: dict[str, deque[Future[None]]] = {}  # in the order of their turns

    @asynccontextmanager
    async def place(self, tenant: str) -> AsyncIterator[None]:
        await self._enter(tenant)
        try:
            yield
        finally:
            self._leave(tenant)

    async def _enter(self, tenant: str) -> None:
        if self._may_enter(tenant):
            self._take(tenant)
            return
        entered: Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(entered)
        try:
            await entered
        except CancelledError:
            if entered.cancelled():
                self._forget(tenant, entered)
            else:
                self._leave(tenant)
            raise

    def _leave(self, tenant: str) -> None:
        self._free += 1
        self._held[tenant] -= 1
        if not self._held[tenant]:
            del self._held[tenant]
        following = next((one for one in self._waiting if self._may_enter(one)), None)
        if following is not None:
            entered = self._waiting[following][0]
            self._forget(following, entered)
            if following in self._waiting:  # its next turn comes after all other tenants' turns
                self._waiting[following] = self._waiting.pop(following)
            self._take(following)
            entered.set_result(None)

    def _may_enter(self, tenant: str) -> bool:
        return self._free > 0 and self._held[tenant] < self._of_one

    def _take(self, tenant: str) -> None:
        self._free -= 1
        self._held[tenant] += 1

    def _forget(self, tenant: str, entered: Future[None]) -> None:
        waiting = self._waiting[tenant]
        waiting.remove(entered)
        if not waiting:
            del self._waiting[tenant]
