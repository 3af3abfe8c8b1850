"""The table of polls with a hundred thousand triggers: due polls are found at once, and no index grows."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.store.database import Store, open_store
from hairtrigger.store.polling import polls
from hairtrigger.store.polling.polls import NOTHING, Due, Excluded, Progress
from hairtrigger.store.transaction import Transaction
from tests.conftest import emptied
from tests.store.build import a_project, an_organization
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

MANY = 100_000
DUE = 200
MINUTE = timedelta(minutes=1)

_TRIGGERS = text(
    """
    INSERT INTO project_trigger (id, org_id, project_id, provider_id, trigger_id, config, enabled, generation,
                                 created_by, created_at, updated_at)
    SELECT gen_random_uuid(), :org_id, :project_id, 'rss', 'on_item_published', '{}', true, 1, :org_id, :now, :now
    FROM generate_series(1, :many)
    """
)
# Some polls, all over the table, are due; a tenth has no due time, as if disabled.
_POLLS = text(
    """
    INSERT INTO poll (project_trigger_id, kind, next_at, every_seconds, failures)
    SELECT id, 'poll', CASE WHEN number % 10 <> 0 THEN at END, 60, 0
    FROM (SELECT id, number,
                 CAST(:now AS timestamptz) + (number * 7919 % :many - :due) * interval '1 ms' AS at
          FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM project_trigger) AS numbered) AS spread
    """
)


@pytest.fixture
async def crowd(store: Store, database_url: str, clock: ManualClock) -> AsyncIterator[Store]:
    # The service limits the time of a statement. On a busy machine these large ones may take longer.
    async with open_store(database_url, patience=None) as patient:
        async with patient.transaction() as tx:
            org_id = await an_organization(tx, clock.now())
            project_id = await a_project(tx, org_id, clock.now())
            values = {"org_id": org_id, "project_id": project_id, "now": clock.now(), "many": MANY}
            await tx.connection.execute(_TRIGGERS, values)
            await tx.connection.execute(_POLLS, {"now": clock.now(), "due": DUE, "many": MANY})
            await tx.connection.execute(text("ANALYZE poll"))
        yield store
        await emptied(patient)


async def test_a_claim_reads_what_is_due_of_a_small_index_and_an_end_leaves_the_indexes_alone(
    crowd: Store, clock: ManualClock
) -> None:
    now = clock.now()
    async with crowd.transaction() as tx:
        plan = await _plan(tx, now)
        scan = next(node for node in _nodes(plan) if node.get("Index Name") == "poll_due_idx")
        assert scan["Node Type"] == "Index Scan"
        assert scan["Actual Rows"] <= DUE
        assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 10 * DUE
        entries = text("SELECT reltuples FROM pg_class WHERE relname = 'poll_due_idx'")
        assert (await tx.connection.execute(entries)).scalar_one() <= 0.91 * MANY, "what is off the clock is in it"

        rows = await polls.due(tx, now, DUE)
        claimed = [Due(row.project_trigger_id, now + MINUTE, uuid4(), now + 2 * MINUTE) for row in rows]
        await polls.set_due(tx, claimed)

    async with crowd.transaction() as tx:
        before = await _updates(tx)
        made = [_ended(one.project_trigger_id, one.lease, now) for one in claimed]
        assert len(await polls.progress(tx, made)) == len(rows)
        after = await _updates(tx)
    assert after[0] - before[0] == len(rows)
    assert after[1] - before[1] >= 0.9 * len(rows), "not in place (HOT)"


async def test_a_claim_that_leaves_out_organisations_reads_no_more_than_what_is_due(
    crowd: Store, clock: ManualClock
) -> None:
    async with crowd.transaction() as tx:
        await tx.connection.execute(text("ANALYZE project_trigger"))
        org_id = (await tx.connection.execute(text("SELECT org_id FROM project_trigger LIMIT 1"))).scalar_one()
        plan = await _plan(tx, clock.now(), Excluded([org_id]))
        assert plan["Actual Rows"] == 0
        scans = {node["Relation Name"]: node for node in _nodes(plan) if "Relation Name" in node}
        assert {name: scan["Node Type"] for name, scan in scans.items()} == {
            "poll": "Index Scan",
            "project_trigger": "Index Scan",
        }
        assert scans["project_trigger"]["Actual Loops"] <= DUE


async def _plan(tx: Transaction, now: datetime, excluded: Excluded = NOTHING) -> dict[str, Any]:
    due = polls._due(now, 2 * DUE, excluded)
    statement = due.compile(dialect=tx.connection.dialect, compile_kwargs={"literal_binds": True})
    explained = await tx.connection.execute(text(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"))
    plan: dict[str, Any] = explained.scalar_one()[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for node in plan.get("Plans", ()):
        yield from _nodes(node)


def _ended(id_: UUID, lease: UUID | None, now: datetime) -> Progress:
    assert lease
    return Progress(id_, lease, {"etag": "1"}, ended=True, next_at=now + MINUTE, last_at=now)


async def _updates(tx: Transaction) -> tuple[int, int]:
    """Count this transaction's updates of polls: all of them, and those that left the indexes alone."""
    statement = text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'poll'")
    found = (await tx.connection.execute(statement)).one()
    return found.n_tup_upd, found.n_tup_hot_upd
