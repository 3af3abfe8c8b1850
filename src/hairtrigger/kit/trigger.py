"""What a provider file declares. The engine owns when, how often, secrets, cursors, retries and repeats.

Four kinds of trigger: a `Webhook` of its own URL, an `AppWebhook` fanned out from the one URL all accounts of an app
share, a `Polling` question asked again and again, and a `Scheduled` one that only looks at the clock.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Generic, Literal, Protocol, TypeVar, assert_never

from pydantic import Field

from hairtrigger.domain.event import Draft
from hairtrigger.domain.schedule import Missed, Schedule
from hairtrigger.kit.auth import Auth, NoAuth
from hairtrigger.kit.config import Config
from hairtrigger.kit.handshake import Answer
from hairtrigger.kit.http import Api
from hairtrigger.kit.incoming import Incoming, Request
from hairtrigger.kit.parsing import Parse
from hairtrigger.kit.verify import Verifier

C = TypeVar("C", bound=Config)

_YEAR = 365 * 86_400  # seconds

Cursor = Mapping[str, Any]
TriggerType = Literal["WEBHOOK", "POLLING", "SCHEDULED"]


@dataclass(frozen=True)
class Question(Generic[C]):
    """One call to the provider for one project trigger."""

    config: C
    api: Api
    secrets: Mapping[str, str] = field(repr=False)
    cursor: Cursor | None  # None at the first poll
    enabled_at: datetime
    asked_at: datetime
    parse: Parse = field(repr=False)  # for what is not JSON: nothing else reads foreign bytes at a bounded cost


@dataclass(frozen=True)
class Page:
    """A poll's answer, oldest event first. Events and cursor are stored together or not at all.

    `more` asks for the next page at once, from this cursor.
    """

    events: Sequence[Draft]
    cursor: Cursor
    more: bool = False
    note: str = ""  # a sentence for the user about this poll
    console: tuple[str, ...] = ()  # what a user's code printed


@dataclass(frozen=True)
class Registration:
    """A webhook as it now stands at the provider. `remote` is shown to users as `webhook_data`: never a secret."""

    remote: Mapping[str, Any]
    secret: str = field(repr=False)  # what the provider will sign with


class Subscription(Protocol[C]):
    """How a webhook is registered at its provider."""

    async def create(self, question: Question[C], url: str, secret: str) -> Registration:
        """Registers `url` once: called twice it leaves one webhook. `secret` is for providers that take ours."""
        ...

    async def remove(self, question: Question[C], url: str) -> None:
        """Removes what delivers to `url`. Nothing there is success."""
        ...


@dataclass(frozen=True)
class ByConfig(Generic[C]):
    """A verification scheme the user chooses."""

    choose: Callable[[C], Verifier]


Samples = Callable[[Question[C]], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, kw_only=True)
class Definition(Generic[C]):
    id: str
    name: str
    description: str
    config: type[C]
    instructions: str | None = None
    tags: tuple[str, ...] = ()
    version: str = "1.0.0"
    samples: Samples[C] | None = None  # example events, live from the provider; never moves the cursor
    needs_connection: bool = True  # where the provider has credentials at all


@dataclass(frozen=True, kw_only=True)
class Webhook(Definition[C]):
    """Delivered to a URL of its own. Without a subscription the user pastes the URL into the provider."""

    verify: Verifier | ByConfig[C]
    events: Callable[[Incoming[C]], Iterable[Draft]]
    subscription: Subscription[C] | None = None
    requires_verification: bool = False
    handshake: Callable[[Request], Answer | None] = lambda _: None  # asked once the signature has been checked

    def verifier(self, config: C) -> Verifier:
        return self.verify.choose(config) if isinstance(self.verify, ByConfig) else self.verify


@dataclass(frozen=True, kw_only=True)
class AppWebhook(Definition[C]):
    """Delivered through the app's one URL. `accounts` asks the provider which accounts the connection really has:
    never the user, who could name somebody else's."""

    accounts: Callable[[Question[C]], Awaitable[Sequence[str]]]
    events: Callable[[Incoming[C]], Iterable[Draft]]
    requires_verification: bool = False


@dataclass(frozen=True, kw_only=True)
class Polling(Definition[C]):
    """Asked again and again. The first answer only sets the cursor, unless `baseline` is off."""

    poll: Callable[[Question[C]], Awaitable[Page]]
    every: timedelta = timedelta(minutes=1)
    baseline: bool = True


@dataclass(frozen=True, kw_only=True)
class Scheduled(Definition[C]):
    """Fires by the clock. `anchor`, the time it was enabled, is where intervals count from."""

    schedule: Callable[[C, datetime], Schedule]
    missed: Callable[[C], Missed]


Trigger = Webhook[Any] | AppWebhook[Any] | Polling[Any] | Scheduled[Any]


class PollingConfig(Config):
    """The fields every polling trigger has."""

    polling_frequency: int | None = Field(
        default=None, ge=1, le=_YEAR, title="Polling frequency", description="Seconds between two polls."
    )


@dataclass(frozen=True)
class App:
    """The webhook all accounts of one provider app share: `POST /v1/webhooks/{provider}`.

    Its secrets are the operator's: they belong to the app, not to an account.
    """

    verify: Verifier
    accounts: Callable[[Request], Sequence[str]]  # whose delivery it is; what `AppWebhook.accounts` may have returned
    handshake: Callable[[Request], Answer | None] = lambda _: None


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider file ends in one of these."""

    id: str
    name: str
    triggers: tuple[Trigger, ...]
    base_url: str = ""
    auth: Auth = field(default_factory=NoAuth)
    app: App | None = None
    icon: str = ""  # an emoji or a data: URL

    def trigger(self, trigger_id: str) -> Trigger | None:
        return next((trigger for trigger in self.triggers if trigger.id == trigger_id), None)


def trigger_type(trigger: Trigger) -> TriggerType:
    match trigger:
        case Webhook() | AppWebhook():
            return "WEBHOOK"
        case Polling():
            return "POLLING"
        case Scheduled():
            return "SCHEDULED"
        case _:
            assert_never(trigger)
