"""Decide which deliveries of lanes with an order or a pause may be attempted, and what the others wait for.

A delivery may be attempted if neither its project nor its trigger is paused, and if it has the turn of its order key
where the project keeps an order. Otherwise it is moved from the queue to `waiting`. A delivery that may be attempted
but finds no room in its lane stays on the queue. All of this happens while the lane is locked.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import text

from hairtrigger.domain.event import bounded_key
from hairtrigger.store.delivery import lanes
from hairtrigger.store.delivery.lanes import Lane, Turns
from hairtrigger.store.delivery.queue_messages import FIELDS, Message
from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.transaction import Transaction

_MOST_READ = 200  # deliveries of one lane
_NO_TURNS = Turns({}, set())


@dataclass(frozen=True)
class _EventOwner:
    """The trigger and the subject of a delivery's event, from which its order key and its pause follow."""

    project_trigger_id: UUID
    subject: str | None

    def key(self, lane: Lane) -> str | None:
        match lane.order_by:
            case "trigger":
                return f"trigger:{self.project_trigger_id}"
            case "subject" if self.subject is not None:
                return bounded_key(f"subject:{self.subject}")
            case _:
                return None


@dataclass(frozen=True)
class _HeldBack:
    message: Message
    owner: _EventOwner | None = None
    order_key: str | None = None
    behind: bool = False
    suspended_by: str | None = None


@dataclass
class Admission:
    """The decisions of one claim: which messages are `admitted`, and which are `held` back and why.

    `lanes` and `room`, the number of deliveries that may still be admitted, go by project id, and `owner` by event id.
    `turns` are the turns that deliveries had before the claim, and `taken` those that the claim gives.
    """

    lanes: Mapping[str, Lane]
    room: Counter[str]
    owner: Mapping[UUID, _EventOwner]
    turns: Turns
    taken: dict[tuple[str, str], UUID] = field(default_factory=dict)
    admitted: list[Message] = field(default_factory=list)
    held: list[_HeldBack] = field(default_factory=list)

    def decide(self, message: Message) -> None:
        lane = self.lanes[message.project_id]
        owner = self.owner.get(message.event_id)
        key = owner.key(lane) if owner else None
        suspended_by = None if message.released else _paused(lane, owner)
        if suspended_by is None and not self.room[lane.project_id]:
            return  # it stays on the queue
        behind = key is not None and not self._takes_turn(message, key)
        if behind or suspended_by is not None:
            self.held.append(_HeldBack(message, owner, key, behind, suspended_by))
        else:
            self.room[lane.project_id] -= 1
            self.admitted.append(message)

    def _takes_turn(self, message: Message, key: str) -> bool:
        """Take the turn of the key for the delivery if it is free, and return whether the delivery has a turn now.

        A delivery that has the turn of another key needs no second one, because deliveries that wait for two turns
        could wait for each other for ever.
        """
        if message.delivery_id in self.turns.holders:
            return True
        place = (message.project_id, key)
        holder = self.taken.get(place) or self.turns.of_key.get(place)
        if holder is None:
            self.taken[place] = message.delivery_id
        return holder is None


_READ = text(
    f"""
    SELECT {FIELDS} FROM unnest(CAST(:ids AS text[])) AS asked (project_id) CROSS JOIN LATERAL (
        SELECT msg_id, message FROM pgmq.q_{DISPATCH} WHERE read_ct = 0 AND message->>'project' = asked.project_id
        ORDER BY msg_id LIMIT {_MOST_READ} FOR UPDATE SKIP LOCKED
    ) AS oldest
    """  # noqa: S608 all of it our own text
)


