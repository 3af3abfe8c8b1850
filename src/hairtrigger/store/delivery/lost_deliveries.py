"""Find lost deliveries, which have not ended and are in no table and not on the queue, by a walk through the history.

Every move of a delivery, from the queue to `waiting`, `retry`, `attempt` or `dead` and back, is one transaction. So one
statement sees each delivery in exactly one place, and no time limit is needed to tell a lost one from one under way.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from uuid import UUID

from sqlalchemy import text

from hairtrigger.domain.ids import day_of
from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.transaction import Transaction

_FIRST = UUID(int=0)

_STEP = text(
    """
    WITH walked AS MATERIALIZED (
        (SELECT id AS delivery, id AS event, day, project_id AS project FROM event
         WHERE day >= :day AND (day, id) > (:day, :position) AND day <= :last_day AND id < :until
         ORDER BY day, id LIMIT :limit)
        UNION ALL
        (SELECT replay.delivery_id, event.id, event.day, coalesce(replay.project_id, event.project_id)
         FROM replay JOIN event ON event.day = replay.event_day AND event.id = replay.event_id
         WHERE replay.delivery_id > :position AND replay.delivery_id < :until
         ORDER BY replay.delivery_id LIMIT :limit)
        ORDER BY delivery LIMIT :limit
    ), unfinished AS MATERIALIZED (
        SELECT walked.*, coalesce(last.number, 0) AS number FROM walked
        LEFT JOIN LATERAL (
            SELECT number, status FROM attempt WHERE attempt.delivery_id = walked.delivery AND attempt.day >= :day
            ORDER BY number DESC LIMIT 1
        ) AS last ON true
        WHERE last.status IS DISTINCT FROM 'delivered'
        AND NOT EXISTS (SELECT FROM dead WHERE dead.delivery_id = walked.delivery)
    ), lost AS (
        SELECT * FROM unfinished
        WHERE NOT EXISTS (SELECT FROM retry WHERE retry.delivery_id = unfinished.delivery)
        AND NOT EXISTS (
            SELECT FROM waiting WHERE waiting.project_id = unfinished.project
            AND waiting.delivery_id = unfinished.delivery)
        AND NOT EXISTS (
            SELECT FROM pgmq.q_dispatch WHERE message->>'delivery' = CAST(unfinished.delivery AS text))
        AND NOT EXISTS (SELECT FROM erasure WHERE unfinished.project = ANY(project_ids))
    ), sent AS (
        SELECT pgmq.send_batch(:queue, array_agg(jsonb_build_object(
            'delivery', delivery, 'event', event, 'day', day, 'project', project, 'attempt', number + 1)
            ORDER BY delivery)) FROM lost HAVING count(*) > 0
    )
    SELECT (SELECT count(*) FROM walked) AS walked, (SELECT count(*) FROM sent) AS sent,
           (SELECT delivery FROM walked ORDER BY delivery DESC LIMIT 1) AS last,
           (SELECT delivery FROM unfinished ORDER BY delivery LIMIT 1) AS unfinished
    """
)


@dataclass(frozen=True)
class Walk:
    """The progress of a walk through all deliveries in the order of their ids.

    All deliveries up to `floor` have ended for good. A lap leads from the floor to the present, and finds the next
    floor. `position` is the last delivery that this lap has looked at.
    """

    floor: UUID = _FIRST
    position: UUID = _FIRST
    unfinished: UUID | None = None
    """The first delivery of this lap that had not ended, or None if all had."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        return cls(**{name: UUID(value) for name, value in state.items() if value})

    def state(self) -> dict[str, Any]:
        return {name: value and str(value) for name, value in vars(self).items()}


@dataclass(frozen=True)
class WalkStep:
    walk: Walk
    sent: int
    over: bool
    """True if this was the last step of a lap."""


async def step(tx: Transaction, walk: Walk, until: UUID, limit: int) -> WalkStep:
    """Look at the next `limit` deliveries before the id `until`, and put the lost ones on the queue again.

    Return the walk after this step, and how many deliveries were lost. The caller must make sure that no other process
    does the same at the same time.
    """
    values = {
        "day": day_of(walk.position),
        "position": walk.position,
        "last_day": day_of(until),
        "until": until,
        "limit": limit,
        "queue": DISPATCH,
    }
    row = (await tx.connection.execute(_STEP, values)).one()
    unfinished = walk.unfinished or row.unfinished
    if row.walked == limit:
        return WalkStep(Walk(walk.floor, row.last, unfinished), row.sent, over=False)
    floor = _before(unfinished) if unfinished else _before(until)
    return WalkStep(Walk(floor, floor), row.sent, over=True)


def _before(id_: UUID) -> UUID:
    """Return the id before this one, because a walk goes on with the id after its position."""
    return UUID(int=max(0, id_.int - 1))
