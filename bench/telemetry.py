"""Measure what metrics and traces cost an event: CPU time of the service, with and without them, side by side.

`./dev poe bench-telemetry`, or `python -m bench.telemetry`. Services with different settings run at the same time, and
take turns at the same load; each ratio is of turns that followed each other. While one has its turn, the others have
nothing to do. The goal is at most 3 % more for the metrics and for the traces with their default settings.
"""

import argparse
import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import httpx2

from bench.accept import idle_service, small
from bench.load import Load, put
from bench.pairs import Meter, bench_folder
from bench.programs import Service, Webhook, program, service
from bench.table import table

CONNECTIONS = 16
GOAL = 1.03
TOKEN = "a token of the benchmark"
_METRICS = {"METRICS_TOKEN": TOKEN}
_TRACES = {**_METRICS, "TRACES": "true"}
SIDES: Mapping[str, Mapping[str, str]] = {
    "without": {},
    "metrics": _METRICS,
    "metrics and traces": _TRACES,
    "every trace": {**_TRACES, "TRACES_PER_SECOND": "10000"},
}


@dataclass
class Side:
    """One of the services, and the CPU microseconds of an event in each of its turns, of the service alone."""

    running: Service
    webhook: Webhook
    costs: list[float] = field(default_factory=list)

    def turn(self, seconds: float, *, delivered: bool) -> None:
        before = self._ended() if delivered else 0
        meter = Meter.started(self.running)
        accepted = put(Load(self.webhook.url, self.webhook.headers, small().text, CONNECTIONS, seconds, 0)).accepted
        while delivered and self._ended() < before + accepted:
            time.sleep(0.1)
        self.costs.append(meter.cost(accepted).service)

    def _ended(self) -> int:
        return asyncio.run(self.running.count("attempt"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.telemetry", description="CPU time of an event, by what is recorded.")
    parser.add_argument("--rounds", type=int, default=9, help="turns of each service (default: 9)")
    parser.add_argument("--seconds", type=float, default=3, help="of each turn (default: 3)")
    arguments = parser.parse_args()
    with bench_folder() as made, program("bench.workflow") as target:
        os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = target  # it answers 200 to whatever comes
        for name, delivered in (("accept", False), ("accept and deliver", True)):
            with ExitStack() as stack:
                sides = {
                    side: _started(stack, made / f"{int(delivered)}{number}", target, more, delivered=delivered)
                    for number, (side, more) in enumerate(SIDES.items())  # short names: a socket's path is short
                }
                for side in sides.values():
                    side.turn(1, delivered=delivered)
                    side.costs.clear()
                for number in range(arguments.rounds):
                    order = list(sides.values())
                    for side in order[number % len(order) :] + order[: number % len(order)]:
                        side.turn(arguments.seconds, delivered=delivered)
                print(
                    f"{name}: CPU µs an event of the service, {arguments.rounds} rounds\n{compared(sides)}", end="\n\n"
                )
                print(f"scrape of /metrics: {_scrape(sides['metrics'].running):.1f} ms\n", flush=True)


def _started(stack: ExitStack, place: Path, target: str, more: Mapping[str, str], *, delivered: bool) -> Side:
    if delivered:
        running = stack.enter_context(service(place, **more))
        return Side(running, running.webhook(target, max_inflight=1000))
    return Side(*stack.enter_context(idle_service(place, **more)))


def compared(sides: Mapping[str, Side]) -> str:
    """Return a table of the medians, and of the ratios of the turns of one round."""
    without = sides["without"].costs
    rows = []
    for name, side in sides.items():
        ratios = sorted(cost / base for cost, base in zip(side.costs, without, strict=True))
        goal = "" if name in {"without", "every trace"} else "met" if median(ratios) <= GOAL else "missed"
        rows.append((name, median(side.costs), f"{median(ratios):.3f}", f"{ratios[0]:.3f} to {ratios[-1]:.3f}", goal))
    return table(("", "CPU µs", "ratio", "from to", f"goal {GOAL}"), rows)


def _scrape(running: Service) -> float:
    """Return the CPU milliseconds that the service needs for one answer, the database's question not counted."""
    meter = Meter.started(running)
    url, headers = f"{running.api.base_url}/metrics", {"Authorization": f"Bearer {TOKEN}"}
    for _ in range(50):
        httpx2.get(url, headers=headers, trust_env=False).raise_for_status()
    return meter.cost(50).service / 1000


if __name__ == "__main__":
    main()
