import asyncio
from datetime import datetime, timedelta


class ManualClock:
    """A clock that stands still until it is told to move."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now

    def advance(self, by: timedelta) -> None:
        self._now += by


def pass_time(by: timedelta) -> None:
    """Set the clock of the running event loop forward.

    Every sleep and every deadline of this process that ends within that time ends now. A limit that is too long to end
    by itself in a test ends when the test decides so, on a slow machine as on a fast one. The clock is not set back,
    because what was scheduled on it meanwhile would then be late.
    """
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + by.total_seconds()  # type: ignore[method-assign]
