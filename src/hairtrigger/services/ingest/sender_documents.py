"""Fetch documents of senders, such as certificates, after the answer to the request that needs them.

Between a request and its answer there is no outgoing call, so the first request that needs a document is answered 503.
The document is then fetched and stored for all processes, and is there when the sender sends the request again.
"""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

import structlog

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.http import Http
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import repeat
from hairtrigger.platform.shares import Tenant
from hairtrigger.services.provider_calls import tenant_of
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes, sender_documents
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.setup.triggers import ProjectTrigger

log = structlog.get_logger()

_LARGEST = 64 * 1024
_MOST_WAITING = 1000  # organisations that wait for a document


class SenderDocuments:
    """Fetches one document at a time.

    At most one document of each organisation waits, so that no organisation delays the others for long.
    """

    def __init__(self, store: Store, clock: Clock, http_of: Callable[[Tenant], Http]) -> None:
        self._store = store
        self._clock = clock
        self._http_of = http_of
        self._waiting: dict[UUID, tuple[str, ProjectTrigger]] = {}
        self._wanted = asyncio.Event()

    async def get(self, url: str) -> bytes | None:
        async with self._store.transaction() as tx:
            return await sender_documents.get(tx, url)

    def fetch_soon(self, url: str, trigger: ProjectTrigger) -> None:
        """Put the document in the queue, unless the organisation has one there or the queue is full.

        The sender sends its request again, so a document that was not queued is asked for again.
        """
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.setdefault(trigger.org_id, (url, trigger))
            self._wanted.set()

    async def run(self) -> None:
        await repeat("sender documents", self._next)

    async def _next(self) -> timedelta:
        await self._wanted.wait()
        self._wanted.clear()
        await self.fetch_waiting()
        return timedelta()

    async def fetch_waiting(self) -> None:
        """Fetch and store the documents in the queue, one after the other, until it is empty."""
        while self._waiting:
            org_id, (url, trigger) = next(iter(self._waiting.items()))
            try:
                await self._fetch(url, trigger)
            finally:
                del self._waiting[org_id]

    async def _fetch(self, url: str, trigger: ProjectTrigger) -> None:
        try:
            body = await _fetched(self._http_of(tenant_of(trigger)), url)
        except ProviderFailed as error:
            log.warning("document of a sender not fetched", url=url, reason=error.message)
            detail = f"A document of the sender could not be fetched from {url}. {error.message}"
            now = self._clock.now()
            async with self._store.transaction() as tx:
                await outcomes.record(tx, Outcome(Kind.WEBHOOK, Code.FAILED, now, trigger.org_id, trigger.id, detail))
            return
        async with self._store.transaction() as tx:
            await sender_documents.put(tx, url, body, self._clock.now())


async def _fetched(http: Http, url: str) -> bytes:
    reply = await http.send("GET", url, headers={})
    if reply.status != 200 or len(reply.body) > _LARGEST:
        raise ProviderFailed(f"The answer has the status {reply.status} and {len(reply.body)} bytes.")
    return reply.body
