"""Loops that go on for ever: what goes wrong once is logged and tried again. A loop that ended would be silence."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from hairtrigger.domain.errors import Unavailable

log = structlog.get_logger()

_AFTER_AN_ERROR = timedelta(seconds=1)


async def repeat(name: str, work: Callable[[], Awaitable[timedelta]]) -> None:
    """Run `work` for ever, with the pauses that it returns."""
    while True:
        try:
            pause = await work()
        except Unavailable:
            log.warning("database away", loop=name)
            pause = _AFTER_AN_ERROR
        except Exception:
            log.exception("loop broke, it goes on", loop=name)
            pause = _AFTER_AN_ERROR
        await asyncio.sleep(pause.total_seconds())


async def every(interval: timedelta, name: str, work: Callable[[], Awaitable[object]], *, at_once: bool = True) -> None:
    """Run `work` for ever, at this interval. Without `at_once` the first run comes after a pause as well."""

    async def once() -> timedelta:
        await work()
        return interval

    if not at_once:
        await asyncio.sleep(interval.total_seconds())
    await repeat(name, once)
