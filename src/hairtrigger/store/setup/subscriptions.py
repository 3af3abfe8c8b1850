"""Store when webhooks at providers end, and when each is renewed or looked at next.

A claim moves the due time on before the work, so a crash never stops it. A result counts only if the row was not
claimed again since, which changes its due time.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import DateTime, bindparam, delete, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.polling.polls import Excluded
from hairtrigger.store.tables import project_trigger, subscription
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class StoredSubscription:
    project_trigger_id: UUID
    registered_at: datetime
    expires_at: datetime | None
    next_at: datetime
    seen_at: datetime
    failures: int = 0
    error: str | None = None
    failing_since: datetime | None = None
    lost_at: datetime | None = None
    listed: bool = True

    def after(self, share: float) -> datetime | None:
        """Return the time at which this share of its life is over, or None if it has no end."""
        return self.expires_at and self.registered_at + share * (self.expires_at - self.registered_at)


_ALL = tuple(subscription.c[name] for name in StoredSubscription.__dataclass_fields__)


async def get(tx: Transaction, project_trigger_id: UUID) -> StoredSubscription | None:
    statement = select(*_ALL).where(subscription.c.project_trigger_id == project_trigger_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return StoredSubscription(*row) if row else None


async def put(tx: Transaction, made: StoredSubscription) -> None:
    """Store a subscription that was made just now, in place of an earlier one of its trigger."""
    values: dict[str, Any] = {**vars(made), "leased_until": None}
    statement = upsert(subscription).values(values)
    await tx.connection.execute(statement.on_conflict_do_update(index_elements=["project_trigger_id"], set_=values))


async def end(tx: Transaction, project_trigger_id: UUID) -> None:
    await tx.connection.execute(delete(subscription).where(subscription.c.project_trigger_id == project_trigger_id))


async def claim(
    tx: Transaction, now: datetime, limit: int, hold: timedelta, excluded: Excluded
) -> list[StoredSubscription]:
    """Claim up to `limit` due subscriptions for the time `hold`, the most overdue first, and return them.

    Their due times, which name the claims, are then the ends of their leases.
    """
    due = (
        select(subscription.c.project_trigger_id)
        .join(project_trigger, project_trigger.c.id == subscription.c.project_trigger_id)
        .where(subscription.c.next_at <= now, *excluded.where())
        .order_by(subscription.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=subscription)
    )
    statement = (
        update(subscription)
        .where(subscription.c.project_trigger_id.in_(select(due.cte("due").c.project_trigger_id)))
        .values(next_at=now + hold, leased_until=now + hold)
        .returning(*_ALL)
    )
    return [StoredSubscription(*row) for row in await tx.connection.execute(statement)]


async def save(tx: Transaction, claimed: StoredSubscription, **changes: Any) -> bool:
    """Store the result of a claim, which ends its lease, and return True.

    Return False, and store nothing, if it was claimed again or its trigger was disabled.
    """
    changed = vars(replace(claimed, **changes))
    if changed["error"] is not None:
        changed["error"] = storable(changed["error"])
    statement = update(subscription).where(
        subscription.c.project_trigger_id == claimed.project_trigger_id, subscription.c.next_at == claimed.next_at
    )
    return (await tx.connection.execute(statement.values(**changed, leased_until=None))).rowcount > 0


async def due_now(tx: Transaction, which: Any, now: datetime) -> None:
    """Make the subscriptions of the triggers that meet a condition on `project_trigger` due now, if none is claimed."""
    ids = select(project_trigger.c.id).where(which)
    free = subscription.c.leased_until.is_(None) | (subscription.c.leased_until <= now)
    await tx.connection.execute(
        update(subscription).where(subscription.c.project_trigger_id.in_(ids), free).values(next_at=now)
    )


async def release(tx: Transaction, now: datetime, project_trigger_ids: Collection[UUID] | None = None) -> None:
    """Make claimed subscriptions due now: all, for which no process may run any more, or those of these triggers."""
    held = update(subscription).where(subscription.c.leased_until.is_not(None))
    if project_trigger_ids is not None:
        held = held.where(subscription.c.project_trigger_id.in_(project_trigger_ids))
    await tx.connection.execute(held.values(next_at=now, leased_until=None))


_ADOPT = text(
    """
    INSERT INTO subscription (project_trigger_id, registered_at, next_at, failures, seen_at, listed)
    SELECT id, coalesce(enabled_at, created_at), :now, 0, coalesce(enabled_at, created_at), true
    FROM project_trigger JOIN unnest(CAST(:providers AS text[]), CAST(:triggers AS text[]))
        AS given (provider_id, trigger_id) USING (provider_id, trigger_id)
    WHERE enabled AND webhook_data IS NOT NULL
      AND NOT EXISTS (SELECT FROM subscription WHERE project_trigger_id = project_trigger.id)
    ORDER BY id LIMIT :limit
    ON CONFLICT DO NOTHING RETURNING 1
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))
_ADOPT_SWEEPS = text(
    """
    INSERT INTO poll (project_trigger_id, kind, next_at, every_seconds, failures, sweep, start_from)
    SELECT id, 'poll', :now, seconds, 0, true, :now
    FROM project_trigger
    JOIN unnest(CAST(:providers AS text[]), CAST(:triggers AS text[]), CAST(:seconds AS int[]))
        AS given (provider_id, trigger_id, seconds) USING (provider_id, trigger_id)
    WHERE enabled AND NOT EXISTS (
        SELECT FROM poll WHERE project_trigger_id = project_trigger.id AND next_at IS NOT NULL)
    ORDER BY id LIMIT :limit
    ON CONFLICT (project_trigger_id) DO UPDATE
        SET next_at = excluded.next_at, start_from = excluded.start_from, sweep = true, cursor = NULL
    RETURNING 1
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def adopt(tx: Transaction, now: datetime, definitions: Sequence[tuple[str, str]], limit: int) -> int:
    """Begin to look after enabled triggers of these definitions that have no row here, and return how many.

    A definition is named by the ids of its provider and of itself. Its triggers were enabled by a version in which the
    provider could not be asked.
    """
    if not definitions:
        return 0
    providers, triggers = zip(*definitions, strict=True)
    given = {"now": now, "providers": list(providers), "triggers": list(triggers), "limit": limit}
    return len((await tx.connection.execute(_ADOPT, given)).all())


async def adopt_sweeps(tx: Transaction, now: datetime, definitions: Sequence[tuple[str, str, int]], limit: int) -> int:
    """Begin the sweeps of enabled triggers of these definitions that have none, and return how many.

    A definition is named as in `adopt`, with the seconds between two sweeps. The sweeps look for what happens from now
    on.
    """
    if not definitions:
        return 0
    providers, triggers, seconds = zip(*definitions, strict=True)
    given = {"now": now, "providers": list(providers), "triggers": list(triggers), "seconds": list(seconds)}
    return len((await tx.connection.execute(_ADOPT_SWEEPS, {**given, "limit": limit})).all())
