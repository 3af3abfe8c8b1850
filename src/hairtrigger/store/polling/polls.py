"""When polls and schedules are due, who runs them, and how far they have come.

A claim sets the next due time *before* the work, so a crash never stops a trigger; and a result commits only under
the lease it was claimed with, so two workers never both store the same poll. Whoever locks several rows locks them in
the order of their ids, or skips what is locked.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, and_, case, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.tables import poll, project_trigger
from hairtrigger.store.text import storable, storable_json
from hairtrigger.store.transaction import Transaction

Kind = Literal["poll", "schedule"]


@dataclass(frozen=True)
class Poll:
    project_trigger_id: UUID
    kind: Kind
    next_at: datetime | None
    every_seconds: int | None
    lease: UUID | None
    leased_until: datetime | None
    cursor: dict[str, Any] | None
    last_at: datetime | None
    failures: int
    error: str | None = None
    failing_since: datetime | None = None

    @property
    def every(self) -> timedelta:
        return timedelta(seconds=self.every_seconds or 60)


@dataclass(frozen=True)
class Due:
    """When a poll is due next, and whose it is until then; without a lease it is nobody's."""

    project_trigger_id: UUID
    next_at: datetime | None
    lease: UUID | None = None
    leased_until: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """How far a poll has come. `ended` gives its lease back; until then only the cursor moves."""

    project_trigger_id: UUID
    lease: UUID
    cursor: dict[str, Any] | None  # None: as it was
    ended: bool = False
    next_at: datetime | None = None
    last_at: datetime | None = None
    failures: int = 0
    error: str | None = None
    failing_since: datetime | None = None


@dataclass(frozen=True)
class Fired:
    """A schedule after its ticks."""

    project_trigger_id: UUID
    last_at: datetime
    next_at: datetime | None


# By their places: a row as a mapping costs several times as much, and thousands are read every second.
_POLL = tuple(poll.c[name] for name in Poll.__dataclass_fields__)


