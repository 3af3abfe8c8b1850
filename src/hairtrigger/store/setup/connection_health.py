"""Store how the last calls with each connection ended. A connection has its row from the start."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Boolean, DateTime, bindparam, insert, select, text

from hairtrigger.store.tables import connection_health
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction

Status = Literal["ok", "expired", "refused", "needs_reconnect"]


@dataclass(frozen=True)
class Health:
    connection_id: UUID
    status: Status
    since: datetime
    succeeded_at: datetime | None = None
    refused_at: datetime | None = None
    detail: str = ""
    renewing: bool = False


@dataclass(frozen=True)
class Mark:
    """The end of calls with a connection at a time. None as `refused` is a success.

    `status` is that of a refusal. A later refusal of the plain kind does not replace a status that says more.
    `renewing` says that the provider refused a new access token, and not a call.
    """

    connection_id: UUID
    at: datetime
    refused: str | None = None
    status: Status = "refused"
    renewing: bool = False


async def add(tx: Transaction, connection_id: UUID, now: datetime) -> None:
    row = {"connection_id": connection_id, "status": "ok", "since": now, "detail": "", "renewing": False}
    await tx.connection.execute(insert(connection_health).values(row))


async def of_all(tx: Transaction, connection_ids: Collection[UUID]) -> Mapping[UUID, Health]:
    if not connection_ids:
        return {}
    statement = select(connection_health).where(connection_health.c.connection_id.in_(connection_ids))
    return {row.connection_id: Health(**row._mapping) for row in await tx.connection.execute(statement)}


# The rows are locked first, in the order of their ids, as every statement does that locks several of them. A success is
# stored once a minute.
_MARK = text(
    """
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:times AS timestamptz[]), CAST(:details AS text[]), CAST(:statuses AS text[]),
            CAST(:renewing AS boolean[])
        ) AS given (connection_id, at, detail, status, renewing)
    ), changed AS (
        SELECT given.connection_id, given.at, given.renewing, given.detail IS NULL AS well,
            coalesce(given.detail, '') AS detail,
            CASE WHEN given.detail IS NULL THEN 'ok' ELSE given.status END AS status,
            given.detail IS NOT NULL AND given.status = 'refused'
            AND old.status IN ('expired', 'needs_reconnect') AS kept
        FROM connection_health AS old JOIN given USING (connection_id)
        WHERE given.detail IS NOT NULL OR old.status <> 'ok' OR old.succeeded_at IS NULL
           OR old.succeeded_at < given.at - interval '1 minute'
        ORDER BY connection_id FOR UPDATE OF old
    )
    UPDATE connection_health AS old SET
        status = CASE WHEN kept THEN old.status ELSE changed.status END,
        since = CASE WHEN kept OR old.status = changed.status THEN old.since ELSE changed.at END,
        succeeded_at = CASE WHEN well THEN changed.at ELSE old.succeeded_at END,
        refused_at = CASE WHEN well THEN old.refused_at ELSE changed.at END,
        detail = CASE WHEN kept THEN old.detail ELSE changed.detail END,
        renewing = CASE WHEN kept THEN old.renewing ELSE changed.renewing END
    FROM changed WHERE old.connection_id = changed.connection_id
    """
)


async def mark(tx: Transaction, marks: Sequence[Mark]) -> None:
    """Store how calls ended. Of several marks of a connection, the last one counts."""
    last = {one.connection_id: one for one in marks}
    if last:
        given = list(last.values())
        columns = {
            "ids": [one.connection_id for one in given],
            "times": [one.at for one in given],
            "details": [None if one.refused is None else storable(one.refused) for one in given],
            "statuses": [one.status for one in given],
            "renewing": [one.renewing for one in given],
        }
        await tx.connection.execute(_MARK, columns)


_WELL = text(
    """
    UPDATE connection_health SET since = CASE WHEN status = 'ok' THEN since ELSE :now END, status = 'ok', detail = ''
    WHERE connection_id = :id AND (:anew OR renewing)
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)), bindparam("anew", type_=Boolean))


async def renewed(tx: Transaction, connection_id: UUID, now: datetime, *, anew: bool = False) -> None:
    """Store that a connection has a new access token, which no call has used yet.

    That ends only the refusals of a new token. With `anew` its user has connected it again, which ends all.
    """
    await tx.connection.execute(_WELL, {"id": connection_id, "now": now, "anew": anew})
