"""Claim tasks that come round again, and take tasks that are to be done once. Any process may do so at any time."""

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
    """Claim the task if it is due, and return its stored state, or return None if it is not due.

    A claimed task is due again after `every`. A task that was never claimed is due, and its state is empty. No other
    process gets the task until the transaction ends.
    """
    row = (await tx.connection.execute(_CLAIM, {"task": task, "now": now, "next_at": now + every})).one_or_none()
    return dict(row.state) if row else None


async def remember(tx: Transaction, task: str, state: dict[str, Any], next_at: datetime) -> None:
    await tx.connection.execute(update(upkeep).where(upkeep.c.task == task).values(state=state, next_at=next_at))


async def leave(tx: Transaction, task: str, state: dict[str, Any], now: datetime) -> None:
    """Store a task that is to be done once, with its state, until a process takes it. There must not be one already."""
    await tx.connection.execute(insert(upkeep).values(task=task, next_at=now, state=state))


async def take(tx: Transaction, task: str) -> dict[str, Any] | None:
    """Take a task that is to be done once, and return its state, or return None if there is no such task.

    The task is done when the transaction commits. Until then no other process gets it.
    """
    left = select(upkeep.c.task).where(upkeep.c.task == task).with_for_update(skip_locked=True).scalar_subquery()
    row = (
        await tx.connection.execute(delete(upkeep).where(upkeep.c.task == left).returning(upkeep.c.state))
    ).one_or_none()
    return dict(row.state) if row else None
