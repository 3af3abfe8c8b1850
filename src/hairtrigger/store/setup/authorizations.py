"""Store the access that users are asked to grant at providers. Each row is used once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update

from hairtrigger.store.tables import pending_authorization
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction

Status = Literal["pending", "taken", "done", "failed"]
_KEPT = timedelta(days=1)  # after its end, so that its result can be read


@dataclass(frozen=True)
class Authorization:
    id: UUID
    org_id: UUID
    provider_id: str
    way: str | None
    name: str
    external_user_id: str | None
    connection_id: UUID | None
    connect_link_id: UUID | None
    secrets: bytes = field(repr=False)  # sealed
    scopes: list[str]
    created_by: UUID
    created_at: datetime
    expires_at: datetime
    status: Status = "pending"
    detail: str = ""
    every_seconds: int | None = None
    next_at: datetime | None = None


_OWN = tuple(pending_authorization.c[name] for name in Authorization.__dataclass_fields__)


async def add(tx: Transaction, new: Authorization) -> None:
    """Store a new authorization, and forget those of the organisation that ended a day ago."""
    held = pending_authorization.c
    over = delete(pending_authorization).where(held.org_id == new.org_id, held.expires_at < new.created_at - _KEPT)
    await tx.connection.execute(over)
    await tx.connection.execute(insert(pending_authorization).values(vars(new)))


async def pending(tx: Transaction, org_id: UUID, now: datetime) -> int:
    """Return how many authorizations of the organisation are not over yet."""
    held = pending_authorization.c
    statement = select(func.count()).where(held.org_id == org_id, held.status == "pending", held.expires_at > now)
    return (await tx.connection.execute(statement)).scalar_one()


async def forget_of_link(tx: Transaction, link_id: UUID) -> None:
    """Forget what was begun under a connect link and not ended: its user has begun anew."""
    held = pending_authorization.c
    await tx.connection.execute(
        delete(pending_authorization).where(held.connect_link_id == link_id, held.status == "pending")
    )


async def get(tx: Transaction, org_id: UUID, id_: UUID) -> Authorization | None:
    statement = select(*_OWN).where(pending_authorization.c.id == id_, pending_authorization.c.org_id == org_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return Authorization(**row._mapping) if row else None


async def take(tx: Transaction, id_: UUID, now: datetime) -> Authorization | None:
    """Take a pending authorization of any organisation, for the user's answer. No other answer takes it again."""
    held = pending_authorization.c
    statement = (
        update(pending_authorization)
        .where(held.id == id_, held.status == "pending", held.expires_at > now, held.every_seconds.is_(None))
        .values(status="taken")
        .returning(*_OWN)
    )
    row = (await tx.connection.execute(statement)).one_or_none()
    return Authorization(**row._mapping) if row else None


async def take_turn(tx: Transaction, of: Authorization, now: datetime, until: datetime) -> bool:
    """Return whether a device code may be asked about now. Nothing else asks until then, or until `wait`."""
    held = pending_authorization.c
    statement = (
        update(pending_authorization)
        .where(held.id == of.id, held.status == "pending", held.next_at <= now)
        .values(next_at=until)
    )
    return (await tx.connection.execute(statement)).rowcount > 0


async def end(tx: Transaction, id_: UUID, status: Status, detail: str, **values: Any) -> bool:
    """Store how an authorization ended, and forget its secrets, which are of no more use.

    Return whether it is still there.
    """
    given = {"status": status, "detail": storable(detail), "secrets": b"", **values}
    statement = update(pending_authorization).where(pending_authorization.c.id == id_)
    return (await tx.connection.execute(statement.values(given))).rowcount > 0


async def wait(tx: Transaction, of: Authorization, every_seconds: int, next_at: datetime) -> None:
    statement = update(pending_authorization).where(pending_authorization.c.id == of.id)
    await tx.connection.execute(statement.values(every_seconds=every_seconds, next_at=next_at))
