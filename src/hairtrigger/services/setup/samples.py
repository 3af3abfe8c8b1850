"""Get example events for a user who builds a workflow. Nothing is stored, no cursor moves, and secrets are hidden."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from pydantic_core import from_json

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import NotReady
from hairtrigger.domain.event import Draft
from hairtrigger.domain.privacy import Privacy
from hairtrigger.kit.trigger import Listening, Polling, Trigger
from hairtrigger.sandbox.service.redaction import Redaction
from hairtrigger.sandbox.service.slices import in_slices
from hairtrigger.services.catalogue import Catalogue, secret_params
from hairtrigger.services.provider_calls import ProviderCalls, tenant_of
from hairtrigger.services.setup.triggers import require_ready
from hairtrigger.services.sources import Source
from hairtrigger.store.database import Store
from hairtrigger.store.setup import triggers

_MOST = 3
_PATIENCE = timedelta(seconds=10)
_LATELY = timedelta(days=7)


@dataclass(frozen=True)
class Samples:
    """Example events. Their `source` is the provider (`live`), or what its provider file shows (`example`)."""

    samples: list[Any]
    source: Literal["live", "example"] = "live"


def can_sample(definition: Trigger) -> bool:
    return _can_ask(definition) or definition.example is not None


def _can_ask(definition: Trigger) -> bool:
    return definition.samples is not None or isinstance(definition, Polling)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    store: Store
    catalogue: Catalogue
    calls: ProviderCalls

    async def samples(self, caller: Caller, trigger_id: UUID) -> Samples:
        """Ask the provider for a few example events now, and return them without secrets.

        Raise `NotReady` for a trigger that can't be asked, and `RateLimited` while too many such calls are under way.
        """
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id)
            provider, definition = await self.catalogue.trigger(
                tx, caller.org_id, trigger.provider_id, trigger.trigger_id
            )
            if not can_sample(definition):
                raise NotReady("This trigger has no test samples: its events can't be asked for, only waited for.")
            try:
                require_ready(provider, definition, trigger)
                ready = _can_ask(definition)
            except NotReady:
                if definition.example is None:
                    raise
                ready = False
            if not ready:
                return Samples([Privacy.of(trigger.privacy).redacted_value(definition.example)], "example")
            held = await self.calls.credentials_of(tx, trigger)
        params = self.calls.secrets.params(trigger.id, trigger.config)
        hidden = (str(value) for name, value in params.items() if name in secret_params(definition))
        redaction = Redaction((*held.held.values(), *hidden))
        lately = self.calls.clock.now() - _LATELY
        question = self.calls.question(provider, definition, tenant_of(trigger), params, held, enabled_at=lately)
        with self.calls.asked(tenant_of(trigger)):
            if isinstance(definition, Listening):
                source = Source.of(definition, question, self.calls.door_of(tenant_of(trigger)), trigger.id)
                found = list(await source.samples(_PATIENCE))[:_MOST]
            elif definition.samples:
                found = list(await definition.samples(question))[:_MOST]
            else:
                assert isinstance(definition, Polling)
                page = await definition.poll(question)
                found = [_readable(draft) for draft in page.events[-_MOST:]]
        privacy = Privacy.of(trigger.privacy)
        return Samples([privacy.redacted_value(await in_slices(redaction.in_json(one))) for one in found])


def _readable(draft: Draft) -> Any:
    try:
        return from_json(draft.data)
    except ValueError:
        return {"content_type": draft.content_type, "text": draft.data.decode(errors="replace")}
