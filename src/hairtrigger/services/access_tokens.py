"""Renew the access tokens of connections: ahead of their end, by one process at a time, and so that none is lost.

A renewal is recorded before the provider is asked. What the provider answers is stored whatever else has happened
meanwhile, unless the connection was connected anew. A refresh token that is valid once can be lost only if a process
ends between the provider's answer and the commit. The next renewal knows that: if the provider then refuses the old
token, the connection says why, and has to be connected again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal
from uuid import UUID

import structlog

from hairtrigger.domain.errors import (
    AccessEnded,
    CredentialsRefused,
    HairtriggerError,
    NotFound,
    ProviderFailed,
    Unavailable,
)
from hairtrigger.domain.json_reader import read_json
from hairtrigger.kit.http import Http, Reply
from hairtrigger.kit.oauth import ACCESS, CLIENT, REFRESH, Client, Grant, OAuth2, TokenAuth, TokenRefused, TokenRequest
from hairtrigger.kit.trigger import Provider
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.egress import EgressFailed, Reason
from hairtrigger.platform.loops import every
from hairtrigger.platform.shares import Tenant
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.oauth_clients import OAuthClients
from hairtrigger.services.secrets import Secrets
from hairtrigger.store.database import Store
from hairtrigger.store.setup import connection_health, connections
from hairtrigger.store.setup.connection_health import Mark
from hairtrigger.store.setup.connections import Connection, Renewal

log = structlog.get_logger()

ANSWER = timedelta(seconds=20)  # for a token endpoint to answer
LEASE = timedelta(seconds=60)  # longer than the answer may take, and than storing it usually takes
_WAIT = timedelta(seconds=60)  # for the renewal of another process
_STORING = timedelta(minutes=2)  # for a database that is away while there are new tokens to store
_LARGEST = 256 * 1024  # bytes of a token endpoint's answer
_AHEAD = timedelta(minutes=5)  # before the end of a token, or a fifth of its life if that is shorter
_AGAIN = timedelta(minutes=5)  # after a renewal that was due and failed
_EVERY = timedelta(seconds=15)
_AT_ONCE = 20  # renewals of one round of the loop
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 0.5  # seconds between two looks at the renewal of another process

# A call that failed for these reasons never reached the provider, so it has changed nothing there.
_NOT_SENT = frozenset({Reason.BLOCKED_ADDRESS, Reason.DNS, Reason.CONNECT, Reason.TLS, Reason.BAD_URL})


class NoToken(ProviderFailed):
    """The token endpoint gave no usable answer. `was_sent` says whether the provider may have acted on the request."""

    def __init__(self, message: str, *, was_sent: bool, retry_after: timedelta | None = None) -> None:
        super().__init__(message, retry_after=retry_after)
        self.was_sent = was_sent


@dataclass(frozen=True)
class Times:
    """The times at which an access token ends and is to be renewed. Both are None if no end is known."""

    expires_at: datetime | None = None
    renew_at: datetime | None = None


def times_of(grant: Grant, asked_at: datetime, *, renewable: bool) -> Times:
    """Return the times of a new access token. One that can't be renewed is looked at when it has ended, so that its
    end is told.
    """
    if grant.lasts is None:
        return Times()
    ends = asked_at + grant.lasts
    return Times(ends, ends - min(_AHEAD, grant.lasts / 5) if renewable else ends)


def is_renewable(auth: TokenAuth, held: Mapping[str, str]) -> bool:
    return not auth.needs_client or bool(held.get(REFRESH))


@dataclass(frozen=True, kw_only=True)
class AccessTokens:
    store: Store
    clock: Clock
    catalogue: Catalogue
    secrets: Secrets
    clients: OAuthClients
    http_of: Callable[[Tenant], Http]
    under_way: dict[UUID, asyncio.Task[dict[str, str]]] = field(default_factory=dict, repr=False)
    """The renewals of this process, by their connections. They end even if no call waits for them any more."""

    async def ask(self, org_id: UUID, auth: TokenAuth, request: TokenRequest) -> Grant:
        """Return what a token endpoint grants. Raise `TokenRefused` if it refuses, and `NoToken` if it does neither."""
        status, answer = await self.answer(org_id, request)
        try:
            return auth.granted(status, answer)
        except TokenRefused:
            raise
        except ProviderFailed as failed:
            raise NoToken(failed.message, was_sent=True) from None

    async def answer(self, org_id: UUID, request: TokenRequest) -> tuple[int, Any]:
        """Return the status and the JSON of an answer. Raise `NoToken` if there is none."""
        http = self.http_of(Tenant(str(org_id)))
        try:
            reply = await http.send(
                "POST", request.url, headers=request.headers, body=request.body, timeout=ANSWER, max_bytes=_LARGEST
            )
        except ProviderFailed as failed:
            sent = not (isinstance(failed, EgressFailed) and failed.reason in _NOT_SENT)
            raise NoToken(f"The token endpoint could not be asked: {failed.message}", was_sent=sent) from failed
        if reply.status == 429 or reply.status >= 500:
            raise NoToken(
                f"The provider's token endpoint answered {reply.status}.",
                was_sent=reply.status != 429,
                retry_after=_wait(reply),
            )
        return reply.status, _read(reply)

    async def renewed(
        self, org_id: UUID, connection_id: UUID, seen: str | None, *, wait: bool = True
    ) -> dict[str, str]:
        """Return all secrets that the connection holds, with another access token than `seen`.

        Of all calls, in all processes, one asks the provider. The others wait for it, for another process at most a
        minute. Without `wait`, the call does not wait for another process, and the token may still be `seen`. Raise
        `AccessEnded` if only the user can help, another `ProviderFailed` if there is no new token now, and `NotFound`
        if the connection or its way to connect is gone.
        """
        for _ in range(2):  # a renewal that was under way already may have begun with an older token
            task = self.under_way.get(connection_id)
            if task is None:
                task = asyncio.create_task(self._renewed(org_id, connection_id, seen, wait=wait))
                self.under_way[connection_id] = task
                task.add_done_callback(partial(self._ended, connection_id))
            held = await asyncio.shield(task)  # what the provider answers is stored, even if the call is given up
            if held.get(ACCESS) != seen or not wait:
                return held
        raise ProviderFailed("The access token could not be renewed just now.")

    def _ended(self, connection_id: UUID, task: asyncio.Task[dict[str, str]]) -> None:
        self.under_way.pop(connection_id, None)
        if not task.cancelled():
            task.exception()  # every call that waits raises it; perhaps none does any more

    async def drain(self, at_most: timedelta) -> None:
        """Wait until the renewals under way have ended."""
        if tasks := list(self.under_way.values()):
            await asyncio.wait(tasks, timeout=at_most.total_seconds())

    async def run(self) -> None:
        await every(_EVERY, "access tokens", self.run_due)

    async def run_due(self) -> int:
        """Renew tokens that no call has renewed in time, and return how many were due."""
        now = self.clock.now()
        async with self.store.transaction() as tx:
            due = await connections.due_for_renewal(tx, now, now + _AGAIN, _AT_ONCE)
        for outcome in await asyncio.gather(*(self._renew_due(one) for one in due), return_exceptions=True):
            if isinstance(outcome, BaseException) and not isinstance(outcome, HairtriggerError):
                raise outcome
        return len(due)

    async def _renew_due(self, connection: Connection) -> None:
        seen = self.secrets.of_connection(connection).get(ACCESS)
        await self.renewed(connection.org_id, connection.id, seen)

    # -- one renewal

    async def _renewed(self, org_id: UUID, connection_id: UUID, seen: str | None, *, wait: bool) -> dict[str, str]:
        claimed = await self._claimed(org_id, connection_id, seen, wait=wait)
        if not isinstance(claimed, Renewal):
            return claimed
        held = self.secrets.of_connection(claimed.connection)
        try:
            auth, request = await self._request(claimed, held)
        except HairtriggerError as error:
            await self._given_up(claimed, error)
            raise
        asked_at = self.clock.now()
        try:
            grant = await self.ask(org_id, auth, request)
        except (TokenRefused, NoToken) as error:
            return await self._failed(claimed, seen, error)
        return await self._stored(claimed, auth, grant, held, asked_at)

    async def _claimed(
        self, org_id: UUID, connection_id: UUID, seen: str | None, *, wait: bool
    ) -> Renewal | dict[str, str]:
        """Return a renewal that is this process's own, or what the connection holds after one of another process."""
        pause = _FIRST_PAUSE
        try:
            async with asyncio.timeout(_WAIT.total_seconds()):
                while True:
                    now = self.clock.now()
                    async with self.store.transaction() as tx:
                        found = await connections.locked_renewal(tx, org_id, connection_id)
                        if found.connection.ended:
                            raise AccessEnded(found.connection.ended)
                        held = self.secrets.of_connection(found.connection)
                        if held.get(ACCESS) != seen:
                            return held
                        if found.until is None or found.until <= now:
                            return await connections.begin_renewal(tx, found, now, now + LEASE)
                    if not wait:
                        return held
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        except TimeoutError:
            raise ProviderFailed("The access token is being renewed, and that takes too long.") from None

    async def _request(self, claimed: Renewal, held: Mapping[str, str]) -> tuple[TokenAuth, TokenRequest]:
        connection = claimed.connection
        client: Client | None = None
        async with self.store.transaction() as tx:
            provider = await self.catalogue.provider(tx, connection.org_id, connection.provider_id)
            auth = auth_of(provider, connection)
            if isinstance(auth, OAuth2) and held.get(REFRESH):
                client = await self.clients.of(tx, connection.org_id, provider, auth, held.get(CLIENT))
                if client is None:
                    which = held.get(CLIENT) or auth.client or provider.id
                    raise CredentialsRefused(f"The OAuth client with which the access was got is not set up: {which}.")
        request = auth.renewal(held, client, self.clock.now())
        if request is None:
            raise AccessEnded("The access token has ended, and the provider gave nothing to renew it with.")
        return auth, request

    async def _given_up(self, claimed: Renewal, error: HairtriggerError) -> None:
        """End a renewal for which the provider was not asked."""
        connection, now = claimed.connection, self.clock.now()
        ended = error.message if isinstance(error, AccessEnded) else None
        async with self.store.transaction() as tx:
            await connections.end_renewal(tx, claimed, unsure_since=claimed.unsure_since, **_ended(ended))
            status: Literal["expired", "refused"] = "expired" if ended else "refused"
            if isinstance(error, CredentialsRefused):
                await connection_health.mark(tx, [Mark(connection.id, now, error.message, status, renewing=True)])

    async def _failed(self, claimed: Renewal, seen: str | None, error: TokenRefused | NoToken) -> dict[str, str]:
        """Store that the provider gave no token, and raise the error. If the connection has new tokens, return them:
        another process had an answer, or the user connected again.
        """
        connection, now = claimed.connection, self.clock.now()
        ended = _why_ended(claimed, error) if isinstance(error, TokenRefused) and error.ended else None
        unsure = isinstance(error, NoToken) and error.was_sent
        async with self.store.transaction() as tx:
            current = await connections.existing(tx, connection.org_id, connection.id, for_update=True)
            if (
                current.version != connection.version
                and (held := self.secrets.of_connection(current)).get(ACCESS) != seen
            ):
                return held
            since = claimed.unsure_since or (now if unsure else None)
            await connections.end_renewal(tx, claimed, unsure_since=since, **_ended(ended))
            if isinstance(error, TokenRefused):
                status: Literal["needs_reconnect", "refused"] = "needs_reconnect" if ended else "refused"
                mark = Mark(connection.id, now, ended or error.message, status, renewing=True)
                await connection_health.mark(tx, [mark])
        log.warning("access token not renewed", connection_id=str(connection.id), says=ended or error.message)
        raise AccessEnded(ended) if ended else error

    async def _stored(
        self, claimed: Renewal, auth: TokenAuth, grant: Grant, held: Mapping[str, str], asked_at: datetime
    ) -> dict[str, str]:
        """Store new tokens, and return what the connection holds. While the database is away, wait for it."""
        connection, new = claimed.connection, grant.held(held)
        sealed = self.secrets.seal_for_connection(connection.id, new)
        times = times_of(grant, asked_at, renewable=is_renewable(auth, new))

        async def store() -> dict[str, str]:
            async with self.store.transaction() as tx:
                if await connections.store_renewed(tx, claimed, sealed, **vars(times)):
                    await connection_health.renewed(tx, connection.id, self.clock.now())
                    return new
                return self.secrets.of_connection(await connections.existing(tx, connection.org_id, connection.id))

        return await _insisting(store)


