"""Delete what belongs to a project or an organisation, in batches, each of which is a short transaction.

A row of `erasure` says how far the deletion has come, and changes in the transaction of each batch. So a process that
dies leaves nothing half done, and any process can go on. Definitions are deleted first, so that no new events come.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Literal, get_args
from uuid import UUID

from sqlalchemy import CursorResult, delete, insert, select, text, update

from hairtrigger.domain.ids import day_of
from hairtrigger.store import partitions, quotas
from hairtrigger.store.delivery import history, lanes
from hairtrigger.store.delivery.lanes import Leaving
from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.partitions import ATTEMPT, OUTCOME
from hairtrigger.store.quotas import EVENT_ROW, LEDGER_ROW
from hairtrigger.store.tables import erasure, project, project_trigger
from hairtrigger.store.transaction import Transaction

BATCH = 500
TRIGGERS = 50  # that one transaction deletes: the secrets of each are opened and sealed again
PAGES = 256  # pages of 8 KB that one batch reads
_WINDOW = 5_000  # rows that one batch looks at, however few of them belong to the project
_FIRST = UUID(int=0)

Step = Literal[
    "definitions",
    "queue",
    "events",
    "replays",
    "dead",
    "attempts",
    "outcomes",
    "keys",
    "told",
    "use",
    "webhooks",
    "end",
]
STEPS: Sequence[Step] = get_args(Step)


@dataclass(frozen=True)
class Erasure:
    """The deletion of a project, or of a whole organisation if `project_id` is None."""

    id: str
    org_id: UUID
    project_id: str | None
    requested_by: str
    requested_at: datetime
    step: Step
    run_at: datetime
    position: str | None = None
    again: bool = False
    trigger_ids: list[UUID] = field(default_factory=list)
    project_ids: list[str] = field(default_factory=list)


# -- the deletions


async def add(tx: Transaction, new: Erasure) -> None:
    await tx.connection.execute(insert(erasure).values(vars(new)))


async def get(tx: Transaction, id_: str) -> Erasure | None:
    row = (await tx.connection.execute(select(erasure).where(erasure.c.id == id_))).one_or_none()
    return Erasure(**row._mapping) if row else None


async def lock(tx: Transaction, id_: str) -> Erasure | None:
    """Lock and return a deletion, or return None if there is none. This waits until a process that works on it ends its
    batch.
    """
    row = (await tx.connection.execute(select(erasure).where(erasure.c.id == id_).with_for_update())).one_or_none()
    return Erasure(**row._mapping) if row else None


async def due(tx: Transaction, now: datetime) -> Erasure | None:
    """Lock and return the deletion that has been due longest, or return None if none is due.

    No other process gets it until the transaction ends.
    """
    statement = select(erasure).where(erasure.c.run_at <= now).order_by(erasure.c.run_at).limit(1)
    row = (await tx.connection.execute(statement.with_for_update(skip_locked=True))).one_or_none()
    return Erasure(**row._mapping) if row else None


async def save(tx: Transaction, changed: Erasure) -> None:
    await tx.connection.execute(update(erasure).where(erasure.c.id == changed.id).values(vars(changed)))


async def remove(tx: Transaction, ended: Erasure) -> None:
    await tx.connection.execute(delete(erasure).where(erasure.c.id == ended.id))


# -- definitions


async def next_triggers(tx: Transaction, of: Erasure) -> list[UUID]:
    """Lock the next triggers of the project or the organisation, at most `TRIGGERS`, and return their ids."""
    statement = select(project_trigger.c.id).where(project_trigger.c.org_id == of.org_id)
    if of.project_id is not None:
        statement = statement.where(project_trigger.c.project_id == of.project_id)
    statement = statement.order_by(project_trigger.c.id).limit(TRIGGERS).with_for_update()
    return list((await tx.connection.execute(statement)).scalars())


async def next_projects(tx: Transaction, of: Erasure) -> list[str]:
    """Delete the next projects, at most `TRIGGERS`, and return their ids. Their triggers must be deleted already."""
    statement = select(project.c.id).where(project.c.org_id == of.org_id)
    if of.project_id is not None:
        statement = statement.where(project.c.id == of.project_id)
    ids = list((await tx.connection.execute(statement.order_by(project.c.id).limit(TRIGGERS))).scalars())
    await lanes.lock(tx, ids)
    await tx.connection.execute(delete(project).where(project.c.id.in_(ids)))
    await forget_pauses(tx, ids)
    return ids


async def forget_pauses(tx: Transaction, ids: Collection[str]) -> None:
    await _run(tx, "DELETE FROM pause WHERE id = ANY(CAST(:ids AS text[]))", ids=list(ids))


# Each of these tables names the organisation. Rows of other tables go with theirs.
_DEFINED = (
    *("replay_job", "integration", "connection", "connect_link", "pending_authorization", "api_key", "app_user"),
)


async def forget_defined(tx: Transaction, of: Erasure) -> int:
    """Delete a batch of the organisation's other definitions, and return how many rows were deleted.

    These are idempotency keys, replay jobs, integrations, connections, API keys and users.
    """
    answers = await _run(
        tx,
        "DELETE FROM idempotency WHERE (org_id, key) IN ("
        "SELECT org_id, key FROM idempotency WHERE org_id = :org LIMIT :batch)",
        org=of.org_id,
        batch=BATCH,
    )
    gone = answers.rowcount
    for table in _DEFINED:
        if gone < BATCH:
            rows = await _run(
                tx,
                f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE org_id = :org LIMIT :batch)",  # noqa: S608
                org=of.org_id,
                batch=BATCH,
            )
            gone += rows.rowcount
    return gone


async def forget_replay_jobs(tx: Transaction, of: Erasure) -> None:
    """Delete the replay jobs of a project, both those that replay its events and those that replay to it."""
    await _run(
        tx,
        "DELETE FROM replay_job WHERE org_id = :org AND (to_project_id = :project OR query->>'project_id' = :project)",
        org=of.org_id,
        project=of.project_id,
    )


# -- what is on its way


async def forget_messages(tx: Transaction, of: Erasure) -> int:
    """Delete a batch of the deliveries to deleted projects from the queue and from `waiting`, and return how many.

    An attempt that is under way goes on to its end, and then nothing of it is recorded. A message that another
    transaction has locked is left for later.
    """
    projects, gone = of.project_ids, 0
    for condition in ("read_ct = 0 AND message->>'project' = ANY(:projects)", _LEASED):
        rows = await _run(
            tx,
            f"DELETE FROM pgmq.q_{DISPATCH} WHERE msg_id IN ("  # noqa: S608 all of it our own text
            f"SELECT msg_id FROM pgmq.q_{DISPATCH} WHERE {condition} LIMIT :batch FOR UPDATE SKIP LOCKED)",
            projects=projects,
            batch=BATCH,
        )
        gone += rows.rowcount
    waiting = await _run(
        tx,
        "DELETE FROM waiting WHERE (project_id, delivery_id) IN ("
        "SELECT project_id, delivery_id FROM waiting WHERE project_id = ANY(:projects) LIMIT :batch "
        "FOR UPDATE SKIP LOCKED)",
        projects=projects,
        batch=BATCH,
    )
    return gone + waiting.rowcount


_LEASED = "read_ct > 0 AND message->>'project' = ANY(:projects)"


# -- events and their deliveries


@dataclass(frozen=True)
class Found:
    """The end of a batch of events or replays.

    `position` is the last one that was looked at, or None if there was none. `trigger_ids` are the triggers of deleted
    events.
    """

    position: UUID | None
    trigger_ids: frozenset[UUID] = frozenset()


async def forget_events(tx: Transaction, of: Erasure) -> Found:
    """Delete the next batch of the events, with their keys and their deliveries, and return where it ended."""
    position = UUID(of.position) if of.position else _FIRST
    rows = await _run(
        tx,
        """
        SELECT day, id, project_id, project_trigger_id, key, octet_length(body) FROM event
        WHERE org_id = :org AND id > :position AND day >= :day ORDER BY id LIMIT :limit
        """,
        org=of.org_id,
        position=position,
        day=day_of(position),
        limit=BATCH if of.project_id is None else _WINDOW,
    )
    looked_at = rows.all()
    if not looked_at:
        return Found(None)
    mine = [row for row in looked_at if of.project_id in (None, row.project_id)][:BATCH]
    last = mine[-1] if len(mine) == BATCH else looked_at[-1]
    await delete_events(tx, of.org_id, [tuple(row) for row in mine])
    await _run(
        tx,
        """
        DELETE FROM event_key USING unnest(CAST(:triggers AS uuid[]), CAST(:keys AS text[])) AS gone (trigger, key)
        WHERE event_key.project_trigger_id = gone.trigger AND event_key.key = gone.key
        """,
        triggers=[row.project_trigger_id for row in mine],
        keys=[row.key for row in mine],
    )
    return Found(last.id, frozenset(row.project_trigger_id for row in mine))


async def delete_events(tx: Transaction, org_id: UUID, events: Sequence[tuple[Any, ...]]) -> None:
    """Delete events, each given as day, id, project, trigger, key and size of its body, and all their deliveries."""
    if not events:
        return
    days, ids, projects = [one[0] for one in events], [one[1] for one in events], [one[2] for one in events]
    replays = await _run(tx, "SELECT delivery_id, project_id FROM replay WHERE event_id = ANY(:ids)", ids=ids)
    of_project = dict(zip(ids, projects, strict=True))
    elsewhere = {row.delivery_id: row.project_id for row in replays}
    await _forget_deliveries(tx, org_id, {**of_project, **elsewhere}, min(days))
    await _run(
        tx,
        "DELETE FROM event USING unnest(CAST(:days AS date[]), CAST(:ids AS uuid[])) AS gone (day, id) "
        "WHERE event.day = gone.day AND event.id = gone.id",
        days=days,
        ids=ids,
    )
    freed: dict[date, int] = {}
    for day, *_, size in events:
        freed[day] = freed.get(day, 0) + EVENT_ROW + size
    await quotas.give_back(tx, org_id, events=freed)


async def forget_replays(tx: Transaction, of: Erasure) -> Found:
    """Delete the next batch of replays, and return where it ended.

    Of an organisation, these are all replays that are left after its events. Of a project, they are the replays to it
    of other projects' events.
    """
    position = UUID(of.position) if of.position else _FIRST
    rows = await _run(
        tx,
        "SELECT delivery_id, project_id FROM replay WHERE org_id = :org AND delivery_id > :position "
        "ORDER BY delivery_id LIMIT :limit",
        org=of.org_id,
        position=position,
        limit=BATCH if of.project_id is None else _WINDOW,
    )
    looked_at = rows.all()
    if not looked_at:
        return Found(None)
    mine = [row for row in looked_at if of.project_id in (None, row.project_id)][:BATCH]
    last = mine[-1] if len(mine) == BATCH else looked_at[-1]
    made = {row.delivery_id: row.project_id for row in mine}
    if made:
        await _forget_deliveries(tx, of.org_id, made, min(day_of(id_) for id_ in made))
    return Found(last.delivery_id)


async def _forget_deliveries(tx: Transaction, org_id: UUID, made: dict[UUID, str | None], since: date) -> None:
    """Delete deliveries and their attempts, none of which was made before the day `since`.

    `made` has the project that each delivery goes to, or None for the project of its event.
    """
    ids = list(made)
    await _run(tx, "DELETE FROM retry WHERE delivery_id = ANY(:ids)", ids=ids)
    alive = await _alive(tx, {one for one in made.values() if one})
    if to_others := [id_ for id_, project_id in made.items() if project_id in alive]:
        await _take_off_lanes(tx, to_others)
    for table in ("dead", "replay"):
        await _run(tx, f"DELETE FROM {table} WHERE delivery_id = ANY(:ids)", ids=ids)  # noqa: S608
    freed = await _run(
        tx,
        """
        WITH gone AS (
            DELETE FROM attempt WHERE delivery_id = ANY(:ids) AND day >= :since
            RETURNING day, octet_length(response) + coalesce(length(CAST(conversation AS text)), 0) AS size
        )
        SELECT day, sum(size + :row) AS size FROM gone GROUP BY day
        """,
        ids=ids,
        since=since,
        row=LEDGER_ROW,
    )
    await quotas.give_back(tx, org_id, ledger={row.day: int(row.size) for row in freed})


async def _alive(tx: Transaction, project_ids: Collection[str]) -> set[str]:
    rows = await tx.connection.execute(select(project.c.id).where(project.c.id.in_(project_ids)))
    return set(rows.scalars())


async def _take_off_lanes(tx: Transaction, ids: Sequence[UUID]) -> None:
    """Take deliveries to projects that are not deleted off the queue, out of `waiting` and out of their lanes.

    Messages are locked first and lanes second, as in `deliveries`.
    """
    rows = await _run(
        tx,
        f"""
        DELETE FROM pgmq.q_{DISPATCH} WHERE msg_id IN (
            SELECT msg_id FROM pgmq.q_{DISPATCH} WHERE message->>'delivery' = ANY(CAST(:ids AS text[]))
            ORDER BY msg_id FOR UPDATE)
        RETURNING message->>'project' AS project, read_ct > 0 AS under_way
        """,  # noqa: S608 all of it our own text
        ids=[str(id_) for id_ in ids],
    )
    left: dict[str, int] = {}
    for row in rows:
        left[row.project] = left.get(row.project, 0) + row.under_way
    held = await _run(
        tx,
        "SELECT DISTINCT project_id FROM waiting WHERE delivery_id = ANY(:ids)",
        ids=list(ids),
    )
    left = dict.fromkeys(held.scalars(), 0) | left
    await lanes.lock(tx, left)
    await _run(
        tx,
        "DELETE FROM waiting WHERE project_id = ANY(:projects) AND delivery_id = ANY(:ids)",
        projects=list(left),
        ids=list(ids),
    )
    await lanes.leave(tx, {project_id: Leaving(count) for project_id, count in left.items()}, list(ids))


async def forget_dead(tx: Transaction, of: Erasure) -> int:
    rows = await _run(
        tx,
        "DELETE FROM dead WHERE delivery_id IN (SELECT delivery_id FROM dead WHERE org_id = :org LIMIT :batch)",
        org=of.org_id,
        batch=BATCH,
    )
    return rows.rowcount


# -- tables that are read page by page, because no index leads to an organisation


@dataclass(frozen=True)
class Page:
    """The position of a batch of pages, written as `outcome_20260504/256`: a partition, and the number of the first
    page.
    """

    table: str
    number: int

    @classmethod
    def at(cls, position: str) -> "Page":
        table, _, number = position.rpartition("/")
        return cls(table, int(number))

    def __str__(self) -> str:
        return f"{self.table}/{self.number}"


async def forget_pages(tx: Transaction, of: Erasure, table: str) -> tuple[Page | None, frozenset[UUID]]:
    """Delete the organisation's rows in the next pages of `attempt` or `outcome`.

    Return the position of the following pages, or None at the end, and the triggers of the deleted outcomes.
    """
    assert table in (ATTEMPT, OUTCOME)
    names = await partitions.names_of(tx, table)
    page = Page.at(of.position) if of.position else Page(names[0], 0) if names else None
    if page is None:
        return None, frozenset()
    following = [name for name in names if name > page.table]
    later = Page(following[0], 0) if following else None
    if page.table not in names:
        return later, frozenset()
    size = (await _run(tx, f"SELECT pg_relation_size('{page.table}') / 8192")).scalar_one()
    trigger = "project_trigger_id" if table == OUTCOME else "NULL"
    rows = await _run(
        tx,
        f"DELETE FROM {page.table} WHERE ctid >= CAST('({page.number},0)' AS tid) "  # noqa: S608 all of it our own text
        f"AND ctid < CAST('({page.number + PAGES},0)' AS tid) AND org_id = :org RETURNING {trigger}",
        org=of.org_id,
    )
    triggers = frozenset(id_ for id_ in rows.scalars() if id_)
    return (Page(page.table, page.number + PAGES) if page.number + PAGES < size else later), triggers


async def forget_outcomes(tx: Transaction, of: Erasure) -> int:
    """Delete a batch of the outcomes of the triggers in `of.trigger_ids`, and return how many."""
    return await _forget_of_triggers(tx, of, "outcome", "day, id")


async def forget_keys(tx: Transaction, of: Erasure) -> int:
    """Delete a batch of the event keys of the triggers in `of.trigger_ids`, and return how many."""
    return await _forget_of_triggers(tx, of, "event_key", "project_trigger_id, key")


async def _forget_of_triggers(tx: Transaction, of: Erasure, table: str, primary_key: str) -> int:
    rows = await _run(
        tx,
        f"DELETE FROM {table} WHERE ({primary_key}) IN ("  # noqa: S608 all of it our own text
        f"SELECT {primary_key} FROM {table} WHERE project_trigger_id = ANY(:triggers) LIMIT :batch)",
        triggers=of.trigger_ids,
        batch=BATCH,
    )
    return rows.rowcount


# -- what was told, and will be


async def forget_told(tx: Transaction, of: Erasure) -> int:
    """Delete a batch of what operational events say of a project and its triggers, and return how many rows it had."""
    events = await _run(
        tx,
        "DELETE FROM operational_event WHERE id IN (SELECT id FROM operational_event WHERE org_id = :org "
        "AND (project_id = :project OR project_trigger_id = ANY(:triggers)) LIMIT :batch)",
        org=of.org_id,
        project=of.project_id,
        triggers=of.trigger_ids,
        batch=BATCH,
    )
    gone = events.rowcount
    subjects = [of.project_id, *map(str, of.trigger_ids)]
    for table in ("notice", "told_state"):
        rows = await _run(
            tx,
            f"DELETE FROM {table} WHERE org_id = :org AND subject = ANY(CAST(:subjects AS text[]))",  # noqa: S608
            org=of.org_id,
            subjects=subjects,
        )
        gone += rows.rowcount
    return gone


# -- the end


async def forget_use(tx: Transaction, of: Erasure) -> None:
    await _run(tx, "DELETE FROM org_usage WHERE org_id = :org", org=of.org_id)


async def webhooks_left(tx: Transaction, of: Erasure) -> int:
    """Return how many webhooks of the project or the organisation are still to be removed at their providers."""
    mine = "org_id = :org" if of.project_id is None else "org_id = :org AND project_trigger_id = ANY(:triggers)"
    given = {"org": of.org_id} | ({} if of.project_id is None else {"triggers": of.trigger_ids})
    return int((await _run(tx, f"SELECT count(*) FROM removal WHERE {mine}", **given)).scalar_one())  # noqa: S608


async def forget_organization(tx: Transaction, of: Erasure) -> None:
    await _run(tx, "DELETE FROM org WHERE id = :org", org=of.org_id)


# -- what there is


@dataclass(frozen=True)
class Contents:
    """The number of things of each kind that a deletion would delete, or None if they were not counted."""

    projects: int
    triggers: int
    enabled_triggers: int
    connections: int
    integrations: int
    users: int
    api_keys: int
    deliveries_under_way: int | None = None
    events: int | None = None


async def contents(tx: Transaction, org_id: UUID, project_id: str | None, patience: timedelta) -> Contents:
    """Count what a deletion would delete: a project, or the whole organisation if `project_id` is None.

    Events, and deliveries under way, are None if counting them takes longer than `patience`.
    """
    only = " AND id = :project_id" if project_id else ""
    under_way = f"""
        WITH mine AS (SELECT id FROM project WHERE org_id = :org_id {only})
        SELECT (SELECT count(*) FROM pgmq.q_{DISPATCH} WHERE message->>'project' IN (SELECT id FROM mine))
               + (SELECT count(*) FROM waiting WHERE project_id IN (SELECT id FROM mine))
               + (SELECT count(*) FROM retry WHERE message->>'project' IN (SELECT id FROM mine))
    """  # noqa: S608 all of it our own text
    which = {"org_id": org_id, "project_id": project_id}
    return replace(
        await defined(tx, org_id, project_id),
        deliveries_under_way=await history.counted(tx, under_way, which, patience),
        events=await history.count_events(tx, org_id, patience=patience, dropped=True, project_id=project_id),
    )


async def defined(tx: Transaction, org_id: UUID, project_id: str | None) -> Contents:
    """Count the definitions that a deletion would delete, but neither events nor deliveries."""
    only = "AND project_id = :project" if project_id else ""
    whole = "false" if project_id else "true"
    row = (
        await _run(
            tx,
            f"""
            WITH mine AS (
                SELECT id FROM project WHERE org_id = :org AND (CAST(:project AS text) IS NULL OR id = :project)
            ), triggers AS (SELECT enabled FROM project_trigger WHERE org_id = :org {only})
            SELECT (SELECT count(*) FROM mine) AS projects,
                   (SELECT count(*) FROM triggers) AS triggers,
                   (SELECT count(*) FROM triggers WHERE enabled) AS enabled_triggers,
                   (SELECT count(*) FROM connection WHERE {whole} AND org_id = :org) AS connections,
                   (SELECT count(*) FROM integration WHERE {whole} AND org_id = :org) AS integrations,
                   (SELECT count(*) FROM app_user WHERE {whole} AND org_id = :org) AS users,
                   (SELECT count(*) FROM api_key WHERE {whole} AND org_id = :org) AS api_keys
            """,  # noqa: S608 all of it our own text
            org=org_id,
            project=project_id,
        )
    ).one()
    return Contents(**row._mapping)


async def _run(tx: Transaction, query: str, **values: Any) -> CursorResult[Any]:
    return await tx.connection.execute(text(query), values)
