"""Tells a waiting loop that there is work, so that it need not wait for its next look."""

import asyncio
from contextlib import suppress
from datetime import timedelta


class Wake:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    def set(self) -> None:
        self._event.set()

    async def wait(self, at_most: timedelta) -> None:
        """Returns when somebody has called `set` since the last wait, or after `at_most`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), at_most.total_seconds())
        self._event.clear()
