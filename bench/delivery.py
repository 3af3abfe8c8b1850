"""Measure how long an event takes from its webhook request to its target, and how many are delivered a second.

`./dev poe bench-delivery`, or `python -m bench.delivery`. bench/README.md says what is measured, and why.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_urlsafe
from statistics import quantiles
from typing import Any
from uuid import UUID, uuid4

import httpx2

from bench import profile
from bench.accept import small
from bench.bare import Bare, per_second
from bench.machine import cpu_seconds, observed
from bench.pace import Pace, Paced, put
from bench.programs import program, service, worker
from bench.report import Figure, options, tell
from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.target import WorkflowTarget
from hairtrigger.first_start import EMAIL
from hairtrigger.platform.clock import SystemClock
from hairtrigger.platform.postgres import embedded
from hairtrigger.platform.vault import Vault
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.setup.projects import Projects
from hairtrigger.settings import Settings
from hairtrigger.store import partitions
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event

PER_SECOND = 200
AT_A_TIME = 1000  # deliveries of the project, so many that this limit is not what is measured
_PATIENCE = 120  # seconds for the last deliveries
_BATCH = 1000


@dataclass(frozen=True)
class Arrivals:
    """The deliveries that a target received: id, time of arrival, and time at which the request was due."""

    rows: list[tuple[str, float, float]]

    def latency_ms(self, percent: int) -> float:
        return quantiles([(at - due) * 1000 for _, at, due in self.rows], n=100)[percent - 1]

    @property
    def per_second(self) -> float:
        """Return the rate between the first tenth and the last: the rate of the start and the end is not sustained."""
        times = sorted(at for _, at, _ in self.rows)
        first, last = len(times) // 10, len(times) * 9 // 10
        return (last - first) / (times[last] - times[first])

    def per_second_until(self, end: float) -> float:
        times = sorted(at for _, at, _ in self.rows if at <= end)
        return len(times) / (times[-1] - times[0])

    def prove(self, accepted: int, output: Path) -> None:
        ids = [id_ for id_, _, _ in self.rows]
        if not len(ids) == len(set(ids)) == accepted:
            said = output.read_text()[-3000:]
            sys.exit(f"{said}\nWRONG: {accepted} accepted, {len(ids)} delivered, {len(set(ids))} of them different.")


@dataclass(frozen=True)
class Target:
    url: str

    def arrivals(self, count: int) -> Arrivals:
        """Wait for so many deliveries and a second longer, so that repeats are seen, and return all arrivals."""
        self.arrived(count)
        time.sleep(1)
        return Arrivals([tuple(row) for row in self._asked("arrivals")])

    def arrived(self, count: int) -> int:
        """Wait until so many deliveries have come, or patience is at its end, and return how many have come."""
        patience = time.monotonic() + _PATIENCE
        while (arrived := self._asked("count")) < count and time.monotonic() < patience:
            time.sleep(0.2)
        return int(arrived)

    def _asked(self, path: str) -> Any:
        return httpx2.get(f"{self.url}/{path}", timeout=_PATIENCE, trust_env=False).json()


@contextmanager
def _target() -> Iterator[Target]:
    with program("bench.target") as url:
        yield Target(url)


@dataclass(frozen=True)
class Bench:
    folder: Path
    seconds: float
    count: int

    def latency(self) -> list[Figure]:
        """Measure the time from a request until its event arrives, at a fixed rate. The floor has no service."""
        with _target() as target:
            direct = self._measured(target, target.url, {}, PER_SECOND)[1]
        with _target() as target, service(self.folder / "latency") as running:
            webhook = running.webhook(target.url, max_inflight=AT_A_TIME)
            put(self._pace(webhook.url, dict(webhook.headers), PER_SECOND, seconds=1))
            target.arrivals(PER_SECOND)
            output = self.folder / "latency" / "output.txt"
            arrived = self._measured(target, webhook.url, dict(webhook.headers), PER_SECOND, output, PER_SECOND)[1]
        at = f"{PER_SECOND}/s"
        p50 = arrived.latency_ms(50)
        apart = asyncio.run(self._apart())
        return [
            Figure("accept to target p50", at, p50, "ms", direct.latency_ms(50), "< 20", p50 < 20),
            Figure("accept to target p99", at, arrived.latency_ms(99), "ms", direct.latency_ms(99)),
            Figure("from one process to the target of another p50", at, apart.latency_ms(50), "ms", p50),
        ]

    async def _apart(self) -> Arrivals:
        """Measure with two processes: one accepts and notifies the other, which delivers."""
        data = self.folder / "apart"
        data.mkdir(mode=0o711)
        keys = data / "vault.json"
        Vault.open(keys)
        async with embedded(data / "postgres") as server:
            return await asyncio.to_thread(self._told, data, server.url, keys)

    def _told(self, data: Path, database: str, keys: Path) -> Arrivals:
        settings = {"ROLE": "api", "DATABASE_URL": database, "VAULT_FILE": str(keys)}
        with _target() as target, service(data / "api", **settings) as running, worker(data, database):
            webhook = running.webhook(target.url, max_inflight=AT_A_TIME)
            put(self._pace(webhook.url, dict(webhook.headers), PER_SECOND, seconds=1))
            target.arrivals(PER_SECOND)
            output = data / "api" / "output.txt"
            return self._measured(target, webhook.url, dict(webhook.headers), PER_SECOND, output, PER_SECOND)[1]

    def saturation(self) -> list[Figure]:
        """Measure with 64 connections that send as fast as they are answered, to the process that also delivers.

        The project has the default settings, and its lane begins as wide as that of any new project.
        """
        with _target() as target:
            paced, direct = self._measured(target, target.url, {}, None)
        with _target() as target, service(self.folder / "saturation") as running:
            webhook = running.webhook(target.url)
            begin = time.monotonic()
            output = self.folder / "saturation" / "output.txt"
            accepting, arrived = self._measured(target, webhook.url, dict(webhook.headers), None, output)
        at = "saturation"
        accepted = accepting.accepted / accepting.seconds
        delivered = arrived.per_second_until(begin + accepting.seconds)
        return [
            Figure("accepted", at, accepted, "/s", paced.accepted / paced.seconds),
            Figure("delivered meanwhile", at, delivered, "/s", accepted, "≥ 2,000", delivered >= 2000),
            Figure("accept to target p50", at, arrived.latency_ms(50), "ms", direct.latency_ms(50)),
            Figure("accept to target p99", at, arrived.latency_ms(99), "ms", direct.latency_ms(99)),
        ]

    def sustained(self) -> list[Figure]:
        """Measure how fast a backlog is delivered by one worker process and by two."""
        with _target() as target:
            floor = per_second(Bare(target.url, small().text, self.count))
        figures = []
        for workers in (1, 2):
            with _target() as target:
                arrived = asyncio.run(self._delivered(target, workers))
            goal = ("≥ 3,000", arrived.per_second >= 3000) if workers == 1 else ("", None)
            name = "1 worker process" if workers == 1 else f"{workers} worker processes"
            figures.append(Figure("delivered", name, arrived.per_second, "/s", floor, *goal))
        return figures

    def profiled(self) -> str:
        """Return what the delivery of a backlog costs a worker process, by function."""
        with _target() as target:
            return asyncio.run(self._profiled(target))

    async def _profiled(self, target: Target) -> str:
        samples = self.folder / "samples"
        async with self._backlog("profile", target) as (data, database):
            with worker(data, database, profile.serving(samples)) as process:
                first = await asyncio.to_thread(target.arrived, self.count // 10)
                before = cpu_seconds(process)
                with profile.sampled(process):
                    last = await asyncio.to_thread(target.arrived, self.count * 9 // 10)
                each = (cpu_seconds(process) - before) / (last - first) * 1e6
                return profile.functions(samples, each, "delivery")

    async def _delivered(self, target: Target, workers: int) -> Arrivals:
        async with self._backlog(f"workers-{workers}", target) as (data, database):
            with ExitStack() as stack:
                for _ in range(workers):
                    stack.enter_context(worker(data, database))
                arrived = await asyncio.to_thread(target.arrivals, self.count)
        arrived.prove(self.count, data / "output.txt")
        return arrived

    @asynccontextmanager
    async def _backlog(self, name: str, target: Target) -> AsyncIterator[tuple[Path, str]]:
        """Yield a folder for a service's data and the address of a database that holds all events to deliver."""
        data = self.folder / name
        data.mkdir(mode=0o711)
        async with embedded(data / "postgres") as server, open_store(server.url) as store:
            await _fill(store, data, target.url, self.count)
            yield data, server.url

    def _measured(
        self,
        target: Target,
        url: str,
        headers: dict[str, str],
        per_second: float | None,
        output: Path | None = None,
        before: int = 0,
    ) -> tuple[Paced, Arrivals]:
        paced = put(self._pace(url, headers, per_second))
        if paced.refused:
            sys.exit(f"WRONG: {paced.refused} requests were refused.")
        arrived = target.arrivals(before + paced.accepted)
        if output:
            arrived.prove(before + paced.accepted, output)
        return paced, Arrivals(sorted(arrived.rows, key=lambda row: row[2])[before:])

    def _pace(self, url: str, headers: dict[str, str], per_second: float | None, seconds: float | None = None) -> Pace:
        return Pace(url, headers, small().text[:1400].replace('"', "'"), seconds or self.seconds, per_second)


