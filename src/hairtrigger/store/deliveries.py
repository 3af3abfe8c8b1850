"""Deliveries: claimed from the queue, finished in one transaction, retried from a table, held back by their lane.

A queue message is a pointer `{delivery, event, day, project, attempt}`, never a body. Every transaction here touches
messages first and lanes second, always in the order of project ids, so that none waits for another in a circle.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import BigInteger, DateTime, Integer, bindparam, insert, select, text, tuple_
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.domain.ids import day_of, new_id
from hairtrigger.domain.outcome import Failure
from hairtrigger.store.database import Transaction
from hairtrigger.store.events import DISPATCH, Event, event_of
from hairtrigger.store.projects import Project
from hairtrigger.store.tables import attempt, dead, event, lane, project, replay, retry, waiting
from hairtrigger.store.text import storable, storable_json


@dataclass(frozen=True)
class Message:
    """A delivery on the queue."""

    msg_id: int
    delivery_id: UUID
    event_id: UUID
    event_day: date
    project_id: str
    attempt: int

    def pointer(self, attempt: int) -> dict[str, Any]:
        return {
            "delivery": str(self.delivery_id),
            "event": str(self.event_id),
            "day": self.event_day.isoformat(),
            "project": self.project_id,
            "attempt": attempt,
        }


@dataclass(frozen=True)
class Claimed:
    """A message under our lease. `event` or `project` is None where it has been deleted."""

    message: Message
    event: Event | None
    project: Project | None


@dataclass(frozen=True)
class Attempt:
    """One try, as it ended. `retry_at` or `dead` says what comes next; neither: it was the last."""

    message: Message
    org_id: UUID
    status: Literal["delivered", "failed", "gone"]
    response_status: int | None
    detail: str
    response: bytes
    conversation: list[dict[str, Any]] | None
    started_at: datetime
    finished_at: datetime
    retry_at: datetime | None = None
    dead: str | None = None
    failure: Failure | None = None


# -- claiming

_READ = text("SELECT msg_id, read_ct, message FROM pgmq.read(:queue, CAST(:vt AS int), CAST(:qty AS int))").columns(
    msg_id=BigInteger, read_ct=Integer, message=JSONB
)


async def claim(tx: Transaction, limit: int, hold: timedelta) -> list[Claimed]:
    """Leases up to `limit` deliveries, oldest first. What finds its project's lane full is put to wait instead."""
    rows = await tx.connection.execute(_READ, {"queue": DISPATCH, "vt": round(hold.total_seconds()), "qty": limit})
    # A message read before has its place in the lane already: its worker died with it.
    read = [(row.read_ct, _message(row.msg_id, row.message)) for row in rows]
    again = [message for count, message in read if count > 1]
    admitted = [*again, *await _admit(tx, [message for count, message in read if count == 1])]
    return await _load(tx, admitted)


async def extend(tx: Transaction, msg_ids: Sequence[int], hold: timedelta) -> None:
    """Keeps deliveries that are still under way from being given to somebody else."""
    await tx.connection.execute(
        text("SELECT 1 FROM pgmq.set_vt(:queue, CAST(:ids AS bigint[]), CAST(:vt AS int))"),
        {"queue": DISPATCH, "ids": list(msg_ids), "vt": round(hold.total_seconds())},
    )


async def _admit(tx: Transaction, messages: Sequence[Message]) -> list[Message]:
    if not messages:
        return []
    room = await _lock_lanes(tx, {message.project_id for message in messages})
    admitted, held = [], []
    for message in messages:
        free = room.get(message.project_id)
        if free is None:  # the project is gone; dispatch says so
            admitted.append(message)
        elif free > 0:
            room[message.project_id] = free - 1
            admitted.append(message)
        else:
            held.append(message)
    await _move_lanes(tx, Counter(m.project_id for m in admitted if m.project_id in room), sign=1)
    await _hold_back(tx, held)
    return admitted


async def _lock_lanes(tx: Transaction, project_ids: Iterable[str]) -> dict[str, int]:
    """How many more deliveries each project may have under way."""
    statement = (
        select(lane).where(lane.c.project_id.in_(sorted(project_ids))).order_by(lane.c.project_id).with_for_update()
    )
    return {row.project_id: row.max_inflight - row.inflight for row in await tx.connection.execute(statement)}


async def _move_lanes(tx: Transaction, by_project: Mapping[str, int], *, sign: Literal[1, -1]) -> None:
    """Rows are locked in the order of their ids first: two workers must not wait for each other."""
    if not by_project:
        return
    await tx.connection.execute(
        text(
            """
            WITH step AS (
                SELECT * FROM unnest(CAST(:project_id AS text[]), CAST(:step AS int[])) AS step (project_id, step)
            ), locked AS MATERIALIZED (
                SELECT project_id FROM lane WHERE project_id = ANY(CAST(:project_id AS text[]))
                ORDER BY project_id FOR UPDATE
            )
            UPDATE lane SET inflight = greatest(0, lane.inflight + step.step)
            FROM step JOIN locked USING (project_id) WHERE lane.project_id = step.project_id
            """
        ),
        {"project_id": list(by_project), "step": [sign * count for count in by_project.values()]},
    )


