"""Tells a waiting loop that there is work, so that it need not wait for its next look."""

import asyncio
from contextlib import suppress
from datetime import timedelta

UNTOLD = timedelta(milliseconds=250)
TOLD = timedelta(seconds=2)


class Wake:
    """`patience` is how long a loop may go without a look of its own: long where it is told of everything new, short
    where other processes make work that nobody tells it of."""

    def __init__(self, patience: timedelta = UNTOLD) -> None:
        self.patience = patience
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, at_most: timedelta) -> None:
        """Returns when somebody has called `set` since the last wait, or after `at_most`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most.total_seconds()):  # wait_for may swallow a cancellation before 3.12
                await self._event.wait()
        self._event.clear()
