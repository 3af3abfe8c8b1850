"""Work on strangers' bytes, shared out so that it never holds the event loop for long."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

_MOST = 32 * 1024  # about three milliseconds of the costliest bytes


class Turns:
    """Lets through so much work between two turns of the event loop, from whatever tasks it comes, in order of asking.

    Costs are counted and not measured, so that the same input is always cut at the same places. A byte that was parsed
    or decompressed costs one.
    """

    def __init__(self) -> None:
        self._spent = 0
        self._waiting: deque[tuple[int, asyncio.Future[None] | Callback]] = deque()

    async def take(self, cost: int) -> None:
        """Return when work of this cost may be done, before the next `await`."""
        if not self.taken(cost):
            await self._turn(cost)

    def taken(self, cost: int) -> bool:
        """Return whether work of this cost may be done at once, and count it if so. If not, `take` waits for it."""
        if self._waiting or not self._fits(cost):
            return False
        self._spend(cost)
        return True

    def charge(self, cost: int) -> None:
        """Count the cost of work that was done and turned out to cost more than was asked for."""
        self._spend(cost)

    def call(self, cost: int, callback: Callable[[], None]) -> None:
        """Call `callback`, which does work of this cost, in one of the next turns of the event loop.

        What it charges counts before anything else is let through.
        """
        if self.taken(cost):
            asyncio.get_running_loop().call_soon(callback)
        else:
            self._waiting.append((cost, Callback(callback)))

    async def _turn(self, cost: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((cost, turn))
        await turn

    def _fits(self, cost: int) -> bool:
        return not self._spent or self._spent + cost <= _MOST

    def _spend(self, cost: int) -> None:
        if not self._spent:
            asyncio.get_running_loop().call_soon(self._next)
        self._spent += cost

    def _next(self) -> None:
        self._spent = 0
        while self._waiting and self._fits(self._waiting[0][0]):
            cost, turn = self._waiting.popleft()
            if isinstance(turn, Callback):
                self._spend(cost)
                turn.run()
            elif not turn.done():  # cancelled
                turn.set_result(None)
                self._spend(cost)


@dataclass(frozen=True)
class Callback:
    """A function that waits for its turn. It has a class so that it can be told from a future of any event loop."""

    call: Callable[[], None]

    def run(self) -> None:
        """Call it. An exception goes to the event loop's handler, so that others still get their turns."""
        try:
            self.call()
        except Exception as error:  # noqa: BLE001
            context = {"message": "Work that had waited for its turn failed.", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
