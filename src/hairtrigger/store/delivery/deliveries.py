"""Claim deliveries from the queue, store how their attempts ended, and put due retries back on the queue.

A queue message is a pointer `{delivery, event, day, project, attempt}`, never a body. Every transaction here locks
messages first and lanes second, always in the order of project ids, so that no two of them wait for each other.
"""

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import DateTime, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.domain.ids import day_of, new_id
from hairtrigger.domain.outcome import Failure
from hairtrigger.store.delivery import lanes
from hairtrigger.store.delivery.admission import admit
from hairtrigger.store.delivery.queue_messages import Message
from hairtrigger.store.events.events import COLUMNS, DISPATCH, Event
from hairtrigger.store.setup.projects import Project, by_ids
from hairtrigger.store.tables import dead, event
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction

__all__ = [
    "Attempt",
    "Claimed",
    "Message",
    "claim",
    "drop",
    "extend",
    "finish",
    "requeue_due",
    "take_back",
    "trigger_of",
]


@dataclass(frozen=True)
class Claimed:
    """A message under our lease. `event` or `project` is None if it has been deleted."""

    message: Message
    event: Event | None
    project: Project | None


@dataclass(frozen=True)
class Attempt:
    """An attempt that has ended.

    `retry_at` plans a retry, and `dead` makes the delivery a dead letter. With neither, this was the last attempt.
    """

    message: Message
    org_id: UUID
    status: Literal["delivered", "failed", "gone"]
    response_status: int | None
    detail: str
    response: bytes
    conversation: str | None
    """JSON text made by `storable_json`."""
    started_at: datetime
    finished_at: datetime
    retry_at: datetime | None = None
    dead: str | None = None
    failure: Failure | None = None
    project_trigger_id: UUID | None = None
    """The trigger of the event. None if the event went to another project than its own."""

    @property
    def size(self) -> int:
        """Return about how many bytes of the attempt were received from the target."""
        return len(self.response) + len(self.conversation or "")


# -- claiming

# One claim at a time, because deliveries that two workers read at once would be admitted in any order. The commit does
# not wait for the disk: if it is lost, only the lease is lost. A worker that stops in the middle loses its session.
_ALONE = text(
    "SELECT set_config('synchronous_commit', 'off', true), "
    "set_config('idle_in_transaction_session_timeout', '5s', true), pg_advisory_xact_lock(7420318)"
)
# This is `pgmq.read`, which also writes down the process that has the lease. A process of an earlier version does not,
# so the count of readings tells whether the lease is still the one that was written down.
_READ = text(
    """
    WITH next AS (
        SELECT msg_id FROM pgmq.q_dispatch WHERE vt <= clock_timestamp()
        ORDER BY msg_id LIMIT :qty FOR UPDATE SKIP LOCKED
    ), leased AS (
        UPDATE pgmq.q_dispatch AS queue
        SET last_read_at = clock_timestamp(), vt = clock_timestamp() + make_interval(secs => :vt),
            read_ct = read_ct + 1,
            headers = jsonb_build_object('holder', CAST(:holder AS text), 'read', read_ct + 1)
        FROM next WHERE queue.msg_id = next.msg_id
        RETURNING queue.msg_id, read_ct, message
    )
    SELECT msg_id, read_ct, CAST(message->>'delivery' AS uuid), CAST(message->>'event' AS uuid),
           CAST(message->>'day' AS date), message->>'project', CAST(message->>'attempt' AS int), message ? 'released'
    FROM leased ORDER BY msg_id
    """
)


async def claim(tx: Transaction, limit: int, hold: timedelta, holder: UUID | None = None) -> tuple[int, list[Claimed]]:
    """Lease up to `limit` deliveries, oldest first, for the process `holder`. Those that may not be attempted yet are
    moved from the queue to `waiting` instead (see `admission`).

    Return how many were read from the queue, and the leased ones. Fewer read than `limit`: no more can be read now.
    """
    await tx.connection.execute(_ALONE)
    parameters = {"vt": hold.total_seconds(), "qty": limit, "holder": holder and str(holder)}
    rows = await tx.connection.execute(_READ, parameters)
    read = [(read_ct, Message(msg_id, *pointer)) for msg_id, read_ct, *pointer in rows]
    # A message that was read before has its place in the lane already: the worker that had it died.
    again = [message for count, message in read if count > 1]
    fresh = [message for count, message in read if count == 1]
    return len(read), await _load(tx, [*again, *await admit(tx, fresh)])


async def extend(tx: Transaction, msg_ids: Collection[int], hold: timedelta) -> None:
    """Extend the leases of deliveries under way, so that no other worker claims them. Zero gives them back."""
    await tx.connection.execute(
        text("SELECT 1 FROM pgmq.set_vt(:queue, CAST(:ids AS bigint[]), CAST(:vt AS int))"),
        {"queue": DISPATCH, "ids": list(msg_ids), "vt": round(hold.total_seconds())},
    )


_TAKE_BACK = text(
    """
    UPDATE pgmq.q_dispatch SET vt = clock_timestamp()
    WHERE vt > clock_timestamp() AND (
        :any OR headers->>'holder' = ANY(CAST(:holders AS text[])) AND CAST(headers->>'read' AS int) = read_ct
    )
    """
)


