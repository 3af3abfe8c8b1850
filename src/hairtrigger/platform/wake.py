"""A way to wake a loop that waits for its next look for work."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

UNTOLD = timedelta(milliseconds=250)
TOLD = timedelta(seconds=2)


class Wake:
    """Wakes a loop when there is new work.

    `patience` is the longest time between two looks of the loop. It is long if every new piece of work calls `set`, and
    short if other processes make work without calling it. New work of the projects in `full` alone wakes nothing,
    because the loop can't do it yet.
    """

    def __init__(self, patience: timedelta = UNTOLD) -> None:
        self.patience = patience
        self.full: frozenset[str] = frozenset()
        self._event = asyncio.Event()

    def set(self, projects: Iterable[str] | None = None) -> None:
        """Wake the loop for work of these projects, or of any project."""
        if projects is None or not self.full.issuperset(projects):
            self._event.set()

    async def wait(self, at_most: timedelta) -> None:
        """Return as soon as `set` has been called since the last wait, or after `at_most`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most.total_seconds()):  # wait_for may swallow a cancellation before 3.12
                await self._event.wait()
        self._event.clear()
