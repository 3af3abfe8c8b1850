"""Measure whether the memory of the sandbox workers stays flat over very many polls."""

import asyncio
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import linear_regression
from typing import Any
from unittest.mock import patch

from bench.machine import resident_bytes
from bench.sandbox.cases import Case
from bench.sandbox.ours import Internet, Ours

POLLS = 100_000
EVERY = 5_000
AT_ONCE = 20
TENANTS = 200
FLAT = 10.0  # KB for 1,000 polls: 1 MB over the whole
NEVER = 1_000_000_000
SETTLED = 2  # samples that do not count for the slope: the first polls fill memory that workers keep


@dataclass(frozen=True)
class Sample:
    polls: int
    workers: dict[int, int]
    """The resident bytes of each sandbox worker, by process id."""
    parent: int
    cpu: float
    """CPU seconds of the sandbox workers so far."""


@dataclass
class Soak:
    samples: list[Sample] = field(default_factory=list)
    wrong: int = 0

    @property
    def replaced(self) -> int:
        """Return how many sandbox workers ended between two samples."""
        return sum(len(one.workers.keys() - other.workers.keys()) for one, other in pairwise(self.samples))

    def slopes(self) -> dict[str, float]:
        """Return the growth in KB for 1,000 polls, of each worker that lived long enough and of the parent."""
        settled = self.samples[SETTLED:]
        series = {
            str(worker): [(sample.polls, sample.workers[worker]) for sample in settled if worker in sample.workers]
            for worker in {worker for sample in settled for worker in sample.workers}
        }
        series["parent"] = [(sample.polls, sample.parent) for sample in settled]
        return {name: _slope(points) for name, points in series.items() if len(points) > 2}

    @property
    def is_flat(self) -> bool:
        slopes = self.slopes()
        workers = [slope for name, slope in slopes.items() if name != "parent"]
        return bool(workers) and max(workers) <= FLAT

    def document(self) -> dict[str, Any]:
        return {
            "samples": [vars(sample) for sample in self.samples],
            "wrong": self.wrong,
            "workers_replaced": self.replaced,
            "kb_per_1000_polls": self.slopes(),
            "is_flat": self.is_flat,
        }


def _kilobytes(size: int) -> str:
    return f"{size / 1024:,.0f} KB"


def _slope(points: list[tuple[int, int]]) -> float:
    polls, sizes = zip(*points, strict=True)
    return linear_regression(polls, sizes).slope / 1024 * 1000


async def soak(ours: Ours, case: Case, polls: int, report: Callable[[str], None]) -> Soak:
    """Run polls and take samples. No worker is replaced for its number of polls: that would hide what it keeps."""
    internet = Internet(case.body)
    soaked = Soak()
    every = min(EVERY, max(1, polls // 10))

    async def take(numbers: Iterator[int]) -> None:
        for number in numbers:
            outcome = await ours.run(case, internet, f"tenant {number % TENANTS}")
            soaked.wrong += outcome.value != case.events

    def sample(done: int) -> None:
        workers = {worker: resident_bytes(worker) for worker in sorted(ours.workers)}
        taken = Sample(done, workers, resident_bytes(os.getpid()), ours.cost().worker)
        sizes = "   ".join(f"worker {worker}: {_kilobytes(size)}" for worker, size in workers.items())
        each = f"   {1000 * (taken.cpu - soaked.samples[-1].cpu) / every:.2f} ms a poll" if soaked.samples else ""
        report(f"{done:>9,} polls   {sizes}   parent: {_kilobytes(taken.parent)}{each}")
        soaked.samples.append(taken)

    begin = time.monotonic()
    sample(0)
    with patch("hairtrigger.sandbox.service.worker_process._POLLS", NEVER):
        for done in range(0, polls, every):
            numbers = iter(range(every))
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(take(numbers))
            sample(done + every)
    report(f"{polls:,} polls took {time.monotonic() - begin:,.0f} seconds")
    return soaked
