"""Turn webhook requests into events. A request is verified as bytes, parsed, stored, and only then answered.

No outgoing call is made before the answer. A request ends with an answered handshake, stored events, an acknowledged
repeat, a known reason to ignore it, or a refusal. A request that does not become an event leaves an outcome that says
why.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from uuid import UUID

import structlog
from pydantic_core import to_json

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import (
    Broken,
    DocumentNeeded,
    Invalid,
    Malformed,
    NoSuchTrigger,
    NotFound,
    NotWanted,
    Rejected,
    Unavailable,
    WrongMethod,
    sentence,
)
from hairtrigger.domain.event import Draft
from hairtrigger.domain.hops import HEADER, MOST, hops_in
from hairtrigger.domain.ids import parsed_id
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.quotas import DiskFull, QuotaSpent, Refusal, Refuses, code_of, nothing_refused
from hairtrigger.domain.trace import sent_context
from hairtrigger.kit.handshake import Answer, answered
from hairtrigger.kit.incoming import Incoming, Request
from hairtrigger.kit.trigger import App, AppWebhook, Provider, Webhook
from hairtrigger.platform.clock import Clock
from hairtrigger.services.catalogue import Catalogue, config_of
from hairtrigger.services.ingest.receiver_cache import Receiver, ReceiverCache
from hairtrigger.services.ingest.refusal_counter import RefusalCounter
from hairtrigger.services.ingest.sender_documents import SenderDocuments
from hairtrigger.services.ingest.told_tokens import hint
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.recorder import Recorder, event_from, rekeyed
from hairtrigger.services.tracing import Tracing
from hairtrigger.store.database import Store
from hairtrigger.store.events import events as stored_events
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.events.request_batches import Write
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.triggers import ProjectTrigger, TriggerWithVersion
from hairtrigger.store.text import storable

log = structlog.get_logger()

_TRIES = 3  # of one request, if its trigger changes meanwhile
_MOST_DOCUMENTS = 2  # that one request needs: a certificate, and the confirmation of a subscription
_UNWANTED = "not what the trigger listens for"


@dataclass(frozen=True, kw_only=True)
class Ingest:
    store: Store
    clock: Clock
    catalogue: Catalogue
    recorder: Recorder
    receivers: ReceiverCache
    refusals: RefusalCounter
    documents: SenderDocuments
    app_secrets: Mapping[str, Sequence[str]] = field(repr=False)
    refusal: Refuses = nothing_refused
    metrics: Metrics = field(default_factory=lambda: Metrics(on=False))
    tracing: Tracing = field(default_factory=Tracing)

    async def receive(self, webhook_id: str, request: Request) -> Answer:
        """Return the answer to a request, after the request's events are on disk.

        Raise `NotFound` for an address that no trigger has, `Rejected` for a bad signature, `Malformed` for a body that
        is not in the provider's format, `WrongMethod` for a method that brings no events, `Invalid` for a stored
        configuration that breaks newer rules, `QuotaSpent` if the organisation has used up a quota, `Broken` for a
        fault of the service, and `Unavailable` if nothing could be stored.
        """
        provider = self.catalogue.native(webhook_id)
        if provider and (app := provider.app):
            return await _unchanged(lambda: self._from_app(provider, app, request))
        if answer := await self._from_memory(webhook_id, request):
            return answer
        trigger_id = parsed_id(webhook_id)
        return await _unchanged(lambda: self._from_anybody(trigger_id, request))

    async def receive_with_key(
        self,
        caller: Caller,
        trigger_id: UUID,
        request: Request,
        provider_id: str | None = None,
        definition_id: str | None = None,
    ) -> Answer:
        """Receive a request that is authenticated by an API key of the trigger's organisation, not by a signature.

        Return the answer and raise errors as `receive` does. Raise `NoSuchTrigger` for a trigger of another
        organisation, or of another provider or definition than those given.
        """

        async def received() -> Answer | None:
            trigger = await self.receivers.look_up(trigger_id)
            named = (provider_id, definition_id)
            if (
                trigger is None
                or trigger.org_id != caller.org_id
                or any(
                    given not in (None, own)
                    for given, own in zip(named, (trigger.provider_id, trigger.trigger_id), strict=True)
                )
            ):
                raise NoSuchTrigger
            return await self._for_trigger(trigger, request, signed=False)

        return await _unchanged(received)

    async def _from_memory(self, webhook_id: str, request: Request) -> Answer | None:
        """Store the request's events with the remembered receiver, and return the answer.

        Return None if nothing could be stored in this way, because there is no receiver, the request is not authentic
        or has no events, or the trigger has changed since it was remembered.
        """
        receiver = self.receivers.remembered(webhook_id)
        if receiver is None:
            return None
        try:
            read = receiver.read(request, self.clock.now())
        except Exception:  # noqa: BLE001 the request is read again later, and then a fault leaves an outcome
            return None
        if isinstance(read, Answer) or not read:
            return None
        return await self._stored([(receiver.trigger, read)], request, _repeats(receiver))

    async def _from_anybody(self, trigger_id: UUID | None, request: Request) -> Answer | None:
        trigger = await self.receivers.look_up(trigger_id) if trigger_id else None
        if trigger is None:
            raise NotFound("There is no such webhook.")
        return await self._for_trigger(trigger, request)

    async def _for_trigger(
        self, trigger: TriggerWithVersion, request: Request, *, signed: bool = True
    ) -> Answer | None:
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Webhook):
            raise NotFound("This trigger does not take webhooks.")
        receiver: Receiver | None = None
        try:
            receiver = self.receivers.of(trigger, definition)
            # A provider asks its question while the trigger is being enabled, too.
            greeting = receiver.greeted(request, self.clock.now())
            if not trigger.enabled and greeting is None:
                return await self._ignored(Code.IGNORED_DISABLED, "the trigger is disabled", trigger)
            read = greeting or await self._read(receiver, request, signed=signed)
        except Rejected as error:
            told = self._explained(error, receiver, request)
            await self._note(Code.REJECTED, told.message, trigger)
            raise told from error
        except NotWanted as error:
            return await self._ignored(Code.IGNORED_EVENT, error.message, trigger)
        except (Malformed, Invalid, WrongMethod) as error:
            await self._note(_code(error), sentence(error), trigger)
            raise
        except Unavailable:
            raise
        except Exception as error:
            raise await self._broken(error, "A request could not be read", trigger) from error
        if isinstance(read, Answer):
            await self._greeted(receiver, request)
            return read
        return await self._stored([(trigger, read)], request, _repeats(receiver))

    async def _greeted(self, receiver: Receiver, request: Request) -> None:
        """Record a handshake, and keep the secret that the sender told with it."""
        trigger, answered = receiver.trigger, "The provider's handshake was answered."
        token = receiver.told(request)
        noted = await self._note(Code.HANDSHAKE, f"{answered} {hint(trigger.id)}" if token else answered, trigger)
        if token and noted:
            await self.receivers.tokens.keep(trigger, token, self.clock.now())

    async def _read(self, receiver: Receiver, request: Request, *, signed: bool) -> Answer | tuple[Draft, ...]:
        """Return the events of a request or the answer to it, read with the documents of its sender that are stored.

        Raise `Unavailable` if one is missing. It is fetched after the answer, and the sender sends the request again.
        """
        for _ in range(_MOST_DOCUMENTS):
            try:
                return receiver.read(request, self.clock.now(), signed=signed)
            except DocumentNeeded as needed:
                document = await self.documents.get(needed.url)
                if document is None:
                    self.documents.fetch_soon(needed.url, receiver.trigger)
                    raise
                request = replace(request, documents={**request.documents, needed.url: document})
        return receiver.read(request, self.clock.now(), signed=signed)

    def _explained(self, error: Rejected, receiver: Receiver | None, request: Request) -> Rejected:
        """Return the refusal to raise.

        If the request is signed with a replaced secret, the refusal says until when that secret was valid.
        """
        until = receiver.replaced_secret(request, self.clock.now()) if receiver else None
        if until is None:
            return error
        return Rejected(
            f"It matches a secret of the trigger that was replaced, and that was valid until {until:%Y-%m-%d %H:%M:%S} "
            "UTC. Give the sender the new one."
        )

    async def _from_app(self, provider: Provider, app: App, request: Request) -> Answer | None:
        secrets = self.app_secrets.get(provider.id, ())
        try:
            if challenge := answered(app.handshakes, request, secrets, signed=False):
                self.metrics.request_ended(Code.HANDSHAKE, provider.id)
                return challenge
            if request.method != "POST":
                raise WrongMethod(("POST",))
            app.verify(request, secrets)
            if challenge := answered(app.handshakes, request, secrets, signed=True):
                self.metrics.request_ended(Code.HANDSHAKE, provider.id)
                return challenge
            # A text that the database refuses can't be the name of an account.
            accounts = [account for account in app.accounts(request) if storable(account) == account]
            async with self.store.transaction() as tx:
                listening = await triggers.listening_to(tx, provider.id, accounts)
                owners = [] if listening else await triggers.owners(tx, provider.id, accounts)
            read = [(trigger, await self._drafts(provider, trigger, request)) for trigger in listening]
        except (Rejected, Malformed, WrongMethod) as error:
            await self._note(_code(error), f"{provider.id}: {error.message}", provider_id=provider.id)
            raise
        except Unavailable:
            raise
        except Exception as error:
            raise await self._broken(error, f"{provider.id}: a request could not be read") from error
        if not listening:
            self._count_unrouted(provider, owners)
            nowhere = f"no enabled trigger listens to {', '.join(accounts)}"
            return await self._ignored(Code.IGNORED_UNROUTED, nowhere, provider_id=provider.id)
        heard = [(trigger, drafts) for trigger, drafts in read if drafts is not None]
        if not heard:
            return _answer("ignored", reason="event", detail=_UNWANTED)
        return await self._stored(await self._within_quotas(heard), request)

    def _count_unrouted(self, provider: Provider, owners: Sequence[tuple[UUID, str]]) -> None:
        """Count a request to which no trigger listens, for the organisations that have a connection to its account."""
        now, code = self.clock.now(), Code.IGNORED_UNROUTED
        for org_id, account in owners:
            self.refusals.count_soon(Outcome(Kind.WEBHOOK, code, now, org_id, key=f"{provider.id}/{account}"))

    async def _within_quotas(
        self, heard: Sequence[tuple[TriggerWithVersion, Sequence[Draft]]]
    ) -> Sequence[tuple[TriggerWithVersion, Sequence[Draft]]]:
        """Return the events of organisations that have not used up a quota. Triggers of the others get an outcome, and
        no event.

        All organisations share the app webhook. A refused request would be sent again for each of them, and after many
        refusals the provider would switch the webhook off. So an organisation that uses up its quota loses the events
        of its app webhooks, and no other organisation notices.
        """
        within = []
        for trigger, drafts in heard:
            refused = self.refusal(trigger.org_id) if drafts else None
            if isinstance(refused, QuotaSpent):
                await self._note(code_of(refused), refused.message, trigger)
            else:
                within.append((trigger, drafts))
        return within

    async def _drafts(self, provider: Provider, trigger: ProjectTrigger, request: Request) -> tuple[Draft, ...] | None:
        """Return the events that a request has for a trigger; there may be none.

        Return None if the trigger's configuration is invalid or does not want the request. Then the trigger has an
        outcome already, and other triggers still get their events. After any other error, such as `Malformed`, which
        is raised, no trigger gets an event.
        """
        definition = provider.trigger(trigger.trigger_id)
        if not isinstance(definition, AppWebhook):
            return ()
        try:
            return tuple(definition.events(Incoming(request, config_of(definition, trigger))))
        except Invalid as error:
            await self._note(Code.FAILED, sentence(error), trigger)
        except NotWanted as error:
            await self._note(Code.IGNORED_EVENT, error.message, trigger)
        return None

    async def _stored(
        self, heard: Sequence[tuple[TriggerWithVersion, Sequence[Draft]]], request: Request, repeats: str = ""
    ) -> Answer | None:
        """Store the events and return the answer, or store nothing and return None if a trigger has changed since.

        A request that is not wanted, or that is part of a loop, is answered as ignored. `repeats` says what counts as a
        repeat of this trigger's requests. Raise `QuotaSpent` or `DiskFull` if no event of the organisation is taken
        now.
        """
        if not heard:
            return _answer("ignored", reason=Code.OVER_QUOTA, detail="a quota is used up")
        heard = [(trigger, await rekeyed(drafts, partial(self._known, trigger.id))) for trigger, drafts in heard]
        given = sent_context(request.headers)
        begun = self.tracing.begun(given)
        trace = begun or given
        events = [
            event_from(trigger, draft, request.received_at, trace) for trigger, drafts in heard for draft in drafts
        ]
        if not events:
            return await self._ignored(Code.IGNORED_EVENT, _UNWANTED, *(trigger for trigger, _ in heard))
        passed = hops_in(request.headers.get(HEADER))
        if passed > MOST:
            looped = f"{passed} deliveries of this service led to it, each to the next, and more than {MOST} are a loop"
            return await self._ignored(Code.IGNORED_LOOP, looped, *(trigger for trigger, _ in heard))
        if refused := self.refusal(events[0].org_id):
            await self._note_refused(refused, *(trigger for trigger, _ in heard))
            raise refused
        versions = [trigger.version for trigger, drafts in heard for _ in drafts]
        write = Write(events, versions, hops=passed, repeats=repeats, provider_id=heard[0][0].provider_id, trace=begun)
        try:
            fresh = await self.recorder.write(write)
        except Unavailable:
            raise
        except Exception as error:
            told = {trigger.id: trigger for trigger, _ in heard}.values()
            raise await self._broken(error, "What a request holds could not be stored", *told) from error
        if fresh is None:
            return None
        return _answer("accepted" if fresh else "duplicate", events=[str(event.id) for event in fresh])

    async def _known(self, trigger_id: UUID, keys: Sequence[str]) -> set[str]:
        async with self.store.transaction() as tx:
            return await stored_events.known(tx, trigger_id, keys)

    async def _note_refused(self, refused: Refusal, *told: ProjectTrigger) -> None:
        if isinstance(refused, DiskFull):  # nothing is stored now that can be stored later
            for trigger in told:
                outcome = Outcome(Kind.WEBHOOK, Code.DISK_FULL, self.clock.now(), trigger.org_id, trigger.id)
                self.metrics.request_ended(Code.DISK_FULL, trigger.provider_id)
                self.refusals.count(replace(outcome, detail=refused.message))
        else:
            await self._note(code_of(refused), refused.message, *told)

    async def _ignored(self, code: Code, reason: str, *told: ProjectTrigger, provider_id: str = "") -> Answer:
        detail = "" if reason == _UNWANTED else f"{reason[0].upper()}{reason[1:].rstrip('.')}."
        await self._note(code, detail, *told, provider_id=provider_id)  # the code alone says that it is not wanted
        return _answer("ignored", reason=code.removeprefix("ignored_"), detail=reason)

    async def _broken(self, error: Exception, what: str, *told: ProjectTrigger) -> Broken:
        """Record a fault of the service, and return the error that makes the sender send the request again."""
        log.error("a request broke", exc_info=error, project_trigger_ids=[str(trigger.id) for trigger in told])
        await self._note(Code.BROKEN, f"{what}. The fault is the service's; its log says more.", *told)
        return Broken(f"{what}. The fault is the service's.")

    async def _note(self, code: Code, detail: str, *told: ProjectTrigger, provider_id: str = "") -> bool:
        """Record an outcome of each trigger, or one without a trigger, and return whether any was recorded.

        Outcomes that are not recorded are counted.
        """
        now = self.clock.now()
        outcomes = [Outcome(Kind.WEBHOOK, code, now, t.org_id, t.id, detail) for t in told]
        outcomes = outcomes or [Outcome(Kind.WEBHOOK, code, now, detail=detail)]
        self.metrics.request_ended(code, *({trigger.provider_id for trigger in told} or {provider_id}))
        if admitted := [one for one in outcomes if self.refusals.admit(one)]:
            await self.recorder.write(Write(outcomes=admitted))
        return bool(admitted)


async def _unchanged(attempt: Callable[[], Awaitable[Answer | None]]) -> Answer:
    """Call `attempt` until it returns an answer. None means that a trigger has changed meanwhile.

    Raise `Unavailable` if a few calls return None.
    """
    for _ in range(_TRIES):
        if answer := await attempt():
            return answer
    raise Unavailable("The trigger is being changed. Try again.")


def _repeats(receiver: Receiver | None) -> str:
    return receiver.repeats if receiver else ""


def _code(error: Rejected | Malformed | Invalid | WrongMethod) -> Code:
    match error:
        case Rejected():
            return Code.REJECTED
        case WrongMethod():
            return Code.WRONG_METHOD
        case Malformed():
            return Code.MALFORMED
        case Invalid():
            return Code.FAILED  # the configuration was stored before today's rules for it


def _answer(status: str, **more: object) -> Answer:
    return Answer(200, "application/json", to_json({"status": status, **more}))
