"""Divide work on strangers' bytes into turns of the event loop, so that it never holds the loop for long."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count

_MOST = 32 * 1024  # about three milliseconds of the costliest bytes
_OF_WAITING = _MOST // 2  # the part of it for work that waits; the other part is for tenants that do not wait


class Turns:
    """Limits how much work all tasks together do in one turn of the event loop. Further work waits for a later turn.

    Tenants that wait get equal parts of half of that time, however much work each asks for. The other half is for
    tenants none of whose work waits, so a tenant that asks for little seldom waits. The work of one tenant is let
    through in the order in which it was asked for. Costs are counted and not measured, so that the same input is always
    cut at the same places. A byte that is parsed or decompressed costs one.
    """

    def __init__(self) -> None:
        self._spent = 0
        self._waiting: dict[str, deque[tuple[int, asyncio.Future[None] | Callback]]] = {}  # by tenant
        self._line: list[tuple[int, int, str]] = []  # the tenants that wait: a heap, with the cost of each up to now
        self._numbers = count()  # of two tenants with the same cost, the first to come is first
        self._cost = 0  # of the tenant that was let through last

    async def take(self, cost: int, tenant: str = "") -> None:
        """Wait until work of this cost may be done. The caller does the work before its next `await`."""
        if not self.taken(cost, tenant):
            turn = asyncio.get_running_loop().create_future()
            self._wait(cost, turn, tenant)
            await turn

    def taken(self, cost: int, tenant: str = "") -> bool:
        """Return whether work of this cost may be done at once, and count its cost if it may. If it may not, `take` can
        wait.
        """
        if tenant in self._waiting or not self._fits(cost, _MOST):
            return False
        self._spend(cost)
        return True

    def charge(self, cost: int) -> None:
        """Count a further cost of work that turned out to cost more than was asked for."""
        self._spend(cost)

    def call(self, cost: int, callback: Callable[[], None], tenant: str = "") -> None:
        """Have `callback`, which does work of this cost, called in a later turn of the event loop."""
        if self.taken(cost, tenant):
            asyncio.get_running_loop().call_soon(callback)
        else:
            self._wait(cost, Callback(callback), tenant)

    def _wait(self, cost: int, turn: "asyncio.Future[None] | Callback", tenant: str) -> None:
        if tenant not in self._waiting:
            self._waiting[tenant] = deque()
            heappush(self._line, (self._cost, next(self._numbers), tenant))
        self._waiting[tenant].append((cost, turn))

    def _fits(self, cost: int, most: int) -> bool:
        return not self._spent or self._spent + cost <= most

    def _spend(self, cost: int) -> None:
        if not self._spent:
            asyncio.get_running_loop().call_soon(self._next)
        self._spent += cost

    def _next(self) -> None:
        self._spent = 0
        while self._line and self._fits(self._waiting[self._line[0][2]][0][0], _OF_WAITING):
            cost, turn = self._following()
            if isinstance(turn, Callback):
                self._spend(cost)
                turn.run()
            elif not turn.done():  # cancelled
                turn.set_result(None)
                self._spend(cost)

    def _following(self) -> "tuple[int, asyncio.Future[None] | Callback]":
        """Remove and return the work that is let through next."""
        self._cost, _, tenant = heappop(self._line)
        waiting = self._waiting[tenant]
        cost, turn = waiting.popleft()
        if waiting:
            heappush(self._line, (self._cost + cost, next(self._numbers), tenant))
        else:
            del self._waiting[tenant]
        return cost, turn


@dataclass(frozen=True)
class Callback:
    """A function that waits for its turn. The class tells it from a future, whose class depends on the event loop."""

    call: Callable[[], None]

    def run(self) -> None:
        """Call the function. An exception goes to the event loop's handler, so that other work still gets its turn."""
        try:
            self.call()
        except Exception as error:  # noqa: BLE001
            context = {"message": "Work that had waited for its turn failed.", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
