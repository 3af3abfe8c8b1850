"""Carry out what a user wants for a delivery: its planned retry at once, or its end.

The order of locks is that of `deliveries`: planned retries and messages first, lanes second.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, bindparam, text

from hairtrigger.store.delivery import lanes
from hairtrigger.store.delivery.lanes import Leaving
from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction

_RETRY = text(
    """
    WITH taken AS (
        DELETE FROM retry WHERE delivery_id = ANY(CAST(:ids AS uuid[])) RETURNING delivery_id, message
    ), sent AS (
        SELECT pgmq.send_batch(:queue, array_agg(message)) AS message FROM taken HAVING count(*) > 0
    )
    SELECT delivery_id, (SELECT count(message) FROM sent) FROM taken
    """
)


async def retry_now(tx: Transaction, delivery_ids: Sequence[UUID]) -> set[UUID]:
    """Put the planned retries of deliveries on the queue now, and return the ids of the deliveries that had one."""
    if not delivery_ids:
        return set()
    rows = await tx.connection.execute(_RETRY, {"ids": list(delivery_ids), "queue": DISPATCH})
    return {id_ for id_, _ in rows}


@dataclass(frozen=True)
class End:
    """A user's decision to end a delivery, with the reason that its dead letter shows."""

    delivery_id: UUID
    project_id: str
    org_id: UUID
    reason: str
    now: datetime


_PLANNED = text("DELETE FROM retry WHERE delivery_id = :id RETURNING 1")
# A message that was read is under the lease of a worker until `vt`. After that, the worker is dead.
_QUEUED = text(
    """
    SELECT msg_id, read_ct, read_ct > 0 AND vt > clock_timestamp() FROM pgmq.q_dispatch
    WHERE message->>'delivery' = CAST(:id AS text) FOR UPDATE SKIP LOCKED
    """
)
_TAKE = text("SELECT pgmq.delete(:queue, CAST(:id AS bigint))")
_HELD = text("DELETE FROM waiting WHERE project_id = :project AND delivery_id = :id RETURNING 1")
_DEAD = text(
    "INSERT INTO dead (delivery_id, org_id, reason, at) VALUES (:id, :org, :reason, :now) ON CONFLICT DO NOTHING"
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def end(tx: Transaction, given: End) -> bool:
    """End a delivery as a dead letter, and return whether that was possible.

    A delivery is not ended while an attempt is under way, or if it has ended already.
    """
    planned = (await tx.connection.execute(_PLANNED, {"id": given.delivery_id})).first() is not None
    left = None if planned else await _taken_from_queue(tx, given.delivery_id)
    await lanes.lock(tx, [given.project_id])
    if not planned and left is None:
        held = await tx.connection.execute(_HELD, {"project": given.project_id, "id": given.delivery_id})
        if held.first() is None:
            return False
    row = {"id": given.delivery_id, "org": given.org_id, "reason": storable(given.reason), "now": given.now}
    await tx.connection.execute(_DEAD, row)
    if left:
        await lanes.leave(tx, {given.project_id: Leaving(left)}, [given.delivery_id])
        return True
    await lanes.pass_turns(tx, [given.delivery_id])
    return True


async def _taken_from_queue(tx: Transaction, delivery_id: UUID) -> int | None:
    """Take the delivery from the queue, and return how many places of its lane it had.

    That is 0, or 1 if it was claimed before. Return None if it is not on the queue, or is under the lease of a worker.
    """
    row = (await tx.connection.execute(_QUEUED, {"id": str(delivery_id)})).first()
    if row is None:
        return None
    msg_id, read, is_leased = row
    if is_leased:
        return None
    await tx.connection.execute(_TAKE, {"queue": DISPATCH, "id": msg_id})
    return min(int(read), 1)
