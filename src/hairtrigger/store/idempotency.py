"""Keep the answers to API requests with an idempotency key, so that a repeated request gets the first answer.

Otherwise the repeated request would be carried out a second time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import and_, delete, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.tables import idempotency
from hairtrigger.store.transaction import Transaction

_ABANDONED = timedelta(minutes=5)  # a request without an answer for this long ended with its process
KEPT = timedelta(days=1)


@dataclass(frozen=True)
class First:
    request: bytes
    status: int | None
    response: bytes | None


async def begin(tx: Transaction, org_id: UUID, key: str, request: bytes, now: datetime) -> First | None:
    """Record this request and return None if it is the first under its key, or return the first one with its answer.

    `request` is a digest of the request, for the caller to compare. The status and the answer of the first request are
    None while it is under way. A request is forgotten after a day, or after five minutes without an answer.
    """
    where = and_(idempotency.c.org_id == org_id, idempotency.c.key == key)
    stale = and_(idempotency.c.status.is_(None), idempotency.c.created_at < now - _ABANDONED)
    await tx.connection.execute(delete(idempotency).where(where, stale | (idempotency.c.created_at < now - KEPT)))
    values = {"org_id": org_id, "key": key, "request": request, "created_at": now}
    inserted = await tx.connection.execute(
        upsert(idempotency).values(values).on_conflict_do_nothing().returning(idempotency.c.key)
    )
    if inserted.first():
        return None
    columns = (idempotency.c.request, idempotency.c.status, idempotency.c.response)
    row = (await tx.connection.execute(select(*columns).where(where))).one()
    return First(row.request, row.status, row.response)


async def end(tx: Transaction, org_id: UUID, key: str, status: int, response: bytes) -> None:
    where = and_(idempotency.c.org_id == org_id, idempotency.c.key == key)
    await tx.connection.execute(update(idempotency).where(where).values(status=status, response=response))


async def abandon_all(tx: Transaction) -> None:
    """Forget all requests without an answer. The caller must know that no process is left that could answer them."""
    await tx.connection.execute(delete(idempotency).where(idempotency.c.status.is_(None)))


async def abandon(tx: Transaction, org_id: UUID, key: str) -> None:
    where = and_(idempotency.c.org_id == org_id, idempotency.c.key == key)
    await tx.connection.execute(delete(idempotency).where(where))
