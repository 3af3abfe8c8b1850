"""Webhook requests become events: verified as bytes, parsed, stored, and only then answered.

Nothing here calls out. A request ends in a handshake answered, events stored, a repeat acknowledged, a known reason
to ignore it, or a refusal; whatever did not become an event leaves an outcome that says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from pydantic_core import to_json

from hairtrigger.domain.errors import Invalid, Malformed, NotFound, Rejected
from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.delivery import Request
from hairtrigger.kit.handshake import Answer
from hairtrigger.kit.trigger import App, AppWebhook, Delivery, Provider, Webhook
from hairtrigger.platform.batching import Batcher
from hairtrigger.platform.clock import Clock
from hairtrigger.services.accounts import Caller
from hairtrigger.services.catalogue import Catalogue, config_of
from hairtrigger.services.recording import Recorder, Write, event_from
from hairtrigger.services.secrets import Secrets
from hairtrigger.store import triggers
from hairtrigger.store.database import Store
from hairtrigger.store.outcomes import Outcome
from hairtrigger.store.triggers import ProjectTrigger


@dataclass(frozen=True)
class Ingest:
    store: Store
    clock: Clock
    catalogue: Catalogue
    secrets: Secrets
    recorder: Recorder
    look_up: Batcher[UUID, ProjectTrigger | None]
    app_secrets: Mapping[str, Sequence[str]] = field(repr=False)

    async def receive(self, webhook_id: str, request: Request) -> Answer:
        """What it returns is on disk.

        Raises `NotFound` for an address nobody has, `Rejected` for a bad signature, `Malformed` for a body that is not
        the provider's, and `Unavailable` when nothing could be stored.
        """
        provider = self.catalogue.native(webhook_id)
        if provider and provider.app:
            return await self._from_app(provider, provider.app, request)
        try:
            trigger = await self.look_up.submit(UUID(webhook_id))
        except ValueError as error:
            raise NotFound("There is no such webhook.") from error
        if trigger is None:
            raise NotFound("There is no such webhook.")
        return await self._for_trigger(trigger, request)

    async def receive_with_key(
        self,
        caller: Caller,
        trigger_id: UUID,
        request: Request,
        provider_id: str | None = None,
        definition_id: str | None = None,
    ) -> Answer:
        """A delivery vouched for by an API key of the trigger's organisation instead of a signature."""
        trigger = await self.look_up.submit(trigger_id)
        named = (provider_id, definition_id)
        if (
            trigger is None
            or trigger.org_id != caller.org_id
            or any(
                given not in (None, own)
                for given, own in zip(named, (trigger.provider_id, trigger.trigger_id), strict=True)
            )
        ):
            raise NotFound("There is no such project trigger.")
        return await self._for_trigger(trigger, request, signed=False)

    async def _for_trigger(self, trigger: ProjectTrigger, request: Request, *, signed: bool = True) -> Answer:
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Webhook):
            raise NotFound("This trigger does not take webhooks.")
        if not trigger.enabled:
            return await self._ignored(Code.IGNORED_DISABLED, "the trigger is disabled", trigger)
        try:
            config = config_of(definition, trigger)
            if signed:
                definition.verifier(config)(request, self.secrets.live(trigger, self.clock.now()))
            if challenge := definition.handshake(request):
                await self._note(Code.HANDSHAKE, "The provider's handshake was answered.", trigger)
                return challenge
            drafts = tuple(definition.events(Delivery(request, config)))
        except (Rejected, Malformed, Invalid) as error:
            await self._note(_code(error), error.message, trigger)
            raise
        return await self._stored([(trigger, drafts)], request)

    async def _from_app(self, provider: Provider, app: App, request: Request) -> Answer:
        try:
            app.verify(request, self.app_secrets.get(provider.id, ()))
            if challenge := app.handshake(request):
                return challenge
            accounts = app.accounts(request)
            async with self.store.transaction() as tx:
                listening = await triggers.listening_to(tx, provider.id, accounts)
            heard = [(trigger, await self._drafts(provider, trigger, request)) for trigger in listening]
        except (Rejected, Malformed) as error:
            await self._note(_code(error), f"{provider.id}: {error.message}")
            raise
        if not heard:
            return await self._ignored(Code.IGNORED_UNROUTED, f"no enabled trigger listens to {', '.join(accounts)}")
        return await self._stored(heard, request)

    async def _drafts(self, provider: Provider, trigger: ProjectTrigger, request: Request) -> tuple[Draft, ...]:
        """One trigger that can't read its own configuration must not keep the delivery from the others."""
        definition = provider.trigger(trigger.trigger_id)
        if not isinstance(definition, AppWebhook):
            return ()
        try:
            return tuple(definition.events(Delivery(request, config_of(definition, trigger))))
        except Invalid as error:
            await self._note(Code.FAILED, error.message, trigger)
            return ()

    async def _stored(self, heard: Sequence[tuple[ProjectTrigger, Sequence[Draft]]], request: Request) -> Answer:
        events = tuple(event_from(trigger, draft, request.received_at) for trigger, drafts in heard for draft in drafts)
        if not events:
            return await self._ignored(
                Code.IGNORED_EVENT, "not an event this trigger listens for", *(trigger for trigger, _ in heard)
            )
        fresh = await self.recorder.write(Write(Kind.WEBHOOK, events))
        return _answer("accepted" if fresh else "duplicate", events=[str(e.id) for e in events if e.id in fresh])

    async def _ignored(self, code: Code, reason: str, *told: ProjectTrigger) -> Answer:
        await self._note(code, f"{reason[0].upper()}{reason[1:]}.", *told)
        return _answer("ignored", reason=code.removeprefix("ignored_"), detail=reason)

    async def _note(self, code: Code, detail: str, *told: ProjectTrigger) -> None:
        now = self.clock.now()
        outcomes = tuple(Outcome(Kind.WEBHOOK, code, now, t.org_id, t.id, detail) for t in told)
        await self.recorder.write(
            Write(Kind.WEBHOOK, outcomes=outcomes or (Outcome(Kind.WEBHOOK, code, now, detail=detail),))
        )


def _code(error: Rejected | Malformed | Invalid) -> Code:
    match error:
        case Rejected():
            return Code.REJECTED
        case Malformed():
            return Code.MALFORMED
        case Invalid():
            return Code.FAILED  # it was configured when less was asked of a configuration


def _answer(status: str, **more: object) -> Answer:
    return Answer(200, "application/json", to_json({"status": status, **more}))
