"""Measure what an event costs now and what it cost in another checkout: CPU time, in alternating pairs.

`./dev poe bench-pairs --before FOLDER`, or `python -m bench.pairs`. FOLDER is a checkout of this repository whose
environment has been made (`./dev true`). Both services are driven from outside, through the public API and the tables
of triggers, by the programs of this folder. On a machine that other programs use, CPU time says more than rates.
Each ratio is of two runs that followed each other.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from urllib.request import urlopen
from uuid import uuid4

from bench.accept import idle_service, small
from bench.crowd import enable
from bench.load import Load, put
from bench.machine import cpu_seconds, descendants
from bench.polls import crowd
from bench.programs import Service, Webhook, program, service
from bench.table import table

CONNECTIONS = 16
FEEDS = 12_000  # polled once a minute
CODES = 150  # polled once a second
_CODE = "const answer = await fetch(inputs.url); const text = await answer.text(); return text ? [] : [];"


@dataclass(frozen=True)
class Cost:
    """CPU time of one event, in microseconds."""

    service: float
    """The service and its helper processes."""
    database: float


@dataclass(frozen=True)
class Meter:
    """Count the CPU seconds of a service's processes since the meter was made."""

    root: int
    before: tuple[float, float]

    @classmethod
    def started(cls, running: Service) -> "Meter":
        return cls(running.process, _spent(running.process))

    def cost(self, events: float) -> Cost:
        (service_before, database_before), (service_now, database_now) = self.before, _spent(self.root)
        each = 1e6 / events
        return Cost((service_now - service_before) * each, (database_now - database_before) * each)


def _spent(root: int) -> tuple[float, float]:
    own, database = cpu_seconds(root), 0.0
    for process in descendants(root):
        try:
            spent = cpu_seconds(process)
            is_database = Path(f"/proc/{process}/comm").read_text().startswith("postgres")
        except OSError:  # it has just ended
            continue
        own, database = (own, database + spent) if is_database else (own + spent, database)
    return own, database


def costs(folder: Path, python: str, seconds: float) -> dict[str, Cost]:
    """Run the four measurements with the service of one checkout."""
    folder.mkdir(mode=0o711)
    with idle_service(folder / "idle", python=python) as (running, webhook):
        found = {"accept": _accept(running, webhook, seconds)}
    with (
        program("bench.workflow") as target,
        program("bench.provider") as provider,
        service(folder / "busy", python=python, CONCURRENT_POLLS="200", LEAST_POLLING_SECONDS="1") as running,
    ):
        found["accept and deliver"] = _deliver(running, running.webhook(target, max_inflight=1000), seconds)
        found["poll of a user's code"] = _code_polls(running, provider, seconds)
        found["poll of a feed"] = _feed_polls(running, provider, seconds)
    return found


def _accept(running: Service, webhook: Webhook, seconds: float) -> Cost:
    _load(webhook, 1)
    meter = Meter.started(running)
    return meter.cost(_load(webhook, seconds))


def _deliver(running: Service, webhook: Webhook, seconds: float) -> Cost:
    warm = _delivered(running, _load(webhook, 1))
    meter = Meter.started(running)
    accepted = _load(webhook, seconds)
    _delivered(running, warm + accepted)
    return meter.cost(accepted)


def _load(webhook: Webhook, seconds: float) -> int:
    measured = put(Load(webhook.url, webhook.headers, small().text, CONNECTIONS, seconds, 0))
    if measured.refused or measured.unanswered:
        sys.exit(f"WRONG: {measured.refused} requests were refused and {measured.unanswered} had no answer.")
    return measured.accepted


def _delivered(running: Service, count: int) -> int:
    """Wait until so many attempts are stored, and return their number."""
    patience = time.monotonic() + 120
    while (attempts := asyncio.run(running.count("attempt"))) < count:
        if time.monotonic() > patience:
            sys.exit(f"WRONG: {attempts} of {count} events were delivered.")
        time.sleep(0.2)
    return attempts


