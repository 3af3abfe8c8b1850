"""Forget what a user of an organisation's product has begun and not ended."""

from uuid import UUID

from sqlalchemy import delete

from hairtrigger.store.tables import connect_link, pending_authorization
from hairtrigger.store.transaction import Transaction


async def forget_pending(tx: Transaction, org_id: UUID, external_user_id: str) -> None:
    """Delete the user's connect links and authorizations. A connection that is being made under them fails."""
    for table in (connect_link, pending_authorization):
        statement = delete(table).where(table.c.org_id == org_id, table.c.external_user_id == external_user_id)
        await tx.connection.execute(statement)
