"""Work that comes round again, or is left to be done once: whichever process finds it does it, and nobody leads."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import DateTime, bindparam, delete, insert, select, text, update
from sqlalchemy.dialects.postgresql import JSONB

from hairtrigger.store.tables import upkeep
from hairtrigger.store.transaction import Transaction

_CLAIM = (
    text(
        """
        INSERT INTO upkeep (task, next_at, state) VALUES (:task, :next_at, '{}')
        ON CONFLICT (task) DO UPDATE SET next_at = excluded.next_at WHERE upkeep.next_at <= :now
        RETURNING state
        """
    )
    .bindparams(bindparam("now", type_=DateTime(timezone=True)), bindparam("next_at", type_=DateTime(timezone=True)))
    .columns(state=JSONB)
)


async def claim(tx: Transaction, task: str, now: datetime, every: timedelta) -> dict[str, Any] | None:
    """What was remembered the last time, when the task is due; it is then due again after `every`.

    Until the transaction ends, nobody else gets it.
    """
    row = (await tx.connection.execute(_CLAIM, {"task": task, "now": now, "next_at": now + every})).one_or_none()
    return dict(row.state) if row else None


async def remember(tx: Transaction, task: str, state: dict[str, Any], next_at: datetime) -> None:
    await tx.connection.execute(update(upkeep).where(upkeep.c.task == task).values(state=state, next_at=next_at))


async def leave(tx: Transaction, task: str, state: dict[str, Any], now: datetime) -> None:
    """Something to be done once."""
    await tx.connection.execute(insert(upkeep).values(task=task, next_at=now, state=state))


async def take(tx: Transaction, task: str) -> dict[str, Any] | None:
    """What was left to be done. It counts as done when the transaction commits; until then nobody else gets it."""
    left = select(upkeep.c.task).where(upkeep.c.task == task).with_for_update(skip_locked=True).scalar_subquery()
    row = (
        await tx.connection.execute(delete(upkeep).where(upkeep.c.task == left).returning(upkeep.c.state))
    ).one_or_none()
    return dict(row.state) if row else None
