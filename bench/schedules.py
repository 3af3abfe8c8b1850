"""Measure how late very many schedules fire, spread over their minute and all at the same second.

`./dev poe bench-schedules`. bench/README.md says what is measured, and why.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from bench.crowd import Enabled, database, enable
from bench.machine import observed
from bench.programs import Service, service
from bench.report import Figure, options, tell
from hairtrigger.domain.ids import new_id
from hairtrigger.store.database import open_store
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event

MINUTE = timedelta(minutes=1)
PATIENCE = 60  # seconds in which all schedules of one second must fire
GOAL = 1.0
SPREAD = "spread over the minute"
_EXPRESSIONS = ("* * * * *", "*/1 * * * *", "0-59 * * * *", "* 0-23 * * *", "* * 1-31 * *")
_ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe")
_FIRED = "SELECT count(*) FROM event WHERE occurred_at >= $1 AND occurred_at < $2"
_LATE = """
    SELECT extract(epoch FROM percentile_cont(0.5) WITHIN GROUP (ORDER BY late))::float AS p50,
           extract(epoch FROM percentile_cont(0.99) WITHIN GROUP (ORDER BY late))::float AS p99,
           extract(epoch FROM max(late))::float AS worst,
           extract(epoch FROM percentile_cont(0.99) WITHIN GROUP (ORDER BY sent))::float AS sent
    FROM (SELECT received_at - occurred_at AS late, started_at - occurred_at AS sent
          FROM event LEFT JOIN attempt ON attempt.delivery_id = event.id
          WHERE occurred_at >= $1 AND occurred_at < $2) AS fired
"""


@dataclass(frozen=True)
class Measured:
    name: str
    due: int
    fired: int
    lasted: float  # until the last of them was stored
    p50: float
    p99: float
    worst: float
    sent: float  # lateness of the first attempt, p99


async def measured(running: Service, name: str, due: int, begin: datetime, end: datetime) -> Measured:
    """Wait until all firings due from `begin` on and before `end` are stored, but not for ever, and measure them."""
    connection = await database(running)
    try:
        fired, patience = 0, time.monotonic() + PATIENCE
        while fired < due and time.monotonic() < patience:
            await asyncio.sleep(0.1)
            fired = await connection.fetchval(_FIRED, begin, end)
        lasted = (datetime.now(UTC) - begin).total_seconds()
        await asyncio.sleep(1)  # for the last deliveries
        late = await connection.fetchrow(_LATE, begin, end)
    finally:
        await connection.close()
    return Measured(name, due, fired, lasted, **late)


def spread(count: int, now: datetime) -> Iterator[Enabled]:
    """Return schedules that fire every minute, each at a moment of its own."""
    for number in range(count):
        enabled_at = now - MINUTE + MINUTE * (number + 1) / count
        yield _schedule({"interval": "1m", "missed": "latest"}, enabled_at, enabled_at + MINUTE)


def together(count: int, now: datetime, at: datetime) -> Iterator[Enabled]:
    """Return schedules that fire at every full minute, with different expressions and time zones."""
    for number in range(count):
        expression = _EXPRESSIONS[number % len(_EXPRESSIONS)]
        zone = _ZONES[number // len(_EXPRESSIONS) % len(_ZONES)]
        yield _schedule({"cron": expression, "timezone": zone}, now, at)


def _schedule(config: dict[str, str], enabled_at: datetime, next_at: datetime) -> Enabled:
    return Enabled(new_id(enabled_at), "schedule", "on_schedule", config, "schedule", next_at, enabled_at)


async def floor(running: Service, project: str, seconds: float) -> float:
    """Return how many events a second the same statement stores, in batches as large and with nothing else to do."""
    folder = running.data / "postgres" / "cluster"
    now, stored, begin = datetime.now(UTC), 0, time.monotonic()
    async with open_store(f"postgresql:///hairtrigger?host={folder}&user=hairtrigger") as store:
        while (lasted := time.monotonic() - begin) < seconds:
            made = [_event(project, now) for _ in range(1000)]
            async with store.transaction() as tx:
                stored += len(await events.append(tx, made))
    return stored / lasted


def _event(project: str, now: datetime) -> Event:
    body = b'{"scheduled_for":"2026-05-01T12:00:00+00:00"}'
    return Event(new_id(now), uuid4(), project, uuid4(), "key", "t", None, now, now, "application/json", body)


async def run(running: Service, arguments: argparse.Namespace) -> Iterator[Figure]:
    count, seconds = arguments.schedules, timedelta(seconds=arguments.seconds)
    project = running.project()
    await enable(running, project, spread(count, datetime.now(UTC)))
    begin = datetime.now(UTC) + timedelta(seconds=arguments.warm_up)
    await asyncio.sleep((begin + seconds - datetime.now(UTC)).total_seconds())
    due = int(count * (seconds / MINUTE)) - 1  # one firing at the edges may fall outside
    found = [await measured(running, SPREAD, due, begin, begin + seconds)]
    await _remove(running)

    now = datetime.now(UTC)
    at = now.replace(second=0, microsecond=0) + MINUTE
    if at - now < timedelta(seconds=15):
        at += MINUTE
    await enable(running, project, together(count, now, at))
    await asyncio.sleep((at - datetime.now(UTC)).total_seconds())
    found.append(await measured(running, "all at one second", count, at, at + timedelta(seconds=1)))
    await _remove(running)
    stored = await floor(running, project, 4)
    return figures(found, stored)


async def _remove(running: Service) -> None:
    connection = await database(running)
    try:
        await connection.execute("DELETE FROM project_trigger")
    finally:
        await connection.close()


def figures(found: list[Measured], floor: float) -> Iterator[Figure]:
    for one in found:
        goal = "< 1,000" if one.name == SPREAD else ""
        yield Figure("fired", one.name, one.fired / one.lasted, "1/s", floor)
        yield Figure("fired of those due", one.name, one.fired / one.due * 100, "%", None, "100", one.fired >= one.due)
        yield Figure("lateness p50", one.name, one.p50 * 1000, "ms")
        yield Figure("lateness p99", one.name, one.p99 * 1000, "ms", None, goal, one.p99 < GOAL if goal else None)
        yield Figure("lateness at worst", one.name, one.worst * 1000, "ms")
        yield Figure("sent to the target, p99", one.name, one.sent * 1000, "ms")


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # the blocks below then end and leave nothing behind
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made, observed() as machine:
        folder = Path(made)
        folder.chmod(0o711)  # for root the database runs as another user, which must reach its folder
        with service(folder / "service") as running:
            found = list(asyncio.run(run(running, arguments)))
    tell(f"{arguments.schedules:,} schedules", machine, found, arguments)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.schedules", description="Schedules, spread and all at once.")
    options(parser)
    parser.add_argument("--schedules", type=int, default=100_000, help="how many (default: 100,000)")
    parser.add_argument("--warm-up", type=float, default=8, help="seconds before the measurement (default: 8)")
    parser.add_argument(
        "--seconds", type=float, default=20, help="of the measurement while they are spread (default: 20)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
