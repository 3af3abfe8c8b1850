"""Run costly work in threads: only a few functions at a time, while a few others wait for a limited time."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from anyio import to_thread

from hairtrigger.domain.errors import RateLimited

_Result = TypeVar("_Result")


class ThreadQueue:
    """Runs functions in threads, at most `at_once` at a time. `run` returns the result of its function.

    `run` raises `RateLimited` if `waiting` functions wait already, or if its function has waited for `patience`.
    """

    def __init__(
        self, at_once: int, waiting: int, patience: timedelta, refusal: str = "Too much is asked for at once."
    ) -> None:
        self._places = at_once + waiting
        self._free = asyncio.Semaphore(at_once)
        self._patience = patience
        self._refusal = refusal

    async def run(self, function: Callable[[], _Result]) -> _Result:
        if self._places == 0:
            raise RateLimited(self._refusal, retry_after=self._patience)
        self._places -= 1
        try:
            await self._turn()
            try:
                return await to_thread.run_sync(function)  # a thread can't be stopped: its place is taken until it ends
            finally:
                self._free.release()
        finally:
            self._places += 1

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(self._patience.total_seconds()):
                await self._free.acquire()
        except TimeoutError as error:
            raise RateLimited(self._refusal, retry_after=self._patience) from error
