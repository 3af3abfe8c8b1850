"""When polls and schedules are due, who runs them, and how far they have come.

A claim sets the next due time *before* the work, so a crash never stops a trigger; and a result commits only under
the lease it was claimed with, so two workers never both store the same poll.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import and_, case, delete, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import INTERVAL
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.database import Transaction
from hairtrigger.store.tables import poll, project_trigger

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


async def get(tx: Transaction, project_trigger_id: UUID) -> Poll | None:
    row = (
        await tx.connection.execute(select(poll).where(poll.c.project_trigger_id == project_trigger_id))
    ).one_or_none()
    return Poll(**row._mapping) if row else None


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
    }
    statement = upsert(poll).values(project_trigger_id=project_trigger_id, **values)
    await tx.connection.execute(statement.on_conflict_do_update(index_elements=["project_trigger_id"], set_=values))


async def set_cursor(tx: Transaction, project_trigger_id: UUID, cursor: dict[str, Any]) -> None:
    await tx.connection.execute(
        update(poll).where(poll.c.project_trigger_id == project_trigger_id).values(cursor=cursor)
    )


async def advance(tx: Transaction, lease: UUID, cursor: dict[str, Any]) -> bool:
    """Stores a page's cursor and keeps the lease. False when it is no longer ours: store nothing."""
    statement = update(poll).where(poll.c.lease == lease).values(cursor=cursor).returning(poll.c.project_trigger_id)
    return (await tx.connection.execute(statement)).first() is not None


async def stop(tx: Transaction, project_trigger_id: UUID) -> None:
    statement = update(poll).where(poll.c.project_trigger_id == project_trigger_id)
    await tx.connection.execute(statement.values(next_at=None, lease=None, leased_until=None))


async def forget(tx: Transaction, project_trigger_id: UUID) -> None:
    await tx.connection.execute(delete(poll).where(poll.c.project_trigger_id == project_trigger_id))


async def claim(tx: Transaction, now: datetime, hold: timedelta, limit: int) -> list[Poll]:
    """Leases up to `limit` due polls, the most overdue first. A missed time is not made up for."""
    due = (
        select(poll.c.project_trigger_id)
        .where(poll.c.kind == "poll", poll.c.next_at <= now, _free(now))
        .order_by(poll.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("due")  # as a plain subquery it could run twice and lock more than the limit
    )
    return await _lease(tx, poll.c.project_trigger_id.in_(select(due.c.project_trigger_id)), now, hold)


async def claim_one(tx: Transaction, project_trigger_id: UUID, now: datetime, hold: timedelta) -> Poll | None:
    """Leases this poll whether due or not. None while somebody else runs it."""
    claimed = await _lease(tx, and_(poll.c.project_trigger_id == project_trigger_id, _free(now)), now, hold)
    return claimed[0] if claimed else None


async def finish(
    tx: Transaction, lease: UUID, cursor: dict[str, Any], last_at: datetime, *, again_at: datetime | None = None
) -> bool:
    """Stores how far a poll has come and ends its lease. False when the lease is no longer ours: store nothing."""
    values: dict[str, Any] = {
        "cursor": cursor,
        "last_at": last_at,
        "failures": 0,
        "lease": None,
        "leased_until": None,
    }
    if again_at is not None:
        values["next_at"] = again_at
    statement = update(poll).where(poll.c.lease == lease).values(values).returning(poll.c.project_trigger_id)
    return (await tx.connection.execute(statement)).first() is not None


async def fail(tx: Transaction, lease: UUID, next_at: datetime) -> bool:
    """Ends a lease without moving the cursor. A trigger that was disabled meanwhile stays off the clock."""
    statement = (
        update(poll)
        .where(poll.c.lease == lease)
        .values(
            failures=poll.c.failures + 1,
            next_at=case((poll.c.next_at.is_(None), None), else_=next_at),
            lease=None,
            leased_until=None,
        )
        .returning(poll.c.project_trigger_id)
    )
    return (await tx.connection.execute(statement)).first() is not None


async def release(tx: Transaction, leases: Sequence[UUID | None], now: datetime) -> None:
    """Ends leases as if they had never been taken: the polls are due at once."""
    await tx.connection.execute(
        update(poll)
        .where(poll.c.lease.in_(leases))
        .values(next_at=case((poll.c.next_at.is_(None), None), else_=now), lease=None, leased_until=None)
    )


async def due_schedules(tx: Transaction, now: datetime, limit: int) -> list[Poll]:
    """Locked until the transaction ends: fire them and set their next time in it.

    Their triggers are locked too, without waiting: who disables one has its trigger first and then wants its poll.
    """
    statement = (
        select(poll)
        .join(project_trigger, project_trigger.c.id == poll.c.project_trigger_id)
        .where(poll.c.kind == "schedule", poll.c.next_at <= now)
        .order_by(poll.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=(poll, project_trigger))
    )
    return [Poll(**row._mapping) for row in await tx.connection.execute(statement)]


async def fired(tx: Transaction, project_trigger_id: UUID, last_at: datetime, next_at: datetime | None) -> None:
    statement = update(poll).where(poll.c.project_trigger_id == project_trigger_id)
    await tx.connection.execute(statement.values(last_at=last_at, next_at=next_at))


def _free(now: datetime) -> Any:
    return or_(poll.c.lease.is_(None), poll.c.leased_until <= now)


async def _lease(tx: Transaction, which: Any, now: datetime, hold: timedelta) -> list[Poll]:
    every = func.make_interval(0, 0, 0, 0, 0, 0, func.coalesce(poll.c.every_seconds, 60), type_=INTERVAL)
    statement = (
        update(poll)
        .where(which)
        .values(
            lease=func.gen_random_uuid(),
            leased_until=now + hold,
            next_at=case((poll.c.next_at.is_(None), None), else_=literal(now, poll.c.next_at.type) + every),
        )
        .returning(poll)
    )
    return [Poll(**row._mapping) for row in await tx.connection.execute(statement)]
