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
            async with asyncio.timeout(at_most.total_seconds()):  # wait_for may swallow a cancellation before 3.12
                await self._event.wait()
        self._event.clear()
