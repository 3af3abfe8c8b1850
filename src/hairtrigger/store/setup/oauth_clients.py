"""Store the client ids with which organisations are known to providers."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.tables import oauth_client
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class OAuthClient:
    org_id: UUID
    provider_id: str
    client_id: str
    secret: bytes = field(repr=False)  # sealed
    created_by: UUID
    created_at: datetime
    updated_at: datetime


async def put(tx: Transaction, new: OAuthClient) -> OAuthClient:
    """Store a client in place of the organisation's earlier one for this provider, and return it as it is stored."""
    statement = upsert(oauth_client).values(vars(new))
    changed = {name: statement.excluded[name] for name in ("client_id", "secret", "updated_at")}
    stored = statement.on_conflict_do_update(index_elements=["org_id", "provider_id"], set_=changed)
    row = (await tx.connection.execute(stored.returning(oauth_client))).one()
    return OAuthClient(**row._mapping)


async def get(tx: Transaction, org_id: UUID, provider_id: str) -> OAuthClient | None:
    statement = select(oauth_client).where(oauth_client.c.org_id == org_id, oauth_client.c.provider_id == provider_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return OAuthClient(**row._mapping) if row else None


async def of_organization(tx: Transaction, org_id: UUID) -> list[OAuthClient]:
    statement = select(oauth_client).where(oauth_client.c.org_id == org_id).order_by(oauth_client.c.provider_id)
    return [OAuthClient(**row._mapping) for row in await tx.connection.execute(statement)]


async def remove(tx: Transaction, org_id: UUID, provider_id: str) -> bool:
    """Remove a client, and return whether the organisation had it."""
    statement = delete(oauth_client).where(oauth_client.c.org_id == org_id, oauth_client.c.provider_id == provider_id)
    return (await tx.connection.execute(statement)).rowcount > 0
