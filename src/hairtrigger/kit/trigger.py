"""Defines the classes with which a provider file declares its provider and its triggers.

The service decides on due times, secrets, cursors, retries and repeats. There are six kinds of trigger. A `Webhook` has
a URL of its own. An `AppWebhook` gets its events from the one URL that all accounts of an app share. A `Polling` asks
its provider again and again. A `Listening` holds a connection over which its provider sends events. A `Scheduled`
depends only on the clock. An `Internal` gets its events from the service itself.
"""

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from string import Formatter
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar, assert_never, runtime_checkable

from pydantic import BaseModel, Field, WithJsonSchema

from hairtrigger.domain.event import Draft
from hairtrigger.domain.operational import Wanted
from hairtrigger.domain.schedule import Missed, Schedule
from hairtrigger.kit.auth import Auth, NoAuth
from hairtrigger.kit.config import Config
from hairtrigger.kit.handshake import Handshake
from hairtrigger.kit.http import Api, Watch, unwatched
from hairtrigger.kit.incoming import Incoming, Request
from hairtrigger.kit.oauth import OAuth2, TokenAuth, filled
from hairtrigger.kit.parsing import Parse
from hairtrigger.kit.verify import Verifier

C = TypeVar("C", bound=Config)

_YEAR = 365 * 86_400  # seconds

Cursor = Mapping[str, Any]
TriggerType = Literal["WEBHOOK", "POLLING", "SCHEDULED"]
TriggerKind = Literal["WEBHOOK", "POLLING", "LISTENING", "SCHEDULED"]


Tls = Callable[[str], ssl.SSLContext]
"""A function that returns TLS settings with which a server's certificate is checked. Its argument is the certificates,
in PEM, of authorities that are trusted besides the usual ones, or an empty text.
"""


def _usual_tls(authorities: str) -> ssl.SSLContext:
    return ssl.create_default_context(cadata=authorities or None)


Known = Callable[[Sequence[str]], Awaitable[Collection[str]]]


async def _nothing_known(_: Sequence[str]) -> Collection[str]:
    return ()