async def _hold_back(tx: Transaction, held: Sequence[Message]) -> None:
    if not held:
        return
    rows = [{"project_id": m.project_id, "delivery_id": m.delivery_id, "message": m.pointer(m.attempt)} for m in held]
    await tx.connection.execute(upsert(waiting).on_conflict_do_nothing(), rows)
    await _acknowledge(tx, [m.msg_id for m in held])


async def _load(tx: Transaction, messages: Sequence[Message]) -> list[Claimed]:
    if not messages:
        return []
    keys = {(m.event_day, m.event_id) for m in messages}
    events = {
        row.id: event_of(row)
        for row in await tx.connection.execute(select(event).where(tuple_(event.c.day, event.c.id).in_(keys)))
    }
    rows = await tx.connection.execute(
        select(*project.c, lane.c.max_inflight)
        .join(lane, lane.c.project_id == project.c.id)
        .where(project.c.id.in_({m.project_id for m in messages}))
    )
    projects = {row.id: Project(**row._mapping) for row in rows}
    return [Claimed(m, events.get(m.event_id), projects.get(m.project_id)) for m in messages]


# -- finishing


async def finish(tx: Transaction, attempts: Sequence[Attempt]) -> list[Attempt]:
    """Stores how attempts ended, ends their leases and lets the next ones in.

    An attempt whose message somebody else has finished meanwhile changes nothing. Returns those that counted.
    """
    gone = await _acknowledge(tx, [a.message.msg_id for a in attempts])
    counted = [a for a in attempts if a.message.msg_id in gone]
    if not counted:
        return []
    await tx.connection.execute(insert(attempt), [_attempt_row(a) for a in counted])
    retries = [
        {
            "delivery_id": a.message.delivery_id,
            "message": a.message.pointer(a.message.attempt + 1),
            "run_at": a.retry_at,
        }
        for a in counted
        if a.retry_at
    ]
    if retries:
        await tx.connection.execute(upsert(retry).on_conflict_do_nothing(), retries)
    deaths = [
        {"delivery_id": a.message.delivery_id, "org_id": a.org_id, "reason": storable(a.dead), "at": a.finished_at}
        for a in counted
        if a.dead
    ]
    if deaths:
        await tx.connection.execute(upsert(dead).on_conflict_do_nothing(), deaths)
    done = Counter(a.message.project_id for a in counted)
    await _move_lanes(tx, done, sign=-1)
    await _let_in(tx, done)
    return counted


async def drop(tx: Transaction, message: Message, org_id: UUID, reason: str, now: datetime) -> None:
    """Ends a delivery that can't be attempted at all."""
    if message.msg_id in await _acknowledge(tx, [message.msg_id]):
        row = {"delivery_id": message.delivery_id, "org_id": org_id, "reason": reason, "at": now}
        await tx.connection.execute(upsert(dead).on_conflict_do_nothing(), [row])
        await _move_lanes(tx, {message.project_id: 1}, sign=-1)


async def trigger_of(tx: Transaction, message: Message) -> UUID | None:
    statement = select(event.c.project_trigger_id).where(
        event.c.day == message.event_day, event.c.id == message.event_id
    )
    return (await tx.connection.execute(statement)).scalar_one_or_none()


async def _acknowledge(tx: Transaction, msg_ids: Sequence[int]) -> set[int]:
    rows = await tx.connection.execute(
        text("SELECT id FROM pgmq.delete(:queue, CAST(:ids AS bigint[])) AS id"),
        {"queue": DISPATCH, "ids": list(msg_ids)},
    )
    return {row.id for row in rows}


async def _let_in(tx: Transaction, by_project: Mapping[str, int]) -> int:
    """Moves up to so many of each project's waiting deliveries to the queue, oldest first."""
    rows = await tx.connection.execute(
        text(
            """
            WITH room AS (
                SELECT * FROM unnest(CAST(:project_id AS text[]), CAST(:count AS int[])) AS room (project_id, free)
            ), next AS (
                SELECT picked.project_id, picked.delivery_id FROM room
                CROSS JOIN LATERAL (
                    SELECT project_id, delivery_id FROM waiting WHERE waiting.project_id = room.project_id
                    ORDER BY delivery_id LIMIT room.free FOR UPDATE SKIP LOCKED
                ) AS picked
            ), moved AS (
                DELETE FROM waiting USING next
                WHERE waiting.project_id = next.project_id AND waiting.delivery_id = next.delivery_id
                RETURNING waiting.message, waiting.delivery_id
            )
            SELECT pgmq.send_batch(:queue, array_agg(message ORDER BY delivery_id)) FROM moved HAVING count(*) > 0
            """
        ),
        {"queue": DISPATCH, "project_id": list(by_project), "count": list(by_project.values())},
    )
    return len(rows.all())