def _ended(why: str | None) -> dict[str, str | None]:
    return {"ended": why, "renew_at": None} if why else {}


def auth_of(provider: Provider, connection: Connection) -> TokenAuth:
    """Return how the connection's tokens are got. Raise `NotFound` if the provider has no such way any more."""
    try:
        auth = provider.by_way(connection.way).auth
    except KeyError:
        auth = None
    if not isinstance(auth, TokenAuth):
        raise NotFound(f"The provider '{provider.id}' can't be connected in the way of this connection any more.")
    return auth


async def _insisting(store: Callable[[], Awaitable[dict[str, str]]]) -> dict[str, str]:
    """Call `store` until the database is there. After a commit whose answer was lost it returns what is stored."""
    pause = _FIRST_PAUSE
    try:
        async with asyncio.timeout(_STORING.total_seconds()):
            while True:
                try:
                    return await store()
                except Unavailable:
                    log.warning("database away, new access token waits to be stored")
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
    except TimeoutError:
        log.exception("new access token not stored: the database was away too long")
        raise Unavailable from None


def _why_ended(claimed: Renewal, refused: TokenRefused) -> str:
    if claimed.unsure_since is None:
        return f"The access has ended: {refused.message}. Connect the account again."
    return (
        f"A renewal of the access that began at {claimed.unsure_since:%Y-%m-%d %H:%M:%S} UTC was cut off before its "
        f"answer was stored, and the provider does not take the refresh token from before: {refused.message}. "
        "Connect the account again."
    )


