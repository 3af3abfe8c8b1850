"""Measure what accepting and delivering cost with an empty store, and with a million stored events.

`./dev poe bench-size`. Both services run side by side and are measured by turns, so that both see the same machine. The
events are inserted by SQL, spread over the previous days, with their keys and their attempts, as if delivered.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from statistics import median

import asyncpg

from bench.accept import WARM_UP, small
from bench.load import Load, Measured, put
from bench.machine import observed
from bench.programs import Service, Webhook, program, service
from bench.report import Figure, options, tell

CONNECTIONS = 16
DAYS = 20
GOAL = 0.9  # of the figures of an empty store
CHURNING = ("pgmq.q_dispatch", "lane", "waiting")
MEBIBYTE = 1024 * 1024
_DRAIN = 60  # seconds at most

_FILL = """
    WITH made AS (
        SELECT lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
               || '8' || substr(md5(n::text), 1, 15) AS id, at, n
        FROM (SELECT n, $2::date + (n % 86400) * interval '1 second' AS at
              FROM generate_series($3::bigint, $4::bigint) AS n) AS numbers
    ), stored AS (
        INSERT INTO event (id, day, org_id, project_id, project_trigger_id, key, type, subject, occurred_at,
                           received_at, content_type, body)
        SELECT made.id::uuid, (at AT TIME ZONE 'UTC')::date, t.org_id, t.project_id, t.id, 'filled ' || n,
               'bench.filled', NULL, at, at, 'application/json', convert_to($5, 'UTF8')
        FROM made CROSS JOIN project_trigger AS t WHERE t.id = $1
        RETURNING id, day, key, org_id, project_trigger_id, received_at
    ), keys AS (
        INSERT INTO event_key (project_trigger_id, key, event_id, day)
        SELECT project_trigger_id, key, id, day FROM stored
    )
    INSERT INTO attempt (id, day, org_id, delivery_id, number, status, response_status, detail, response,
                         started_at, finished_at)
    SELECT id, day, org_id, id, 1, 'delivered', 200, '', '', received_at, received_at FROM stored
"""


@dataclass
class Side:
    """One of the two services, and its measurements."""

    name: str
    running: Service
    webhook: Webhook
    begun: date
    accepted: list[Measured] = field(default_factory=list)
    delivered: list[float] = field(default_factory=list)

    @property
    def accepted_per_second(self) -> float:
        return median(run.requests_per_second for run in self.accepted)

    @property
    def p50_ms(self) -> float:
        return median(run.p50_ms for run in self.accepted)

    @property
    def delivered_per_second(self) -> float:
        return median(self.delivered)

    def measure(self, seconds: float) -> None:
        """Accept for a while, then wait until the backlog is delivered, so that each has its own full speed."""
        before, begun = self._attempts(), time.monotonic()
        self.accepted.append(
            put(Load(self.webhook.url, self.webhook.headers, small().text, CONNECTIONS, seconds, WARM_UP))
        )
        wanted = before + self.accepted[-1].accepted
        while (attempts := self._attempts()) < wanted:
            if time.monotonic() > begun + _DRAIN:
                sys.exit(f"{self.name}: {wanted - attempts} deliveries are still missing after {_DRAIN} s.")
            time.sleep(0.2)
        self.delivered.append((attempts - before) / (time.monotonic() - begun))

    def _attempts(self) -> int:
        """Return the attempts of this run. To count the inserted ones too would cost more than what is measured."""
        return asyncio.run(self.running.count(f"attempt WHERE day >= '{self.begun}'"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.size", description="Cost against the number of stored events.")
    parser.add_argument("--events", type=int, default=1_000_000, help="to store in one of the two (default: a million)")
    parser.add_argument("--seconds", type=float, default=3, help="of each of the measurements (default: 3)")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each side (default: 3)")
    options(parser)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made, observed() as machine, ExitStack() as stack:
        folder = Path(made)
        folder.chmod(0o711)  # for root the database runs as another user, which must reach its folder
        target = stack.enter_context(program("bench.workflow"))
        empty, full = (_side(stack, folder, name, target) for name in ("empty", "full"))
        taken = asyncio.run(_fill(full, arguments.events))
        machine.facts["filled_seconds"] = round(taken, 1)
        sizes = []
        for number in range(arguments.rounds):
            for side in (empty, full)[:: 1 if number % 2 else -1]:
                side.measure(arguments.seconds)
            sizes.append(asyncio.run(_sizes(full.running)))
    tell("cost against size", machine, [*_figures(empty, full, arguments.events), *_bloat(sizes)], arguments)


def _side(stack: ExitStack, folder: Path, name: str, target: str) -> Side:
    running = stack.enter_context(service(folder / name))
    webhook = running.webhook(target)
    return Side(name, running, webhook, datetime.now(UTC).date())


async def _fill(side: Side, count: int) -> float:
    begun = time.monotonic()
    connection = await _connected(side.running)
    trigger = side.webhook.url.rpartition("/")[2]
    try:
        today = await connection.fetchval("SELECT (now() AT TIME ZONE 'UTC')::date")
        for offset in range(DAYS, 0, -1):
            day = await connection.fetchval("SELECT $1::date - $2::int", today, offset)
            await _partitions(connection, day)
            number = DAYS - offset
            first, last = number * count // DAYS, (number + 1) * count // DAYS - 1
            await connection.execute(_FILL, trigger, day, first, last, small().text)
        await connection.execute("VACUUM ANALYZE")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    return time.monotonic() - begun


async def _partitions(connection: "asyncpg.Connection[asyncpg.Record]", day: object) -> None:
    for table in ("event", "attempt"):
        name = f"{table}_{day}".replace("-", "")
        if not await connection.fetchval("SELECT to_regclass($1)", name):
            await connection.execute(
                f"CREATE TABLE {name} PARTITION OF {table} FOR VALUES FROM ('{day}') TO ('{day}'::date + 1)"
            )


async def _sizes(running: Service) -> list[int]:
    """Return the sizes on disk, with indexes, of the tables whose rows are written and deleted again and again."""
    connection = await _connected(running)
    try:
        return [await connection.fetchval("SELECT pg_total_relation_size($1::regclass)", name) for name in CHURNING]
    finally:
        await connection.close()


def _bloat(sizes: Sequence[Sequence[int]]) -> Iterator[Figure]:
    """Return the final sizes. Their floor is the size after the first round; each later round has as many events."""
    for table, first, last in zip(CHURNING, sizes[0], sizes[-1], strict=True):
        yield Figure(table, f"on disk after round {len(sizes)}", last / MEBIBYTE, "MB", first / MEBIBYTE)


async def _connected(running: Service) -> "asyncpg.Connection[asyncpg.Record]":
    folder = str(running.data / "postgres" / "cluster")
    return await asyncpg.connect(host=folder, user="hairtrigger", database="hairtrigger")


def _figures(empty: Side, full: Side, count: int) -> Sequence[Figure]:
    """Return the figures with the full store. The floor of each is the same figure with the empty store."""
    found = []
    for series, unit, now, floor in (
        ("accepted", "1/s", full.accepted_per_second, empty.accepted_per_second),
        ("delivered", "1/s", full.delivered_per_second, empty.delivered_per_second),
        ("answered, p50", "ms", full.p50_ms, empty.p50_ms),
    ):
        goal, met = (f">= {GOAL:.0%}", now >= GOAL * floor) if unit == "1/s" else ("", None)
        found.append(Figure(series, f"{count:,} stored events", now, unit, floor, goal, met))
    return found


if __name__ == "__main__":
    main()
