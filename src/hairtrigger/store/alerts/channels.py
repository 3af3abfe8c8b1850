"""Store alert channels, and the alerts that they have not sent yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, bindparam, delete, func, insert, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.domain.alert_channel import Kind
from hairtrigger.domain.operational import OperationalEvent, Wanted
from hairtrigger.store.alerts.operational_events import Recorded, recorded
from hairtrigger.store.tables import alert, alert_channel, operational_event
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class AlertChannel:
    id: UUID
    org_id: UUID
    name: str
    kind: Kind
    types: list[str]
    project_ids: list[str]
    recipients: list[str]
    secrets: bytes = field(repr=False)
    created_by: UUID
    created_at: datetime
    updated_at: datetime
    next_at: datetime
    sent: list[datetime] = field(default_factory=list)
    failures: int = 0
    failing_since: datetime | None = None
    detail: str = ""

    @property
    def wanted(self) -> Wanted:
        return Wanted(self.types, self.project_ids)


_COLUMNS = tuple(alert_channel.c[one.name] for one in fields(AlertChannel))


async def add(tx: Transaction, new: AlertChannel) -> None:
    await tx.connection.execute(insert(alert_channel).values(vars(new)))


async def save(tx: Transaction, changed: AlertChannel) -> None:
    await tx.connection.execute(update(alert_channel).where(alert_channel.c.id == changed.id).values(vars(changed)))


async def remove(tx: Transaction, org_id: UUID, channel_id: UUID) -> bool:
    statement = delete(alert_channel).where(alert_channel.c.org_id == org_id, alert_channel.c.id == channel_id)
    return (await tx.connection.execute(statement)).rowcount > 0


async def get(tx: Transaction, org_id: UUID, channel_id: UUID, *, for_update: bool = False) -> AlertChannel | None:
    statement = select(*_COLUMNS).where(alert_channel.c.org_id == org_id, alert_channel.c.id == channel_id)
    row = (await tx.connection.execute(statement.with_for_update() if for_update else statement)).one_or_none()
    return _channel(row) if row else None


async def of_organization(tx: Transaction, org_id: UUID) -> list[AlertChannel]:
    return await _of_organizations(tx, [org_id])


async def _of_organizations(tx: Transaction, org_ids: Sequence[UUID]) -> list[AlertChannel]:
    statement = select(*_COLUMNS).where(alert_channel.c.org_id.in_(org_ids)).order_by(alert_channel.c.id)
    return [_channel(row) for row in await tx.connection.execute(statement)]


async def waiting(tx: Transaction, channel_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how many alerts each of the channels has not sent yet. A channel without such alerts is left out."""
    statement = select(alert.c.alert_channel_id, func.count()).where(alert.c.alert_channel_id.in_(channel_ids))
    rows = await tx.connection.execute(statement.group_by(alert.c.alert_channel_id))
    return {id_: int(count) for id_, count in rows}


async def queue(tx: Transaction, events: Sequence[OperationalEvent]) -> None:
    """Queue the events as alerts at the channels of their organisations that ask for them."""
    if not events:
        return
    found = await _of_organizations(tx, list({one.org_id for one in events}))
    rows = [
        {"alert_channel_id": channel.id, "operational_event_id": one.id}
        for channel in found
        for one in events
        if one.org_id == channel.org_id and channel.wanted.include(one)
    ]
    if rows:
        await tx.connection.execute(upsert(alert).on_conflict_do_nothing(), rows)


# At most one channel of an organisation is claimed at a time, so that slow servers of one hold up no other.
_CLAIM = text(
    f"""
    WITH due AS (
        SELECT DISTINCT ON (org_id) id FROM alert_channel AS due
        WHERE next_at <= :now AND (leased_until IS NULL OR leased_until <= :now)
          AND EXISTS (SELECT FROM alert WHERE alert.alert_channel_id = due.id)
          AND NOT EXISTS (SELECT FROM alert_channel AS other WHERE other.org_id = due.org_id
                          AND other.leased_until > :now)
        ORDER BY org_id, next_at
    ), claimed AS (
        SELECT alert_channel.id FROM alert_channel JOIN due USING (id)
        ORDER BY next_at LIMIT :limit FOR UPDATE OF alert_channel SKIP LOCKED
    )
    UPDATE alert_channel SET leased_until = :until FROM claimed WHERE alert_channel.id = claimed.id
    RETURNING {", ".join(f"alert_channel.{one.name}" for one in fields(AlertChannel))}
    """  # noqa: S608 all of it our own text
).bindparams(bindparam("now", type_=DateTime(timezone=True)), bindparam("until", type_=DateTime(timezone=True)))


async def claim(tx: Transaction, now: datetime, until: datetime, limit: int) -> list[AlertChannel]:
    """Claim up to `limit` channels that have something to send, at most one of each organisation, and return them.

    No other process sends with them before `until`.
    """
    return [_channel(row) for row in await tx.connection.execute(_CLAIM, {"now": now, "until": until, "limit": limit})]


async def unsent(tx: Transaction, channel_id: UUID, limit: int) -> list[Recorded]:
    """Return the alerts that a channel has not sent yet, oldest first, at most `limit`."""
    statement = (
        select(operational_event)
        .join(alert, alert.c.operational_event_id == operational_event.c.id)
        .where(alert.c.alert_channel_id == channel_id)
        .order_by(operational_event.c.id)
        .limit(limit)
    )
    return [recorded(row) for row in await tx.connection.execute(statement)]


async def end(tx: Transaction, channel: AlertChannel) -> None:
    """Store how a message of the channel ended, and when the next one may be sent, both as `channel` has them."""
    ended = ("next_at", "failures", "failing_since", "detail")
    values = {name: getattr(channel, name) for name in ended}
    await tx.connection.execute(update(alert_channel).where(alert_channel.c.id == channel.id).values(values))


_COUNT = text(
    """
    UPDATE alert_channel SET sent = ARRAY(
        SELECT at FROM unnest(sent || CAST(:now AS timestamptz)) AS at
        WHERE at > CAST(:now AS timestamptz) - INTERVAL '1 hour' ORDER BY at
    ) WHERE id = :id
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def count(tx: Transaction, channel_id: UUID, now: datetime) -> None:
    """Record that the channel sends a message now, and forget its messages that were sent more than an hour ago."""
    await tx.connection.execute(_COUNT, {"id": channel_id, "now": now})


async def remove_alerts(tx: Transaction, channel_id: UUID, sent: Sequence[UUID]) -> None:
    """Remove alerts from the channel's queue, because they were sent."""
    its = alert.c.alert_channel_id == channel_id
    await tx.connection.execute(delete(alert).where(its, alert.c.operational_event_id.in_(sent)))


async def give_back(tx: Transaction, channel_id: UUID) -> None:
    """End the lease of a channel, so that any process may claim it."""
    await tx.connection.execute(update(alert_channel).where(alert_channel.c.id == channel_id).values(leased_until=None))


def _channel(row: Any) -> AlertChannel:
    return AlertChannel(**{**row._mapping, "kind": Kind(row.kind)})
