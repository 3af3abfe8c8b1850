"""Keep receivers in memory, so that the verifier of a trigger is made and its secrets are opened only once.

A remembered receiver may be out of date, so it is used for one thing only: making the events of a request. These are
stored only if the row of the trigger is still the one that was read (`store/events/request_batches.py`). For any other
answer, the trigger is loaded from the database.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from hairtrigger.domain.errors import Rejected, WrongMethod
from hairtrigger.domain.event import Draft
from hairtrigger.kit.handshake import Answer, Handshake, answered, told
from hairtrigger.kit.incoming import Incoming, Request
from hairtrigger.kit.trigger import Webhook
from hairtrigger.kit.verify import Verifier
from hairtrigger.platform.batching import Batcher
from hairtrigger.platform.remembered import Remembered
from hairtrigger.services.catalogue import config_of
from hairtrigger.services.ingest.told_tokens import ToldTokens
from hairtrigger.services.secrets import Secrets, SigningSecret, live
from hairtrigger.store.database import Store
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.triggers import ProjectTrigger, TriggerWithVersion

_MOST_OWNERS = 50_000
_OWNER = 500  # about how many bytes one takes


@dataclass(frozen=True)
class Receiver:
    """A trigger that takes webhooks at a URL of its own, with all that is needed to read its requests."""

    trigger: TriggerWithVersion
    definition: Webhook[Any]
    config: Any
    verify: Verifier
    secrets: Sequence[SigningSecret] = field(repr=False)
    unsigned: Mapping[str, Sequence[Handshake]]
    """The handshakes that are answered before a signature is checked, by the method of the request."""
    signed: Sequence[Handshake]
    methods: Sequence[str]
    repeats: str
    """The sentence that says what counts as a repeat; empty for a provider that numbers its events."""

    def greeted(self, request: Request, now: datetime) -> Answer | None:
        """Return the answer to an unsigned handshake, or None if the request is none.

        Raise `Rejected` if a part of the handshake is missing or wrong.
        """
        questions = self.unsigned.get(request.method, ())
        return self._answered(questions, request, live(self.secrets, now), signed=False) if questions else None

    def read(self, request: Request, now: datetime, *, signed: bool = True) -> Answer | tuple[Draft, ...]:
        """Return the events of a request, or the answer to a handshake. Without `signed`, no signature is checked.

        Raise `Rejected` for a bad signature, `Malformed` for a body that is not in the provider's format, `NotWanted`
        for what the trigger does not listen for, and `WrongMethod` for a method that brings no events.
        """
        if answer := self.greeted(request, now):
            return answer
        if request.method not in self.methods:
            raise WrongMethod(tuple(self.methods))
        secrets = live(self.secrets, now)
        if signed:
            self.verify(request, secrets)
        if self.signed and (answer := self._answered(self.signed, request, secrets, signed=True)):
            return answer
        return tuple(self.definition.events(Incoming(request, self.config)))

    def told(self, request: Request) -> str | None:
        """Return the secret that the sender tells with its question, or None."""
        return told((*self.unsigned.get(request.method, ()), *self.signed), request)

    def replaced_secret(self, request: Request, now: datetime) -> datetime | None:
        """Return until when the secret was valid with which the request is signed, if that is a replaced one.

        Return None if no replaced secret fits.
        """
        for one in self.secrets:
            if one.until is not None and one.until <= now:
                with suppress(Rejected):
                    self.verify(request, [one.value])
                    return one.until
        return None

    def _answered(
        self, questions: Sequence[Handshake], request: Request, secrets: Sequence[str], *, signed: bool
    ) -> Answer | None:
        return answered(questions, request, secrets, self.definition.verify_token(self.config), signed=signed)


class ReceiverCache:
    """Remembers the receivers of enabled triggers, at most `most` of them, which are those used last.

    It also remembers to which organisation each trigger belongs that was looked up, so that organisations take turns in
    look-ups. All look-ups of unknown addresses together take turns as one organisation does.
    """

    def __init__(self, store: Store, secrets: Secrets, *, most: int = 10_000, max_waiting: int = 10_000) -> None:
        self._store = store
        self._secrets = secrets
        self.tokens = ToldTokens(store, secrets)
        self._remembered: Remembered[str, Receiver] = Remembered(most)
        self._owners: Remembered[UUID, UUID] = Remembered(_MOST_OWNERS)
        self._look_ups: Batcher[UUID, TriggerWithVersion | None] = Batcher(
            self._by_ids, tenant=self._owners.get, max_waiting=max_waiting
        )

    async def run(self) -> None:
        await self._look_ups.run()

    def remembered(self, webhook_id: str) -> Receiver | None:
        """Return the remembered receiver of a trigger, or None.

        The id is given as it stands in the URL, because parsing it would take longer than this.
        """
        return self._remembered.get(webhook_id)

    async def look_up(self, trigger_id: UUID) -> TriggerWithVersion | None:
        """Load the trigger from the database, and forget its receiver. Return None if there is no such trigger."""
        self._remembered.forget(str(trigger_id))
        return await self._look_ups.submit(trigger_id)

    def of(self, trigger: TriggerWithVersion, definition: Webhook[Any]) -> Receiver:
        """Make a receiver of the trigger, and remember it if the trigger is enabled.

        Raise `Invalid` for a stored configuration that breaks newer rules.
        """
        config = config_of(definition, trigger)
        questions = definition.handshakes(config)
        receiver = Receiver(
            trigger,
            definition,
            config,
            definition.verifier(config),
            self._secrets.of_trigger(trigger),
            {
                one.method: [two for two in questions if two.method == one.method and not two.signed]
                for one in questions
            },
            [one for one in questions if one.signed],
            definition.methods(config),
            definition.repeats(config) if definition.repeats else "",
        )
        if trigger.enabled:
            self._remembered.keep(str(trigger.id), receiver, _size(trigger), trigger.org_id)
        return receiver

    async def _by_ids(self, ids: Sequence[UUID]) -> list[TriggerWithVersion | None]:
        async with self._store.transaction() as tx:
            found = await triggers.by_ids(tx, ids)
        for id_, trigger in found.items():
            self._owners.keep(id_, trigger.org_id, _OWNER, trigger.org_id)
        return [found.get(id_) for id_ in ids]


def _size(trigger: ProjectTrigger) -> int:
    """Return about how many bytes a receiver takes.

    It holds the configuration twice, as it is stored and as an object.
    """
    return 4096 + 2 * len(to_json([trigger.config, trigger.webhook_data])) + len(trigger.secrets or b"")
