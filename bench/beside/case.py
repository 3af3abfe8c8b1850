"""One pool that organisations share, used by a victim and by a neighbour."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from typing import Literal

from hairtrigger.domain.errors import HairtriggerError

Kind = Literal["friendly", "hostile"]
KINDS: tuple[Kind, Kind] = ("friendly", "hostile")

Measure = Callable[[Kind, float], Awaitable[list[float]]]
"""A function that returns the latencies of the victim beside a neighbour of this kind for so long. All are seconds."""

Call = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Case:
    name: str
    unit: str
    """What one latency is of, such as "call"."""
    opened: Callable[[], AbstractAsyncContextManager[Measure]]


def beside(victim: Call, neighbours: dict[Kind, Call], at_a_time: int, per_second: float) -> Measure:
    """Return the measure of a victim that has so many calls under way all the time.

    The neighbour begins so many calls a second, whether or not its earlier ones have ended.
    """

    async def measure(kind: Kind, seconds: float) -> list[float]:
        latencies: list[float] = []
        end = time.monotonic() + seconds

        async def call() -> None:
            while (begun := time.monotonic()) < end:
                await victim()
                latencies.append(time.monotonic() - begun)

        neighbour = asyncio.create_task(_begun(neighbours[kind], per_second, end))
        async with asyncio.TaskGroup() as tasks:
            for _ in range(at_a_time):
                tasks.create_task(call())
        under_way = await neighbour
        for one in under_way:
            one.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        return latencies

    return measure


async def _begun(call: Call, per_second: float, end: float) -> set[asyncio.Task[None]]:
    """Begin calls until the end, and return those that are still under way."""
    under_way: set[asyncio.Task[None]] = set()
    begun, start = 0, time.monotonic()
    while (now := time.monotonic()) < end:
        while begun < (now - start) * per_second:
            task = asyncio.create_task(_suffered(call))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            begun += 1
        await asyncio.sleep(0.005)
    return set(under_way)


async def _suffered(call: Call) -> None:
    with suppress(HairtriggerError):  # the neighbour may be refused
        await call()