@dataclass(frozen=True)
class Question(Generic[C]):
    """The data and functions with which a provider file calls its provider for one project trigger."""

    config: C
    api: Api
    secrets: Mapping[str, str] = field(repr=False)
    cursor: Cursor | None  # None at the first poll
    enabled_at: datetime
    asked_at: datetime
    # For bodies that are not JSON: only this function parses bytes from outside at a bounded cost.
    parse: Parse = field(repr=False)
    project: str = ""  # the id of the trigger's project
    trigger: str = ""  # the id of the project trigger, for names that it has at its provider
    tls: Tls = field(default=_usual_tls, repr=False)
    known: Known = field(default=_nothing_known, repr=False)  # returns those of the given keys that are stored
    watch: Watch = field(default=unwatched, repr=False)
    # `Registration.remote` of the trigger's webhook as it is stored; empty before the webhook is made.
    remote: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A page of a poll's answer, oldest event first. Its events and its cursor are stored together or not at all.

    If `more` is set, the next page is asked for at once, from this cursor.
    """

    events: Sequence[Draft]
    cursor: Cursor
    more: bool = False
    note: str = ""  # a sentence for the user about this poll
    repeats: int = 0  # events that an earlier poll brought, and that are left out here
    refused: int = 0  # items of the answer that can't be told apart, and so make no event; `note` says why
    console: tuple[str, ...] = ()  # the lines that polling code printed
    gap: str = ""  # a sentence on events that the source no longer has, and that were not taken


@dataclass(frozen=True)
class Registration:
    """A webhook as it stands at the provider. Users see `remote` as `webhook_data`, so it holds no secret.

    `expires_at` is when the provider ends the subscription, or None if it has no end. A subscription with an end is
    renewed at half of its life: see `Renews`.
    """

    remote: Mapping[str, Any]
    secret: str = field(repr=False)  # the secret with which the provider will sign
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Registered:
    """A webhook that the provider has now, as `Lists.list` found it."""

    url: str
    enabled: bool = True  # False: the provider has it, and sends nothing to it
    why: str = ""  # what the provider says about its state, in a sentence; shown to users
    expires_at: datetime | None = None


class Subscription(Protocol[C]):
    """The calls that make and remove a webhook at its provider. It may have those of `Renews` and `Lists` besides.

    If the subscription ends or is switched off at the provider, the service calls `create` again.
    """

    async def create(self, question: Question[C], url: str, secret: str) -> Registration:
        """Register `url` at the provider and return the registration. A second call with the same URL must leave one
        webhook, not two.

        `secret` is a new signing secret of ours, for providers that let us choose it. The registration holds the secret
        with which the provider will sign. When a webhook is made again, `secret` is the one that it had.
        """
        ...

    async def remove(self, question: Question[C], url: str) -> None:
        """Remove the webhooks that send to `url` from the provider. It is no error if there is none.

        Providers that name a webhook by an id and not by its URL find the id in `question.remote`, which is empty if
        the service stopped before it had stored the id. Such a webhook stays until it ends by itself.
        """
        ...


@runtime_checkable
class Renews(Protocol[C]):
    """A subscription whose life the provider lengthens, or that is replaced before it ends.

    An expiring subscription without `renew` is renewed with `create`.
    """

    async def renew(self, question: Question[C], url: str, registration: Registration) -> Registration:
        """Renew the subscription and return it with its new end. Raise `MissingAtProvider` if the provider no longer
        has it: then it is made again.

        Where nothing can be lengthened (a `watch` of Google), make a new subscription first and stop the old one, which
        `registration.remote` names, afterwards. In between both send, and the event keys tell repeats.
        """
        ...


@runtime_checkable
class Lists(Protocol[C]):
    """A subscription whose provider can be asked which webhooks there are.

    The service asks every few hours. A webhook of a trigger that is gone, switched off or there several times is made
    again with `create`. A webhook of ours that no enabled trigger has is removed with `remove`. A webhook that leads to
    another service is never touched.
    """

    async def list(self, question: Question[C]) -> Sequence[Registered]:
        """Return the webhooks that the provider has for this connection and configuration, of all pages, with those of
        others.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Sweep(Generic[C]):
    """A cheap poll beside a push, which finds the events that the push did not bring.

    `poll` asks the provider's list of events, deliveries or changes, and returns the same drafts with the same keys as
    the push. A key of which an event is stored already starts nothing. Each draft needs its date (`occurred_at`): what
    is dated before the trigger was enabled starts nothing. The first poll, without a cursor, returns what happened
    since `question.enabled_at`; the trigger has no baseline. `LookBack` does that, and its `late` covers how far the
    provider's clock may be behind ours.

    The sweep runs as polls do: with leases, back-off, and the rate limits of the connection. If it fails, the push goes
    on. An event that a sweep brings later than `pushed_within` after its date counts as recovered.
    """

    poll: Callable[[Question[C]], Awaitable[Page]]
    every: timedelta = timedelta(minutes=10)
    pushed_within: timedelta = timedelta(minutes=1)


@dataclass(frozen=True)
class ByConfig(Generic[C]):
    """A function that chooses the verifier by the trigger's configuration."""

    choose: Callable[[C], Verifier]


@runtime_checkable
class Explained(Protocol):
    """A function of a trigger that can say, in the sentence `explained`, what tells its events from all others."""

    @property
    def explained(self) -> str: ...


Samples = Callable[[Question[C]], Awaitable[Sequence[Any]]]
Hydrate = Callable[[Question[C], Draft], Awaitable[Draft]]


@dataclass(frozen=True)
class Option:
    """A value that a user can choose for a field of the configuration, with the label that shows it."""

    value: str
    label: str


@dataclass(frozen=True)
class OptionPage:
    """A page of options. `following` is the token of the next page, or None if this page is the last one."""

    options: Sequence[Option]
    following: str | None = None


