"""Measure what explanations and the stall watchdog cost in a full database, and in one that is nearly empty.

`./dev python -m bench.explain`: the full one has a million events with their keys and attempts and a million outcomes
over eight days, one in ten of them of one trigger, and 100,000 enabled polling triggers. `--plans` shows how the
database reads them.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID, uuid4

from sqlalchemy import text

from bench.machine import observed
from bench.report import Figure, options, tell
from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.clock import SystemClock
from hairtrigger.platform.postgres import embedded
from hairtrigger.providers import CATALOGUE
from hairtrigger.services.catalogue import Owned, catalogue_of
from hairtrigger.services.explain.explainer import Explainer
from hairtrigger.services.explain.health import Diagnosis
from hairtrigger.services.explain.stall_watchdog import StallWatchdog
from hairtrigger.store import partitions
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.explain import trigger_health

GOAL = 50.0  # milliseconds
TIMES = 100
DAYS = 8
BUSY = UUID(int=1)  # the trigger that has a tenth of all events and outcomes
ORG = uuid4()


@dataclass(frozen=True)
class Size:
    triggers: int
    events: int
    outcomes: int


SMALL = Size(100, 1000, 1000)
LARGE = Size(100_000, 1_000_000, 1_000_000)

_FILL = (
    """
    INSERT INTO project_trigger (id, org_id, project_id, provider_id, trigger_id, config, enabled, enabled_at,
                                 generation, created_by, created_at, updated_at)
    SELECT lpad(to_hex(n), 32, '0')::uuid, :org, 'proj', 'rss', 'on_item_published', '{}', true,
           now() - interval '9 days', 1, :org, now() - interval '9 days', now() FROM generate_series(1, :triggers) AS n
    """,
    """
    INSERT INTO poll (project_trigger_id, kind, next_at, every_seconds, failures)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'poll', now() + interval '1 second' * (n % 600), 600, 0
    FROM generate_series(1, :triggers) AS n
    """,
    """
    CREATE TEMPORARY TABLE happening ON COMMIT DROP AS
    SELECT n, at, lpad(to_hex(CASE WHEN n % 10 = 0 THEN 1 ELSE 1 + n % :triggers END), 32, '0')::uuid AS trigger,
           (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008'
            || substr(md5(n::text), 1, 15))::uuid AS id, (at AT TIME ZONE 'UTC')::date AS day
    FROM (SELECT n, now() - interval '1 second' * (n * :days * 86000.0 / :events) AS at
          FROM generate_series(1, :events) AS n) AS moment
    """,
    """
    INSERT INTO event SELECT day, id, :org, 'proj', trigger, 'key ' || n, 'rss.on_item_published', NULL, at, at,
           'application/json', convert_to(repeat(md5(n::text), 10), 'UTF8') FROM happening
    """,
    "INSERT INTO event_key SELECT trigger, 'key ' || n, id, day FROM happening",
    """
    INSERT INTO attempt (day, id, org_id, delivery_id, number, status, response_status, detail, response,
                         started_at, finished_at)
    SELECT day, id, :org, id, 1, 'delivered', 200, 'The target answered 200.', '', at, at FROM happening
    """,
    """
    INSERT INTO outcome (day, id, org_id, project_trigger_id, kind, code, detail, events, at)
    SELECT day, id, :org, trigger, 'poll', CASE WHEN n % 50 = 0 THEN 'failed' ELSE 'empty' END, '', 0, at
    FROM happening WHERE n <= :outcomes
    """,
)


async def fill(store: Store, size: Size) -> None:
    today = datetime.now(UTC).date()
    parameters = {"org": ORG, "days": DAYS, "triggers": size.triggers}
    parameters |= {"events": size.events, "outcomes": size.outcomes}
    async with store.transaction() as tx:
        await partitions.make_ahead(tx, today - timedelta(days=DAYS), days=DAYS + 2)
        await tx.connection.execute(text("INSERT INTO org VALUES (:org, 'Org', now())"), parameters)
        await tx.connection.execute(
            text("INSERT INTO project VALUES ('proj', :org, 'Project', '{\"kind\": \"log\"}', '', now(), now())"),
            parameters,
        )
        for statement in _FILL:
            await tx.connection.execute(text(statement).bindparams(), _named(statement, parameters))
    async with store.engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(text("VACUUM ANALYZE"))


def _named(statement: str, parameters: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in parameters.items() if f":{name}" in statement}


async def measured(what: Callable[[], Awaitable[object]], times: int = TIMES) -> tuple[float, float]:
    """Return the median and the 99th percentile, in milliseconds."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        await what()
        taken.append((time.perf_counter() - begin) * 1000)
    return median(taken), quantiles(taken, n=100)[98]


