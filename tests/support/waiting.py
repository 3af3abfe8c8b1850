"""Helpers that wait for what happens by itself, in another task or another process.

`PATIENCE` is a safety net: it ends a test that would hang, and does not measure how fast anything is. It is real time,
which `pass_time` does not use up.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 300  # seconds
_PAUSE = 0.005


async def until(what: Callable[[], Awaitable[T | None]]) -> T:
    """Call `what` again and again, and return its first true answer."""
    over = time.monotonic() + PATIENCE
    while not (answer := await what()):
        if time.monotonic() > over:
            raise TimeoutError("It did not happen.")
        await asyncio.sleep(_PAUSE)
    return answer


async def until_true(what: Callable[[], bool]) -> None:
    async def asked() -> bool:
        return what()

    await until(asked)
