"""Query deliveries and their attempts for users. The tables that hold a delivery determine its status."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import CursorResult, DateTime, bindparam, select, text
from sqlalchemy.exc import DBAPIError

from hairtrigger.domain.outcome import DeliveryStatus, Failure
from hairtrigger.store import accounts
from hairtrigger.store.database import is_cancelled
from hairtrigger.store.delivery.lane_room import RESTS_UNTIL, ROOM
from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.tables import attempt
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class Delivery:
    id: UUID
    event_id: UUID
    org_id: UUID
    project_id: str
    project_trigger_id: UUID
    event_type: str
    replay_of: UUID | None  # the event, if this is not its first delivery
    created_at: datetime
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    detail: str | None  # the detail of the last attempt, or why the delivery is a dead letter
    dropped: Literal["delivered", "dead"] | None = None  # the end after which the body of its event was dropped


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


_MADE = """
    (
        SELECT id, id AS event_id, org_id, project_id, project_trigger_id, type AS event_type,
               CAST(NULL AS uuid) AS replay_of, received_at AS created_at, dropped
        FROM event
        UNION ALL
        SELECT replay.delivery_id, event.id, event.org_id, coalesce(replay.project_id, event.project_id),
               event.project_trigger_id, event.type, event.id, replay.created_at, event.dropped
        FROM replay JOIN event ON event.day = replay.event_day AND event.id = replay.event_id
    ) AS d
"""
# The first condition that holds decides the status.
_STATUS: Mapping[DeliveryStatus, str] = {
    "dead": "dead.delivery_id IS NOT NULL",
    "delivered": "last.status = 'delivered'",
    "retrying": "retry.delivery_id IS NOT NULL",
    "suspended": "waiting.suspended_by IS NOT NULL",
    "waiting": "(waiting.delivery_id IS NOT NULL OR held.by_lane)",
}
# A dead letter whose event was delivered again to the same project is not counted among those to replay.
_LATEST = """
    NOT EXISTS (
        SELECT FROM replay AS later JOIN event ON event.day = later.event_day AND event.id = later.event_id
        WHERE later.event_id = d.event_id AND later.delivery_id > d.id
          AND coalesce(later.project_id, event.project_id) = d.project_id
    )
"""
_WAITING = f"""
    d.id IN (
        SELECT delivery_id FROM waiting JOIN project ON project.id = waiting.project_id
        WHERE project.org_id = :org_id
        UNION ALL
        SELECT CAST(message->>'delivery' AS uuid) FROM project JOIN lane ON lane.project_id = project.id
        JOIN pgmq.q_{DISPATCH} ON read_ct = 0 AND message->>'project' = project.id
        WHERE project.org_id = :org_id AND {ROOM} = 0
    )
"""  # noqa: S608 all of it our own text
# These two follow from the whole history. The deliveries of every other status are found by its condition, which few
# rows meet.
_OF_MANY: Collection[DeliveryStatus] = ("pending", "delivered")
_DELIVERIES = f"""
    SELECT d.*,
           CASE {" ".join(f"WHEN {condition} THEN '{status}'" for status, condition in _STATUS.items())}
                ELSE 'pending' END AS status,
           coalesce(last.number, 0) AS attempts,
           coalesce(retry.run_at, held.rests_until) AS next_attempt_at,
           coalesce(dead.reason, last.detail) AS detail
    FROM {_MADE}
    LEFT JOIN LATERAL (
        SELECT status, number, detail FROM attempt WHERE attempt.delivery_id = d.id
        ORDER BY number DESC, id DESC LIMIT 1
    ) AS last ON true
    LEFT JOIN dead ON dead.delivery_id = d.id
    LEFT JOIN retry ON retry.delivery_id = d.id
    LEFT JOIN waiting ON waiting.project_id = d.project_id AND waiting.delivery_id = d.id
    LEFT JOIN LATERAL (
        SELECT true AS by_lane, {RESTS_UNTIL} AS rests_until FROM lane
        WHERE lane.project_id = d.project_id AND {ROOM} = 0
        AND dead.delivery_id IS NULL AND retry.delivery_id IS NULL AND waiting.delivery_id IS NULL
        AND last.status IS DISTINCT FROM 'delivered' AND d.id NOT IN (
            SELECT CAST(message->>'delivery' AS uuid) FROM pgmq.q_{DISPATCH} WHERE read_ct > 0)
    ) AS held ON true
    WHERE d.org_id = :org_id