Options = Callable[[Question[Any], str, str | None], Awaitable[OptionPage]]
"""A function that asks the provider for the options of a field and returns a page of them. It is called with the
question, a text that the options must match, which may be empty, and the token of the page, or None for the first page.

The question's configuration holds only what the user has entered so far, unchecked.
"""


@dataclass(frozen=True, kw_only=True)
class DeliveryRules:
    """The rules by which a provider sends requests to a webhook, as the page `source` states them. A rule that the page
    does not state is empty.
    """

    answer_within: timedelta | None = None  # how long the provider waits for an answer
    retries: str = ""  # a sentence: how it repeats a request that was not answered
    gives_up: str = ""  # a sentence: when it sends nothing more to an address
    on_410: str = ""  # a sentence: what it does when an address answers 410
    source: str = ""  # the page that says so


@dataclass(frozen=True, kw_only=True)
class Definition(Generic[C]):
    """The parts that every kind of trigger has.

    `hydrate` completes a thin event: a draft with `thin` set, which names a thing that has to be fetched. It is called
    with the trigger's connection after the event is stored and its request is answered, before the event's first
    delivery, and again after a failure. It returns the draft with the whole data and the same key. If it raises
    `MissingAtProvider`, the event is delivered as it came, marked as incomplete.
    """

    id: str
    name: str
    description: str
    config: type[C]
    instructions: str | None = None
    tags: tuple[str, ...] = ()
    version: str = "1.0.0"
    payload: type[BaseModel] | Mapping[str, Any] | None = None  # an event's body, or the JSON Schema of one
    example: Any = None  # an event's body, in our own words; shown while the provider can't be asked for samples
    key_explained: str = ""  # a sentence: what tells an event from all others
    options: Mapping[str, Options] = field(default_factory=dict)  # by the names of fields
    samples: Samples[C] | None = None  # fetches example events from the provider; never moves the cursor
    needs_connection: bool = True  # has no effect if the provider needs no credentials
    scopes: tuple[str, ...] = ()  # that an OAuth connection needs for this trigger, besides those of the provider
    hydrate: Hydrate[C] | None = None

    @property
    def key_sentence(self) -> str:
        """Return the sentence that says what tells an event from all others, or an empty text if it is not said."""
        return self.key_explained

    def payload_schema(self) -> Mapping[str, Any] | None:
        """Return the JSON Schema of an event's body, or None if it is not known."""
        payload = self.payload
        return payload if payload is None or isinstance(payload, Mapping) else payload.model_json_schema()


@dataclass(frozen=True, kw_only=True)
class Webhook(Definition[C]):
    """A trigger with a URL of its own. Without a `subscription`, the user enters the URL at the provider.

    `handshakes` returns the questions that are answered, and `verify_token` a text that some of these questions must
    hold. `methods` returns the HTTP methods of the requests that bring events. `repeats` returns a sentence for the
    user that says which requests count as repeats.
    """

    verify: Verifier | ByConfig[C]
    events: Callable[[Incoming[C]], Iterable[Draft]]
    subscription: Subscription[C] | None = None
    requires_verification: bool = False
    handshakes: Callable[[C], Sequence[Handshake]] = lambda _: ()
    verify_token: Callable[[C], str | None] = lambda _: None
    methods: Callable[[C], Sequence[str]] = lambda _: ("POST",)
    repeats: Callable[[C], str] | None = None
    initial: Mapping[str, Any] = field(default_factory=dict)  # settings of a new trigger that its user leaves out
    sweep: Sweep[C] | None = None

    def verifier(self, config: C) -> Verifier:
        return self.verify.choose(config) if isinstance(self.verify, ByConfig) else self.verify


@dataclass(frozen=True, kw_only=True)
class AppWebhook(Definition[C]):
    """A trigger that gets its events from the one URL of its provider's app.

    `accounts` asks the provider which accounts the connection gives access to. The user is not asked, because a user
    could name the account of another organisation.
    """

    accounts: Callable[[Question[C]], Awaitable[Sequence[str]]]
    events: Callable[[Incoming[C]], Iterable[Draft]]
    requires_verification: bool = False
    sweep: Sweep[C] | None = None


