"""Loops that never end: an error is logged, and the work is done again. If a loop ended, its work would stop unseen."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from hairtrigger.domain.errors import Unavailable

log = structlog.get_logger()

_AFTER_AN_ERROR = timedelta(seconds=1)


async def repeat(name: str, work: Callable[[], Awaitable[timedelta]]) -> None:
    """Run `work` again and again. It returns the pause before its next run."""
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
    """Run `work` again and again, with this pause between runs. Without `at_once`, the first run waits as well."""

    async def once() -> timedelta:
        await work()
        return interval

    if not at_once:
        await asyncio.sleep(interval.total_seconds())
    await repeat(name, once)
