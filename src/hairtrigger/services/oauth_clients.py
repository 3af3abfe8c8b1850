"""Find the client id with which the service is known to a provider: the organisation's own, or else the operator's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import NotFound
from hairtrigger.domain.quotas import Limits
from hairtrigger.kit.oauth import Client, OAuth2
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.clock import Clock
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.secrets import Secrets
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.setup import oauth_clients
from hairtrigger.store.setup.oauth_clients import OAuthClient
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True, kw_only=True)
class OAuthClients:
    store: Store
    clock: Clock
    catalogue: Catalogue
    secrets: Secrets
    operators: Mapping[str, Client] = field(default_factory=dict, repr=False)
    limits: Limits = field(default_factory=Limits)

    async def of(
        self, tx: Transaction, org_id: UUID, provider: Provider, auth: OAuth2, client_id: str | None = None
    ) -> Client | None:
        """Return the client for a provider, or None if there is none.

        With `client_id` only the client with this id is returned, because tokens are valid for the client that got
        them. The operator's client is used only where its secret goes to the provider's own server.
        """
        name = auth.client or provider.id
        own = await oauth_clients.get(tx, org_id, name)
        found = [Client(own.client_id, self.secrets.of_oauth_client(org_id, name, own.secret))] if own else []
        if auth.is_fixed and name in self.operators:
            found.append(self.operators[name])
        return next((one for one in found if client_id in (None, one.id)), None)

    async def put(self, caller: Caller, name: str, client: Client) -> OAuthClient:
        """Store the organisation's own client for a provider. Raise `NotFound` if no provider uses it."""
        if name not in self.names():
            known = ", ".join(sorted(self.names())) or "none"
            raise NotFound(f"No provider has an OAuth client '{name}'. There are: {known}.")
        now = self.clock.now()
        sealed = self.secrets.seal_for_oauth_client(caller.org_id, name, client.secret)
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits):
            return await oauth_clients.put(tx, OAuthClient(caller.org_id, name, client.id, sealed, caller.id, now, now))

    async def list(self, caller: Caller) -> Sequence[OAuthClient]:
        async with self.store.transaction() as tx:
            return await oauth_clients.of_organization(tx, caller.org_id)

    async def delete(self, caller: Caller, name: str) -> None:
        async with self.store.transaction() as tx:
            if not await oauth_clients.remove(tx, caller.org_id, name):
                raise NotFound(f"There is no OAuth client '{name}'.")

    def names(self) -> set[str]:
        """Return the names of the clients that the providers use."""
        found = ((one, auth) for one in self.catalogue.providers.values() for auth in (one.auth, *one.ways.values()))
        return {auth.client or one.id for one, auth in found if isinstance(auth, OAuth2)}