@dataclass(frozen=True, kw_only=True)
class Polling(Definition[C]):
    """A trigger that asks its provider again and again. If `baseline` is on, the first poll sets the cursor and makes
    no events.
    """

    poll: Callable[[Question[C]], Awaitable[Page]]
    every: timedelta = timedelta(minutes=1)
    baseline: bool = True
    lacks: str = ""  # why it can't poll, in a sentence; such a trigger can't be enabled

    @property
    def key_sentence(self) -> str:
        how: object = self.poll
        return self.key_explained or (how.explained if isinstance(how, Explained) else "")


@dataclass(frozen=True, kw_only=True)
class Listening(Definition[C]):
    """A trigger that holds a connection to its provider and gets its events over it.

    `listen` connects, and yields a page each time that something comes. The service stores each page before it resumes
    `listen`. So the provider file acknowledges the page in the lines after its `yield`. Events whose acknowledgement
    was lost come again, and are recognised by their keys. The first page says that the connection stands; a page
    without events is a sign of life. If nothing is yielded for `silence`, acknowledging included, the connection is
    ended and made anew. When `listen` returns or raises, it is called again, with the cursor of the last page.

    `start` returns the cursor at which a trigger that is enabled begins. `errors` are the client library's exceptions
    for a connection that fails, and `refusals` those for credentials that the provider does not accept. `lossy` is a
    sentence that says which events can be lost, and is empty if none can.
    """

    listen: Callable[[Question[C]], AsyncGenerator[Page, None]]
    start: Callable[[Question[C]], Coroutine[Any, Any, Cursor]]
    silence: timedelta = timedelta(minutes=1)
    errors: tuple[type[Exception], ...] = ()
    refusals: tuple[type[Exception], ...] = ()
    lossy: str = ""


@dataclass(frozen=True, kw_only=True)
class Scheduled(Definition[C]):
    """A trigger that fires by the clock.

    `schedule` is called with the configuration and the time at which the trigger was enabled, from which intervals
    count. `missed` returns the policy for missed firings.
    """

    schedule: Callable[[C, datetime], Schedule]
    missed: Callable[[C], Missed]


@dataclass(frozen=True, kw_only=True)
class Internal(Definition[C]):
    """A trigger whose events are operational events of the service itself. `wanted` returns the filter for them."""

    wanted: Callable[[C], Wanted]


Trigger = Webhook[Any] | AppWebhook[Any] | Polling[Any] | Listening[Any] | Scheduled[Any] | Internal[Any]


# Stack AI's reference shows the number as a text: "10000".
_Seconds = Annotated[
    int,
    Field(ge=1, le=_YEAR),
    WithJsonSchema({"type": ["integer", "string"], "minimum": 1, "maximum": _YEAR, "pattern": "^[0-9]+$"}),
]


class PollingConfig(Config):
    """The configuration fields that every polling trigger has."""

    polling_frequency: _Seconds | None = Field(
        default=None, title="Polling frequency", description="Seconds between two polls."
    )


@dataclass(frozen=True)
class App:
    """The webhook that all accounts of a provider's app share, at `POST /v1/webhooks/{provider}`.

    The operator sets the webhook's secrets, because they belong to the app and not to an account.
    """

    verify: Verifier
    accounts: Callable[[Request], Sequence[str]]  # the accounts of a request, named as `AppWebhook.accounts` does
    handshakes: Sequence[Handshake] = ()