"""  # noqa: S608
_FILTERS = {
    "id": "d.id = :id",
    "event_id": "d.event_id = :event_id",
    "project_id": "d.project_id = :project_id",
    "project_trigger_id": "d.project_trigger_id = :project_trigger_id",
    "event_type": "d.event_type = :event_type",
    "before": "d.id < :before",
    "after": "d.id > :after",
    "upto": "d.id <= :upto",
    "since": "d.created_at >= :since",
    "until": "d.created_at < :until",
}


async def deliveries(
    tx: Transaction,
    org_id: UUID,
    *,
    limit: int,
    status: DeliveryStatus | None = None,
    **filters: UUID | str | datetime | None,
) -> list[Delivery]:
    """Return the first `limit` deliveries of the organisation that match, the newest first.

    The filters are the names in `_FILTERS`, where `before` is the last id of the previous page. `now` may be given
    besides them: it is the time for which rate limits are computed, instead of that of the database's clock.
    """
    outer = "WHERE status = :status" if status else ""
    query = f"SELECT * FROM ({_inner(status, filters)}) AS found {outer} ORDER BY id DESC LIMIT :limit"  # noqa: S608 all of it our own text
    return await _read(tx, query, org_id, limit, filters | ({"status": status} if status else {}))


async def window(
    tx: Transaction,
    org_id: UUID,
    *,
    limit: int,
    status: DeliveryStatus | None = None,
    **filters: UUID | str | datetime | None,
) -> list[Delivery]:
    """Return the first `limit` deliveries that match the filters and may have the status, the oldest first.

    The caller must check the status of each, because a query for the exact status might read very many rows to find
    few.
    """
    query = f"{_inner(status, filters)} ORDER BY d.id LIMIT :limit"
    return await _read(tx, query, org_id, limit, filters)


async def count_events(
    tx: Transaction,
    org_id: UUID,
    *,
    patience: timedelta,
    status: DeliveryStatus | None = None,
    dropped: bool = False,
    **filters: UUID | str | datetime | None,
) -> int | None:
    """Return how many events have deliveries that match, or None if counting takes longer than `patience`.

    With the status `dead`, a delivery counts only if no later one of its event was made for the same project. An event
    whose body was dropped counts only if `dropped` is set.
    """
    latest = f" AND {_LATEST}" if status == "dead" else ""
    kept = "" if dropped else " AND d.dropped IS NULL"
    found = f"({_inner(status, filters)}{latest}{kept}) AS found WHERE status = :status"
    if not status:  # the tables that determine the status are not needed
        found = " AND ".join((f"{_MADE} WHERE d.org_id = :org_id{kept}", *_conditions(filters)))
    query = f"SELECT count(DISTINCT event_id) FROM {found}"  # noqa: S608
    return await counted(tx, query, {"org_id": org_id, "status": status, **filters}, patience)


async def counted(tx: Transaction, query: str, values: Mapping[str, object], patience: timedelta) -> int | None:
    """Return the number that a query yields, or None if that takes longer than `patience`. The transaction goes on
    either way.
    """
    try:
        async with tx.connection.begin_nested():
            await tx.connection.execute(text(f"SET LOCAL statement_timeout = {patience // timedelta(milliseconds=1)}"))
            rows = await _run(tx, query, values)
            await tx.connection.execute(text("SET LOCAL statement_timeout = DEFAULT"))
            return int(rows.scalar_one())
    except DBAPIError as error:
        if is_cancelled(error):
            return None
        raise


def _inner(status: DeliveryStatus | None, filters: Mapping[str, UUID | str | datetime | None]) -> str:
    found = [_WAITING if status == "waiting" else _STATUS[status]] if status and status not in _OF_MANY else []
    return " AND ".join((_DELIVERIES, *found, *_conditions(filters)))


def _conditions(filters: Mapping[str, UUID | str | datetime | None]) -> list[str]:
    return [_FILTERS[name] for name, value in filters.items() if value is not None and name != "now"]


async def _read(
    tx: Transaction, query: str, org_id: UUID, limit: int, filters: Mapping[str, UUID | str | datetime | None]
) -> list[Delivery]:
    rows = await _run(tx, query, {"org_id": org_id, "limit": limit, **filters})
    return [Delivery(**row._mapping) for row in rows]


async def _run(tx: Transaction, query: str, values: Mapping[str, object]) -> CursorResult[Any]:
    given = {name: value for name, value in values.items() if value is not None}
    instants = [bindparam(name, type_=DateTime(timezone=True)) for name in ("since", "until") if name in given]
    if ":now" in query:
        instants.append(bindparam("now", values.get("now"), type_=DateTime(timezone=True)))
    return await tx.connection.execute(text(query).bindparams(*instants), given)


async def attempts(tx: Transaction, org_id: UUID, delivery_id: UUID) -> list[AttemptRecord]:
    """Return the attempts of a delivery, in the order of their numbers.

    Only an operator's organisation reads the exact failures. Others read the values that may be shown to users.
    """
    is_exact = await accounts.has_operator(tx, org_id)
    columns = [attempt.c[name] for name in AttemptRecord.__dataclass_fields__]
    statement = (
        select(*columns)
        .where(attempt.c.org_id == org_id, attempt.c.delivery_id == delivery_id)
        .order_by(attempt.c.number, attempt.c.id)
    )
    found = [AttemptRecord(**row._mapping) for row in await tx.connection.execute(statement)]
    return found if is_exact else [_inexact(one) for one in found]


def _inexact(one: AttemptRecord) -> AttemptRecord:
    return replace(one, failure=Failure(one.failure).shown) if one.failure else one
