"""Measure many polls at once that wait for slow fetches, as in a busy service."""

import asyncio
import time
from array import array
from dataclasses import dataclass
from statistics import median, quantiles

from bench.machine import proportional_bytes, resident_bytes
from bench.sandbox.cases import Case
from bench.sandbox.ours import Internet, Ours
from hairtrigger.sandbox.protocol.poll import HttpRequest, HttpResponse

FETCH_SECONDS = 0.05
TICK = 0.005
WARM_UP = 1.0
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Crowd:
    polls_at_once: int
    polls: int
    polls_per_second: float
    polls_per_worker_cpu_second: float
    polls_per_cpu_second: float
    """Polls for each CPU second of the sandbox workers and their host together."""
    worker_ms: float
    parent_ms: float
    """Milliseconds of CPU time for each poll. The host's time, here `parent_ms`, includes the stub of the internet."""
    worker_cores: float
    """The number of cores that the sandbox workers kept busy."""
    lag_p50_ms: float
    lag_p99_ms: float
    lag_most_ms: float
    is_right: bool


@dataclass(frozen=True)
class Memory:
    """The memory of all sandbox workers together, in MiB."""

    processes: int
    resident_at_rest: float
    resident_with_live_polls: float
    proportional_at_rest: float | None
    proportional_with_live_polls: float | None


async def crowd(ours: Ours, case: Case, polls_at_once: int, seconds: float) -> Crowd:
    """Measure a closed loop of so many tenants: each begins its next poll when its last one has ended."""
    internet = Internet(case.body, FETCH_SECONDS)
    done = wrong = 0

    async def poll_for_ever(tenant: str) -> None:
        nonlocal done, wrong
        while True:
            outcome = await ours.run(case, internet, tenant)
            done += 1
            wrong += outcome.value != case.events

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(poll_for_ever(f"tenant {number}")) for number in range(polls_at_once)]
        await asyncio.sleep(WARM_UP)
        begin, before, done_before = time.perf_counter(), ours.cost(), done
        lags = await _lags(seconds)
        taken, cost, polls = time.perf_counter() - begin, ours.cost() - before, done - done_before
        for task in tasks:
            task.cancel()
    percentiles = quantiles(lags, n=100)
    return Crowd(
        polls_at_once=polls_at_once,
        polls=polls,
        polls_per_second=polls / taken,
        polls_per_worker_cpu_second=polls / cost.worker,
        polls_per_cpu_second=polls / (cost.worker + cost.parent),
        worker_ms=1000 * cost.worker / polls,
        parent_ms=1000 * cost.parent / polls,
        worker_cores=cost.worker / taken,
        lag_p50_ms=1000 * median(lags),
        lag_p99_ms=1000 * percentiles[98],
        lag_most_ms=1000 * max(lags),
        is_right=not wrong,
    )


async def _lags(seconds: float) -> "array[float]":
    """Return how much later than requested the event loop comes back to a task that sleeps, in seconds."""
    lags = array("d")
    until = time.perf_counter() + seconds
    while (begin := time.perf_counter()) < until:
        await asyncio.sleep(TICK)
        lags.append(max(0.0, time.perf_counter() - begin - TICK))
    return lags


async def memory(ours: Ours, case: Case, polls_at_once: int) -> Memory:
    """Measure the memory at rest, and while so many polls wait for a fetch."""
    held = _Held(case.body, polls_at_once)
    at_rest = _sizes(ours)
    async with asyncio.TaskGroup() as group:
        for number in range(polls_at_once):
            group.create_task(ours.run(case, held, f"tenant {number}"))
        await held.all_asked.wait()
        live = _sizes(ours)
        held.answers.set()
    return Memory(len(ours.workers), at_rest[0], live[0], at_rest[1], live[1])


def _sizes(ours: Ours) -> tuple[float, float | None]:
    workers = ours.workers
    shares = [proportional_bytes(worker) for worker in workers]
    proportional = None if None in shares else sum(filter(None, shares)) / MEBIBYTE
    return sum(map(resident_bytes, workers)) / MEBIBYTE, proportional


class _Held(Internet):
    """An internet that answers only after `answers` is set."""

    def __init__(self, body: bytes, expected: int) -> None:
        super().__init__(body)
        self._missing = expected
        self.all_asked = asyncio.Event()
        self.answers = asyncio.Event()

    async def fetch(self, asked: HttpRequest) -> HttpResponse:
        self._missing -= 1
        if not self._missing:
            self.all_asked.set()
        await self.answers.wait()
        return await super().fetch(asked)
