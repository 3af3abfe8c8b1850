"""Store which states of triggers, targets, quotas and the disk were told last, and find those that have changed since.

A row says what was told. A row that says that all is well again is removed after a time in which no new trouble is
told. What has to be told follows at any time from these rows and the present states, so nothing is lost or told twice
if a process ends in between.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, bindparam, delete, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.explain.streaks import FRUITLESS, LATER, MOST_FRUITLESS
from hairtrigger.store.explain.trigger_health import MOST_FAILED_SWEEPS
from hairtrigger.store.tables import told_state
from hairtrigger.store.transaction import Transaction

Kind = Literal["trigger", "target", "quota", "disk", "connection"]
WELL = "well"
_INSTANT = DateTime(timezone=True)


@dataclass(frozen=True)
class ToldState:
    kind: Kind
    org_id: UUID
    subject: str
    state: str
    since: datetime | None
    told_at: datetime
    of_target: bool = False


@dataclass(frozen=True)
class Pace:
    """The times that decide whether a change is told now.

    A failure that began after `lasting` is not told yet, because it may end by itself. If something was told after
    `again`, no new trouble of the same thing is told yet.
    """

    lasting: datetime
    again: datetime


_TRIGGERS = text(
    f"""
    WITH wrong AS (
        SELECT id, bool_or(stalled) AS stalled, min(since) AS since, bool_and(excused) AS excused FROM (
            SELECT project_trigger_id AS id, true AS stalled, found_at AS since, false AS excused FROM stall
            UNION ALL
            SELECT project_trigger_id, false, coalesce(failing_since, '-infinity'), EXISTS (
                SELECT FROM project_trigger JOIN connection_health USING (connection_id)
                WHERE project_trigger.id = poll.project_trigger_id AND status <> 'ok')
            FROM poll WHERE failures > 0 AND (NOT sweep OR failures >= {MOST_FAILED_SWEEPS})
            UNION ALL
            SELECT project_trigger_id, false, lost_at, false FROM subscription WHERE lost_at IS NOT NULL
            UNION ALL
            SELECT project_trigger_id, false, since, false FROM streak
            WHERE side = 'deliveries' OR (side = 'requests' AND NOT {LATER.format(streak="streak")})
               OR (side = 'polls' AND EXISTS (
                   SELECT FROM poll WHERE poll.project_trigger_id = streak.project_trigger_id
                   AND CAST(poll.cursor->>'{FRUITLESS}' AS int) >= {MOST_FRUITLESS}))
        ) AS found GROUP BY id
    ), told AS (
        SELECT CAST(subject AS uuid) AS id, org_id, state, told_at FROM told_state WHERE kind = 'trigger'
    )
    SELECT id FROM wrong FULL JOIN told USING (id) LEFT JOIN project_trigger AS trigger USING (id)
    WHERE coalesce(trigger.org_id, told.org_id) <> ALL(CAST(:silent AS uuid[])) AND CASE
        WHEN trigger.id IS NULL OR NOT trigger.enabled THEN told.id IS NOT NULL
        WHEN wrong.id IS NULL THEN told.state <> '{WELL}' OR told.told_at <= :again
        WHEN wrong.excused THEN false
        WHEN wrong.stalled THEN told.id IS NULL OR (told.state <> 'stalled' AND told.told_at <= :again)
        ELSE wrong.since <= :lasting AND (told.id IS NULL OR (told.state <> 'failing' AND told.told_at <= :again))
    END
    ORDER BY id LIMIT :limit
    """  # noqa: S608 all of it our own text
).bindparams(bindparam("lasting", type_=_INSTANT), bindparam("again", type_=_INSTANT))


async def changed_triggers(tx: Transaction, pace: Pace, silent: Collection[UUID], limit: int) -> list[UUID]:
    """Return the ids of triggers whose state is not the one that was told last, in the order of ids, at most `limit`.

    Triggers whose rows may be removed are among them. The organisations in `silent` are left out.
    """
    given = {"silent": list(silent), "limit": limit, "lasting": pace.lasting, "again": pace.again}
    return list((await tx.connection.execute(_TRIGGERS, given)).scalars())


class TargetState(NamedTuple):
    """A project's target, the attempts that failed in a row, and what was told of it.

    `project_name` is None if the project was deleted, `failed` is None if the last attempt arrived, and `told` is None
    if nothing was told.
    """

    project_id: str
    org_id: UUID
    project_name: str | None
    failed: int | None
    since: datetime | None
    detail: str | None
    told: str | None
    told_since: datetime | None


_TARGETS = text(
    f"""
    SELECT coalesce(project.id, told.subject), coalesce(project.org_id, told.org_id), project.name,
           streak.count, streak.since, streak.detail, told.state, told.since
    FROM target_streak AS streak
    FULL JOIN (SELECT * FROM told_state WHERE kind = 'target') AS told ON told.subject = streak.project_id
    LEFT JOIN project ON project.id = coalesce(streak.project_id, told.subject)
    WHERE coalesce(project.org_id, told.org_id) <> ALL(CAST(:silent AS uuid[])) AND CASE
        WHEN project.id IS NULL THEN true
        WHEN streak.project_id IS NULL THEN told.state <> '{WELL}' OR told.told_at <= :again
        ELSE streak.since <= :lasting AND (told.subject IS NULL OR (told.state <> 'failing' AND told.told_at <= :again))
    END
    ORDER BY 1 LIMIT :limit
    """  # noqa: S608 all of it our own text
).bindparams(bindparam("lasting", type_=_INSTANT), bindparam("again", type_=_INSTANT))


async def changed_targets(tx: Transaction, pace: Pace, silent: Collection[UUID], limit: int) -> list[TargetState]:
    """Return the targets whose state is not the one that was told last, in the order of project ids, at most `limit`.

    Targets whose rows may be removed are among them. The organisations in `silent` are left out.
    """
    given = {"silent": list(silent), "limit": limit, "lasting": pace.lasting, "again": pace.again}
    return [TargetState(*row) for row in await tx.connection.execute(_TARGETS, given)]


class ConnectionState(NamedTuple):
    """A connection, its status if that is not ok, and what was told of it."""

    connection_id: UUID
    org_id: UUID
    name: str | None
    provider_id: str
    external_user_id: str | None
    status: Literal["expired", "refused", "needs_reconnect"] | None
    since: datetime | None
    detail: str | None
    enabled_triggers: int
    told: str | None
    told_since: datetime | None


_CONNECTIONS = text(
    f"""
    SELECT coalesce(broken.connection_id, told.id), coalesce(connection.org_id, told.org_id), connection.name,
           connection.provider_id, connection.external_user_id, broken.status, broken.since, broken.detail,
           (SELECT count(*) FROM project_trigger WHERE connection_id = connection.id AND enabled),
           told.state, told.since
    FROM (SELECT * FROM connection_health WHERE status <> 'ok') AS broken
    FULL JOIN (SELECT *, CAST(subject AS uuid) AS id FROM told_state WHERE kind = 'connection') AS told
        ON told.id = broken.connection_id
    LEFT JOIN connection ON connection.id = coalesce(broken.connection_id, told.id)
    WHERE coalesce(connection.org_id, told.org_id) <> ALL(CAST(:silent AS uuid[])) AND CASE
        WHEN connection.id IS NULL THEN true
        WHEN broken.connection_id IS NULL THEN told.state <> '{WELL}' OR told.told_at <= :again
        ELSE broken.since <= :lasting AND (told.id IS NULL OR (told.state <> 'broken' AND told.told_at <= :again))
    END
    ORDER BY 1 LIMIT :limit
    """  # noqa: S608 all of it our own text
).bindparams(bindparam("lasting", type_=_INSTANT), bindparam("again", type_=_INSTANT))


async def changed_connections(
    tx: Transaction, pace: Pace, silent: Collection[UUID], limit: int
) -> list[ConnectionState]:
    """Return the connections whose state is another one than was told, of all but the organisations in `silent`."""
    given = {"silent": list(silent), "limit": limit, "lasting": pace.lasting, "again": pace.again}
    return [ConnectionState(*row) for row in await tx.connection.execute(_CONNECTIONS, given)]


async def told(tx: Transaction, kind: Kind, subjects: Collection[str] | None = None) -> list[ToldState]:
    """Return what was told of all things of this kind, or only of those in `subjects`."""
    statement = select(told_state).where(told_state.c.kind == kind)
    if subjects is not None:
        statement = statement.where(told_state.c.subject.in_(subjects))
    return [ToldState(**row._mapping) for row in await tx.connection.execute(statement)]


async def save(tx: Transaction, states: Sequence[ToldState]) -> None:
    """Store what was told. Of several states of the same thing, such as a quota that is nearly and then quite used up,
    the last one is stored.
    """
    last = {(one.kind, one.org_id, one.subject): one for one in states}
    if last:
        statement = upsert(told_state).values([vars(one) for one in last.values()])
        key = ("kind", "org_id", "subject")
        changed: dict[str, Any] = {
            name: statement.excluded[name] for name in ToldState.__dataclass_fields__ if name not in key
        }
        await tx.connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed))


async def forget(tx: Transaction, kind: Kind, which: Sequence[tuple[UUID, str]]) -> None:
    """Remove what was told of things of this kind. Each is given by its organisation and its subject."""
    if which:
        pair = tuple_(told_state.c.org_id, told_state.c.subject)
        await tx.connection.execute(delete(told_state).where(told_state.c.kind == kind, pair.in_(which)))
