"""Measure what one organisation notices of another: its latency beside a hostile one, relative to a friendly one.

`./dev poe bench-neighbours`, or `python -m bench.neighbours`. bench/README.md says what is measured, and why.
"""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

import structlog

from bench.beside import deliveries, guests, outgoing, parsing, stored
from bench.beside.case import KINDS, Case, Kind
from bench.machine import observed
from bench.report import Figure, options, tell
from hairtrigger.serving import loop

GOAL = 2.0

CASES: tuple[Case, ...] = (*outgoing.CASES, *parsing.CASES, *guests.CASES, *stored.CASES, *deliveries.CASES)


@dataclass(frozen=True)
class Pair:
    """The latencies of one organisation in milliseconds, by the kind of its neighbour."""

    latencies: dict[Kind, list[float]]

    def percentile(self, kind: Kind, percent: int) -> float:
        return quantiles(self.latencies[kind], n=100)[percent - 1]


async def measured(case: Case, pairs: int, seconds: float) -> list[Pair]:
    """Measure beside both kinds of neighbours, by turns, so that both see the same machine."""
    found = []
    async with case.opened() as measure:
        await measure("friendly", seconds / 4)
        for number in range(pairs):
            order = KINDS if number % 2 == 0 else tuple(reversed(KINDS))
            found.append(Pair({kind: [1000 * one for one in await measure(kind, seconds)] for kind in order}))
    return found


def figures(case: Case, pairs: Sequence[Pair]) -> Iterator[Figure]:
    """Return the medians of the pairs beside a hostile neighbour. The floor is the same beside a friendly one."""
    for percent in (50, 99):
        friendly, hostile = (median(pair.percentile(kind, percent) for pair in pairs) for kind in KINDS)
        met = hostile <= GOAL * friendly
        yield Figure(f"{case.name} p{percent}", case.unit, hostile, "ms", friendly, f"<= {GOAL:.0%}", met)


def main() -> None:
    names = [case.name for case in CASES]
    parser = argparse.ArgumentParser(prog="bench.neighbours", description="One organisation beside another.")
    options(parser)
    parser.add_argument("--pairs", type=int, default=5, help="how many (default: 5)")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (default: 3)")
    parser.add_argument("--only", choices=names, action="append", help="one pool; more than once for several")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # the blocks below then end and leave nothing behind
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    found: list[Figure] = []
    with observed() as machine:
        for case in CASES:
            if arguments.only and case.name not in arguments.only:
                continue
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            with asyncio.Runner(loop_factory=loop()) as runner:
                found += figures(case, runner.run(measured(case, arguments.pairs, arguments.seconds)))
    tell("beside a hostile organisation; the floor is beside a friendly one", machine, found, arguments)


if __name__ == "__main__":
    main()
