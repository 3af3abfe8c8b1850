"""Store connections, which are credentials for a provider. The caller has sealed their secrets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, delete, insert, or_, select, update

from hairtrigger.domain.errors import NoSuchConnection
from hairtrigger.store.polling import connection_limits, polls
from hairtrigger.store.setup import connection_health, subscriptions
from hairtrigger.store.tables import connection, project_trigger
from hairtrigger.store.transaction import Transaction

_UNUSED = timedelta(days=7)  # a token that no enabled trigger needs is renewed so long after it was due


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
    way: str | None = None  # one of the provider's ways to connect; None: its `auth`
    external_user_id: str | None = None
    expires_at: datetime | None = None  # the end of its access token
    renew_at: datetime | None = None
    scopes: list[str] | None = None  # that the provider was asked for
    ended: str | None = None  # why its access can't be renewed any more
    version: int = 0  # rises with every change of its secrets


async def add(tx: Transaction, new: Connection) -> None:
    await tx.connection.execute(insert(connection).values(vars(new)))
    await connection_health.add(tx, new.id, new.created_at)


_OWN = tuple(connection.c[name] for name in Connection.__dataclass_fields__)


async def get(tx: Transaction, org_id: UUID, connection_id: UUID, *, for_update: bool = False) -> Connection | None:
    statement = select(*_OWN).where(connection.c.id == connection_id, connection.c.org_id == org_id)
    if for_update:
        statement = statement.with_for_update(key_share=True)
    row = (await tx.connection.execute(statement)).one_or_none()
    return Connection(**row._mapping) if row else None


async def existing(tx: Transaction, org_id: UUID, connection_id: UUID, *, for_update: bool = False) -> Connection:
    """Return the organisation's connection, or raise `NoSuchConnection`."""
    found = await get(tx, org_id, connection_id, for_update=for_update)
    if not found:
        raise NoSuchConnection
    return found


async def of_organization(
    tx: Transaction, org_id: UUID, provider_id: str | None = None, external_user_id: str | None = None
) -> list[Connection]:
    statement = select(*_OWN).where(connection.c.org_id == org_id).order_by(connection.c.id)
    if provider_id is not None:
        statement = statement.where(connection.c.provider_id == provider_id)
    if external_user_id is not None:
        statement = statement.where(connection.c.external_user_id == external_user_id)
    return [Connection(**row._mapping) for row in await tx.connection.execute(statement)]


async def change(tx: Transaction, connection_id: UUID, now: datetime, **values: Any) -> None:
    """Change these columns. All others stay, because a process may be renewing the access token."""
    statement = update(connection).where(connection.c.id == connection_id)
    await tx.connection.execute(statement.values(updated_at=now, **values))


async def reconnect(tx: Transaction, connection_id: UUID, now: datetime, sealed: bytes, **values: Any) -> None:
    """Store new sealed secrets of a connection, and set `values`, which are other columns.

    `expires_at` and `renew_at` become None unless they are given. Polls and listeners that began with the old secrets
    store nothing, and their triggers are due at once. The connection counts as well again, and tokens from a renewal
    under way are not stored.
    """
    values = {"expires_at": None, "renew_at": None, **values}
    values |= {"ended": None, "renewing_until": None, "unsure_since": None, "version": connection.c.version + 1}
    await change(tx, connection_id, now, secrets=sealed, **values)
    await renew(tx, connection_id, now)
    # After the polls, because results of polls lock in this order.
    await connection_health.renewed(tx, connection_id, now, anew=True)


async def renew(tx: Transaction, connection_id: UUID, now: datetime) -> None:
    """Make the new secrets of a connection take effect at once.

    Polls that began with the old secrets store nothing. The connection's polling triggers are due at once, without the
    pauses that the provider asked for before, and its webhooks at the provider are looked at.
    """
    mine = project_trigger.c.connection_id == connection_id
    await polls.interrupt(tx, mine, again_at=now)
    await subscriptions.due_now(tx, mine, now)
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


# -- the renewal of access tokens


@dataclass(frozen=True)
class Renewal:
    """The renewal of a connection's token. Until `until` one process renews, and no other does.

    `unsure_since` is when the first of the renewals began whose end is not known, or None if all ended.
    """

    connection: Connection
    until: datetime | None
    unsure_since: datetime | None


async def locked_renewal(tx: Transaction, org_id: UUID, connection_id: UUID) -> Renewal:
    """Lock a connection and return its renewal, or raise `NoSuchConnection`."""
    held = connection.c
    statement = select(*_OWN, held.renewing_until, held.unsure_since).where(
        held.id == connection_id, held.org_id == org_id
    )
    row = (await tx.connection.execute(statement.with_for_update(key_share=True))).one_or_none()
    if row is None:
        raise NoSuchConnection
    *own, until, unsure_since = row
    return Renewal(Connection(*own), until, unsure_since)


async def begin_renewal(tx: Transaction, renewal: Renewal, now: datetime, until: datetime) -> Renewal:
    """Store that this process renews from now on, and return its renewal. The caller has locked the connection.

    From the commit on it is known that a renewal has begun, so that a process that dies is noticed.
    """
    values = {"renewing_until": until, "unsure_since": renewal.unsure_since or now}
    await tx.connection.execute(update(connection).where(connection.c.id == renewal.connection.id).values(values))
    return Renewal(renewal.connection, until, renewal.unsure_since)


async def end_renewal(tx: Transaction, renewal: Renewal, **values: Any) -> None:
    """End a renewal without new secrets. It has no effect if another process has claimed it meanwhile."""
    held = connection.c
    statement = update(connection).where(held.id == renewal.connection.id, held.renewing_until == renewal.until)
    await tx.connection.execute(statement.values(renewing_until=None, **values))


async def store_renewed(tx: Transaction, renewal: Renewal, sealed: bytes, **values: Any) -> bool:
    """Store renewed secrets and return True, or return False if the secrets were changed since the renewal began.

    This does not ask whose lease it is: secrets that the provider gave must not be lost.
    """
    held, before = connection.c, renewal.connection
    statement = update(connection).where(held.id == before.id, held.version == before.version)
    new = {"secrets": sealed, "version": before.version + 1, "renewing_until": None, "unsure_since": None}
    return (await tx.connection.execute(statement.values(**new, **values))).rowcount > 0


async def due_for_renewal(tx: Transaction, now: datetime, again_at: datetime, limit: int) -> list[Connection]:
    """Return connections whose tokens are to be renewed now, those due longest first, and put them off.

    Tokens that no enabled trigger needs are renewed seldom, so that their refresh tokens stay valid.
    """
    held = connection.c
    needed = select(project_trigger.c.id).where(project_trigger.c.connection_id == held.id, project_trigger.c.enabled)
    due = (
        select(held.id)
        .where(held.renew_at <= now, or_(needed.exists(), held.renew_at <= now - _UNUSED))
        .order_by(held.renew_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    statement = update(connection).where(held.id.in_(due.scalar_subquery())).values(renew_at=again_at)
    return [Connection(*row) for row in await tx.connection.execute(statement.returning(*_OWN))]


async def names(tx: Transaction, connection_ids: Sequence[UUID]) -> Mapping[UUID, Connection]:
    statement = select(*_OWN).where(connection.c.id.in_(connection_ids))
    return {row.id: Connection(*row) for row in await tx.connection.execute(statement)}


def is_of_user(org_id: UUID, external_user_id: str) -> ColumnElement[bool]:
    return and_(connection.c.org_id == org_id, connection.c.external_user_id == external_user_id)
