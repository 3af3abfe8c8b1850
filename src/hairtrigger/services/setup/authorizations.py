"""Let users grant access at providers by OAuth: in a browser, or with a code on another device.

An authorization is one row, which is used once. Its state is a ticket that names the row, so a state that is not ours,
or that was used, finds nothing. The connection belongs to the organisation that began the authorization, and it
does not matter which browser brings the answer. The PKCE verifier stays sealed in the row.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import (
    Conflict,
    HairtriggerError,
    Invalid,
    Issue,
    NotFound,
    NotReady,
    RateLimited,
    sentence,
)
from hairtrigger.domain.ids import new_id
from hairtrigger.kit.oauth import CLIENT, Client, Grant, OAuth2, TokenRefused, new_verifier, read_device, shown
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.tickets import Tickets
from hairtrigger.services.access_tokens import AccessTokens, NoToken, is_renewable, times_of
from hairtrigger.services.oauth_clients import OAuthClients
from hairtrigger.services.secrets import Secrets
from hairtrigger.services.setup.connections import Connections, Ready
from hairtrigger.store.database import Store
from hairtrigger.store.setup import authorizations, connect_links, connections
from hairtrigger.store.setup.authorizations import Authorization
from hairtrigger.store.transaction import Transaction

CALLBACK = "/v1/oauth/callback"
_LASTS = timedelta(minutes=15)  # for a user to answer
_MOST_PENDING = 1000  # of one organisation
_TURN = timedelta(minutes=1)  # longer than asking about a device code takes
_SLOWER = 5  # seconds, https://www.rfc-editor.org/rfc/rfc8628#section-3.5
_VERIFIER, _DEVICE = "\0verifier", "\0device_code"  # beside the fields that a user entered, none of which is named so


@dataclass(frozen=True)
class Wanted:
    """The connection that a user is asked to grant, or to grant again if `connection_id` is given.

    `triggers` names the triggers that it is for; without any it is for all of the provider's, and None stands for no
    trigger. The `scopes` are asked for besides those of these triggers.
    """

    provider_id: str
    way: str | None = None
    name: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    triggers: Sequence[str] | None = ()
    scopes: Sequence[str] = ()
    connection_id: UUID | None = None
    external_user_id: str | None = None
    connect_link_id: UUID | None = None


@dataclass(frozen=True)
class Started:
    """An authorization that has begun. The user goes to `url`, with `user_code` if it is granted on another device."""

    authorization: Authorization
    url: str = field(repr=False)
    user_code: str | None = None
    complete_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class _Asked:
    """The way of a provider in which a user is asked, and the client that asks."""

    provider: Provider
    way: str | None
    auth: OAuth2
    client: Client


@dataclass(frozen=True)
class Ended:
    """The result of a user's answer, with a sentence for the user."""

    ok: bool
    sentence: str
    authorization: Authorization | None = None


