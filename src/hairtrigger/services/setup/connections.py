"""Connections: credentials that a user gives to the service. They are never shown again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, Invalid, Issue
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.quotas import Limits, Quota, QuotaFull, Use
from hairtrigger.platform.clock import Clock
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.secrets import Secrets
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connections, triggers
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True, kw_only=True)
class Connections:
    store: Store
    clock: Clock
    catalogue: Catalogue
    secrets: Secrets
    limits: Limits = field(default_factory=Limits)

    async def create(self, caller: Caller, provider_id: str, name: str, held: Mapping[str, str]) -> Connection:
        """Create a connection. Raise `Invalid` if the provider needs a secret that is missing or empty."""
        now = self.clock.now()
        self._check_number(held)
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits, Quota.CONNECTIONS):
            await self._complete(tx, caller, provider_id, held)
            id_ = new_id(now)
            connection = Connection(
                id=id_,
                org_id=caller.org_id,
                provider_id=provider_id,
                name=name,
                secrets=self.secrets.seal_for_connection(id_, held),
                created_by=caller.id,
                created_at=now,
                updated_at=now,
            )
            await connections.add(tx, connection)
        return connection

    async def get(self, caller: Caller, connection_id: UUID) -> Connection:
        async with self.store.transaction() as tx:
            return await connections.existing(tx, caller.org_id, connection_id)

    async def list(self, caller: Caller, provider_id: str | None = None) -> list[Connection]:
        async with self.store.transaction() as tx:
            return await connections.of_organization(tx, caller.org_id, provider_id)

    async def update(
        self, caller: Caller, connection_id: UUID, name: str | None, held: Mapping[str, str] | None
    ) -> Connection:
        """Change a connection. New secrets replace all old ones, and triggers that poll with them are due at once.

        None keeps a name or the secrets.
        """
        now = self.clock.now()
        self._check_number(held or {})
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits):
            connection = await connections.existing(tx, caller.org_id, connection_id)
            changed = replace(connection, name=name or connection.name, updated_at=now)
            if held is not None:
                await self._complete(tx, caller, connection.provider_id, held)
                changed = replace(changed, secrets=self.secrets.seal_for_connection(connection_id, held))
            await connections.save(tx, changed)
            if held is not None:
                await connections.renew(tx, connection_id, now)
        return changed

    async def delete(self, caller: Caller, connection_id: UUID) -> None:
        """Delete a connection. Raise `Conflict` while enabled triggers use it: they could never fire again."""
        async with self.store.transaction() as tx:
            await connections.existing(tx, caller.org_id, connection_id)
            if in_use := await triggers.connection_in_use(tx, connection_id):
                raise Conflict(f"{in_use} enabled triggers use this connection. Disable them first.")
            await connections.remove(tx, caller.org_id, connection_id, self.clock.now())

    def _check_number(self, held: Mapping[str, str]) -> None:
        if len(held) > (limit := self.limits.secrets_per_connection):
            raise QuotaFull(Use(Quota.SECRETS_PER_CONNECTION, limit, len(held)))

    async def _complete(self, tx: Transaction, caller: Caller, provider_id: str, held: Mapping[str, str]) -> None:
        provider = await self.catalogue.provider(tx, caller.org_id, provider_id)
        missing = [
            Issue(("secrets", name), f"A connection to {provider.name} needs '{name}'.", "missing")
            for name in provider.auth.secrets
            if not held.get(name)
        ]
        if missing:
            raise Invalid(None, *missing)
