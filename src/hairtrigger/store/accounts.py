"""Store organisations, their users and their API keys."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, exists, insert, or_, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.tables import api_key, app_user, org
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class Organization:
    id: UUID
    name: str
    created_at: datetime


@dataclass(frozen=True)
class User:
    id: UUID
    org_id: UUID
    email: str
    password_hash: str = field(repr=False)
    operator: bool
    created_at: datetime


@dataclass(frozen=True)
class ApiKey:
    id: UUID
    org_id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_by: UUID
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None


_KEY = [column for column in api_key.c if column.name != "hash"]


async def add_organization(tx: Transaction, organization: Organization) -> None:
    await tx.connection.execute(insert(org).values(vars(organization)))


async def organization(tx: Transaction, org_id: UUID) -> Organization | None:
    row = (await tx.connection.execute(select(org).where(org.c.id == org_id))).one_or_none()
    return Organization(**row._mapping) if row else None


async def has_operator(tx: Transaction, org_id: UUID) -> bool:
    """Return whether one of the organisation's users is an operator of the service."""
    statement = select(exists().where(app_user.c.org_id == org_id, app_user.c.operator))
    return bool((await tx.connection.execute(statement)).scalar_one())


async def add_user(tx: Transaction, user: User) -> bool:
    """Add the user and return True, or return False if the e-mail address is taken."""
    statement = upsert(app_user).values(vars(user)).on_conflict_do_nothing(index_elements=["email"])
    return (await tx.connection.execute(statement.returning(app_user.c.id))).first() is not None


async def users(tx: Transaction) -> list[tuple[User, Organization]]:
    """Return all users, each with its organisation, the oldest user first."""
    rows = await tx.connection.execute(
        select(*app_user.c, *(column.label(f"org_{column.name}") for column in org.c if column.name != "id"))
        .join(org, org.c.id == app_user.c.org_id)
        .order_by(app_user.c.id)
    )
    names = User.__dataclass_fields__
    return [
        (
            User(**{name: getattr(row, name) for name in names}),
            Organization(row.org_id, row.org_name, row.org_created_at),
        )
        for row in rows
    ]


async def organizations(tx: Transaction) -> list[Organization]:
    return [Organization(**row._mapping) for row in await tx.connection.execute(select(org).order_by(org.c.id))]


async def users_of(tx: Transaction, org_id: UUID) -> list[User]:
    """Return the users of an organisation, oldest first."""
    rows = await tx.connection.execute(select(app_user).where(app_user.c.org_id == org_id).order_by(app_user.c.id))
    return [User(**row._mapping) for row in rows]


async def lock_organization(tx: Transaction, org_id: UUID) -> None:
    """Lock the organisation until the transaction ends.

    Other transactions that lock it, check its quotas or add rows that refer to it wait meanwhile.
    """
    await tx.connection.execute(select(org.c.id).where(org.c.id == org_id).with_for_update())


async def any_operator(tx: Transaction) -> bool:
    return (await tx.connection.execute(select(app_user.c.id).where(app_user.c.operator).limit(1))).first() is not None


async def remove_keys_of(tx: Transaction, user_id: UUID) -> None:
    """Remove all API keys that a user has created."""
    await tx.connection.execute(delete(api_key).where(api_key.c.created_by == user_id))


async def remove_logins(tx: Transaction, org_id: UUID) -> None:
    """Remove all users and API keys of an organisation."""
    await tx.connection.execute(delete(api_key).where(api_key.c.org_id == org_id))
    await tx.connection.execute(delete(app_user).where(app_user.c.org_id == org_id))


async def remove_user(tx: Transaction, user_id: UUID) -> None:
    await tx.connection.execute(delete(app_user).where(app_user.c.id == user_id))


async def any_user(tx: Transaction) -> bool:
    return (await tx.connection.execute(select(app_user.c.id).limit(1))).first() is not None


async def user_by_email(tx: Transaction, email: str) -> User | None:
    row = (await tx.connection.execute(select(app_user).where(app_user.c.email == email))).one_or_none()
    return User(**row._mapping) if row else None


async def user(tx: Transaction, user_id: UUID) -> User | None:
    row = (await tx.connection.execute(select(app_user).where(app_user.c.id == user_id))).one_or_none()
    return User(**row._mapping) if row else None


async def set_password(tx: Transaction, user_id: UUID, password_hash: str) -> None:
    await tx.connection.execute(update(app_user).where(app_user.c.id == user_id).values(password_hash=password_hash))


async def add_key(tx: Transaction, key: ApiKey, digest: bytes) -> None:
    await tx.connection.execute(insert(api_key).values(**vars(key), hash=digest))


async def keys(tx: Transaction, org_id: UUID) -> list[ApiKey]:
    rows = await tx.connection.execute(select(*_KEY).where(api_key.c.org_id == org_id).order_by(api_key.c.id))
    return [ApiKey(**row._mapping) for row in rows]


async def live_key(tx: Transaction, digest: bytes, now: datetime) -> ApiKey | None:
    statement = select(*_KEY).where(
        api_key.c.hash == digest, or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > now)
    )
    row = (await tx.connection.execute(statement)).one_or_none()
    return ApiKey(**row._mapping) if row else None


async def mark_used(tx: Transaction, key_id: UUID, now: datetime) -> None:
    await tx.connection.execute(update(api_key).where(api_key.c.id == key_id).values(last_used_at=now))


def used_recently(key: ApiKey, now: datetime) -> bool:
    return key.last_used_at is not None and now - key.last_used_at < timedelta(minutes=1)


async def remove_key(tx: Transaction, org_id: UUID, key_id: UUID) -> bool:
    statement = delete(api_key).where(api_key.c.org_id == org_id, api_key.c.id == key_id)
    return (await tx.connection.execute(statement)).rowcount > 0