def _wait(reply: Reply) -> timedelta | None:
    given = next((value for name, value in reply.headers if name == "retry-after"), "")
    return timedelta(seconds=min(int(given), 86_400)) if given.isascii() and given.isdigit() else None


def _read(reply: Reply) -> Any:
    try:
        return read_json(reply.body)
    except ValueError:
        return None


@dataclass
class RenewingHttp:
    """Calls a provider with an access token that is valid.

    A token that is about to end is renewed before a call. A call that is answered 401 is repeated once, with a new
    token. Calls without the token, as for documents, pass through.
    """

    http: Http
    tokens: AccessTokens
    auth: TokenAuth
    connection: Connection
    held: dict[str, str] = field(repr=False)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        redirects: Literal["follow", "manual"] = "manual",
        **limits: Any,
    ) -> Reply:
        given = dict(headers or {})
        if self.auth.header not in given:
            return await self.http.send(method, url, headers=given, body=body, redirects=redirects, **limits)

        async def sent() -> Reply:
            carried = {**given, **self.auth.carried(self.held).headers}
            return await self.http.send(method, url, headers=carried, body=body, redirects=redirects, **limits)

        before = self.held.get(ACCESS)
        if self._is_due():
            await self._renew()
        reply = await sent()
        if reply.status == 401 and self.held.get(ACCESS) == before and await self._renewed_after_refusal():
            reply = await sent()
        return reply

    def _is_due(self) -> bool:
        times = (self.connection.renew_at, self.connection.expires_at)
        return any(one is not None and one <= self.tokens.clock.now() for one in times)

    async def _renew(self) -> None:
        """Renew the token ahead of its end. If that fails now, the token is used while it is valid."""
        ends = self.connection.expires_at
        is_over = ends is None or ends <= self.tokens.clock.now()
        try:
            await self._renew_now(wait=is_over)
        except AccessEnded:
            raise
        except ProviderFailed:
            if is_over:
                raise

    async def _renewed_after_refusal(self) -> bool:
        """Return whether there is another token now. The refusal of one that can't be renewed stays as it is."""
        if not is_renewable(self.auth, self.held):
            return False
        await self._renew_now(wait=True)
        return True

    async def _renew_now(self, *, wait: bool) -> None:
        connection, seen = self.connection, self.held.get(ACCESS)
        self.held = await self.tokens.renewed(connection.org_id, connection.id, seen, wait=wait)
        self.connection = replace(connection, renew_at=None, expires_at=None)  # the next question reads them anew
