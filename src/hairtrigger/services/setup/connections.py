"""Manage connections, the credentials for providers that users give to the service. They are never shown again."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, CredentialsRefused, HairtriggerError, Invalid, Issue
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.quotas import Limits, Quota, QuotaFull, Use
from hairtrigger.kit.oauth import TokenAuth, TokenRefused
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.shares import Tenant
from hairtrigger.services.access_tokens import Times, times_of
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.provider_calls import Credentials, ProviderCalls
from hairtrigger.services.secrets import Secrets
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connection_health, connections, integrations, triggers
from hairtrigger.store.setup.connection_health import Health
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.transaction import Transaction

_CHECK = timedelta(seconds=10)  # for the provider to answer


Also = Callable[[Transaction, UUID], Awaitable[None]]


async def _nothing(_: Transaction, __: UUID) -> None:
    pass


@dataclass(frozen=True)
class Ready:
    """The secrets that a connection to a provider will hold, and the times of its access token, if it has one.

    The provider is in the way of the connection. `scopes` are those that the provider was asked for.
    """

    provider: Provider
    way: str | None
    held: Mapping[str, str] = field(repr=False)
    times: Times = field(default_factory=Times)
    scopes: list[str] | None = None


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

    async def check(self, caller: Caller, provider_id: str, held: Mapping[str, str], way: str | None = None) -> str:
        """Ask the provider whether it accepts these credentials, and return a sentence that says what came of it.

        Raise `Invalid` if a needed secret is missing, or the provider refuses them. If the provider can't be asked now,
        no error is raised, and the sentence says so.
        """
        return await self.checked(caller, await self.ready(caller, provider_id, held, way))

    async def checked(self, caller: Caller, ready: Ready) -> str:
        """Do the same with credentials that calls can carry."""
        provider = ready.provider
        if not provider.check:
            return f"There is no way to check a connection to {provider.name}."
        api = self.calls.api(provider, Tenant(str(caller.org_id)), Credentials(ready.held))
        try:
            async with asyncio.timeout(_CHECK.total_seconds()):
                await provider.check(api)
        except CredentialsRefused as refused:
            raise _refused(provider, refused) from None
        except Invalid:
            raise
        except (HairtriggerError, TimeoutError) as error:
            said = error.message if isinstance(error, HairtriggerError) else f"It did not answer within {_CHECK}."
            return f"It could not be checked at {provider.name}: {said}"
        return f"{provider.name} accepts it."

    async def ready(self, caller: Caller, provider_id: str, held: Mapping[str, str], way: str | None = None) -> Ready:
        """Return what a connection of this way will hold.

        An access token that is got without a user is got now. Raise `Invalid` if a field is missing or is refused, and
        `ProviderFailed` if the provider gives no token now.
        """
        self._check_number(held)
        async with self.store.transaction() as tx:
            provider = await self.provider_by_way(tx, caller, provider_id, way)
        auth, now = provider.auth, self.clock.now()
        if not isinstance(auth, TokenAuth) or auth.needs_client:
            _require(provider, (*provider.fields, *_in_addresses(provider)), held)
            return Ready(provider, way, held)
        _require(provider, provider.entered, held)
        request = auth.renewal(held, None, now)
        assert request
        try:
            grant = await self.calls.tokens.ask(caller.org_id, auth, request)
        except TokenRefused as refused:
            raise _refused(provider, refused) from None
        return Ready(provider, way, grant.held(held), times_of(grant, now, renewable=True))

    async def create(
        self,
        caller: Caller,
        provider_id: str,
        name: str,
        held: Mapping[str, str],
        way: str | None = None,
        external_user_id: str | None = None,
    ) -> Connection:
        """Create and return a connection. Raise `Invalid` if a secret that the provider needs is missing or empty."""
        return await self.store_new(caller, await self.ready(caller, provider_id, held, way), name, external_user_id)

    async def store_new(
        self,
        caller: Caller,
        ready: Ready,
        name: str,
        external_user_id: str | None = None,
        also: Also = _nothing,
    ) -> Connection:
        """Store a new connection and return it. `also` is called in the same transaction, with the connection's id."""
        now = self.clock.now()
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits, Quota.CONNECTIONS):
            id_ = new_id(now)
            connection = Connection(
                id=id_,
                org_id=caller.org_id,
                provider_id=ready.provider.id,
                name=name,
                secrets=self.secrets.seal_for_connection(id_, ready.held),
                created_by=caller.id,
                created_at=now,
                updated_at=now,
                way=ready.way,
                external_user_id=external_user_id,
                scopes=ready.scopes,
                expires_at=ready.times.expires_at,
                renew_at=ready.times.renew_at,
            )
            await connections.add(tx, connection)
            await also(tx, id_)
        return connection

    async def store_again(
        self, caller: Caller, connection_id: UUID, ready: Ready, name: str | None = None, also: Also = _nothing
    ) -> Connection:
        """Replace what a connection holds, and return it. It keeps its id, and triggers that poll with it are due at
        once. `also` is called in the same transaction.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits):
            connection = await connections.existing(tx, caller.org_id, connection_id, for_update=True)
            if connection.provider_id != ready.provider.id:
                raise Conflict(f"This is a connection to '{connection.provider_id}', not to '{ready.provider.id}'.")
            sealed = self.secrets.seal_for_connection(connection_id, ready.held)
            values = {"name": name or connection.name, "way": ready.way, "scopes": ready.scopes}
            await connections.reconnect(tx, connection_id, now, sealed, **values, **vars(ready.times))
            await also(tx, connection_id)
            return await connections.existing(tx, caller.org_id, connection_id)

    async def get(self, caller: Caller, connection_id: UUID) -> Connection:
        async with self.store.transaction() as tx:
            return await connections.existing(tx, caller.org_id, connection_id)

    async def health(self, connection_ids: Sequence[UUID]) -> Mapping[UUID, Health]:
        """Return the health of connections, which the caller has found to be the organisation's."""
        async with self.store.transaction() as tx:
            return await connection_health.of_all(tx, connection_ids)

    async def list(
        self, caller: Caller, provider_id: str | None = None, external_user_id: str | None = None
    ) -> list[Connection]:
        async with self.store.transaction() as tx:
            return await connections.of_organization(tx, caller.org_id, provider_id, external_user_id)

    async def update(
        self, caller: Caller, connection_id: UUID, name: str | None, held: Mapping[str, str] | None
    ) -> Connection:
        """Change a connection, and return it. None keeps the name or the secrets.

        New secrets replace all old ones, and triggers that poll with them are due at once. Raise `Invalid` if one that
        the provider needs is missing.
        """
        if held is not None:
            before = await self.get(caller, connection_id)
            ready = await self.ready(caller, before.provider_id, held, before.way)
            return await self.store_again(caller, connection_id, ready, name)
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits):
            connection = await connections.existing(tx, caller.org_id, connection_id)
            await connections.change(tx, connection_id, self.clock.now(), name=name or connection.name)
            return await connections.existing(tx, caller.org_id, connection_id)

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

    async def provider_by_way(self, tx: Transaction, caller: Caller, provider_id: str, way: str | None) -> Provider:
        """Return a provider as it is called in one of its ways. Raise `Invalid` if it has none of this name."""
        provider = await self.catalogue.provider(tx, caller.org_id, provider_id)
        try:
            return provider.by_way(way)
        except KeyError:
            there = ", ".join(sorted(provider.ways)) or "none"
            said = f"'{provider.id}' can't be connected as '{way}'. Other ways than the first: {there}."
            raise Invalid(None, Issue(("way",), said)) from None


def _require(provider: Provider, names: Sequence[str], held: Mapping[str, str]) -> None:
    missing = [
        Issue(("secrets", name), f"A connection to {provider.name} needs '{name}'.", "missing")
        for name in dict.fromkeys(names)
        if not held.get(name)
    ]
    if missing:
        raise Invalid(None, *missing)


def _in_addresses(provider: Provider) -> Sequence[str]:
    return provider.auth.address_fields if isinstance(provider.auth, TokenAuth) else ()


def _refused(provider: Provider, refused: CredentialsRefused) -> Invalid:
    said = f"{provider.name} does not accept this: {refused.message}"
    return Invalid(said, *(Issue(("secrets", name), said, "refused") for name in provider.entered or provider.fields))
