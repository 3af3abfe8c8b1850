"""Measure how many webhook requests a second are accepted durably: answered only when their events are on disk.

`./dev poe bench`, or `python -m bench.accept`. bench/README.md says what is measured, and why.
"""

import argparse
import asyncio
import base64
import random
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path
from statistics import median

from bench import profile
from bench.load import Load, Measured, put, put_by_wrk
from bench.machine import cpu_seconds, descendants, observed
from bench.programs import Service, Webhook, program, service
from bench.report import Figure, options, tell
from tests.support import node

CONNECTIONS = (1, 16, 64)
WARM_UP = 1.0  # seconds
SECRET = "a secret of the floor"


@dataclass(frozen=True)
class Body:
    name: str
    text: str


@dataclass(frozen=True)
class Stage:
    """Count the requests that were sent to one service, and the events that it then had in its database."""

    name: str
    accepted: int
    refused: int
    unanswered: int
    stored: int

    @property
    def is_right(self) -> bool:
        """Return whether every request was accepted, and every accepted event is stored once."""
        return not self.refused and self.accepted <= self.stored <= self.accepted + self.unanswered


@dataclass
class Bench:
    folder: Path
    put: Callable[[Load], Measured]
    seconds: float
    rounds: int
    figures: list[Figure] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)

    def accept(self) -> None:
        """Measure each body and number of connections by turns with the floor, so that both see the same machine."""
        with program("bench.floor", SECRET=SECRET) as url, idle_service(self.folder / "accept") as (running, webhook):
            bare = Webhook(f"{url}/v1/webhooks/floor", {"X-Webhook-Secret": SECRET, "Content-Type": "application/json"})
            with self._stage("accept", running) as runs:
                for body in (small(), large()):
                    for connections in CONNECTIONS:
                        floors, ours, cpu = [], [], _cpu(running)
                        for _ in range(self.rounds):
                            floors.append(self._measure(bare, connections, body))
                            ours.append(self._measure(webhook, connections, body))
                        runs.extend(ours)
                        self._tell(connections, body, middle(floors), middle(ours))
                        self._tell_cpu(connections, body, sum(run.accepted for run in ours), cpu, _cpu(running))

    def accept_while_delivering(self) -> None:
        """Measure with the default settings, while events are delivered to a workflow that answers at once."""
        with program("bench.workflow") as target, service(self.folder / "deliver") as running:
            webhook = running.webhook(target)
            with self._stage("accept and deliver", running) as runs:
                for connections in CONNECTIONS:
                    before, begin = _count(running, "attempt"), time.monotonic()
                    run = self._measure(webhook, connections, small())
                    runs.append(run)
                    delivered = (_count(running, "attempt") - before) / (time.monotonic() - begin)
                    at = f"{connections} connections, {small().name}"
                    self.figures.append(Figure("accept while delivering", at, run.requests_per_second, "requests/s"))
                    self.figures.append(Figure("delivered meanwhile", at, delivered, "deliveries/s"))

    @contextmanager
    def _stage(self, name: str, running: Service) -> Iterator[list[Measured]]:
        before = _count(running, "event")
        runs: list[Measured] = []
        yield runs
        self.stages.append(
            Stage(
                name,
                accepted=sum(run.accepted for run in runs),
                refused=sum(run.refused for run in runs),
                unanswered=sum(run.unanswered for run in runs),
                stored=_count(running, "event") - before,
            )
        )

    def _measure(self, webhook: Webhook, connections: int, body: Body) -> Measured:
        return self.put(Load(webhook.url, webhook.headers, body.text, connections, self.seconds, WARM_UP))

    def _tell(self, connections: int, body: Body, floor: Measured, run: Measured) -> None:
        at = f"{connections} connections, {body.name}"
        held = connections == CONNECTIONS[-1] and body == small()
        rate, share = run.requests_per_second, run.requests_per_second / floor.requests_per_second
        self.figures += [
            Figure(
                "accept",
                at,
                rate,
                "requests/s",
                floor=floor.requests_per_second,
                goal="10,000 and 60 % of floor" if held else "",
                met=rate >= 10_000 and share >= 0.6 if held else None,
            ),
            Figure("p50", at, run.p50_ms, "ms", floor=floor.p50_ms),
            Figure(
                "p99",
                at,
                run.p99_ms,
                "ms",
                floor=floor.p99_ms,
                goal="less than 50" if held else "",
                met=run.p99_ms < 50 if held else None,
            ),
        ]

    def _tell_cpu(
        self, connections: int, body: Body, accepted: int, before: tuple[float, float], after: tuple[float, float]
    ) -> None:
        at = f"{connections} connections, {body.name}"
        for series, begin, end in zip(("CPU of the service", "CPU of PostgreSQL"), before, after, strict=True):
            self.figures.append(Figure(series, at, (end - begin) / accepted * 1e6, "µs/request"))


