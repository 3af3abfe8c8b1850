"""Query the stored events of a trigger for explanations, without their bodies, by time, key or delivery."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select, text

from hairtrigger.domain.ids import day_of, first_id
from hairtrigger.store.tables import event, event_key, replay
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class EventTrace:
    id: UUID
    project_trigger_id: UUID
    key: str
    type: str
    subject: str | None
    occurred_at: datetime
    received_at: datetime
    dropped: str | None = None  # the end after which its body was dropped
    came: str | None = None  # "sweep" for one that a poll beside the push brought


_COLUMNS = tuple(event.c[name] for name in EventTrace.__dataclass_fields__)


async def before(
    tx: Transaction, project_trigger_id: UUID, at: datetime, *, limit: int, since: datetime | None = None
) -> list[EventTrace]:
    """Return the last `limit` events received before `at`, and not before `since` if it is given, newest first."""
    end = first_id(at)
    statement = _of(project_trigger_id).where(event.c.id < end, event.c.day <= day_of(end))
    if since is not None:
        start = first_id(since)
        statement = statement.where(event.c.id >= start, event.c.day >= day_of(start))
    return await _read(tx, statement.order_by(event.c.id.desc()).limit(limit))


async def after(
    tx: Transaction, project_trigger_id: UUID, at: datetime, *, limit: int, until: datetime
) -> list[EventTrace]:
    """Return the first `limit` events received from `at` on and before `until`, oldest first."""
    start, end = first_id(at), first_id(until)
    statement = _of(project_trigger_id).where(
        event.c.id >= start, event.c.id < end, event.c.day.between(day_of(start), day_of(end))
    )
    return await _read(tx, statement.order_by(event.c.id).limit(limit))


async def get(tx: Transaction, project_trigger_id: UUID, event_id: UUID) -> EventTrace | None:
    statement = _of(project_trigger_id).where(event.c.day == day_of(event_id), event.c.id == event_id)
    found = await _read(tx, statement)
    return found[0] if found else None


async def id_of_key(tx: Transaction, project_trigger_id: UUID, key: str) -> UUID | None:
    """Return the id of the event with this key, or None for an unknown key. The event may not be stored any more."""
    statement = select(event_key.c.event_id).where(
        event_key.c.project_trigger_id == project_trigger_id, event_key.c.key == key
    )
    return (await tx.connection.execute(statement)).scalar_one_or_none()


async def id_of_delivery(tx: Transaction, delivery_id: UUID) -> UUID:
    """Return the id of the delivery's event. An id that no replay has is returned as it is.

    A first delivery has the id of its event.
    """
    statement = select(replay.c.event_id).where(replay.c.delivery_id == delivery_id)
    return (await tx.connection.execute(statement)).scalar_one_or_none() or delivery_id


async def kept_since(tx: Transaction) -> date | None:
    """Return the first day whose outcomes are still stored, or None if there is no such day."""
    names = await tx.connection.execute(
        text(
            "SELECT min(right(relname, 8)) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
            "WHERE inhparent = CAST('outcome' AS regclass)"
        )
    )
    oldest = names.scalar_one()
    return date.fromisoformat(oldest) if oldest else None


def _of(project_trigger_id: UUID) -> Select[tuple[Any, ...]]:
    return select(*_COLUMNS).where(event.c.project_trigger_id == project_trigger_id)


async def _read(tx: Transaction, statement: Select[tuple[Any, ...]]) -> list[EventTrace]:
    return [EventTrace(**row._mapping) for row in await tx.connection.execute(statement)]
