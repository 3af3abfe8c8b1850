"""Run loops that never end. After an error, which is logged, a loop goes on, because its end would go unnoticed."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from hairtrigger.domain.errors import Unavailable

log = structlog.get_logger()

_AFTER_AN_ERROR = timedelta(seconds=1)


async def repeat(name: str, work: Callable[[], Awaitable[timedelta]]) -> None:
    """Run `work` again and again, until this task is cancelled. `work` returns the pause before its next run.

    If it raises, the error is logged under `name`, and the next run begins after a second.
    """
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
    """Run `work` again and again as `repeat` does, with a pause of `interval` between two runs.

    Unless `at_once` is set, there is such a pause before the first run, too.
    """

    async def once() -> timedelta:
        await work()
        return interval

    if not at_once:
        await asyncio.sleep(interval.total_seconds())
    await repeat(name, once)