@dataclass(frozen=True, kw_only=True)
class Authorizations:
    store: Store
    clock: Clock
    secrets: Secrets
    clients: OAuthClients
    tokens: AccessTokens
    connections: Connections
    tickets: Tickets
    public_url: str

    @property
    def redirect_uri(self) -> str:
        """The address to which every provider sends its answers."""
        return f"{self.public_url}{CALLBACK}"

    async def start(self, caller: Caller, wanted: Wanted) -> Started:
        """Begin an authorization in a browser, and return the address at which the user grants it.

        Raise `Invalid` if the provider can't be connected so or a field is missing, `NotReady` if there is no client
        id, and `RateLimited` while too many of the organisation wait for their users.
        """
        verifier = new_verifier()
        async with self.store.transaction() as tx:
            asked = await self._asked(tx, caller, wanted, device=False)
            new = self._new(caller, asked, wanted, {_VERIFIER: verifier}, _LASTS)
            await self._add(tx, new)
        url = asked.auth.authorize_at(
            wanted.fields,
            asked.client,
            redirect_uri=self.redirect_uri,
            state=self.tickets.of(new.id),
            verifier=verifier,
            scopes=new.scopes,
        )
        return Started(new, url)

    async def start_device(self, caller: Caller, wanted: Wanted) -> Started:
        """Begin an authorization on another device, and return the code and the address where the user enters it."""
        async with self.store.transaction() as tx:
            asked = await self._asked(tx, caller, wanted, device=True)
        request = asked.auth.device_code(wanted.fields, asked.client, scopes_of(asked.provider, wanted))
        status, answer = await self.tokens.answer(caller.org_id, request)
        code = read_device(answer, status)
        new = self._new(caller, asked, wanted, {_DEVICE: code.device_code}, code.lasts)
        every = int(code.interval.total_seconds())
        new = replace(new, every_seconds=every, next_at=new.created_at + code.interval)
        async with self.store.transaction() as tx:
            await self._add(tx, new)
        return Started(new, code.address, code.user_code, code.complete)

    async def get(self, caller: Caller, id_: UUID) -> Authorization:
        """Return an authorization. One on another device is asked about at the provider, as often as it allows."""
        async with self.store.transaction() as tx:
            found = await authorizations.get(tx, caller.org_id, id_)
            if found is None:
                raise NotFound("There is no such authorization.")
            now = self.clock.now()
            waits = found.every_seconds is not None and found.status == "pending" and found.expires_at > now
            mine = waits and await authorizations.take_turn(tx, found, now, now + _TURN)
        if mine:
            await self._ask_about(found)
            async with self.store.transaction() as tx:
                found = await authorizations.get(tx, caller.org_id, id_) or found
        if found.status in {"pending", "taken"} and found.expires_at <= now:
            return replace(found, status="failed", detail="It was not granted in time.")
        return found

    async def finish(self, answer: Mapping[str, str]) -> Ended:
        """Take the answer that a provider sent with a user's browser, and make the connection.

        An answer counts once, whatever comes of it. Raise `NotFound` if its state is not one that waits for an answer.
        """
        id_, now = self.tickets.read(answer.get("state", "")), self.clock.now()
        async with self.store.transaction() as tx:
            taken = await authorizations.take(tx, id_, now) if id_ else None
        if taken is None:
            raise NotFound("This answer is not expected: it was used already, it came too late, or it is not ours.")
        return await self._ended(taken, answer=answer)

    # -- starting

    async def _asked(self, tx: Transaction, caller: Caller, wanted: Wanted, *, device: bool) -> _Asked:
        provider = await self.connections.catalogue.provider(tx, caller.org_id, wanted.provider_id)
        way = await self._way(tx, caller, provider, wanted)
        provider = await self.connections.provider_by_way(tx, caller, wanted.provider_id, way)
        auth = provider.auth
        if not isinstance(auth, OAuth2) or not (auth.device_url if device else auth.authorize_url):
            how = "with a code on another device" if device else "by OAuth"
            raise Invalid(None, Issue(("provider_id",), f"'{provider.id}' can't be connected {how} here."))
        if missing := [name for name in provider.entered if not wanted.fields.get(name)]:
            issues = [Issue(("fields", one), f"A connection to {provider.name} needs '{one}'.") for one in missing]
            raise Invalid(None, *issues)
        if unknown := [one for one in wanted.triggers or () if not provider.trigger(one)]:
            raise Invalid(None, Issue(("triggers",), f"'{provider.id}' has no trigger '{unknown[0]}'."))
        return _Asked(provider, way, auth, await self.require_client(tx, caller, provider))

    async def require_client(self, tx: Transaction, caller: Caller, provider: Provider) -> Client:
        """Return the client for a provider that is connected by OAuth. Raise `NotReady` if there is none."""
        auth = provider.auth
        assert isinstance(auth, OAuth2)
        client = await self.clients.of(tx, caller.org_id, provider, auth)
        if client is None:
            name = auth.client or provider.id
            raise NotReady(
                f"There is no OAuth client for {provider.name}. Register one there with the redirect address "
                f"{self.redirect_uri} and store it: PUT /v1/oauth-clients/{name}"
            )
        return client

    async def _way(self, tx: Transaction, caller: Caller, provider: Provider, wanted: Wanted) -> str | None:
        if wanted.way is not None:
            return wanted.way
        if wanted.connection_id is not None:
            found = await connections.existing(tx, caller.org_id, wanted.connection_id)
            if found.provider_id != provider.id:
                said = f"This is a connection to '{found.provider_id}', not to '{provider.id}'."
                raise Invalid(None, Issue(("connection_id",), said))
        try:
            return provider.oauth_way()
        except KeyError:
            raise Invalid(None, Issue(("provider_id",), f"'{provider.id}' can't be connected by OAuth here.")) from None

    def _new(
        self,
        caller: Caller,
        asked: _Asked,
        wanted: Wanted,
        secrets: Mapping[str, str],
        lasts: timedelta,
    ) -> Authorization:
        now = self.clock.now()
        id_ = new_id(now)
        held = {**wanted.fields, **secrets, CLIENT: asked.client.id}
        return Authorization(
            id=id_,
            org_id=caller.org_id,
            provider_id=asked.provider.id,
            way=asked.way,
            name=wanted.name or "",
            external_user_id=wanted.external_user_id,
            connection_id=wanted.connection_id,
            connect_link_id=wanted.connect_link_id,
            secrets=self.secrets.seal_for_authorization(id_, held),
            scopes=scopes_of(asked.provider, wanted),
            created_by=caller.id,
            created_at=now,
            expires_at=now + lasts,
        )

    async def _add(self, tx: Transaction, new: Authorization) -> None:
        if new.connect_link_id:
            await authorizations.forget_of_link(tx, new.connect_link_id)
        await authorizations.add(tx, new)
        if await authorizations.pending(tx, new.org_id, self.clock.now()) > _MOST_PENDING:
            said = f"{_MOST_PENDING} authorizations wait for their users, and these are the most at a time."
            raise RateLimited(said, retry_after=timedelta(minutes=1))

    # -- ending

    async def _ask_about(self, pending: Authorization) -> None:
        """Ask the provider whether a user has entered a device code, and store the result if there is one."""
        assert pending.every_seconds is not None
        every = pending.every_seconds
        try:
            await self._ended(pending)
        except TokenRefused as waits:
            every += _SLOWER if waits.code == "slow_down" else 0
        except NoToken:
            every += _SLOWER
        else:
            return
        async with self.store.transaction() as tx:
            await authorizations.wait(tx, pending, every, self.clock.now() + timedelta(seconds=every))

    async def _ended(self, taken: Authorization, answer: Mapping[str, str] | None = None) -> Ended:
        """Return what came of an answer, or of a device code if there is no answer, and store it.

        Raise `TokenRefused` while the user has not entered the device code, and `NoToken` if the provider can't be
        asked about it now.
        """
        caller = Caller(taken.org_id, taken.created_by, frozenset())
        try:
            return await self._made(caller, taken, answer)
        except TokenRefused as refused:
            if refused.code in {"authorization_pending", "slow_down"} and answer is None:
                raise
            return await self._failed(taken, refused.message)
        except NoToken as error:
            if answer is None:
                raise
            return await self._failed(taken, error.message)
        except HairtriggerError as error:
            return await self._failed(taken, sentence(error))

    async def _failed(self, taken: Authorization, why: str) -> Ended:
        async with self.store.transaction() as tx:
            await authorizations.end(tx, taken.id, "failed", why)
        return Ended(False, why, replace(taken, status="failed"))

    async def _made(self, caller: Caller, taken: Authorization, answer: Mapping[str, str] | None) -> Ended:
        held = self.secrets.of_authorization(taken.id, taken.secrets)
        async with self.store.transaction() as tx:
            provider = await self.connections.provider_by_way(tx, caller, taken.provider_id, taken.way)
            auth = provider.auth
            if not isinstance(auth, OAuth2):
                raise Conflict(f"'{provider.id}' can't be connected by OAuth any more.")
            client = await self.clients.of(tx, caller.org_id, provider, auth, held[CLIENT])
        if client is None:
            raise NotReady("The OAuth client was changed meanwhile. Begin again.")
        asked_at = self.clock.now()
        grant = await self._grant(caller, auth, client, held, answer)
        fields = {name: value for name, value in held.items() if name not in {_VERIFIER, _DEVICE}}
        new = grant.held(fields)
        times = times_of(grant, asked_at, renewable=is_renewable(auth, new))
        ready = Ready(provider, taken.way, new, times, taken.scopes)
        said = await self.connections.checked(caller, ready)

        async def done(tx: Transaction, connection_id: UUID) -> None:
            now, link_id = self.clock.now(), taken.connect_link_id
            if link_id and not await connect_links.use(tx, link_id, connection_id, now):
                raise NotFound("The link was used or deleted meanwhile.")
            if not await authorizations.end(tx, taken.id, "done", said, connection_id=connection_id):
                raise NotFound("What this was for was deleted meanwhile.")

        name = taken.name or None
        if taken.connection_id:
            made = await self.connections.store_again(caller, taken.connection_id, ready, name, also=done)
        else:
            user = taken.external_user_id
            made = await self.connections.store_new(caller, ready, name or provider.name, user, also=done)
        return Ended(True, said, replace(taken, status="done", connection_id=made.id))

    async def _grant(
        self,
        caller: Caller,
        auth: OAuth2,
        client: Client,
        held: Mapping[str, str],
        answer: Mapping[str, str] | None,
    ) -> Grant:
        if answer is None:
            return await self.tokens.ask(caller.org_id, auth, auth.device_request(held, client, held[_DEVICE]))
        if error := answer.get("error"):
            raise TokenRefused(shown(error), shown(answer.get("error_description")))
        if auth.issuer and answer.get("iss") not in (None, auth.issuer):
            raise Invalid("The answer comes from another server than the one that was asked.")
        code = answer.get("code", "")
        if not code or len(code) > 4096:
            raise Invalid("The provider's answer holds no code.")
        request = auth.exchange(held, client, code=code, redirect_uri=self.redirect_uri, verifier=held[_VERIFIER])
        return await self.tokens.ask(caller.org_id, auth, request)


def scopes_of(provider: Provider, wanted: Wanted) -> list[str]:
    """Return the scopes to ask for besides those of the provider: those of the triggers, and those that were named."""
    named = wanted.triggers
    chosen = [] if named is None else [one for one in provider.triggers if not named or one.id in named]
    return list(dict.fromkeys((*(scope for one in chosen for scope in one.scopes), *wanted.scopes)))
