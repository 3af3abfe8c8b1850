"""Does long work on the event loop in slices. The work is a generator that yields after each small piece."""

import asyncio
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar

_SECONDS = 0.002

Result = TypeVar("Result")
Work = Generator[None, None, Result]


def at_once(work: Work[Result]) -> Result:
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: Result = end.value
            return result


async def in_slices(work: Work[Result]) -> Result:
    """Do the work and return its result, and let other tasks run every few milliseconds.

    Other tasks also run at the end of work that had several pieces, so that many small works in a row do not hold the
    event loop.
    """
    steps, until = 0, perf_counter() + _SECONDS
    while True:
        try:
            next(work)
        except StopIteration as end:
            if steps:
                await asyncio.sleep(0)
            result: Result = end.value
            return result
        steps += 1
        if perf_counter() >= until:
            await asyncio.sleep(0)
            until = perf_counter() + _SECONDS
