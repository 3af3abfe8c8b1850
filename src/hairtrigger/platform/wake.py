"""Wake a loop that pauses before it looks for work again."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta

UNTOLD = timedelta(milliseconds=250)  # the patience if some work is made without a call of `set`
TOLD = timedelta(seconds=2)  # the patience if every new piece of work calls `set`


class Wake:
    """Wakes a loop when there is new work.

    `patience` is the longest time between two looks of the loop for work. It is long if every new piece of work calls
    `set`, and short if other processes make work without a call. `full` holds the projects whose work the loop can't do
    yet, so that new work of these projects alone does not wake it.
    """

    def __init__(self, patience: timedelta = UNTOLD) -> None:
        self.patience = patience
        self.full: frozenset[str] = frozenset()
        self._event = asyncio.Event()

    def set(self, projects: Iterable[str] | None = None) -> None:
        """Wake the loop, unless all of these projects are in `full`. None stands for work of any project."""
        if projects is None or not self.full.issuperset(projects):
            self._event.set()

    async def wait(self, at_most: timedelta) -> None:
        """Return as soon as `set` has been called since the last wait, or after `at_most`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most.total_seconds()):  # wait_for may swallow a cancellation before 3.12
                await self._event.wait()
        self._event.clear()
