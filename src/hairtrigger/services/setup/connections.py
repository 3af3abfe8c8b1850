"""Manage connections, the credentials for providers that users give to the service. They are never shown again."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, CredentialsRefused, HairtriggerError, Invalid, Issue
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.quotas import Limits, Quota, QuotaFull, Use
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.shares import Tenant
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.provider_calls import ProviderCalls
from hairtrigger.services.secrets import Secrets
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connections, integrations, triggers
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.transaction import Transaction

_CHECK = timedelta(seconds=10)  # for the provider to answer


@dataclass(frozen=True, kw_only=True)
class Connections:
    store: Store
    clock: Clock
    catalogue: Catalogue
    secrets: Secrets
    calls: ProviderCalls
    limits: Limits = field(default_factory=Limits)

    async def providers(self, caller: Caller) -> Sequence[Provider]:
        """Return the native providers and the organisation's integrations."""
        async with self.store.transaction() as tx:
            owned = [(caller.org_id, id_) for id_ in await integrations.ids(tx, caller.org_id)]
            made = await self.catalogue.user_providers(tx, owned)
        return [*self.catalogue.providers.values(), *(made[one] for one in owned if one in made)]

    async def provider(self, caller: Caller, provider_id: str) -> Provider:
        async with self.store.transaction() as tx:
            return await self.catalogue.provider(tx, caller.org_id, provider_id)

    async def check(self, caller: Caller, provider_id: str, held: Mapping[str, str]) -> str:
        """Ask the provider whether it accepts these credentials, and return a sentence that says what came of it.

        Raise `Invalid` if a needed secret is missing, or the provider refuses them. If the provider can't be asked now,
        no error is raised, and the sentence says so.
        """
        async with self.store.transaction() as tx:
            provider = await self._complete(tx, caller, provider_id, held)
        if not provider.check:
            return f"There is no way to check a connection to {provider.name}."
        api = self.calls.api(provider, Tenant(str(caller.org_id)), held)
        try:
            async with asyncio.timeout(_CHECK.total_seconds()):
                await provider.check(api)
        except CredentialsRefused as refused:
            said = f"{provider.name} does not accept this: {refused.message}"
            raise Invalid(said, *(Issue(("secrets", name), said, "refused") for name in provider.fields)) from None
        except Invalid:
            raise
        except (HairtriggerError, TimeoutError) as error:
            said = error.message if isinstance(error, HairtriggerError) else f"It did not answer within {_CHECK}."
            return f"It could not be checked at {provider.name}: {said}"
        return f"{provider.name} accepts it."

    async def create(self, caller: Caller, provider_id: str, name: str, held: Mapping[str, str]) -> Connection:
        """Create and return a connection. Raise `Invalid` if a secret that the provider needs is missing or empty."""
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
        """Change a connection, and return it. None keeps the name or the secrets.

        New secrets replace all old ones, and triggers that poll with them are due at once. Raise `Invalid` if one that
        the provider needs is missing.
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
        """Delete a connection. Raise `Conflict` while enabled triggers use it, because they could never fire again."""
        async with self.store.transaction() as tx:
            await connections.existing(tx, caller.org_id, connection_id)
            if in_use := await triggers.connection_in_use(tx, connection_id):
                raise Conflict(f"{in_use} enabled triggers use this connection. Disable them first.")
            await connections.remove(tx, caller.org_id, connection_id, self.clock.now())

    def _check_number(self, held: Mapping[str, str]) -> None:
        if len(held) > (limit := self.limits.secrets_per_connection):
            raise QuotaFull(Use(Quota.SECRETS_PER_CONNECTION, limit, len(held)))

    async def _complete(self, tx: Transaction, caller: Caller, provider_id: str, held: Mapping[str, str]) -> Provider:
        provider = await self.catalogue.provider(tx, caller.org_id, provider_id)
        missing = [
            Issue(("secrets", name), f"A connection to {provider.name} needs '{name}'.", "missing")
            for name in provider.fields
            if not held.get(name)
        ]
        if missing:
            raise Invalid(None, *missing)
        return provider
