"""Deliveries and their attempts, as they are read: the state of a delivery follows from where it is found."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import DateTime, bindparam, select, text

from hairtrigger.store.database import Transaction
from hairtrigger.store.tables import attempt

Status = Literal["pending", "waiting", "retrying", "delivered", "dead"]


@dataclass(frozen=True)
class Delivery:
    id: UUID
    event_id: UUID
    org_id: UUID
    project_id: str
    project_trigger_id: UUID
    event_type: str
    replay_of: UUID | None  # the event, where this is not its first delivery
    created_at: datetime
    status: Status
    attempts: int
    next_attempt_at: datetime | None
    detail: str | None  # of the last attempt, or why it is dead


@dataclass(frozen=True)
class AttemptRecord:
    id: UUID
    number: int
    status: str
    failure: str | None
    response_status: int | None
    detail: str
    response: bytes
    conversation: list[dict[str, Any]] | None
    started_at: datetime
    finished_at: datetime


_DELIVERIES = """
    SELECT d.*,
           CASE WHEN dead.delivery_id IS NOT NULL THEN 'dead'
                WHEN last.status = 'delivered' THEN 'delivered'
                WHEN retry.delivery_id IS NOT NULL THEN 'retrying'
                WHEN waiting.delivery_id IS NOT NULL THEN 'waiting'
                ELSE 'pending' END AS status,
           coalesce(last.number, 0) AS attempts,
           retry.run_at AS next_attempt_at,
           coalesce(dead.reason, last.detail) AS detail
    FROM (
        SELECT id, id AS event_id, org_id, project_id, project_trigger_id, type AS event_type,
               CAST(NULL AS uuid) AS replay_of, received_at AS created_at
        FROM event
        UNION ALL
        SELECT replay.delivery_id, event.id, event.org_id, event.project_id, event.project_trigger_id, event.type,
               event.id, replay.created_at
        FROM replay JOIN event ON event.day = replay.event_day AND event.id = replay.event_id
    ) AS d
    LEFT JOIN LATERAL (
        SELECT status, number, detail FROM attempt WHERE attempt.delivery_id = d.id
        ORDER BY number DESC, id DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN dead ON dead.delivery_id = d.id
    LEFT JOIN retry ON retry.delivery_id = d.id
    LEFT JOIN waiting ON waiting.project_id = d.project_id AND waiting.delivery_id = d.id
    WHERE d.org_id = :org_id
"""
_FILTERS = {
    "id": "d.id = :id",
    "event_id": "d.event_id = :event_id",
    "project_id": "d.project_id = :project_id",
    "project_trigger_id": "d.project_trigger_id = :project_trigger_id",
    "before": "d.id < :before",
    "since": "d.created_at >= :since",
}


async def deliveries(
    tx: Transaction, org_id: UUID, *, limit: int, status: Status | None = None, **filters: UUID | str | datetime | None
) -> list[Delivery]:
    """Newest first. Filters: id, event_id, project_id, project_trigger_id, since; `before` is the id to go on from."""
    given = {name: value for name, value in filters.items() if value is not None}
    inner = " AND ".join((_DELIVERIES, *(_FILTERS[name] for name in given)))
    outer = "WHERE status = :status" if status else ""
    instants = [bindparam("since", type_=DateTime(timezone=True))] if "since" in given else []
    query = f"SELECT * FROM ({inner}) AS found {outer} ORDER BY id DESC LIMIT :limit"  # noqa: S608 all of it our own text
    rows = await tx.connection.execute(
        text(query).bindparams(*instants),
        {"org_id": org_id, "limit": limit, **given, **({"status": status} if status else {})},
    )
    return [Delivery(**row._mapping) for row in rows]


async def attempts(tx: Transaction, org_id: UUID, delivery_id: UUID) -> list[AttemptRecord]:
    columns = [attempt.c[name] for name in AttemptRecord.__dataclass_fields__]
    statement = (
        select(*columns)
        .where(attempt.c.org_id == org_id, attempt.c.delivery_id == delivery_id)
        .order_by(attempt.c.number, attempt.c.id)
    )
    return [AttemptRecord(**row._mapping) for row in await tx.connection.execute(statement)]
