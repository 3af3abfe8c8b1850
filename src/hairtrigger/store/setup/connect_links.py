"""Store links under which users of an organisation's product connect their accounts."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from hairtrigger.store.tables import connect_link
from hairtrigger.store.transaction import Transaction

_KEPT = timedelta(days=1)  # after its end, so that what came of it can be read


@dataclass(frozen=True)
class ConnectLink:
    id: UUID
    org_id: UUID
    provider_id: str
    way: str | None
    name: str
    external_user_id: str | None
    connection_id: UUID | None
    secrets: bytes = field(repr=False)  # sealed
    scopes: list[str]
    created_by: UUID
    created_at: datetime
    expires_at: datetime
    attempts: int = 0
    used_at: datetime | None = None


async def add(tx: Transaction, new: ConnectLink) -> None:
    """Store a link, and forget those of the organisation that ended a day ago."""
    held = connect_link.c
    over = delete(connect_link).where(held.org_id == new.org_id, held.expires_at < new.created_at - _KEPT)
    await tx.connection.execute(over)
    await tx.connection.execute(insert(connect_link).values(vars(new)))


async def count(tx: Transaction, org_id: UUID) -> int:
    return (await tx.connection.execute(select(func.count()).where(connect_link.c.org_id == org_id))).scalar_one()


async def get(tx: Transaction, org_id: UUID, id_: UUID) -> ConnectLink | None:
    statement = select(connect_link).where(connect_link.c.id == id_, connect_link.c.org_id == org_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return ConnectLink(**row._mapping) if row else None


async def usable(tx: Transaction, id_: UUID, now: datetime) -> ConnectLink | None:
    """Return a link of any organisation that can be used, or None. The caller has its ticket."""
    held = connect_link.c
    statement = select(connect_link).where(held.id == id_, held.used_at.is_(None), held.expires_at > now)
    row = (await tx.connection.execute(statement)).one_or_none()
    return ConnectLink(**row._mapping) if row else None


async def attempt(tx: Transaction, id_: UUID, most: int) -> bool:
    """Count an attempt to connect, and return whether it is one of the first `most`."""
    held = connect_link.c
    statement = update(connect_link).where(held.id == id_, held.attempts < most).values(attempts=held.attempts + 1)
    return (await tx.connection.execute(statement)).rowcount > 0


async def use(tx: Transaction, id_: UUID, connection_id: UUID, now: datetime) -> bool:
    """Store what came of a link, and return whether it was not used before."""
    held = connect_link.c
    statement = update(connect_link).where(held.id == id_, held.used_at.is_(None))
    return (await tx.connection.execute(statement.values(used_at=now, connection_id=connection_id))).rowcount > 0


async def remove(tx: Transaction, org_id: UUID, id_: UUID) -> bool:
    """Remove a link, and return whether the organisation had it."""
    statement = delete(connect_link).where(connect_link.c.id == id_, connect_link.c.org_id == org_id)
    return (await tx.connection.execute(statement)).rowcount > 0