async def get(tx: Transaction, project_trigger_id: UUID) -> Poll | None:
    statement = select(*_POLL).where(poll.c.project_trigger_id == project_trigger_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return Poll(*row) if row else None


async def start(
    tx: Transaction, project_trigger_id: UUID, kind: Kind, next_at: datetime | None, every: timedelta | None = None
) -> None:
    """Puts a trigger on the clock. The cursor of an earlier time stays: enabling again resumes where it stopped."""
    values: dict[str, Any] = {
        "kind": kind,
        "next_at": next_at,
        "every_seconds": int(every.total_seconds()) if every else None,
        "lease": None,
        "leased_until": None,
        "failures": 0,
        "error": None,
        "failing_since": None,
    }
    statement = upsert(poll).values(project_trigger_id=project_trigger_id, **values)
    await tx.connection.execute(statement.on_conflict_do_update(index_elements=["project_trigger_id"], set_=values))


async def set_cursor(tx: Transaction, project_trigger_id: UUID, cursor: dict[str, Any]) -> None:
    await tx.connection.execute(
        update(poll)
        .where(poll.c.project_trigger_id == project_trigger_id)
        .values(cursor=json.loads(storable_json(cursor)))
    )


async def stop(tx: Transaction, project_trigger_ids: Iterable[UUID]) -> None:
    """Off the clock. What has begun stores nothing any more."""
    await _update(tx, poll.c.project_trigger_id.in_(project_trigger_ids), next_at=None, lease=None, leased_until=None)


async def interrupt(tx: Transaction, which: Any, *, again_at: datetime | None = None) -> None:
    """Polls of these triggers that have begun store nothing: what they began with is no longer so.

    `which` is a condition on `project_trigger`. The triggers stay on the clock, from `again_at` if that is given.
    """
    ids = select(project_trigger.c.id).where(which)
    polling = and_(poll.c.project_trigger_id.in_(ids), poll.c.kind == "poll", poll.c.next_at.is_not(None))
    values = {"lease": None, "leased_until": None} | ({"next_at": again_at} if again_at else {})
    await _update(tx, polling, **values)


async def due(tx: Transaction, now: datetime, limit: int) -> list[Poll]:
    """Locks up to `limit` due polls that nobody runs, the most overdue first."""
    return [Poll(*row) for row in await tx.connection.execute(_due(now, limit))]


def _due(now: datetime, limit: int) -> Select[Any]:
    return (
        select(*_POLL)
        .where(poll.c.kind == "poll", poll.c.next_at <= now, _free(now))
        .order_by(poll.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )


async def due_or_not(tx: Transaction, project_trigger_id: UUID, now: datetime) -> Poll | None:
    """Locks this poll. None while somebody else runs it, or takes it."""
    statement = select(*_POLL).where(poll.c.project_trigger_id == project_trigger_id, _free(now))
    row = (await tx.connection.execute(statement.with_for_update(skip_locked=True))).one_or_none()
    return Poll(*row) if row else None


_SET_DUE = text(
    """
    UPDATE poll SET next_at = given.next_at, lease = given.lease, leased_until = given.leased_until
    FROM unnest(
        CAST(:project_trigger_id AS uuid[]), CAST(:next_at AS timestamptz[]),
        CAST(:lease AS uuid[]), CAST(:leased_until AS timestamptz[])
    ) AS given (project_trigger_id, next_at, lease, leased_until)
    WHERE poll.project_trigger_id = given.project_trigger_id
    """
)


async def set_due(tx: Transaction, changed: Sequence[Due]) -> None:
    """Of polls that this transaction has locked."""
    if changed:
        await tx.connection.execute(_SET_DUE, _columns(changed))


async def release(tx: Transaction, leases: Collection[UUID], now: datetime) -> set[UUID]:
    """Ends leases as if they had never been taken: the polls are due at once. Those that were still in force."""
    held = select(poll.c.lease).where(poll.c.lease.in_(leases)).order_by(poll.c.project_trigger_id).with_for_update()
    found = set((await tx.connection.execute(held)).scalars())
    next_at = case((poll.c.next_at.is_(None), None), else_=now)
    await _update(tx, poll.c.lease.in_(found), next_at=next_at, lease=None, leased_until=None)
    return found


# Locked in the order of their ids first: others who want several of them do so too.
_PROGRESS = text(
    """
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:project_trigger_id AS uuid[]), CAST(:lease AS uuid[]), CAST(:cursor AS text[]),
            CAST(:ended AS boolean[]), CAST(:next_at AS timestamptz[]), CAST(:last_at AS timestamptz[]),
            CAST(:failures AS integer[]), CAST(:error AS text[]), CAST(:failing_since AS timestamptz[])
        ) AS given (project_trigger_id, lease, cursor, ended, next_at, last_at, failures, error, failing_since)
    ), mine AS (
        SELECT given.* FROM poll JOIN given USING (project_trigger_id, lease)
        ORDER BY project_trigger_id FOR UPDATE OF poll
    )
    UPDATE poll SET
        cursor = coalesce(mine.cursor::jsonb, poll.cursor),
        next_at = CASE WHEN mine.ended THEN mine.next_at ELSE poll.next_at END,
        last_at = CASE WHEN mine.ended THEN mine.last_at ELSE poll.last_at END,
        failures = CASE WHEN mine.ended THEN mine.failures ELSE poll.failures END,
        error = CASE WHEN mine.ended THEN mine.error ELSE poll.error END,
        failing_since = CASE WHEN mine.ended THEN mine.failing_since ELSE poll.failing_since END,
        lease = CASE WHEN mine.ended THEN NULL ELSE poll.lease END,
        leased_until = CASE WHEN mine.ended THEN NULL ELSE poll.leased_until END
    FROM mine WHERE poll.project_trigger_id = mine.project_trigger_id
    RETURNING mine.lease
    """
)


async def progress(tx: Transaction, made: Sequence[Progress]) -> set[UUID]:
    """Stores how far polls have come, and returns the leases that were still in force: the others store nothing."""
    columns = _columns(made)
    columns["cursor"] = [None if one.cursor is None else storable_json(one.cursor) for one in made]
    columns["error"] = [None if one.error is None else storable(one.error) for one in made]
    return set((await tx.connection.execute(_PROGRESS, columns)).scalars())


async def due_schedules(tx: Transaction, now: datetime, limit: int) -> list[Poll]:
    """Locked until the transaction ends: fire them and set their next time in it.

    Their triggers are locked too, without waiting: who disables one has its trigger first and then wants its poll.
    """
    statement = (
        select(*_POLL)
        .join(project_trigger, project_trigger.c.id == poll.c.project_trigger_id)
        .where(poll.c.kind == "schedule", poll.c.next_at <= now)
        .order_by(poll.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=(poll, project_trigger))
    )
    return [Poll(*row) for row in await tx.connection.execute(statement)]


_FIRED = text(
    """
    UPDATE poll SET last_at = given.last_at, next_at = given.next_at
    FROM unnest(
        CAST(:project_trigger_id AS uuid[]), CAST(:last_at AS timestamptz[]), CAST(:next_at AS timestamptz[])
    ) AS given (project_trigger_id, last_at, next_at)
    WHERE poll.project_trigger_id = given.project_trigger_id
    """
)


async def fired(tx: Transaction, made: Sequence[Fired]) -> None:
    """Of schedules that this transaction has locked."""
    if made:
        await tx.connection.execute(_FIRED, _columns(made))


async def _update(tx: Transaction, which: Any, **values: Any) -> None:
    locked = select(poll.c.project_trigger_id).where(which).order_by(poll.c.project_trigger_id).with_for_update()
    ids = select(locked.cte("locked").c.project_trigger_id)
    await tx.connection.execute(update(poll).where(poll.c.project_trigger_id.in_(ids)).values(values))


def _free(now: datetime) -> Any:
    return or_(poll.c.lease.is_(None), poll.c.leased_until <= now)


def _columns(rows: Sequence[Due | Progress | Fired]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in vars(rows[0])} if rows else {}
