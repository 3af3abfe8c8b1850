"""Prepare questions to providers, with the configuration, secrets, cursor and HTTP client that they need."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hairtrigger.domain.errors import AccessDenied, CredentialsRefused, NotReady, RateLimited
from hairtrigger.kit.config import Config
from hairtrigger.kit.http import Api, DocumentLimits, Http, Watch, WatchedHttp
from hairtrigger.kit.oauth import REFRESH, TokenAuth
from hairtrigger.kit.trigger import Known, Page, Polling, Provider, Question, Trigger
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.parsers import Parsers
from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.platform.sockets import Door
from hairtrigger.services.access_tokens import AccessTokens, RenewingHttp
from hairtrigger.services.catalogue import validated
from hairtrigger.services.parsing import Parsing
from hairtrigger.services.secrets import Secrets
from hairtrigger.store.setup import connection_health, connections
from hairtrigger.store.setup.connection_health import Mark
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.setup.triggers import ProjectTrigger
from hairtrigger.store.transaction import Transaction

MOST_PAGES = 100  # of one poll; the next poll gets the rest
_ASKED = 50  # at a time, of one project alone
_RETRY_AFTER = timedelta(seconds=5)


class Pages:
    """The pages of one poll, at most `most` of them, or any number if that is None.

    A page that has not come when the time `within` has passed since this object was made is not waited for.
    """

    def __init__(
        self, definition: Polling[Any], question: Question[Any], within: timedelta, most: int | None = MOST_PAGES
    ) -> None:
        self._definition, self._question, self._most = definition, question, most
        self._late = asyncio.get_running_loop().time() + within.total_seconds()
        self._count = 0

    async def next(self) -> tuple[Page, bool]:
        """Return the next page, and whether it is the last. Raise `TimeoutError` if the time of the poll is over."""
        async with asyncio.timeout_at(self._late):
            page = await self._definition.poll(self._question)
        self._count += 1
        self._question = replace(self._question, cursor=page.cursor)
        return page, not page.more or self._count == self._most


@dataclass(frozen=True)
class Credentials:
    """The secrets of a connection, and the way in which calls carry them. `connection` is None if it was deleted."""

    held: Mapping[str, str] = field(repr=False)
    way: str | None = None
    connection: Connection | None = field(default=None, repr=False)


NO_CREDENTIALS = Credentials({})


@dataclass(frozen=True, kw_only=True)
class ProviderCalls:
    http_of: Callable[[Tenant], Http]
    door_of: Callable[[Tenant], Door]
    clock: Clock
    secrets: Secrets
    tokens: AccessTokens
    parsers: Parsers
    documents: DocumentLimits = field(default_factory=DocumentLimits)
    places: Shares = field(default_factory=lambda: Shares.beyond(_ASKED), repr=False)
    """The places for calls that users wait for. Polls that are due have places of their own."""

    @contextmanager
    def asked(self, tenant: Tenant) -> Iterator[None]:
        """Take one of the places for calls that a user waits for, and give it back when the block ends.

        Raise `RateLimited` if none is free.
        """
        if not self.places.taken(tenant):
            raise RateLimited("Too many calls to providers are under way. Try again.", retry_after=_RETRY_AFTER)
        try:
            yield
        finally:
            self.places.leave(tenant)

    def question(
        self,
        provider: Provider,
        definition: Trigger,
        tenant: Tenant,
        params: Mapping[str, Any] | Config,
        credentials: Credentials,
        *,
        cursor: Mapping[str, Any] | None = None,
        enabled_at: datetime | None = None,
        known: Known | None = None,
        watch: Watch | None = None,
        remote: Mapping[str, Any] | None = None,
    ) -> Question[Any]:
        """Return a question to a provider about what happened after the cursor. A trigger's first question has no
        cursor.

        `remote` is what the trigger's registration returned.

        `enabled_at` is when the trigger was enabled, by default now. Raise `CredentialsRefused` if the definition needs
        a connection and the credentials lack one of its secrets, and `InvalidConfig` if `params` are not valid. A
        configuration that is given in place of `params` is not checked.
        """
        provider, held = _by_way(provider, credentials), credentials.held
        missing = [name for name in provider.fields if not held.get(name)]
        if missing and definition.needs_connection:
            raise CredentialsRefused(f"The connection lacks {', '.join(missing)}.")
        now = self.clock.now()
        question: Question[Any] = Question(
            config=params if isinstance(params, Config) else validated(definition, params),
            api=self._anonymous(provider, tenant) if missing else self.api(provider, tenant, credentials),
            secrets={name: value for name, value in held.items() if name != REFRESH},
            cursor=cursor,
            enabled_at=enabled_at or now,
            asked_at=now,
            parse=Parsing(self.parsers, tenant.org),
            project=tenant.project,
            remote=remote or {},
        )
        if watch:
            watched = replace(question.api, http=WatchedHttp(question.api.http, watch))
            question = replace(question, api=watched, watch=watch)
        return replace(question, known=known) if known else question

    def api(self, provider: Provider, tenant: Tenant, credentials: Credentials) -> Api:
        """Return the provider's API with these credentials. An access token of a connection is renewed when it is due.

        The provider is in the way of the credentials, and the caller has checked that none of its secrets is missing.
        """
        held, connection = credentials.held, credentials.connection
        api = Api(
            self.http_of(tenant),
            provider.address(held),
            provider.auth.carried(held),
            documents=self.documents,
            secrets=tuple(held[name] for name in provider.fields),
        )
        if not connection or not isinstance(provider.auth, TokenAuth):
            return api
        renewing = RenewingHttp(api.http, self.tokens, provider.auth, connection, dict(held))
        return replace(api, http=renewing, renewed=lambda: tuple(renewing.held.values()))

    @asynccontextmanager
    async def marking(self, credentials: Credentials, *, success: bool) -> AsyncIterator[None]:
        """Store in the health of the connection that the calls in the block were refused.

        With `success` it is stored, too, that they were not.
        """
        connection = credentials.connection
        try:
            yield
        except AccessDenied:
            raise
        except CredentialsRefused as refused:
            await self._mark(connection, refused.message)
            raise
        if success:
            await self._mark(connection, None)

    async def _mark(self, connection: Connection | None, refused: str | None) -> None:
        if connection:
            async with self.tokens.store.transaction() as tx:
                await connection_health.mark(tx, [Mark(connection.id, self.clock.now(), refused)])

    def _anonymous(self, provider: Provider, tenant: Tenant) -> Api:
        return Api(self.http_of(tenant), provider.base_url, documents=self.documents)

    async def credentials_of(self, tx: Transaction, trigger: ProjectTrigger) -> Credentials:
        """Return the credentials of the trigger's connection, or empty ones if the trigger has no connection."""
        if trigger.connection_id is None:
            return NO_CREDENTIALS
        return self.credentials_in(await connections.get(tx, trigger.org_id, trigger.connection_id))

    def credentials_in(self, connection: Connection | None) -> Credentials:
        if connection is None:
            return NO_CREDENTIALS
        return Credentials(self.secrets.of_connection(connection), connection.way, connection)


def _by_way(provider: Provider, credentials: Credentials) -> Provider:
    try:
        return provider.by_way(credentials.way)
    except KeyError:
        said = f"'{provider.name}' can't be connected as '{credentials.way}' any more. Connect the account again."
        raise NotReady(said) from None


def tenant_of(trigger: ProjectTrigger) -> Tenant:
    return Tenant(str(trigger.org_id), trigger.project_id)
