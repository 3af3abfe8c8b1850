"""Measure how long one poll takes on a service that has nothing else to do."""

import asyncio
import time
from dataclasses import dataclass
from statistics import quantiles

from bench.sandbox.cases import Case
from bench.sandbox.ours import Internet, Ours

PAUSE = 0.003  # seconds; the sandbox worker falls asleep meanwhile
WARM_UP = 20


@dataclass(frozen=True)
class Latency:
    """The wall times of polls, in milliseconds."""

    case: str
    polls: int
    least: float
    p50: float
    p99: float
    most: float


async def latency(ours: Ours, case: Case, polls: int) -> Latency:
    internet = Internet(case.body)
    taken = []
    for _ in range(WARM_UP + polls):
        await asyncio.sleep(PAUSE)
        begin = time.perf_counter()
        await ours.run(case, internet)
        taken.append(1000 * (time.perf_counter() - begin))
    del taken[:WARM_UP]
    percentiles = quantiles(taken, n=100)
    return Latency(case.name, polls, min(taken), percentiles[49], percentiles[98], max(taken))
