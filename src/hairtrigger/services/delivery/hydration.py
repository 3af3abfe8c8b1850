"""Complete thin events before their first delivery, with the connection of their trigger.

A thin event names a thing at its provider. It is stored and its request is answered before anything is fetched. The
fetch is a part of the attempt to deliver: it has the attempt's lease, retries and order, and it takes a place of the
trigger's own project. So a crash loses nothing, and a slow provider fills only the lanes of the projects that use it.
"""

import asyncio
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import structlog

from hairtrigger.domain.errors import HairtriggerError, MissingAtProvider, ProviderFailed, Unavailable, sentence
from hairtrigger.domain.event import INCOMPLETE, THIN, Draft
from hairtrigger.domain.outcome import Code, Failure, Kind
from hairtrigger.domain.privacy import Privacy
from hairtrigger.domain.target import Sent
from hairtrigger.kit.trigger import Hydrate
from hairtrigger.platform.clock import Clock
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.provider_calls import ProviderCalls, tenant_of
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store.database import Store
from hairtrigger.store.events import events, outcomes
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.setup.triggers import ProjectTrigger

log = structlog.get_logger()

_BROKEN = "The fetch broke inside the service; see its log."


@dataclass(frozen=True, kw_only=True)
class Hydration:
    store: Store
    clock: Clock
    catalogue: Catalogue
    calls: ProviderCalls
    deadline: timedelta
    counter: UseCounter = field(default_factory=UseCounter)

    async def completed(self, event: Event) -> Event | Sent:
        """Return the event with its whole data, or as it is if it is not thin. Return a failed attempt if the data
        can't be fetched now.

        An event whose data its provider no longer has is marked as incomplete, and returned.
        """
        if event.content_type != THIN:
            return event
        async with self.store.transaction() as tx:
            stored = await events.get(tx, event.org_id, event.id)
            if stored is None or stored.content_type != THIN:
                return stored or event
            found = await triggers.with_connections(tx, [event.project_trigger_id])
        trigger, connection = found.get(event.project_trigger_id, (None, None))
        if trigger is None:
            return await self._incomplete(event, "Its trigger was deleted before it was fetched.")
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if definition is None or definition.hydrate is None:
            return event  # a sender chose this media type
        try:
            async with asyncio.timeout(self.deadline.total_seconds()):
                whole = await self._fetched(event, trigger, connection, definition.hydrate)
        except Unavailable:
            raise
        except MissingAtProvider as gone:
            return await self._incomplete(event, sentence(gone))
        except TimeoutError:
            return _failed(f"That took longer than {self.deadline}.")
        except HairtriggerError as error:
            asked = error.retry_after if isinstance(error, ProviderFailed) else None
            return _failed(sentence(error), asked)
        except Exception:
            log.exception("an event could not be completed", project_trigger_id=str(trigger.id))
            return _failed(_BROKEN)
        if trigger.privacy is not None:
            whole = Privacy.of(trigger.privacy).redacted(whole)
        return await self._stored(event, whole)

    async def _fetched(
        self, event: Event, trigger: ProjectTrigger, connection: Connection | None, hydrate: Hydrate[Any]
    ) -> Draft:
        provider = self.catalogue.native(trigger.provider_id)
        definition = provider and provider.trigger(trigger.trigger_id)
        assert provider
        assert definition
        question = self.calls.question(
            *(provider, definition, tenant_of(trigger)),
            self.calls.secrets.params(trigger.id, trigger.config),
            self.calls.credentials_in(connection),
            enabled_at=trigger.enabled_at,
            remote=trigger.webhook_data,
        )
        thin = Draft(event.key, event.body, event.type, event.subject, event.occurred_at, thin=True)
        return await hydrate(question, thin)

    async def _stored(self, event: Event, whole: Draft) -> Event:
        changed = event.with_data(whole.data, whole.content_type, whole.subject)
        async with self.store.transaction() as tx:
            await events.complete(tx, changed, THIN)
        self.counter.grown(event.org_id, len(changed.body) - len(event.body))
        return changed

    async def _incomplete(self, event: Event, why: str) -> Event:
        marked = event.with_data(event.body, INCOMPLETE, event.subject)
        detail = f"It could not be completed: {why}"
        told = Outcome(
            Kind.TARGET, Code.INCOMPLETE_EVENT, self.clock.now(), event.org_id, event.project_trigger_id, detail
        )
        async with self.store.transaction() as tx:
            if await events.complete(tx, marked, THIN):
                await outcomes.record(tx, replace(told, key=event.key))
        return marked


def _failed(why: str, retry_after: timedelta | None = None) -> Sent:
    detail = f"The event could not be fetched from its provider, so the target was not called. {why}"
    return Sent("failed", None, detail, retry_after=retry_after, failure=Failure.UNFETCHED)