# -- the clock's part


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
    """Puts retries whose time has come back on the queue."""
    rows = await tx.connection.execute(_REQUEUE, {"now": now, "limit": limit, "queue": DISPATCH})
    return len(rows.all())


async def repair_lanes(tx: Transaction) -> int:
    """Counts again what is under way, and lets waiting deliveries into lanes with room.

    The count can only drift when a message is lost from the queue itself; waiting deliveries of an idle lane are
    left behind when a limit is raised. Both are rare, and both would otherwise be silence.
    """
    lanes = await tx.connection.execute(
        text(
            """
            SELECT project_id, max_inflight FROM lane
            WHERE inflight > 0 OR EXISTS (SELECT 1 FROM waiting WHERE waiting.project_id = lane.project_id)
            ORDER BY project_id FOR UPDATE SKIP LOCKED
            """
        )
    )
    limits = {row.project_id: row.max_inflight for row in lanes}
    orphans = await tx.connection.execute(
        text("SELECT DISTINCT project_id FROM waiting WHERE project_id NOT IN (SELECT project_id FROM lane)")
    )
    room = {row.project_id: 1000 for row in orphans}  # their project is gone: dispatch will say so
    if limits:
        counted = await tx.connection.execute(
            text(
                """
                SELECT message->>'project' AS project_id, count(*) AS inflight FROM pgmq.q_dispatch
                WHERE read_ct > 0 AND message->>'project' = ANY(CAST(:ids AS text[])) GROUP BY 1
                """
            ),
            {"ids": list(limits)},
        )
        inflight = {row.project_id: row.inflight for row in counted}
        await tx.connection.execute(
            text(
                """
                UPDATE lane SET inflight = counted.inflight
                FROM unnest(CAST(:ids AS text[]), CAST(:inflight AS int[])) AS counted (project_id, inflight)
                WHERE lane.project_id = counted.project_id AND lane.inflight <> counted.inflight
                """
            ),
            {"ids": list(limits), "inflight": [inflight.get(id_, 0) for id_ in limits]},
        )
        room |= {id_: limit - inflight.get(id_, 0) for id_, limit in limits.items() if limit > inflight.get(id_, 0)}
    return await _let_in(tx, room) if room else 0


# -- replay


async def add_replays(tx: Transaction, events: Sequence[Event], requested_by: str, now: datetime) -> list[UUID]:
    """A new delivery of each event, under an id of its own, on the queue."""
    if not events:
        return []
    ids = [new_id(now) for _ in events]
    await tx.connection.execute(
        insert(replay),
        [
            {
                "delivery_id": id_,
                "event_id": e.id,
                "event_day": e.day,
                "org_id": e.org_id,
                "project_trigger_id": e.project_trigger_id,
                "requested_by": requested_by,
                "created_at": now,
            }
            for id_, e in zip(ids, events, strict=True)
        ],
    )
    await tx.connection.execute(
        text(
            """
            SELECT pgmq.send_batch(:queue, array_agg(jsonb_build_object(
                'delivery', delivery, 'event', event, 'day', day, 'project', project, 'attempt', 1)))
            FROM unnest(CAST(:delivery AS uuid[]), CAST(:event AS uuid[]), CAST(:day AS date[]),
                        CAST(:project AS text[])) AS given (delivery, event, day, project)
            """
        ),
        {
            "queue": DISPATCH,
            "delivery": ids,
            "event": [e.id for e in events],
            "day": [e.day for e in events],
            "project": [e.project_id for e in events],
        },
    )
    return ids


def _message(msg_id: int, pointer: Mapping[str, Any]) -> Message:
    return Message(
        msg_id=msg_id,
        delivery_id=UUID(pointer["delivery"]),
        event_id=UUID(pointer["event"]),
        event_day=date.fromisoformat(pointer["day"]),
        project_id=pointer["project"],
        attempt=pointer["attempt"],
    )


def _attempt_row(done: Attempt) -> dict[str, Any]:
    id_ = new_id(done.finished_at)
    return {
        "id": id_,
        "day": day_of(id_),
        "org_id": done.org_id,
        "delivery_id": done.message.delivery_id,
        "number": done.message.attempt,
        "status": done.status,
        "failure": done.failure,
        "response_status": done.response_status,
        "detail": storable(done.detail),
        "response": done.response,
        "conversation": storable_json(done.conversation),
        "started_at": done.started_at,
        "finished_at": done.finished_at,
    }
