"""Find out what a delivery waits for: the end of a pause, its turn, room in its lane, a worker, or an answer."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import text

from hairtrigger.store.delivery.history import Delivery
from hairtrigger.store.delivery.lane_room import WIDTH
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class Suspended:
    by: Literal["project", "trigger"]
    id: str
    since: datetime | None
    paused_by: str | None


@dataclass(frozen=True)
class Behind:
    """The delivery waits because another delivery of its order key has the turn."""

    delivery_id: UUID
    order_by: str


@dataclass(frozen=True)
class LaneFull:
    limit: int
    under_way: int
    longest: timedelta | None
    """The time for which the oldest of the deliveries under way has been under way, or None if there is none."""


@dataclass(frozen=True)
class Claimed:
    lasting: timedelta
    timeout_seconds: int | None


@dataclass(frozen=True)
class Unclaimed:
    """The delivery is on the queue, and no worker has claimed it."""


Wait = Suspended | Behind | LaneFull | Claimed | Unclaimed

_HELD = text(
    f"""
    SELECT waiting.suspended_by, waiting.behind, turn.delivery_id AS before, lane.order_by,
           CAST(floor({WIDTH}) AS int) AS width, lane.inflight, pause.since, pause.paused_by, (
               SELECT clock_timestamp() - min(last_read_at) FROM pgmq.q_dispatch
               WHERE message->>'project' = lane.project_id AND read_ct > 0
           ) AS longest
    FROM lane LEFT JOIN waiting ON waiting.project_id = lane.project_id AND waiting.delivery_id = :id
    LEFT JOIN turn ON turn.project_id = waiting.project_id AND turn.order_key = waiting.order_key
    LEFT JOIN pause ON pause.id = waiting.suspended_by
    WHERE lane.project_id = :project
    """  # noqa: S608 all of it our own text
)
_QUEUED = text(
    """
    SELECT read_ct > 0 AND vt > clock_timestamp() AS claimed, clock_timestamp() - last_read_at AS lasting,
           CAST(project.target->>'timeout_seconds' AS int) AS timeout_seconds
    FROM pgmq.q_dispatch LEFT JOIN project ON project.id = message->>'project'
    WHERE message->>'delivery' = CAST(:id AS text)
    """
)


async def of_delivery(tx: Transaction, delivery: Delivery) -> Wait | None:
    """Return what the delivery waits for, or None if it waits for nothing or only for the time of a planned retry."""
    match delivery.status:
        case "waiting" | "suspended":
            return await _held(tx, delivery)
        case "pending":
            return await _queued(tx, delivery)
        case _:
            return None


async def _held(tx: Transaction, delivery: Delivery) -> Wait | None:
    row = (await tx.connection.execute(_HELD, {"project": delivery.project_id, "id": delivery.id})).first()
    if row is None:
        return None
    if row.suspended_by is not None:
        by: Literal["project", "trigger"] = "project" if row.suspended_by == delivery.project_id else "trigger"
        return Suspended(by, row.suspended_by, row.since, row.paused_by)
    if row.behind and row.before:
        return Behind(row.before, row.order_by or "trigger")
    return LaneFull(row.width, row.inflight, row.longest)


async def _queued(tx: Transaction, delivery: Delivery) -> Wait | None:
    row = (await tx.connection.execute(_QUEUED, {"id": str(delivery.id)})).first()
    if row is None:
        return None
    return Claimed(row.lasting, row.timeout_seconds) if row.claimed else Unclaimed()