@dataclass(frozen=True, kw_only=True)
class Provider:
    """A provider with its triggers. Each provider file ends with one.

    `base_url` may hold the names of fields of the connection, such as `site` in `https://{site}.example.com/`. `ways`
    names further ways to connect, besides `auth`. A connection says by which of them it was made.
    """

    id: str
    name: str
    triggers: tuple[Trigger, ...]
    base_url: str = ""
    auth: Auth = field(default_factory=NoAuth)
    ways: Mapping[str, Auth] = field(default_factory=dict)
    app: App | None = None
    icon: str = ""  # an emoji or a data: URL
    optional: tuple[str, ...] = ()  # fields that a connection may have besides those that it needs
    guide: str = ""  # how a user gets what a connection needs
    delivery: DeliveryRules | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # of the connection's fields, by their names
    further: tuple[str, ...] = ()  # the names of secrets that calls don't carry, such as the one that signs webhooks
    check: Callable[[Api], Awaitable[object]] | None = None  # a call that succeeds with every usable connection

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the names of the fields that a connection must have. They are those in `base_url`, then the secrets
        that calls carry, then the `further` ones.
        """
        named = (name for _, name, _, _ in Formatter().parse(self.base_url) if name)
        return tuple(dict.fromkeys((*named, *self.auth.secrets, *self.further)))

    @property
    def entered(self) -> tuple[str, ...]:
        """Return the names of the fields that a user enters, which are all but those that the service gets by OAuth."""
        if not isinstance(self.auth, TokenAuth):
            return self.fields
        named = (*self.fields, *self.auth.address_fields, *self.auth.entered)
        got = {*self.auth.secrets, *self.auth.keep}
        return tuple(name for name in dict.fromkeys(named) if name not in got)

    def by_way(self, way: str | None) -> "Provider":
        """Return the provider with `auth` replaced by the way of this name, or unchanged if `way` is None. Raise
        `KeyError` if it has no such way.
        """
        return self if way is None else replace(self, auth=self.ways[way])

    def oauth_way(self) -> str | None:
        """Return the name of the way that a user grants in a browser, which is None for `auth` itself, or else the
        first such way of `ways`. Raise `KeyError` if there is none.
        """
        for way, auth in ((None, self.auth), *self.ways.items()):
            if isinstance(auth, OAuth2):
                return way
        raise KeyError("oauth")

    def address(self, held: Mapping[str, str]) -> str:
        """Return `base_url` with the values that the connection holds for its fields. Raise `KeyError` if a field is
        missing.
        """
        return filled(self.base_url, held)

    @property
    def needs_connection(self) -> bool:
        """Return whether the provider needs any field of a connection, and has a trigger that needs the connection."""
        return bool(self.fields) and any(trigger.needs_connection for trigger in self.triggers)

    def trigger(self, trigger_id: str) -> Trigger | None:
        return next((trigger for trigger in self.triggers if trigger.id == trigger_id), None)


def kind_of(trigger: Trigger) -> TriggerKind:
    """Return the type of a trigger as this service's own API names it, which has one for triggers that listen."""
    return "LISTENING" if isinstance(trigger, Listening) else trigger_type(trigger)


def sweep_of(trigger: Trigger) -> Sweep[Any] | None:
    return trigger.sweep if isinstance(trigger, Webhook | AppWebhook) else None


def polling_of(trigger: Trigger) -> Polling[Any] | None:
    """Return how the trigger is polled: by itself, or by its sweep. None: it is not polled."""
    if isinstance(trigger, Polling):
        return trigger
    if sweep := sweep_of(trigger):
        return Polling(
            id=trigger.id,
            name=trigger.name,
            description=trigger.description,
            config=trigger.config,
            needs_connection=trigger.needs_connection,
            poll=sweep.poll,
            every=sweep.every,
            baseline=False,
        )
    return None


def trigger_type(trigger: Trigger) -> TriggerType:
    """Return the type of a trigger as the published Triggers API names it."""
    match trigger:
        case Webhook() | AppWebhook() | Internal():  # the published list has no other word for events that are pushed
            return "WEBHOOK"
        case Polling() | Listening():  # of the published words, the one for a service that goes to the provider
            return "POLLING"
        case Scheduled():
            return "SCHEDULED"
        case _:
            assert_never(trigger)
