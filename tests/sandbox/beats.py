"""The beats at which the service checks whether its sandbox workers live. A test decides when they come."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from tests.support.waiting import until_true


class Beats:
    def __init__(self) -> None:
        self._next = asyncio.Event()

    async def wait(self) -> None:
        await self._next.wait()

    def beat(self) -> None:
        self._next.set()
        self._next = asyncio.Event()

    async def until(self, true: Callable[[], bool]) -> None:
        """Beat until `true` returns True."""

        def beaten() -> bool:
            self.beat()
            return true()

        await until_true(beaten)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Beat all the time."""
        beating = asyncio.create_task(self._go_on())
        try:
            yield
        finally:
            beating.cancel()

    async def _go_on(self) -> None:
        while True:
            self.beat()
            await asyncio.sleep(0.02)


@pytest.fixture
async def beats(monkeypatch: pytest.MonkeyPatch) -> Beats:
    """Return the beats of all sandbox workers that start from now on."""
    made = Beats()
    monkeypatch.setattr("hairtrigger.sandbox.service.worker_process._beat", made.wait)
    return made
