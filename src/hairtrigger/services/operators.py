"""The organisation that operates the service: only its users may know how the service's own network looks."""

from dataclasses import dataclass
from uuid import UUID

from hairtrigger.domain.errors import Unavailable
from hairtrigger.store import accounts
from hairtrigger.store.database import Store


@dataclass(frozen=True)
class Operators:
    store: Store

    async def include(self, org: str) -> bool:
        """Return whether this is the id of the operator's organisation. While the database is away, none is."""
        if not org:
            return False
        try:
            async with self.store.transaction() as tx:
                return await accounts.has_operator(tx, UUID(org))
        except Unavailable:
            return False
