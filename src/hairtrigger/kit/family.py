"""Makes triggers that differ only in the type of event to which they listen."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from hairtrigger.kit.config import Config
from hairtrigger.kit.fields import Fields, Unless
from hairtrigger.kit.senders import KnownSender
from hairtrigger.kit.trigger import ByConfig, Subscription, Webhook
from hairtrigger.kit.verify import Verifier

C = TypeVar("C", bound=Config)


@dataclass(frozen=True, kw_only=True)
class WebhookFamily(Generic[C]):
    """The part that all webhook triggers of a provider share if they differ only in the type of their events.

    `sender` says how requests prove themselves and which handshakes are answered. `subscription` returns the
    subscription to a type; without it, the user enters the URL at the provider. `sample` returns an example of an event
    of a type, in our own words and values.
    """

    config: type[C]
    sender: KnownSender
    fields: Fields
    sample: Callable[[str], Any]
    subscription: Callable[[str], Subscription[C]] | None = None
    verify: Verifier | ByConfig[C] | None = None  # by default that of the sender
    unless: Unless | None = None
    instructions: str | None = None

    def on(self, type_: str, id_: str, name: str, description: str, *, unless: Unless | None = None) -> Webhook[C]:
        """Return the trigger for events of the type `type_`. `unless` takes the place of the family's own."""
        return Webhook(
            id=id_,
            name=name,
            description=description,
            instructions=self.instructions,
            config=self.config,
            verify=self.verify or self.sender.verify,
            handshakes=lambda _: self.sender.handshakes,
            subscription=self.subscription(type_) if self.subscription else None,
            events=self.fields.only(type_, unless=unless or self.unless),
            example=self.sample(type_),
            key_explained=self.fields.explained,
            needs_connection=self.subscription is not None,
        )
