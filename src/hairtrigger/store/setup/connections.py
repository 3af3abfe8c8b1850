"""Store connections, which are credentials for a provider. The caller has sealed their secrets."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, delete, insert, select, update

from hairtrigger.domain.errors import NoSuchConnection
from hairtrigger.store.polling import connection_limits, polls
from hairtrigger.store.tables import connection, project_trigger
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class Connection:
    id: UUID
    org_id: UUID
    provider_id: str
    name: str
    secrets: bytes = field(repr=False)
    created_by: UUID
    created_at: datetime
    updated_at: datetime


async def add(tx: Transaction, new: Connection) -> None:
    await tx.connection.execute(insert(connection).values(vars(new)))


async def get(tx: Transaction, org_id: UUID, connection_id: UUID) -> Connection | None:
    statement = select(connection).where(connection.c.id == connection_id, connection.c.org_id == org_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return Connection(**row._mapping) if row else None


async def existing(tx: Transaction, org_id: UUID, connection_id: UUID) -> Connection:
    """Return the organisation's connection, or raise `NoSuchConnection`."""
    found = await get(tx, org_id, connection_id)
    if not found:
        raise NoSuchConnection
    return found


async def of_organization(tx: Transaction, org_id: UUID, provider_id: str | None = None) -> list[Connection]:
    statement = select(connection).where(connection.c.org_id == org_id).order_by(connection.c.id)
    if provider_id is not None:
        statement = statement.where(connection.c.provider_id == provider_id)
    return [Connection(**row._mapping) for row in await tx.connection.execute(statement)]


async def save(tx: Transaction, changed: Connection) -> None:
    await tx.connection.execute(update(connection).where(connection.c.id == changed.id).values(vars(changed)))


async def renew(tx: Transaction, connection_id: UUID, now: datetime) -> None:
    """Make the new secrets of a connection take effect at once.

    Polls that began with the old secrets store nothing. The connection's polling triggers are due at once, without the
    pauses that the provider asked for before.
    """
    await polls.interrupt(tx, project_trigger.c.connection_id == connection_id, again_at=now)
    held = await connection_limits.locked(tx, [connection_id])
    await connection_limits.save(tx, [one.fresh() for one in held.values()])


async def disconnect(tx: Transaction, which: ColumnElement[bool], why: str, now: datetime) -> None:
    """Take the connection away from the triggers that meet a condition, and store `why` with them.

    Those that poll are due at once, so that the outcome of their next poll tells the user the reason.
    """
    await polls.interrupt(tx, which, again_at=now)
    statement = update(project_trigger).where(which)
    await tx.connection.execute(statement.values(connection_id=None, disconnected=why, updated_at=now))


async def remove(tx: Transaction, org_id: UUID, connection_id: UUID, now: datetime) -> bool:
    """Remove a connection, and return whether the organisation had it.

    The triggers that used it stay, without a connection and with the reason. The caller has checked that the connection
    is the organisation's.
    """
    await disconnect(tx, project_trigger.c.connection_id == connection_id, "Its connection was deleted.", now)
    statement = delete(connection).where(connection.c.id == connection_id, connection.c.org_id == org_id)
    return (await tx.connection.execute(statement)).rowcount > 0
