"""Measure very many polling triggers at one-minute intervals: how late they are polled, and what a poll costs.

`./dev poe bench-polls`. bench/README.md says what is measured, and why.
"""

import argparse
import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from bench import profile
from bench.crowd import Enabled, enable
from bench.exchanges import CURSOR
from bench.machine import cpu_seconds, descendants, observed
from bench.programs import Service, program, service
from bench.provider import EVERY
from bench.report import Figure, options, tell
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.rhythm import next_beat

PLACES = 200
SHARES = (0.2, 0.4, 0.6, 1.0)
BOUNDED = 1.0  # seconds of lateness at the 99th percentile


@dataclass(frozen=True)
class Measured:
    triggers: int
    per_second: float
    p50: float
    p99: float
    service_cpu: float  # cores
    database_cpu: float

    @property
    def per_core(self) -> float:
        return self.per_second / (self.service_cpu + self.database_cpu)

    @property
    def due(self) -> float:
        return self.triggers / EVERY.total_seconds()


@dataclass(frozen=True)
class Bench:
    running: Service
    url: str
    theirs: set[int]  # descendants of this process that do not belong to the service
    warm_up: float
    seconds: float

    def measure(self, triggers: int) -> Measured:
        time.sleep(self.warm_up)
        self._figures()
        service_cpu, database_cpu = self._cpu()
        time.sleep(self.seconds)
        figures = self._figures()
        service_now, database_now = self._cpu()
        lasted = figures["seconds"]
        return Measured(
            triggers,
            figures["asked"] / lasted,
            figures["p50"],
            figures["p99"],
            (service_now - service_cpu) / lasted,
            (database_now - database_cpu) / lasted,
        )

    def floor(self) -> dict[str, float]:
        """Measure the floor, with as many exchanges at a time as the service has polls."""
        arguments = [self.url, str(PLACES), "5"]
        done = subprocess.run(
            [sys.executable, "-m", "bench.exchanges", *arguments], stdout=subprocess.PIPE, text=True, check=True
        )
        found: dict[str, float] = json.loads(done.stdout)
        return found

    def _figures(self) -> Any:
        with urlopen(f"{self.url}/figures") as answer:
            return json.load(answer)

    def _cpu(self) -> tuple[float, float]:
        """Return the CPU seconds of the service and of its database."""
        own, database = 0.0, 0.0
        for process in descendants(os.getpid()) - self.theirs:
            if Path(f"/proc/{process}/comm").read_text().startswith("postgres"):
                database += cpu_seconds(process)
            else:
                own += cpu_seconds(process)
        return own, database


def profiled(folder: Path, triggers: int, seconds: float) -> str:
    """Return what polls cost the service, by function."""
    samples = folder / "samples"
    with program("bench.provider") as url:
        start = profile.serving(samples)
        with service(folder / "service", start, CONCURRENT_POLLS=str(PLACES)) as running:
            asyncio.run(enable(running, running.project(), crowd(url, triggers)))
            time.sleep(seconds)
            before = cpu_seconds(running.process)
            with profile.sampled(running.process):
                time.sleep(seconds)
            each = (cpu_seconds(running.process) - before) / (triggers / EVERY.total_seconds() * seconds) * 1e6
            return profile.functions(samples, each, "poll")


def crowd(url: str, count: int) -> Iterator[Enabled]:
    now = datetime.now(UTC)
    for _ in range(count):
        id_ = new_id(now)
        yield Enabled(
            id=id_,
            provider_id="rss",
            trigger_id="on_item_published",
            config={"url": f"{url}/feed/{id_}"},
            kind="poll",
            next_at=next_beat(id_, EVERY, now),
            enabled_at=now,
            every_seconds=60,
            cursor=CURSOR,
        )


def figures(found: Sequence[Measured], floor: dict[str, float]) -> Iterator[Figure]:
    for one in found:
        at = f"{one.triggers:,} triggers"
        yield Figure("polls", at, one.per_second, "1/s", floor["per_second"], f"{one.due:,.0f}", _kept_up(one))
        yield Figure("polls of one core", at, one.per_core, "1/s", 1 / floor["cpu_seconds"])
        yield Figure("lateness p50", at, one.p50 * 1000, "ms")
        yield Figure("lateness p99", at, one.p99 * 1000, "ms", goal="< 1,000", met=one.p99 < BOUNDED)
        yield Figure("service's CPU", at, one.service_cpu, "cores")
        yield Figure("database's CPU", at, one.database_cpu, "cores")


def _kept_up(one: Measured) -> bool:
    return one.per_second > 0.98 * one.due


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # the blocks below then end and leave nothing behind
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made, observed() as machine:
        folder = Path(made)
        folder.chmod(0o711)  # for root the database runs as another user, which must reach its folder
        if arguments.profile:
            print(profiled(folder, arguments.triggers // 5, arguments.seconds))
            return
        with program("bench.provider") as url:
            theirs = descendants(os.getpid())
            with service(folder / "service", CONCURRENT_POLLS=str(PLACES)) as running:
                bench = Bench(running, url, theirs, arguments.warm_up, arguments.seconds)
                project = running.project()
                floor, found, there = bench.floor(), [], 0
                for share in SHARES:
                    more = round(arguments.triggers * share) - there
                    asyncio.run(enable(running, project, crowd(url, more)))
                    there += more
                    found.append(bench.measure(there))
    tell("polls every minute", machine, list(figures(found, floor)), arguments)
    bounded = [one.triggers for one in found if one.p99 < BOUNDED and _kept_up(one)]
    print(f"\nLateness stays bounded up to {max(bounded, default=0):,} triggers of those tried.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.polls", description="Polling triggers at one-minute intervals.")
    options(parser)
    parser.add_argument("--triggers", type=int, default=100_000, help="the most of them (default: 100,000)")
    parser.add_argument("--warm-up", type=float, default=8, help="seconds before each measurement (default: 8)")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement (default: 20)")
    parser.add_argument("--profile", action="store_true", help="only where the time goes, with a fifth of them")
    return parser.parse_args()


if __name__ == "__main__":
    main()
