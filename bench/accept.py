"""How many webhook requests a second are accepted durably: answered only when their events are on disk.

`./dev poe bench`, or `python -m bench.accept`. What is measured, and why so: bench/README.md.
"""

import argparse
import asyncio
import base64
import json
import os
import platform
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.load import Load, Measured, put, put_by_wrk
from bench.programs import Service, Webhook, program, service

CONNECTIONS = (1, 16, 64)
BODY_BYTES = 1536
WARM_UP = 1.0  # seconds


@dataclass(frozen=True)
class Stage:
    """One setup, measured at each number of connections."""

    name: str
    runs: dict[int, Measured]
    stored: int | None = None
    """Events in the database, counted at the end. None: this setup has no database."""
    delivered_per_second: dict[int, float] | None = None

    @property
    def accepted(self) -> int:
        return sum(run.accepted for run in self.runs.values())

    @property
    def is_right(self) -> bool:
        """Every request was accepted, and what was accepted is stored, once."""
        if any(run.refused for run in self.runs.values()):
            return False
        cut_off = sum(run.unanswered for run in self.runs.values())
        return self.stored is None or self.accepted <= self.stored <= self.accepted + cut_off


@dataclass(frozen=True)
class Bench:
    folder: Path
    put: Callable[[Load], Measured]
    seconds: float

    def floor_and_accept(self) -> list[Stage]:
        """One after the other at each number of connections, so that both see the same machine.

        The service's one place for deliveries is taken by a target that never answers: nothing is delivered meanwhile,
        and nothing is done about it either. (A full lane would be another matter: it moves every event aside.)
        """
        floor: dict[int, Measured] = {}
        accept: dict[int, Measured] = {}
        secret = "a secret of the floor"
        with (
            program("bench.floor", SECRET=secret) as url,
            service(self.folder / "accept", CONCURRENT_DELIVERIES="1") as running,
            socket.create_server(("127.0.0.1", 0)) as silent,
        ):
            bare = Webhook(f"{url}/v1/webhooks/floor", {"X-Webhook-Secret": secret, "Content-Type": "application/json"})
            webhook = running.webhook(_address(silent), timeout_seconds=300)
            running.api.post(webhook.url, headers=webhook.headers).raise_for_status()
            taken, _ = silent.accept()
            before = _count(running, "event")
            with taken:
                for connections in CONNECTIONS:
                    floor[connections] = self._measure(bare, connections)
                    accept[connections] = self._measure(webhook, connections)
            stored = _count(running, "event") - before
        return [Stage("floor: no database", floor), Stage("accept", accept, stored)]

    def accept_while_delivering(self) -> Stage:
        """With the default settings, to a workflow that answers at once."""
        accept: dict[int, Measured] = {}
        delivered: dict[int, float] = {}
        with program("bench.workflow") as target, service(self.folder / "deliver") as running:
            webhook = running.webhook(target)
            for connections in CONNECTIONS:
                before, begin = _count(running, "attempt"), time.monotonic()
                accept[connections] = self._measure(webhook, connections)
                attempts = _count(running, "attempt") - before
                delivered[connections] = attempts / (time.monotonic() - begin)
            stored = _count(running, "event")
        return Stage("accept and deliver", accept, stored, delivered)

    def _measure(self, webhook: Webhook, connections: int) -> Measured:
        return self.put(Load(webhook.url, webhook.headers, body(), connections, self.seconds, WARM_UP))


def body() -> str:
    """JSON that does not compress well, as long as a typical event."""
    noise = base64.b64encode(random.Random(1).randbytes(BODY_BYTES)).decode()
    head, tail = '{"id": "evt_1", "type": "order.paid", "note": "', '"}'
    return head + noise[: BODY_BYTES - len(head) - len(tail)] + tail


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # so that nothing is left behind
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made:
        folder = Path(made)
        folder.chmod(0o711)  # as root, the database runs as another user, who must get through
        machine = _machine(folder)
        bench = Bench(folder, put_by_wrk if arguments.wrk else put, arguments.seconds)
        stages = [*bench.floor_and_accept(), bench.accept_while_delivering()]
    print("   ".join(f"{name} {value}" for name, value in machine.items()), _table(stages), sep="\n\n")
    if arguments.json:
        document = {"machine": machine, "stages": [_document(stage, stages[0]) for stage in stages]}
        Path(arguments.json).write_text(json.dumps(document, indent=2) + "\n")
    if not all(stage.is_right for stage in stages):
        sys.exit("Not every request was accepted and stored once.")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.accept", description="Durable webhook accept on this machine.")
    parser.add_argument("--json", metavar="FILE", help="write the figures there too")
    parser.add_argument("--seconds", type=float, default=5, help="of each of the nine measurements (default: 5)")
    parser.add_argument("--wrk", action="store_true", help="generate the load with wrk instead of our own generator")
    arguments = parser.parse_args()
    if arguments.wrk and not shutil.which("wrk"):
        parser.error("there is no wrk on the PATH")
    return arguments


def _machine(folder: Path) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "flush_ms": round(_flush_seconds(folder / "flushed") * 1000, 2),
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
    }


def _flush_seconds(file: Path) -> float:
    """What it takes this disk to keep a page."""
    taken = []
    with file.open("wb", buffering=0) as opened:
        for _ in range(50):
            begin = time.perf_counter()
            opened.write(bytes(8192))
            os.fsync(opened.fileno())
            taken.append(time.perf_counter() - begin)
    return median(taken)


def _table(stages: Sequence[Stage]) -> str:
    columns = ("", "connections", "requests/s", "of floor", "p50 ms", "p99 ms", "delivered/s", "generator busy")
    lines = [f"{columns[0]:<20}" + "".join(f"{title:>16}" for title in columns[1:])]
    for stage in stages:
        for row in _rows(stage, stages[0]):
            delivered = row["delivered_per_second"]
            lines.append(
                f"{stage.name:<20}{row['connections']:>16}{row['requests_per_second']:>16,.0f}{row['of_floor']:>16.0%}"
                f"{row['p50_ms']:>16.2f}{row['p99_ms']:>16.2f}{'' if delivered is None else f'{delivered:,.0f}':>16}"
                f"{row['busy']:>16.0%}"
            )
    for stage in stages:
        if stage.stored is not None:
            judgement = "right" if stage.is_right else "WRONG"
            lines.append(f"\n{stage.name}: {stage.accepted:,} accepted, {stage.stored:,} stored: {judgement}")
    return "\n".join(lines)


def _document(stage: Stage, floor: Stage) -> dict[str, Any]:
    counted = {"accepted": stage.accepted, "stored": stage.stored, "is_right": stage.is_right}
    return {"name": stage.name, **counted, "runs": _rows(stage, floor)}


def _rows(stage: Stage, floor: Stage) -> list[dict[str, Any]]:
    return [
        {
            "connections": connections,
            **asdict(run),
            "of_floor": run.requests_per_second / floor.runs[connections].requests_per_second,
            "delivered_per_second": stage.delivered_per_second and stage.delivered_per_second[connections],
        }
        for connections, run in stage.runs.items()
    ]


def _address(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}/"


def _count(running: Service, table: str) -> int:
    return asyncio.run(running.count(table))


if __name__ == "__main__":
    main()
