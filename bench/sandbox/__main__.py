"""Measure what polls of users' JavaScript cost: `./dev poe bench-sandbox`, or `python -m bench.sandbox`.

bench/README.md says what is measured, and why.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

from bench.machine import observed
from bench.sandbox.cases import cases, example, large
from bench.sandbox.cold import Cold, measured
from bench.sandbox.contenders import (
    COMPETITORS,
    PACKAGES,
    Contender,
    NoEnvironment,
    OurContender,
    competitor,
    environment,
)
from bench.sandbox.crowd import Crowd, Memory, crowd, memory
from bench.sandbox.latency import Latency, latency
from bench.sandbox.ours import Ours
from bench.sandbox.profile import profiled
from bench.sandbox.soak import POLLS, Soak, soak
from bench.table import table
from hairtrigger.serving import loop

AT_ONCE = 100


@dataclass(frozen=True)
class Length:
    rounds: int
    batch_seconds: float
    crowds: int
    crowd_seconds: float
    polls_alone: int


DEFAULT = Length(rounds=15, batch_seconds=0.4, crowds=3, crowd_seconds=6, polls_alone=1000)
QUICK = Length(rounds=4, batch_seconds=0.2, crowds=2, crowd_seconds=3, polls_alone=300)


@dataclass(frozen=True)
class Figures:
    cold: list[Cold]
    latencies: list[Latency]
    memory: Memory
    crowds: list[Crowd]

    @property
    def is_right(self) -> bool:
        return all(crowd.is_right for crowd in self.crowds) and not any(cold.fault for cold in self.cold)

    def goals(self) -> dict[str, bool]:
        ours = {cold.case.name: cold for cold in self.cold if cold.contender.name == "ours"}
        small, big = ours[example().name], ours[large().name]
        rate = median(crowd.polls_per_worker_cpu_second for crowd in self.crowds)
        lag = median(crowd.lag_p99_ms for crowd in self.crowds)
        return {
            f"{rate:,.0f} polls per CPU-second of the worker with {AT_ONCE} at once (goal: 1,000)": rate >= 1000,
            f"{small.engine_ms:.2f} ms of the worker's CPU time for the example (goal: < 1)": small.engine_ms < 1,
            f"{big.engine_ms:.1f} ms of the worker's CPU time for 1 MB (goal: < 20)": big.engine_ms < 20,
            f"{lag:.1f} ms lag of the service's event loop at p99 (goal: < 20)": lag < 20,
        }

    def document(self) -> dict[str, Any]:
        return {
            "cold": _cold_documents(self.cold),
            "contenders": {cold.contender.name: cold.contender.about for cold in self.cold},
            "idle": [asdict(one) for one in self.latencies],
            "memory": asdict(self.memory),
            "crowds": [asdict(crowd) for crowd in self.crowds],
            "goals": self.goals(),
        }


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # the blocks below then end and leave nothing behind
    with asyncio.Runner(loop_factory=loop()) as runner:
        if arguments.profile:
            print(runner.run(profiled(cases())))
            return
        is_right = runner.run(_soaked(arguments) if arguments.soak else _compared(arguments))
    if not is_right:
        sys.exit("Not every poll returned what it had to.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.sandbox", description="The JavaScript sandbox on this machine.")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the figures there too")
    parser.add_argument("--quick", action="store_true", help="a minute instead of three, with wider spreads")
    parser.add_argument("--alone", action="store_true", help="without the other engines")
    parser.add_argument("--workers", type=int, default=1, help="of ours (default: 1)")
    parser.add_argument(
        "--soak", nargs="?", type=int, const=POLLS, metavar="POLLS", help=f"only memory: {POLLS:,} polls"
    )
    parser.add_argument("--profile", action="store_true", help="only where our worker's time goes")
    return parser.parse_args()


async def _compared(arguments: argparse.Namespace) -> bool:
    length = QUICK if arguments.quick else DEFAULT
    with observed(wasmtime=metadata.version("wasmtime"), others=" ".join(PACKAGES)) as machine:
        figures = await _figures(length, arguments.workers, [] if arguments.alone else _installed())
    _print(machine.facts, machine.warnings, _text(figures))
    _write(arguments.json, {"machine": machine.facts, "not_quiet": machine.warnings, **figures.document()})
    return figures.is_right


async def _soaked(arguments: argparse.Namespace) -> bool:
    with observed(wasmtime=metadata.version("wasmtime")) as machine:
        async with Ours.started(arguments.workers) as ours:
            soaked = await soak(ours, example(), arguments.soak, _say)
    _print(machine.facts, machine.warnings, _soak_text(soaked))
    _write(arguments.json, {"machine": machine.facts, "not_quiet": machine.warnings, "soak": soaked.document()})
    return not soaked.wrong


def _installed() -> list[tuple[str, Path]]:
    try:
        place = environment()
    except NoEnvironment as error:
        _say(f"Without the other engines. {error}")
        return []
    return [(name, place) for name in COMPETITORS]


async def _figures(length: Length, workers: int, others: Sequence[tuple[str, Path]]) -> Figures:
    async with AsyncExitStack() as stack:
        competitors = [await stack.enter_async_context(competitor(*other)) for other in others]
        ours = await stack.enter_async_context(Ours.started(workers))
        _say("memory ...")
        sizes = await memory(ours, example(), AT_ONCE)
        _say("one poll on an idle service ...")
        alone = [await latency(ours, case, length.polls_alone) for case in cases()[:2]]
        _say(f"{AT_ONCE} polls at once ...")
        crowds = [await crowd(ours, example(), AT_ONCE, length.crowd_seconds) for _ in range(length.crowds)]
        _say("cold polls ...")
        contenders: list[Contender] = [OurContender(ours), *competitors]
        cold = await measured(contenders, cases(), length.rounds, length.batch_seconds)
    return Figures(cold, alone, sizes, crowds)


def _cold_documents(colds: Sequence[Cold]) -> list[dict[str, Any]]:
    ours = {cold.case.name: cold for cold in colds if cold.contender.name == "ours"}
    return [cold.document(ours[cold.case.name]) for cold in colds]


def _text(figures: Figures) -> str:
    documents = _cold_documents(figures.cold)
    abouts = {cold.contender.name: cold.contender.about for cold in figures.cold}
    columns = ("ms_per_poll", "engine_ms", "host_ms", "ms_least", "ms_most", "polls_per_cpu_second", "times_ours")
    rows: list[list[object]] = [
        [f"{one['case']}: {one['contender']}", *(one.get(column) for column in columns), one.get("fault", "the same")]
        for one in documents
    ]
    titles = ("CPU time of a cold poll", "ms", "engine", "host", "least", "most", "polls/CPU-s", "x ours", "its result")
    sections = [
        table(titles, rows),
        "\n".join(f"{name}: {about}." for name, about in abouts.items()),
        table(
            ("alone, wall time", "least ms", "p50 ms", "p99 ms", "most ms"),
            [[one.case, one.least, one.p50, one.p99, one.most] for one in figures.latencies],
        ),
        _crowds_text(figures.crowds),
        _memory_text(figures.memory),
        "\n".join(f"{'met   ' if met else 'MISSED'}  {goal}" for goal, met in figures.goals().items()),
    ]
    return "\n\n".join(sections)


def _crowds_text(crowds: Sequence[Crowd]) -> str:
    figures = [
        {
            "polls/s": crowd.polls_per_second,
            "polls/worker CPU-s": crowd.polls_per_worker_cpu_second,
            "polls/CPU-s": crowd.polls_per_cpu_second,
            "worker ms": crowd.worker_ms,
            "parent ms": crowd.parent_ms,
            "worker cores": crowd.worker_cores,
            "lag p50 ms": crowd.lag_p50_ms,
            "p99 ms": crowd.lag_p99_ms,
            "most ms": crowd.lag_most_ms,
        }
        for crowd in crowds
    ]
    rows = [[f"{crowd.polls:,} polls", *row.values()] for crowd, row in zip(crowds, figures, strict=True)]
    return table([f"{AT_ONCE} at once, 50 ms fetches", *figures[0]], rows)


def _memory_text(memory: Memory) -> str:
    rows: list[list[object]] = [
        ["resident", memory.resident_at_rest, memory.resident_with_live_polls],
        ["proportional", memory.proportional_at_rest, memory.proportional_with_live_polls],
    ]
    return table((f"memory of {memory.processes} worker(s), MiB", "at rest", f"{AT_ONCE} live polls"), rows)


def _soak_text(soaked: Soak) -> str:
    slopes = [f"{name}: {slope:+.2f} KB for 1,000 polls" for name, slope in soaked.slopes().items()]
    verdict = "flat" if soaked.is_flat else "NOT FLAT"
    return "\n".join([*slopes, f"{soaked.replaced} workers were replaced", f"The workers' memory: {verdict}"])


def _print(facts: dict[str, Any], warnings: Sequence[str], text: str) -> None:
    print("   ".join(f"{name} {value}" for name, value in facts.items()))
    for warning in warnings:
        print(f"NOT QUIET: {warning}. Trust the ratios more than the figures.")
    print(f"\n{text}")


def _write(file: Path | None, document: dict[str, Any]) -> None:
    if file:
        file.write_text(json.dumps(document, indent=2) + "\n")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
