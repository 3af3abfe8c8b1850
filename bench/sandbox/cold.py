"""Measure the CPU time of a poll in a fresh context, in batches by turns with other contenders."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from bench.sandbox.cases import Case
from bench.sandbox.contenders import Batch, Contender

WARM_UP = 3
MOST_POLLS = 2_000


@dataclass
class Cold:
    """The measurements of one contender at one case."""

    contender: Contender
    case: Case
    polls: int = 1
    batches: list[Batch] = field(default_factory=list)
    fault: str = ""

    async def warm_up(self, seconds: float) -> None:
        """Warm the contender up, and find how many polls take about that much CPU time."""
        batch = await self._batch(WARM_UP)
        batch = await self._batch(WARM_UP)
        self.polls = min(MOST_POLLS, max(WARM_UP, math.ceil(1000 * seconds / batch.ms_each)))

    async def measure(self) -> None:
        if not self.fault:
            self.batches.append(await self._batch(self.polls))

    async def _batch(self, polls: int) -> Batch:
        batch = await self.contender.batch(self.case, polls)
        self.fault = self.fault or batch.fault
        return batch

    @property
    def ms_each(self) -> float:
        return median(batch.ms_each for batch in self.batches)

    @property
    def engine_ms(self) -> float:
        return median(1000 * batch.engine / batch.polls for batch in self.batches)

    @property
    def host_ms(self) -> float | None:
        apart = [1000 * batch.host / batch.polls for batch in self.batches if batch.host is not None]
        return median(apart) if apart else None

    def document(self, ours: "Cold") -> dict[str, Any]:
        """Return the figures, or only the fault of a contender that did not do the same work."""
        named = {"case": self.case.name, "contender": self.contender.name, "is_right": not self.fault}
        if self.fault:
            return {**named, "fault": self.fault}
        each = sorted(batch.ms_each for batch in self.batches)
        return {
            **named,
            "ms_per_poll": self.ms_each,
            "ms_least": each[0],
            "ms_most": each[-1],
            "engine_ms": self.engine_ms,
            "host_ms": self.host_ms,
            "polls_per_cpu_second": 1000 / self.ms_each,
            "times_ours": self.ms_each / ours.ms_each,
            "polls": sum(batch.polls for batch in self.batches),
            "rounds": len(self.batches),
        }


async def measured(contenders: Sequence[Contender], cases: Sequence[Case], rounds: int, seconds: float) -> list[Cold]:
    """Measure in rounds. In each round every contender runs every case, so that noise affects all alike."""
    all_of_them = [Cold(contender, case) for case in cases for contender in contenders]
    for cold in all_of_them:
        await cold.warm_up(seconds)
    for _ in range(rounds):
        for cold in all_of_them:
            await cold.measure()
    return all_of_them
