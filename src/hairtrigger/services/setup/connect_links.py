"""Links under which users of an organisation's product connect their own accounts. Each makes one connection.

A link is a ticket: nothing can be guessed from it, and the page behind it shows the organisation's name and nothing
else of it. The organisation decides the provider, the way and the user's id. The page's user decides the account.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, Invalid, Issue, NotFound, RateLimited
from hairtrigger.domain.ids import new_id
from hairtrigger.kit.oauth import OAuth2
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.shares import Tenant
from hairtrigger.platform.tickets import Tickets
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.setup.authorizations import Authorizations, Wanted, scopes_of
from hairtrigger.services.setup.connections import Connections
from hairtrigger.store import accounts
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connect_links, connections
from hairtrigger.store.setup.connect_links import ConnectLink
from hairtrigger.store.transaction import Transaction

_MOST = 10_000  # links of one organisation
_MOST_ATTEMPTS = 20  # to connect under one link
_NO_LINK = "This link does not work: it was used already, it is too old, or it is not complete. Ask for another one."


@dataclass(frozen=True)
class Offer:
    """The page behind a link: the organisation that asks, and what the user enters."""

    link: ConnectLink
    organization: str
    provider: Provider
    fields: Sequence[str]

    @property
    def by_oauth(self) -> bool:
        return isinstance(self.provider.auth, OAuth2)


@dataclass(frozen=True, kw_only=True)
class ConnectLinks:
    store: Store
    clock: Clock
    secrets: Secrets
    connections: Connections
    authorizations: Authorizations
    tickets: Tickets
    public_url: str

    async def create(self, caller: Caller, wanted: Wanted, lasts: timedelta) -> tuple[ConnectLink, str]:
        """Make a link, and return it with its address.

        Raise `Invalid` if the provider can't be connected so, or if the user could choose to whose server the client's
        secret goes, and `Conflict` if the organisation has too many links.
        """
        now = self.clock.now()
        id_ = new_id(now)
        async with self.store.transaction() as tx:
            way = await self._way(tx, caller, wanted)
            provider = await self._provider(tx, caller, wanted, way)
            new = ConnectLink(
                id=id_,
                org_id=caller.org_id,
                provider_id=provider.id,
                way=way,
                name=wanted.name or provider.name,
                external_user_id=wanted.external_user_id,
                connection_id=wanted.connection_id,
                secrets=self.secrets.seal_for_connect_link(id_, wanted.fields),
                scopes=scopes_of(provider, wanted),
                created_by=caller.id,
                created_at=now,
                expires_at=now + lasts,
            )
            await connect_links.add(tx, new)
            if await connect_links.count(tx, caller.org_id) > _MOST:
                raise Conflict(f"An organisation has {_MOST} links at most. Delete some, or wait until they are over.")
        return new, f"{self.public_url}/v1/connect/{self.tickets.of(id_)}"

    async def get(self, caller: Caller, id_: UUID) -> ConnectLink:
        async with self.store.transaction() as tx:
            found = await connect_links.get(tx, caller.org_id, id_)
        if found is None:
            raise NotFound("There is no such link.")
        return found

    async def delete(self, caller: Caller, id_: UUID) -> None:
        async with self.store.transaction() as tx:
            if not await connect_links.remove(tx, caller.org_id, id_):
                raise NotFound("There is no such link.")

    async def offer(self, ticket: str) -> Offer:
        """Return what the page behind a link shows. Raise `NotFound` if the link can't be used."""
        id_ = self.tickets.read(ticket)
        if id_ is None:
            raise NotFound(_NO_LINK)
        async with self.store.transaction() as tx:
            link = await connect_links.usable(tx, id_, self.clock.now())
            organization = await accounts.organization(tx, link.org_id) if link else None
            if link is None or organization is None:
                raise NotFound(_NO_LINK)
            provider = await self.connections.provider_by_way(tx, _caller(link), link.provider_id, link.way)
        given = self.secrets.of_connect_link(link.id, link.secrets)
        return Offer(link, organization.name, provider, [name for name in provider.entered if name not in given])

    async def begin(self, ticket: str, entered: Mapping[str, str]) -> str:
        """Begin the authorization of a link by OAuth, and return the address at which the user grants it."""
        offer = await self._attempted(ticket)
        wanted = Wanted(
            provider_id=offer.link.provider_id,
            way=offer.link.way,
            name=offer.link.name,
            fields=self._fields(offer, entered),
            scopes=offer.link.scopes,
            triggers=None,
            connection_id=offer.link.connection_id,
            external_user_id=offer.link.external_user_id,
            connect_link_id=offer.link.id,
        )
        return (await self.authorizations.start(_caller(offer.link), wanted)).url

    async def connect(self, ticket: str, entered: Mapping[str, str]) -> str:
        """Make the connection of a link with what its user entered, and return a sentence about it.

        Raise `Invalid` if the provider refuses that; the user may then try again.
        """
        offer = await self._attempted(ticket)
        link, caller = offer.link, _caller(offer.link)

        async def use(tx: Transaction, connection_id: UUID) -> None:
            if not await connect_links.use(tx, link.id, connection_id, self.clock.now()):
                raise NotFound(_NO_LINK)

        with self.connections.calls.asked(Tenant(str(link.org_id))):
            ready = await self.connections.ready(caller, link.provider_id, self._fields(offer, entered), link.way)
            said = await self.connections.checked(caller, ready)
        if link.connection_id:
            await self.connections.store_again(caller, link.connection_id, ready, link.name, also=use)
        else:
            await self.connections.store_new(caller, ready, link.name, link.external_user_id, also=use)
        return said

    async def _attempted(self, ticket: str) -> Offer:
        offer = await self.offer(ticket)
        async with self.store.transaction() as tx:
            if not await connect_links.attempt(tx, offer.link.id, _MOST_ATTEMPTS):
                raise RateLimited("There were too many attempts with this link. Ask for another one.")
        return offer

    def _fields(self, offer: Offer, entered: Mapping[str, str]) -> dict[str, str]:
        """Return the fields that the organisation has set, and those of the others that the user entered."""
        given = self.secrets.of_connect_link(offer.link.id, offer.link.secrets)
        return {**{name: entered[name] for name in offer.fields if name in entered}, **given}

    async def _way(self, tx: Transaction, caller: Caller, wanted: Wanted) -> str | None:
        """Return the way that is named, or else that of the connection that is connected again."""
        if wanted.connection_id is None:
            return wanted.way
        found = await connections.existing(tx, caller.org_id, wanted.connection_id)
        if found.provider_id != wanted.provider_id:
            said = f"This is a connection to '{found.provider_id}', not to '{wanted.provider_id}'."
            raise Invalid(None, Issue(("connection_id",), said))
        return found.way if wanted.way is None else wanted.way

    async def _provider(self, tx: Transaction, caller: Caller, wanted: Wanted, way: str | None) -> Provider:
        provider = await self.connections.provider_by_way(tx, caller, wanted.provider_id, way)
        if not provider.fields:
            raise Invalid(None, Issue(("provider_id",), f"'{provider.id}' needs no connection."))
        if isinstance(provider.auth, OAuth2):
            await self.authorizations.require_client(tx, caller, provider)
            missing = [name for name in provider.auth.address_fields if not wanted.fields.get(name)]
            if missing and not provider.auth.is_fixed:
                said = "Set this field: it decides to whose server the secret of the OAuth client goes."
                raise Invalid(None, *(Issue(("fields", name), said, "missing") for name in missing))
        return provider


def _caller(link: ConnectLink) -> Caller:
    """Return the organisation and the user that made a link, in whose name its connection is made."""
    return Caller(link.org_id, link.created_by, frozenset())