def middle(runs: Sequence[Measured]) -> Measured:
    """Return the median of each figure, which neither lucky nor disturbed runs change."""
    return Measured(*(median(values) for values in zip(*map(astuple, runs), strict=True)))


@contextmanager
def idle_service(folder: Path, **more: str) -> Iterator[tuple[Service, Webhook]]:
    """Run a service that accepts and delivers nothing: a target that never answers has its one place for deliveries."""
    with (
        service(folder, CONCURRENT_DELIVERIES="1", **more) as running,
        socket.create_server(("127.0.0.1", 0)) as silent,
    ):
        webhook = running.webhook(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_seconds=300)
        running.api.post(webhook.url, headers=webhook.headers).raise_for_status()
        taken, _ = silent.accept()
        with taken:
            yield running, webhook


_COMMENT = """
import { createRequire } from "node:module";
const collection = createRequire(import.meta.url)("@octokit/webhooks-examples");
const { examples } = (collection.default ?? collection).find(({ name }) => name === "issue_comment");
const texts = examples.map((example) => JSON.stringify(example)).sort((one, other) => one.length - other.length);
console.log(JSON.stringify(texts[0]));
"""


def small() -> Body:
    """Return JSON that does not compress well and is as long as a typical event."""
    noise = base64.b64encode(random.Random(1).randbytes(1536)).decode()
    head, tail = '{"id": "evt_1", "type": "order.paid", "note": "', '"}'
    return Body("1.5 KB", head + noise[: 1536 - len(head) - len(tail)] + tail)


def large() -> Body:
    """Return the body that GitHub sends for a comment, as its documentation shows it."""
    folder = node.installed("@octokit/webhooks-examples@7.6.1")
    return Body("10 KB", node.run(folder, _COMMENT))


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # the blocks below then end and leave nothing behind
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made, observed() as machine:
        folder = Path(made)
        folder.chmod(0o711)  # for root the database runs as another user, which must reach its folder
        if arguments.profile:
            print(profiled(folder, arguments.seconds))
            return
        bench = Bench(folder, put_by_wrk if arguments.wrk else put, arguments.seconds, arguments.rounds)
        bench.accept()
        bench.accept_while_delivering()
    tell("durable accept", machine, bench.figures, arguments)
    for stage in bench.stages:
        judgement = "right" if stage.is_right else "WRONG"
        print(f"{stage.name}: {stage.accepted:,} accepted, {stage.stored:,} stored: {judgement}")
    if not all(stage.is_right for stage in bench.stages):
        sys.exit("Not every request was accepted and stored once.")


def profiled(folder: Path, seconds: float) -> str:
    stats = folder / "stats"
    with idle_service(folder / "profile", start=profile.serving(stats)) as (running, webhook):
        service_time = profile.accepting(running, webhook, small().text, stats, seconds)
        return "\n\n".join((service_time, profile.steps(running, webhook, small().text)))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.accept", description="Durable webhook accept on this machine.")
    options(parser)
    parser.add_argument("--seconds", type=float, default=2.5, help="of each measurement (default: 2.5)")
    parser.add_argument("--rounds", type=int, default=3, help="of each: the middle one counts (default: 3)")
    parser.add_argument("--wrk", action="store_true", help="generate the load with wrk instead of our own generator")
    parser.add_argument("--profile", action="store_true", help="only where the time goes, at 64 connections")
    arguments = parser.parse_args()
    if arguments.wrk and not shutil.which("wrk"):
        parser.error("there is no wrk on the PATH")
    return arguments


def _cpu(running: Service) -> tuple[float, float]:
    """Return the CPU seconds of the service, and of its database and its sandbox, which does nothing here."""
    return cpu_seconds(running.process), sum(cpu_seconds(process) for process in descendants(running.process))


def _count(running: Service, table: str) -> int:
    return asyncio.run(running.count(table))


if __name__ == "__main__":
    main()