async def _unchecked(*_: object) -> None:
    """Return no reason why the target can't be called."""


async def _fill(store: Store, data: Path, url: str, count: int) -> None:
    """Store so many events of one project, with the function that the service uses."""
    clock = SystemClock()
    now = clock.now()
    await store.migrate()
    vault = Settings(data_dir=data).vault_path
    vault.parent.mkdir(parents=True, exist_ok=True)
    async with store.transaction() as tx:
        await partitions.make_ahead(tx, now.date())
    opened = Vault.open(vault)
    accounts = Accounts(store=store, clock=clock, token_key=opened.derive("access tokens"))
    organization, user = await accounts.create_organization("Bench", EMAIL, token_urlsafe(), operator=True)
    caller = Caller(organization.id, user.id, frozenset(SCOPES))
    projects = Projects(store=store, clock=clock, secrets=Secrets(opened), check=_unchecked)
    project, _ = await projects.create(caller, "Bench", WorkflowTarget(url=url), AT_A_TIME)
    trigger, content = uuid4(), small().text.encode()
    for _ in range(0, count, _BATCH):
        made = [_event(caller.org_id, project.id, trigger, content) for _ in range(_BATCH)]
        async with store.transaction() as tx:
            await events.append(tx, made)


def _event(org_id: UUID, project_id: str, trigger_id: UUID, content: bytes) -> Event:
    now = datetime.now(UTC)
    id_ = new_id(now)
    return Event(
        id_, org_id, project_id, trigger_id, str(id_), "bench.happened", None, now, now, "application/json", content
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.delivery", description="Deliveries, measured on this machine.")
    options(parser)
    parser.add_argument("--seconds", type=float, default=10, help="of each measurement of latency (default: 10)")
    parser.add_argument("--count", type=int, default=30_000, help="deliveries of a backlog (default: 30,000)")
    parser.add_argument("--only", choices=("latency", "saturation", "sustained"), help="one part of it")
    parser.add_argument("--profile", action="store_true", help="only where a worker's time goes, with a backlog")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # the blocks below then end and leave nothing behind
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made, observed() as machine:
        folder = Path(made)
        folder.chmod(0o711)  # for root the database runs as another user, which must reach its folder
        bench = Bench(folder, arguments.seconds, arguments.count)
        if arguments.profile:
            print(bench.profiled())
            return
        parts = {"latency": bench.latency, "saturation": bench.saturation, "sustained": bench.sustained}
        chosen = [parts[arguments.only]] if arguments.only else parts.values()
        figures = [figure for part in chosen for figure in part()]
    tell("deliveries", machine, figures, arguments)


if __name__ == "__main__":
    main()