async def take_back(tx: Transaction, holders: Collection[UUID] | None) -> int:
    """End the leases of deliveries that dead processes hold, or with None all leases, and return how many there were.

    A lease that ran out and is now another process's stays.
    """
    parameters = {"any": holders is None, "holders": [str(one) for one in holders or ()]}
    return (await tx.connection.execute(_TAKE_BACK, parameters)).rowcount


_EVENTS = text(
    f"""
    SELECT {", ".join(f"event.{column.name}" for column in COLUMNS)}
    FROM unnest(CAST(:days AS date[]), CAST(:ids AS uuid[])) AS wanted (day, id)
    JOIN event ON event.day = wanted.day AND event.id = wanted.id
    """  # noqa: S608 all of it our own text
)


async def _load(tx: Transaction, messages: Sequence[Message]) -> list[Claimed]:
    if not messages:
        return []
    wanted = {m.event_id: m.event_day for m in messages}
    rows = await tx.connection.execute(_EVENTS, {"days": list(wanted.values()), "ids": list(wanted)})
    events = {row.id: Event(*row) for row in rows}
    projects = await by_ids(tx, {m.project_id for m in messages})
    return [Claimed(m, events.get(m.event_id), projects.get(m.project_id)) for m in messages]


# -- finishing

_FINISH = text(
    """
    WITH given AS (
        SELECT * FROM unnest(CAST(:attempts AS ended_attempt[]))
    ), counted AS MATERIALIZED (
        SELECT given.* FROM given
        JOIN pgmq.delete(:queue, (SELECT array_agg(msg_id) FROM given)) AS gone ON gone = given.msg_id
    ), recorded AS (
        INSERT INTO attempt (day, id, org_id, delivery_id, number, status, failure, response_status, detail,
                             response, conversation, started_at, finished_at)
        SELECT day, id, org_id, delivery_id, number, status, failure, response_status, detail, response,
               CAST(conversation AS jsonb), started_at, finished_at
        FROM counted
    ), postponed AS (
        INSERT INTO retry (delivery_id, message, run_at)
        SELECT delivery_id, CAST(retry AS jsonb), retry_at FROM counted WHERE retry_at IS NOT NULL
        ON CONFLICT DO NOTHING
    ), died AS (
        INSERT INTO dead (delivery_id, org_id, reason, at)
        SELECT delivery_id, org_id, dead, finished_at FROM counted WHERE dead IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    SELECT msg_id FROM counted
    """
)


async def finish(tx: Transaction, attempts: Sequence[Attempt]) -> tuple[list[Attempt], int]:
    """Store how attempts ended, end their leases and let the next deliveries into the lanes.

    An attempt whose message another worker has finished in the meantime changes nothing. Return the attempts that
    counted, and how many deliveries were let in.
    """
    if not attempts:
        return [], 0
    ended = [_ended(one) for one in attempts]
    found = set((await tx.connection.execute(_FINISH, {"attempts": ended, "queue": DISPATCH})).scalars())
    counted = [one for one in attempts if one.message.msg_id in found]
    if not counted:
        return [], 0
    at_their_end = [one.message.delivery_id for one in counted if not one.retry_at]
    return counted, await lanes.leave(tx, Counter(one.message.project_id for one in counted), at_their_end)


async def drop(tx: Transaction, message: Message, org_id: UUID, reason: str, now: datetime) -> None:
    """End a delivery that can't be attempted at all as a dead letter."""
    gone = await tx.connection.execute(
        text("SELECT pgmq.delete(:queue, CAST(:id AS bigint))"), {"queue": DISPATCH, "id": message.msg_id}
    )
    if gone.scalar_one():
        row = {"delivery_id": message.delivery_id, "org_id": org_id, "reason": reason, "at": now}
        await tx.connection.execute(upsert(dead).on_conflict_do_nothing(), [row])
        await lanes.leave(tx, {message.project_id: 1}, [message.delivery_id])


async def trigger_of(tx: Transaction, message: Message) -> UUID | None:
    statement = select(event.c.project_trigger_id).where(
        event.c.day == message.event_day, event.c.id == message.event_id
    )
    return (await tx.connection.execute(statement)).scalar_one_or_none()


# -- retries


_REQUEUE = text(
    """
    WITH due AS MATERIALIZED (
        SELECT delivery_id FROM retry WHERE run_at <= :now ORDER BY run_at LIMIT :limit FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM retry USING due WHERE retry.delivery_id = due.delivery_id RETURNING message
    )
    SELECT pgmq.send_batch(:queue, array_agg(message)) FROM taken HAVING count(*) > 0
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


async def requeue_due(tx: Transaction, now: datetime, limit: int) -> int:
    """Put due retries back on the queue, and return how many."""
    rows = await tx.connection.execute(_REQUEUE, {"now": now, "limit": limit, "queue": DISPATCH})
    return len(rows.all())


def _ended(done: Attempt) -> tuple[object, ...]:
    """Return the attempt as a row of the type `ended_attempt`."""
    id_ = new_id(done.finished_at)
    again = done.message.pointer(done.message.attempt + 1) if done.retry_at else None
    return (
        done.message.msg_id,
        day_of(id_),
        id_,
        done.org_id,
        done.message.delivery_id,
        done.message.attempt,
        done.status,
        done.failure,
        done.response_status,
        storable(done.detail),
        done.response,
        done.conversation,
        done.started_at,
        done.finished_at,
        done.retry_at,
        again and json.dumps(again),
        None if done.dead is None else storable(done.dead),
    )
