"""Prepare questions to providers, with the configuration, secrets, cursor and HTTP client that they need."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from hairtrigger.domain.errors import CredentialsRefused, RateLimited
from hairtrigger.kit.http import Api, DocumentLimits, Http, Watch, WatchedHttp
from hairtrigger.kit.trigger import Known, Page, Polling, Provider, Question, Trigger
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.parsers import Parsers
from hairtrigger.platform.shares import Shares, Tenant
from hairtrigger.services.catalogue import validated
from hairtrigger.services.parsing import Parsing
from hairtrigger.services.secrets import Secrets
from hairtrigger.store.setup import connections
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


@dataclass(frozen=True, kw_only=True)
class ProviderCalls:
    http_of: Callable[[Tenant], Http]
    clock: Clock
    secrets: Secrets
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
        params: Mapping[str, Any],
        secrets: Mapping[str, str],
        *,
        cursor: Mapping[str, Any] | None = None,
        enabled_at: datetime | None = None,
        known: Known | None = None,
        watch: Watch | None = None,
    ) -> Question[Any]:
        """Return a question to a provider about what happened after the cursor. A trigger's first question has no
        cursor.

        `enabled_at` is when the trigger was enabled, by default now. Raise `CredentialsRefused` if the definition needs
        a connection and `secrets` lacks one of its secrets, and `InvalidConfig` if `params` are not valid.
        """
        missing = [name for name in provider.fields if not secrets.get(name)]
        if missing and definition.needs_connection:
            raise CredentialsRefused(f"The connection lacks {', '.join(missing)}.")
        now = self.clock.now()
        question: Question[Any] = Question(
            config=validated(definition, params),
            api=self._anonymous(provider, tenant) if missing else self.api(provider, tenant, secrets),
            secrets=secrets,
            cursor=cursor,
            enabled_at=enabled_at or now,
            asked_at=now,
            parse=Parsing(self.parsers, tenant.org),
            project=tenant.project,
        )
        if watch:
            watched = replace(question.api, http=WatchedHttp(question.api.http, watch))
            question = replace(question, api=watched, watch=watch)
        return replace(question, known=known) if known else question

    def api(self, provider: Provider, tenant: Tenant, secrets: Mapping[str, str]) -> Api:
        """Return the provider's API with these credentials.

        The caller has checked that none of the provider's secrets is missing.
        """
        carried = provider.auth.carried(secrets)
        held = tuple(secrets[name] for name in provider.fields)
        return Api(self.http_of(tenant), provider.address(secrets), carried, documents=self.documents, secrets=held)

    def _anonymous(self, provider: Provider, tenant: Tenant) -> Api:
        return Api(self.http_of(tenant), provider.base_url, documents=self.documents)

    async def secrets_of(self, tx: Transaction, trigger: ProjectTrigger) -> dict[str, str]:
        """Return the secrets of the trigger's connection by their names.

        The mapping is empty if the trigger has no connection.
        """
        if trigger.connection_id is None:
            return {}
        return self.secrets_in(await connections.get(tx, trigger.org_id, trigger.connection_id))

    def secrets_in(self, connection: Connection | None) -> dict[str, str]:
        return self.secrets.of_connection(connection) if connection else {}


def tenant_of(trigger: ProjectTrigger) -> Tenant:
    return Tenant(str(trigger.org_id), trigger.project_id)
