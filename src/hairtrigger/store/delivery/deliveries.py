"""Store how attempts ended, and put due retries back on the queue.

A queue message is a pointer `{delivery, event, day, project, attempt}`, never a body. Every transaction of this module
locks leased messages first and lanes second, always in the order of project ids, so that no two of them wait for each
other.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Literal
from uuid import UUID

from sqlalchemy import DateTime, bindparam, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.domain.ids import day_of, new_id
from hairtrigger.domain.outcome import Failure
from hairtrigger.store.delivery import lanes
from hairtrigger.store.delivery.bodies import KEEPS_NONE
from hairtrigger.store.delivery.claims import Claimed, claim, claim_again, extend, take_back
from hairtrigger.store.delivery.lane_room import LEAVE, WIDTH
from hairtrigger.store.delivery.lanes import Leaving
from hairtrigger.store.delivery.queue import DeliveryQueue
from hairtrigger.store.delivery.queue_messages import Message
from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.statements import positional
from hairtrigger.store.tables import dead, event
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction

__all__ = [
    "Attempt",
    "Claimed",
    "Message",
    "claim",
    "claim_again",
    "drop",
    "extend",
    "finish",
    "finish_at_once",
    "requeue_due",
    "take_back",
    "trigger_of",
]

_BUSY = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_SILENT = {Failure.TIMEOUT, Failure.UNREACHABLE, Failure.CONNECT, Failure.DNS}


@dataclass(frozen=True)
class Attempt:
    """An attempt that has ended.

    `retry_at` plans a retry, and `dead`, which says why, makes the delivery a dead letter. With neither, the delivery
    has ended with this attempt.
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
    """The trigger of the event, or None if the event was delivered to another project than the trigger's own."""
    source_id: UUID | None = None
    """The trigger of the event, also if the event was delivered to another project."""
    delayed: timedelta = timedelta()
    """The part of the attempt's time that this process, and not the target, is to blame for."""
    may_have_turn: bool = True
    """False if the delivery is known to have no turn of an order key, which its end would pass on."""

    @property
    def size(self) -> int:
        """Return about how many bytes of the attempt were received from the target and are stored."""
        return len(self.response) + len(self.conversation or "")

    @property
    def overloaded(self) -> bool:
        """Return whether the attempt failed because its target was too busy or broken, or did not answer at all."""
        busy = self.response_status is not None and (self.response_status in _BUSY or self.response_status >= 500)
        return self.status == "failed" and (busy or self.failure in _SILENT)

    @property
    def served(self) -> bool:
        """Return whether the target answered, and was not too busy or broken."""
        return self.response_status is not None and not self.overloaded


# -- finishing

_RECORD = f"""
    gone AS (
        DELETE FROM pgmq.q_{DISPATCH} WHERE msg_id IN (SELECT msg_id FROM given)
        RETURNING msg_id, message->>'project' AS project_id
    ), counted AS MATERIALIZED (
        SELECT given.*, gone.project_id FROM given
        JOIN gone USING (msg_id)
    ), recorded AS (
        INSERT INTO attempt (day, id, org_id, delivery_id, number, status, failure, response_status, detail,
                             response, conversation, started_at, finished_at)
        SELECT day, id, org_id, delivery_id, number, status, failure, response_status, detail, response,
               CAST(conversation AS jsonb), started_at, finished_at
        FROM counted
    )"""  # noqa: S608 all of it our own text

_FINISH = text(
    f"""
    WITH given AS (
        SELECT * FROM unnest(CAST(:attempts AS ended_attempt[]))
    ), {_RECORD}, postponed AS (
        INSERT INTO retry (delivery_id, message, run_at)
        SELECT delivery_id, CAST(retry AS jsonb), retry_at FROM counted WHERE retry_at IS NOT NULL
        ON CONFLICT DO NOTHING
    ), died AS (
        INSERT INTO dead (delivery_id, org_id, reason, at)
        SELECT delivery_id, org_id, dead, finished_at FROM counted WHERE dead IS NOT NULL
        ON CONFLICT DO NOTHING
    )
    SELECT msg_id FROM counted
    """  # noqa: S608 all of it our own text
)

# The messages are deleted before a lane is locked, because the list of lanes is made of all of them. The commit waits
# for the disk, whatever the session was told. A trigger whose privacy changes while the statement runs counts as it was
# before: the look at all its events that then begins (see `bodies`) does not pass one whose delivery has not ended.
_FINISH_AT_ONCE = positional(
    f"""
    WITH asked AS MATERIALIZED (
        SELECT *, EXISTS (
            SELECT FROM project_trigger WHERE project_trigger.id = ended.source_id AND {KEEPS_NONE}
        ) AS is_private
        FROM (
            SELECT ended.*, (CAST(:sources AS uuid[]))[ordinality] AS source_id,
                   (CAST(:triggers AS uuid[]))[ordinality] AS project_trigger_id
            FROM unnest(CAST(:attempts AS ended_attempt[])) WITH ORDINALITY AS ended
        ) AS ended
    ), given AS (
        SELECT * FROM asked WHERE NOT is_private
    ), {_RECORD}, leaving AS MATERIALIZED (
        SELECT project_id, CAST(count(*) AS int) AS count, CAST(count(response_status) AS int) AS served,
               CAST(avg(greatest(0, extract(epoch FROM finished_at - started_at) - CAST(:delayed AS double precision)))
                    FILTER (WHERE response_status IS NOT NULL) AS real) AS latency,
               CAST(NULL AS timestamptz) AS failed_at, max(finished_at) AS ended_at
        FROM counted GROUP BY project_id
    ), locked AS MATERIALIZED (
        SELECT project_id, inflight >= floor({WIDTH}) AS was_full FROM lane
        WHERE project_id = ANY(CAST((SELECT array_agg(project_id) FROM leaving) AS text[]))
        ORDER BY project_id FOR UPDATE
    ), freed AS (
        UPDATE lane SET {LEAVE}
        FROM leaving JOIN locked USING (project_id) WHERE lane.project_id = leaving.project_id
        RETURNING was_full
    ), over AS (
        DELETE FROM streak WHERE side = 'deliveries' AND project_trigger_id = ANY(CAST(
            (SELECT array_agg(DISTINCT project_trigger_id) FROM counted) AS uuid[]))
        RETURNING project_trigger_id, count
    ), reached AS (
        DELETE FROM target_streak
        WHERE project_id = ANY(CAST((SELECT array_agg(project_id) FROM leaving) AS text[]))
    )
    SELECT (SELECT array_agg(msg_id) FROM counted) AS counted, (SELECT bool_or(was_full) FROM freed) AS was_full,
           (SELECT array_agg(project_trigger_id) FROM over) AS over, (SELECT array_agg(count) FROM over) AS failed,
           (SELECT array_agg(msg_id) FROM asked WHERE is_private) AS left_out,
           set_config('synchronous_commit', 'on', true)
    """,  # noqa: S608 all of it our own text
    *("attempts", "sources", "triggers", "delayed"),
)