async def questions(store: Store) -> dict[str, tuple[float, float]]:
    clock = SystemClock()
    diagnosis = Diagnosis(
        clock=clock,
        catalogue=catalogue_of(CATALOGUE, _nobody),
        poll_deadline=timedelta(minutes=1),
        schedule_grace=timedelta(minutes=1),
    )
    explainer, watchdog = (
        Explainer(store=store, clock=clock, diagnosis=diagnosis),
        StallWatchdog(store=store, clock=clock, diagnosis=diagnosis),
    )
    caller = Caller(ORG, uuid4(), frozenset(SCOPES))
    async with store.transaction() as tx:
        found = await tx.connection.execute(
            text("SELECT id, key FROM event WHERE project_trigger_id = :busy ORDER BY id LIMIT 1"), {"busy": BUSY}
        )
        event_id, key = found.one()
    now, ago = clock.now(), clock.now() - timedelta(days=4)
    window = timedelta(minutes=5)
    asked: dict[str, Callable[[], Awaitable[object]]] = {
        "the state": lambda: explainer.state(caller, BUSY),
        "now": lambda: explainer.moment(caller, BUSY, now, window),
        "four days ago": lambda: explainer.moment(caller, BUSY, ago, window),
        "a silent trigger": lambda: explainer.moment(caller, UUID(int=7), ago, timedelta(seconds=1)),
        "an event": lambda: explainer.event(caller, BUSY, event_id),
        "a key": lambda: explainer.key(caller, BUSY, key),
    }
    figures = {name: await measured(question) for name, question in asked.items()}
    figures["watchdog, overdue"] = await measured(lambda: watchdog.look(at_all=False))
    figures["watchdog, all"] = await measured(watchdog.look, times=5)
    figures["a list of health"] = await measured(lambda: watchdog.health(caller, limit=50), times=10)
    figures["a list of the stalled"] = await measured(lambda: watchdog.health(caller, limit=50, status="stalled"), 10)
    return figures


async def _nobody(*_: object) -> dict[Owned, Provider]:
    return {}


async def plan(store: Store) -> str:
    """Return the plan by which the database finds overdue triggers."""
    now = datetime.now(UTC)
    expected = trigger_health.Expectations(now, now - timedelta(minutes=2), [])
    parameters = {**expected.parameters(), "limit": 1000, "kind": "poll"}
    async with store.transaction() as tx:
        lines = await tx.connection.execute(
            text(f"EXPLAIN (ANALYZE, BUFFERS) {trigger_health.FIND_OVERDUE.text}"),
            {name: value for name, value in parameters.items() if f":{name}" in trigger_health.FIND_OVERDUE.text},
        )
        return "\n".join(lines.scalars())


async def run(folder: Path, *, plans: bool) -> list[Figure]:
    found: dict[Size, dict[str, tuple[float, float]]] = {}
    for size in (SMALL, LARGE):
        async with embedded(folder / str(size.events)) as server, open_store(server.url) as store:
            await store.migrate()
            await fill(store, size)
            found[size] = await questions(store)
            if plans and size is LARGE:
                print(await plan(store))
    return [
        Figure(
            series=name,
            at=f"p{percentile}",
            value=found[LARGE][name][place],
            unit="ms",
            floor=found[SMALL][name][place],
            goal=f"< {GOAL:.0f}" if not name.startswith(("watchdog", "a list")) else "",
            met=found[LARGE][name][place] < GOAL if not name.startswith(("watchdog", "a list")) else None,
        )
        for name in found[LARGE]
        for place, percentile in enumerate((50, 99))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plans", action="store_true", help="show how what is overdue is found")
    options(parser)
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("Stopped."))  # the blocks below then end and leave nothing behind
    with tempfile.TemporaryDirectory(prefix="hairtrigger-bench-") as made, observed() as machine:
        folder = Path(made)
        folder.chmod(0o711)  # for root the database runs as another user, which must reach its folder
        figures = asyncio.run(run(folder, plans=arguments.plans))
    tell("explaining, with a million events (floor: with a thousand)", machine, figures, arguments)


if __name__ == "__main__":
    main()