async def admit(tx: Transaction, parts: Mapping[str, int], now: datetime | None) -> Admission:
    """Admit the oldest deliveries that may be attempted, for each project at most the number in `parts` and as many as
    its lane has room for, and return the decisions.

    The admitted ones are counted into their lanes, and the caller must lease them. Deliveries that wait for a turn or
    for the end of a pause are moved to `waiting`. Rate limits are those of the time `now`, or of the database's clock
    if it is None. The lanes stay locked until the transaction ends.
    """
    if not parts:
        return Admission({}, Counter(), {}, _NO_TURNS)
    locked = await lanes.lock(tx, parts, now)
    messages = [Message(*row) for row in await tx.connection.execute(_READ, {"ids": list(locked)})]
    admission = await _admission(tx, locked, parts, messages)
    for message in sorted(messages, key=lambda one: one.delivery_id):
        admission.decide(message)
    if admission.taken:
        await lanes.take_turns(tx, admission.taken)
    if admission.admitted:
        await lanes.enter(tx, Counter(one.project_id for one in admission.admitted), now)
    await _hold_back(tx, admission.held)
    return admission


async def _admission(
    tx: Transaction, locked: Mapping[str, Lane], parts: Mapping[str, int], messages: Sequence[Message]
) -> Admission:
    room = Counter({id_: min(lane.room, parts[id_]) for id_, lane in locked.items()})
    if not messages:
        return Admission(locked, room, {}, _NO_TURNS)
    owner = await _owners(tx, messages)
    keys = {
        (message.project_id, key)
        for message in messages
        if (found := owner.get(message.event_id)) and (key := found.key(locked[message.project_id])) is not None
    }
    taken = await lanes.turns(tx, keys, [m.delivery_id for m in messages]) if keys else _NO_TURNS
    return Admission(locked, room, owner, taken)


def _paused(lane: Lane, owner: _EventOwner | None) -> str | None:
    if lane.paused:
        return lane.project_id
    if owner and owner.project_trigger_id in lane.paused_triggers:
        return str(owner.project_trigger_id)
    return None


async def _owners(tx: Transaction, messages: Sequence[Message]) -> dict[UUID, _EventOwner]:
    wanted = {m.event_id: m.event_day for m in messages}
    rows = await tx.connection.execute(
        text(
            """
            SELECT event.id, project_trigger_id, subject
            FROM unnest(CAST(:days AS date[]), CAST(:ids AS uuid[])) AS wanted (day, id)
            JOIN event ON event.day = wanted.day AND event.id = wanted.id
            """
        ),
        {"days": list(wanted.values()), "ids": list(wanted)},
    )
    return {id_: _EventOwner(trigger_id, subject) for id_, trigger_id, subject in rows}


_HOLD_BACK = text(
    f"""
    WITH moved AS (
        INSERT INTO waiting (project_id, delivery_id, message, project_trigger_id, order_key, behind, suspended_by)
        SELECT project_id, delivery_id, CAST(message AS jsonb), project_trigger_id, order_key, behind, suspended_by
        FROM unnest(
            CAST(:project_id AS text[]), CAST(:delivery_id AS uuid[]), CAST(:message AS text[]),
            CAST(:project_trigger_id AS uuid[]), CAST(:order_key AS text[]), CAST(:behind AS boolean[]),
            CAST(:suspended_by AS text[])
        ) AS held (project_id, delivery_id, message, project_trigger_id, order_key, behind, suspended_by)
        ON CONFLICT DO NOTHING
    )
    DELETE FROM pgmq.q_{DISPATCH} WHERE msg_id = ANY(CAST(:msg_id AS bigint[]))
    """  # noqa: S608 all of it our own text
)


async def _hold_back(tx: Transaction, held: Sequence[_HeldBack]) -> None:
    if not held:
        return
    await tx.connection.execute(
        _HOLD_BACK,
        {
            "msg_id": [one.message.msg_id for one in held],
            "project_id": [one.message.project_id for one in held],
            "delivery_id": [one.message.delivery_id for one in held],
            "message": [json.dumps(one.message.pointer(one.message.attempt)) for one in held],
            "project_trigger_id": [one.owner and one.owner.project_trigger_id for one in held],
            "order_key": [one.order_key for one in held],
            "behind": [one.behind for one in held],
            "suspended_by": [one.suspended_by for one in held],
        },
    )