def _code_polls(running: Service, provider: str, seconds: float) -> Cost:
    made = running.post("/integrations/v1/create", {"name": "Bench"})["integration"]["id"]
    body = {
        "name": "Something happened",
        "description": "Something happened at the provider",
        "pollingCode": _CODE,
        "inputFields": [{"label": "url", "type": "TEXT", "required": True}],
    }
    slug = running.post(f"/integrations/v1/{made}/triggers/create", body)["trigger"]["slug"]
    project = running.project()
    enabled = []
    for _ in range(CODES):
        config = {"url": f"{provider}/feed/{uuid4()}", "polling_frequency": 1}
        wanted = {"provider_id": made, "trigger_id": slug, "trigger_config_params": config}
        id_ = running.post(f"/projects/{project}/triggers", wanted)["project_trigger_id"]
        running.post(f"/triggers/{id_}/enable")
        enabled.append(id_)
    cost = _polled(running, provider, seconds)
    for id_ in enabled:
        running.post(f"/triggers/{id_}/disable")
    return cost


def _feed_polls(running: Service, provider: str, seconds: float) -> Cost:
    asyncio.run(enable(running, running.project(), crowd(provider, FEEDS)))
    return _polled(running, provider, 2 * seconds)


def _polled(running: Service, provider: str, seconds: float) -> Cost:
    time.sleep(2)
    _asked(provider)
    meter = Meter.started(running)
    time.sleep(seconds)
    return meter.cost(_asked(provider))


def _asked(provider: str) -> int:
    """Return how many requests the provider had since the last call."""
    with urlopen(f"{provider}/figures") as answer:
        return int(json.load(answer)["asked"]) or sys.exit("WRONG: nothing was polled.")


@contextmanager
def bench_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made:
        folder = Path(made)
        folder.chmod(0o711)  # for root the database runs as another user, which must reach its folder
        yield folder


def compared(pairs: list[tuple[dict[str, Cost], dict[str, Cost]]]) -> str:
    """Return a table of both sides' medians and of the ratios of the pairs, service and database together."""
    rows = []
    for name in pairs[0][0]:
        before, now = [one[name] for one, _ in pairs], [other[name] for _, other in pairs]
        ratios = sorted((b.service + b.database) / (a.service + a.database) for a, b in zip(before, now, strict=True))
        rows.append(
            (
                name,
                *(median(one.service for one in side) for side in (before, now)),
                *(median(one.database for one in side) for side in (before, now)),
                f"{median(ratios):.3f}",
                f"{ratios[0]:.3f} to {ratios[-1]:.3f}",
            )
        )
    titles = ("CPU µs an event", "service before", "now", "database before", "now", "now / before", "from to")
    return table(titles, rows)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="bench.pairs", description="CPU time of an event, here and in another checkout."
    )
    parser.add_argument("--before", type=Path, required=True, metavar="FOLDER", help="the other checkout")
    parser.add_argument("--pairs", type=int, default=7, help="how many (default: 7)")
    parser.add_argument("--seconds", type=float, default=3, help="of each measurement (default: 3)")
    arguments = parser.parse_args()
    other = arguments.before.resolve() / ".venv" / "bin" / "python"
    if not other.exists():
        parser.error(f"there is no environment in {arguments.before}: run `./dev true` there")
    pairs = []
    with bench_folder() as folder:
        for number in range(arguments.pairs):
            sides = {"before": str(other), "now": sys.executable}
            order = list(sides) if number % 2 == 0 else list(reversed(sides))
            found = {side: costs(folder / f"{number}-{side}", sides[side], arguments.seconds) for side in order}
            pairs.append((found["before"], found["now"]))
            print(compared(pairs[-1:]), end="\n\n", flush=True)
    print(f"{len(pairs)} pairs\n{compared(pairs)}")


if __name__ == "__main__":
    main()