@dataclass(frozen=True)
class EndedAtOnce:
    counted: Sequence[Attempt]
    others_may_go: bool
    """True if other deliveries may now be claimed."""
    streaks: Mapping[UUID, int]
    """The triggers whose streaks of failures have ended, each with the number of failures."""
    left: Sequence[Attempt]
    """The attempts of which nothing is stored yet, because their triggers keep no bodies."""


async def finish_at_once(queue: DeliveryQueue, attempts: Sequence[Attempt]) -> EndedAtOnce:
    """Store attempts that were delivered and have no turn to pass on, as `finish` does, but in one statement.

    There must be at least one. The streaks of failures of their triggers and targets end. Attempts whose triggers keep
    no bodies at this moment are not stored but returned in `left`, for a transaction that also drops the bodies.
    """
    delayed = sum((one.delayed for one in attempts), timedelta()) / len(attempts)
    sources, triggers = [one.source_id for one in attempts], [one.project_trigger_id for one in attempts]
    row = await queue.statements.row(
        _FINISH_AT_ONCE, [_ended(one) for one in attempts], sources, triggers, delayed.total_seconds()
    )
    counted, left = set(row["counted"] or ()), set(row["left_out"] or ())
    return EndedAtOnce(
        counted=[one for one in attempts if one.message.msg_id in counted],
        others_may_go=bool(row["was_full"]),
        streaks=dict(zip(row["over"] or (), row["failed"] or (), strict=True)),
        left=[one for one in attempts if one.message.msg_id in left],
    )


async def finish(tx: Transaction, attempts: Sequence[Attempt]) -> tuple[list[Attempt], bool]:
    """Store how attempts ended, take their messages off the queue, and count the deliveries out of their lanes.

    Return the attempts that were stored, and whether other deliveries may now be claimed. An attempt whose message
    another worker has finished in the meantime is left out and changes nothing.
    """
    if not attempts:
        return [], False
    ended = [_ended(one) for one in attempts]
    found = set((await tx.connection.execute(_FINISH, {"attempts": ended})).scalars())
    counted = [one for one in attempts if one.message.msg_id in found]
    if not counted:
        return [], False
    of_project: dict[str, list[Attempt]] = {}
    for one in counted:
        of_project.setdefault(one.message.project_id, []).append(one)
    at_their_end = [one.message.delivery_id for one in counted if not one.retry_at]
    return counted, await lanes.leave(tx, {id_: _leaving(those) for id_, those in of_project.items()}, at_their_end)


def _leaving(attempts: Sequence[Attempt]) -> Leaving:
    took = [max(one.finished_at - one.started_at - one.delayed, timedelta()) for one in attempts if one.served]
    return Leaving(
        count=len(attempts),
        served=len(took),
        latency=sum(took, timedelta()).total_seconds() / len(took) if took else None,
        failed_at=max((one.started_at for one in attempts if one.overloaded), default=None),
        ended_at=max(one.finished_at for one in attempts),
    )


async def drop(tx: Transaction, message: Message, org_id: UUID | None, reason: str, now: datetime) -> None:
    """End a delivery that can't be attempted at all as a dead letter, unless its message is gone from the queue.

    If `org_id` is None, because the event and the project are both gone, it ends without a dead letter.
    """
    gone = await tx.connection.execute(
        text("SELECT pgmq.delete(:queue, CAST(:id AS bigint))"), {"queue": DISPATCH, "id": message.msg_id}
    )
    if gone.scalar_one():
        if org_id is not None:
            row = {"delivery_id": message.delivery_id, "org_id": org_id, "reason": reason, "at": now}
            await tx.connection.execute(upsert(dead).on_conflict_do_nothing(), [row])
        await lanes.leave(tx, {message.project_id: Leaving(1)}, [message.delivery_id])


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
    """Put up to `limit` due retries back on the queue, the most overdue first, and return how many."""
    rows = await tx.connection.execute(_REQUEUE, {"now": now, "limit": limit, "queue": DISPATCH})
    return len(rows.all())


def _ended(done: Attempt) -> tuple[object, ...]:
    """Return the attempt as a row of the database's type `ended_attempt`, with a new id."""
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
