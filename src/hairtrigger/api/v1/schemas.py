"""The shapes of our own routes. No answer contains a secret, except the one answer that announces a new secret."""

import base64
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, Literal, Self, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    model_validator,
)

from hairtrigger.api.external_user import ExternalUserId
from hairtrigger.api.privacy import Privacy
from hairtrigger.domain import start
from hairtrigger.domain.disk import DiskState, DiskUse
from hairtrigger.domain.lane import RateLimits
from hairtrigger.domain.outcome import Code, DeliveryStatus, Failure, Kind
from hairtrigger.domain.privacy import DROPPED
from hairtrigger.domain.quotas import Quota, Use
from hairtrigger.domain.start import EVERYTHING, NOW, Start
from hairtrigger.domain.target import Sent, TargetConfig, read_config
from hairtrigger.kit import trigger as kit
from hairtrigger.kit.auth import Auth
from hairtrigger.kit.oauth import AppInstallation, ClientCredentials, OAuth2, ServiceAccount
from hairtrigger.sandbox.protocol.poll import PollErrorKind
from hairtrigger.services.delivery.replays import ReplayQuery
from hairtrigger.services.delivery.samples import Sample
from hairtrigger.services.explain import explainer
from hairtrigger.services.explain.health import Health as Diagnosed
from hairtrigger.services.ingest.told_tokens import Told
from hairtrigger.services.polling.poller import Result
from hairtrigger.services.setup.triggers import TriggerChanges
from hairtrigger.store import accounts
from hairtrigger.store.delivery.history import AttemptRecord
from hairtrigger.store.delivery.history import Delivery as StoredDelivery
from hairtrigger.store.delivery.replays import Job
from hairtrigger.store.events import events, outcomes
from hairtrigger.store.explain.trigger_health import Condition, Status
from hairtrigger.store.polling.polls import Poll
from hairtrigger.store.setup import connection_health, connections, projects
from hairtrigger.store.setup.connection_health import Status as ConnectionStatus
from hairtrigger.store.setup.projects import OrderBy
from hairtrigger.store.setup.subscriptions import StoredSubscription
from hairtrigger.store.upkeep.erasures import Contents

T = TypeVar("T")


def _in_utc(at: datetime) -> datetime:
    """Return the time in UTC. Raises `ValueError` for a time at an end of the calendar that UTC does not have."""
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("There is no such time in UTC.") from error


Instant = Annotated[AwareDatetime, AfterValidator(_in_utc)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


def _pasted(secret: str) -> str:
    """Return a secret, from which spaces and line breaks around it were removed before, because pasting adds them.

    Raises `ValueError` if it holds control characters, unless it is a key in PEM.
    """
    if not secret.startswith("-----BEGIN ") and _NOT_TYPED.search(secret):
        raise ValueError("A secret holds no line breaks or other control characters.")
    return secret


_NOT_TYPED = re.compile("[\x00-\x1f\x7f]")
Secret = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=8192), AfterValidator(_pasted)
]
SigningSecret = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=8, max_length=8192), AfterValidator(_pasted)
]
Scope = Literal["INTEGRATION_API", "ASSISTANT_API", "TRIGGER_API"]
MaxInflight = Annotated[int, Field(ge=1, le=10_000, description="The most deliveries of the project at a time.")]
_ORDER = (
    "Deliveries of the same trigger, or of events with the same subject, go one after the other, in the order of their "
    "events. One that fails holds back those behind it until it is delivered, dead or discarded. Null: in any order."
)
_LIMITS = "What is over these limits waits until the next second, hour or day, and is not lost. Replaced as a whole."
Overlap = Annotated[int, Field(ge=0, le=30 * 86_400, description="Seconds for which the secret before stays valid.")]


class Body(BaseModel):
    """The body of a request. An unknown key is refused, because it is most likely a typing error."""

    model_config = ConfigDict(extra="forbid")


class Page(BaseModel, Generic[T]):
    """A page of a list. `next_cursor` leads to the next page, and is null on the last one."""

    data: list[T]
    next_cursor: str | None = None


class OrganizationCreate(Body):
    name: Name
    email: Annotated[str, StringConstraints(max_length=320)]
    password: Annotated[str, StringConstraints(min_length=12, max_length=1024)] = Field(repr=False)


class Organization(BaseModel):
    id: UUID
    name: str
    created_at: datetime

    @classmethod
    def of(cls, stored: accounts.Organization) -> "Organization":
        return cls(id=stored.id, name=stored.name, created_at=stored.created_at)


class User(BaseModel):
    id: UUID
    email: str
    operator: bool = Field(description="Whether the user operates the service, and may make organisations.")
    created_at: datetime

    @classmethod
    def of(cls, stored: accounts.User) -> "User":
        return cls.model_validate(stored, from_attributes=True)


class Deleted(BaseModel):
    """What a deletion deletes."""

    model_config = ConfigDict(from_attributes=True)

    projects: int
    triggers: int = Field(description="With their webhooks at providers.")
    enabled_triggers: int
    connections: int
    integrations: int
    users: int
    api_keys: int
    deliveries_under_way: int | None = Field(description="That are not made any more. Null where there are too many.")
    events: int | None = Field(
        description="With their deliveries and attempts. Null where there are too many to count."
    )

    @classmethod
    def of(cls, found: Contents) -> "Deleted":
        return cls.model_validate(found)


class OrganizationDeletion(BaseModel):
    """The deletion of an organisation, or what it would delete."""

    requested_at: datetime | None = Field(description="Null: it was not asked for yet.")
    deletes: Deleted = Field(description="What is left to be deleted.")


class ApiKeyCreate(Body):
    name: Name
    scopes: Annotated[list[Scope], Field(min_length=1)]
    expires_at: Instant | None = None


class ApiKey(BaseModel):
    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None

    @classmethod
    def of(cls, stored: accounts.ApiKey) -> "ApiKey":
        return cls.model_validate(stored, from_attributes=True)


class NewApiKey(ApiKey):
    key: str = Field(repr=False, description="Shown once.")

    @classmethod
    def with_value(cls, stored: accounts.ApiKey, value: str) -> "NewApiKey":
        return cls(**ApiKey.of(stored).model_dump(), key=value)


class Limits(Body):
    """Limits of the attempts to deliver that begin in a second, an hour and a day of UTC. Null: any number."""

    model_config = ConfigDict(extra="forbid", from_attributes=True)

    per_second: Annotated[int, Field(ge=1, le=10_000)] | None = None
    per_hour: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    per_day: Annotated[int, Field(ge=1, le=100_000_000)] | None = None

    def as_domain(self) -> RateLimits:
        return RateLimits(self.per_second, self.per_hour, self.per_day)


class ProjectCreate(Body):
    name: Name
    target: TargetConfig
    api_key: Secret | None = Field(
        None, repr=False, description="Sent to the target as `Authorization: Bearer …`. Write-only."
    )
    max_inflight: MaxInflight | None = Field(
        None, description="The most deliveries of the project at a time. Default: 200, or 20 for an agent."
    )
    order_by: OrderBy | None = Field(None, description=_ORDER)
    rate_limits: Limits = Field(Limits(), description=_LIMITS)


class ProjectUpdate(Body):
    name: Name | None = None
    target: TargetConfig | None = None
    api_key: Secret | None = Field(None, repr=False)
    max_inflight: MaxInflight | None = None
    order_by: OrderBy | None = Field(None, description=f"{_ORDER} Left out: as it was.")
    rate_limits: Limits | None = Field(None, description=f"{_LIMITS} Left out or null: as they were.")


class Project(BaseModel):
    id: str
    name: str
    target: TargetConfig
    max_inflight: int
    order_by: OrderBy | None
    rate_limits: Limits
    paused: bool
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stored: projects.Project) -> "Project":
        own = {"target": read_config(stored.target), "rate_limits": stored.rate_limits}
        return cls.model_validate({**vars(stored), **own})


class NewProject(Project):
    signing_secret: str = Field(
        repr=False, description="Deliveries are signed with it (Standard Webhooks). Shown once."
    )
    warnings: list[str] = Field(description="What would keep the service from calling the target.")

    @classmethod
    def with_secret(cls, stored: projects.Project, secret: str, warnings: list[str]) -> "NewProject":
        return cls(**Project.of(stored).model_dump(), signing_secret=secret, warnings=warnings)


class ChangedProject(Project):
    warnings: list[str] = Field(description="What would keep the service from calling a new target.")

    @classmethod
    def with_warnings(cls, stored: projects.Project, warnings: list[str]) -> "ChangedProject":
        return cls(**Project.of(stored).model_dump(), warnings=warnings)


class SampleSend(Body):
    """A sample event. Everything is optional; what is left out is taken from the stored event `event_id`, if that is
    given.
    """

    event_id: UUID | None = None
    type: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = None
    subject: Annotated[str, StringConstraints(min_length=1, max_length=1000)] | None = None
    data: JsonValue | None = None

    def sample(self) -> Sample:
        return Sample(self.event_id, self.type, self.subject, self.data)


class SampleResult(BaseModel):
    status: Literal["delivered", "failed", "gone"]
    response_status: int | None
    detail: str
    response: str = Field(description="The beginning of the target's answer.")
    conversation: list[dict[str, Any]] | None

    @classmethod
    def of(cls, sent: Sent) -> "SampleResult":
        return cls.model_validate({**vars(sent), "response": sent.response.decode(errors="replace")})


class TriggerUpdate(Body):
    """The changes to a trigger. What is left out stays as it is."""

    name: Name | None = Field(None, description="Null takes the name away.")
    trigger_config: dict[str, Any] | None = Field(
        None,
        repr=False,
        description="The whole configuration. A secret that is sent as it was shown, masked, stays as it is.",
    )
    connection_id: UUID | None = Field(None, description="Null takes the connection away.")
    privacy: Privacy | None = Field(
        None,
        description="Replaced as a whole. It holds for what is stored, too, except for redaction. Null: the default.",
    )

    def changes(self) -> TriggerChanges:
        given = self.model_fields_set - ({"trigger_config"} if self.trigger_config is None else set())
        privacy = (self.privacy or Privacy()).as_domain()
        return TriggerChanges(frozenset(given), self.name, self.trigger_config, self.connection_id, privacy)


StartFrom = Literal["now", "all"] | Instant
"""The time from which on events count."""


def as_start(given: StartFrom) -> Start:
    return NOW if given == "now" else EVERYTHING if given == "all" else Start(given)


class Enabling(Body):
    start: StartFrom | None = Field(
        None,
        description="`now`, `all`, or a time: what happened since then starts, too. Null: a trigger that polled before "
        "goes on where it stopped, and any other starts from now.",
    )
    confirm: bool = Field(False, description="Start however many events these are.")

    def as_domain(self) -> Start | None:
        return None if self.start is None else as_start(self.start)


class StartPreview(BaseModel):
    """The number of events that enabling a trigger would start at once."""

    events: int
    at_least: bool = Field(description="There may be more: counting ends at 10,000, or at the time limit of a poll.")
    needs_confirmation: bool
    sentence: str

    @classmethod
    def of(cls, found: start.StartPreview) -> Self:
        return cls(
            events=found.events,
            at_least=found.at_least,
            needs_confirmation=found.needs_confirmation,
            sentence=found.sentence,
        )


class Rotate(Body):
    overlap_seconds: Overlap = 86_400


class RotateTriggerSecret(Rotate):
    secret: SigningSecret | None = Field(
        None, repr=False, description="Yours, where the sender dictates it. Default: a new one."
    )


class NewSecret(BaseModel):
    secret: str = Field(repr=False, description="Shown once.")


class ToldToken(BaseModel):
    token: str = Field(repr=False)
    told_at: datetime

    @classmethod
    def of(cls, told: Told) -> "ToldToken":
        return cls.model_validate(told, from_attributes=True)


class ConnectionCreate(Body):
    provider_id: str
    name: Name = "Unnamed connection"
    secrets: dict[str, Secret] = Field(
        repr=False, max_length=5000, description="Write-only. Which ones depends on the provider."
    )
    way: str | None = Field(None, description="One of the provider's ways to connect. Default: the first one.")
    external_user_id: ExternalUserId | None = None


class ConnectionUpdate(Body):
    name: Name | None = None
    secrets: dict[str, Secret] | None = Field(None, repr=False, max_length=5000, description="Replaces all of them.")


class Connection(BaseModel):
    id: UUID
    provider_id: str
    name: str
    way: str | None = Field(description="One of the provider's ways to connect. Null: the first one.")
    external_user_id: str | None
    scopes: list[str] | None = Field(
        description="That the provider was asked for, besides those of all its connections. Null: not by OAuth."
    )
    status: ConnectionStatus = Field(
        description="How calls with it go. expired: its access has ended and can't be renewed; refused: the provider "
        "does not take its credentials; needs_reconnect: the provider has ended its access. Connect it again."
    )
    status_since: datetime | None
    status_detail: str = Field(description="Why calls with it are refused, in a sentence.")
    last_success_at: datetime | None = Field(description="Within a minute.")
    last_refusal_at: datetime | None
    expires_at: datetime | None = Field(
        description="The end of its access token, which is renewed before. Null: it has none, or none that is known."
    )
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stored: connections.Connection, health: connection_health.Health | None) -> "Connection":
        given = {name: value for name, value in vars(stored).items() if name in cls.model_fields}
        told = {
            "status": health.status if health else "ok",
            "status_since": health.since if health else None,
            "status_detail": health.detail if health else "",
            "last_success_at": health.succeeded_at if health else None,
            "last_refusal_at": health.refused_at if health else None,
        }
        return cls.model_validate({**given, **told})


class CheckedConnection(Connection):
    check: str = Field(description="What the provider said of the credentials, or why it was not asked.")

    @classmethod
    def with_check(
        cls, stored: connections.Connection, health: connection_health.Health | None, check: str
    ) -> "CheckedConnection":
        return cls(**Connection.of(stored, health).model_dump(), check=check)


class ConnectionField(BaseModel):
    name: str = Field(description="The key in a connection's `secrets`.")
    label: str
    required: bool = True


class ConnectionNeeds(BaseModel):
    required: bool = Field(description="Whether a trigger of this provider needs a connection.")
    fields: list[ConnectionField]
    guide: str = Field(description="How to get what is needed; empty where that is not known.")


WayKind = Literal["key", "oauth", "client_credentials", "service_account", "app_installation"]


class ConnectionWay(BaseModel):
    way: str | None = Field(description="What a new connection says as its `way`. Null: nothing, it is the first one.")
    kind: WayKind = Field(description="oauth: by POST /v1/authorizations; all others by POST /v1/connections.")
    fields: list[ConnectionField] = Field(description="What the user enters.")
    device: bool = Field(description="Whether the user can grant it on another device.")

    @classmethod
    def of(cls, provider: kit.Provider, way: str | None) -> "ConnectionWay":
        its = provider.by_way(way)
        device = isinstance(its.auth, OAuth2) and bool(its.auth.device_url)
        return cls(way=way, kind=_kind(its.auth), fields=_fields(its, its.entered), device=device)


class ProviderTrigger(BaseModel):
    id: str
    name: str
    description: str
    type: str
    instructions: str | None


class Provider(BaseModel):
    id: str
    name: str
    connection: ConnectionNeeds
    ways: list[ConnectionWay] = Field(description="How it can be connected.")
    triggers: list[ProviderTrigger]

    @classmethod
    def of(cls, provider: kit.Provider) -> "Provider":
        fields = [*_fields(provider, provider.entered), *_fields(provider, provider.optional, required=False)]
        needs = ConnectionNeeds(required=provider.needs_connection, fields=fields, guide=provider.guide)
        ways = [ConnectionWay.of(provider, way) for way in (None, *provider.ways)] if provider.fields else []
        triggers = [
            ProviderTrigger(
                id=one.id,
                name=one.name,
                description=one.description,
                type=kit.kind_of(one),
                instructions=one.instructions,
            )
            for one in provider.triggers
        ]
        return cls(id=provider.id, name=provider.name, connection=needs, ways=ways, triggers=triggers)


def _fields(provider: kit.Provider, names: Sequence[str], *, required: bool = True) -> list[ConnectionField]:
    labels = {name: provider.labels.get(name) or name.replace("_", " ").capitalize() for name in names}
    return [ConnectionField(name=name, label=label, required=required) for name, label in labels.items()]


def _kind(auth: Auth) -> WayKind:
    match auth:
        case OAuth2():
            return "oauth"
        case ClientCredentials():
            return "client_credentials"
        case ServiceAccount():
            return "service_account"
        case AppInstallation():
            return "app_installation"
        case _:
            return "key"


class TriggerForm(ProviderTrigger):
    """A trigger with the form of its configuration, and with what its events are like."""

    version: str
    config_schema: dict[str, Any] = Field(description="The JSON Schema of `trigger_config`.")
    options: list[str] = Field(description="The fields whose values the provider can be asked for.")
    payload_schema: dict[str, Any] | None = Field(description="The JSON Schema of an event's body. Null: not known.")
    example: JsonValue = Field(description="The body of an event. Null: not known.")
    key_explained: str = Field(description="What tells an event from all others. Empty: not said.")

    @classmethod
    def of(cls, trigger: kit.Trigger) -> "TriggerForm":
        payload = trigger.payload_schema()
        return cls(
            id=trigger.id,
            name=trigger.name,
            description=trigger.description,
            type=kit.trigger_type(trigger),
            instructions=trigger.instructions,
            version=trigger.version,
            config_schema=trigger.config.model_json_schema(),
            options=sorted(trigger.options),
            payload_schema=None if payload is None else dict(payload),
            example=trigger.example,
            key_explained=trigger.key_sentence,
        )


class OptionsAsked(Body):
    """A question for the values that a field can have. `trigger_config` is what the user has entered so far."""

    connection_id: UUID | None = None
    trigger_config: dict[str, Any] = Field(default_factory=dict, repr=False, max_length=100)
    search: Annotated[str, StringConstraints(max_length=200)] = ""
    page: Annotated[str, StringConstraints(max_length=500)] | None = Field(
        None, description="The `next_cursor` of the page before."
    )


class FieldOption(BaseModel):
    value: str
    label: str

    @classmethod
    def of(cls, option: kit.Option) -> "FieldOption":
        return cls(value=option.value, label=option.label)


class Event(BaseModel):
    id: UUID
    project_id: str
    project_trigger_id: UUID
    key: str
    type: str
    subject: str | None
    occurred_at: datetime
    received_at: datetime
    content_type: str

    @classmethod
    def of(cls, stored: events.Event) -> "Event":
        return cls.model_validate(stored, from_attributes=True)


class Delivery(BaseModel):
    id: UUID
    event_id: UUID
    event_type: str
    project_id: str
    project_trigger_id: UUID
    replay_of: UUID | None
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    detail: str | None
    created_at: datetime

    @classmethod
    def of(cls, stored: StoredDelivery) -> "Delivery":
        return cls.model_validate(stored, from_attributes=True)


class RequestData(BaseModel):
    """The method, query and headers that are kept of a request, without those that may be a credential."""

    method: str
    query: dict[str, str | list[str]] = Field(repr=False)
    headers: dict[str, str] = Field(repr=False)
    cut: bool = Field(False, description="Whether there was more than the 8 KiB that are kept.")


class EventDetail(Event):
    body: str = Field(description="As it arrived.")
    body_encoding: Literal["utf-8", "base64"]
    body_dropped: str | None = Field(description="Why there is no body and no request any more, in a sentence.")
    request: RequestData | None = Field(description="Of an event that a request to a webhook of any sender brought.")
    deliveries: list[Delivery]

    @classmethod
    def with_deliveries(cls, stored: events.Event, made: list[StoredDelivery]) -> "EventDetail":
        text, encoding = _text(stored.body)
        return cls(
            **Event.of(stored).model_dump(),
            body=text,
            body_encoding=encoding,
            body_dropped=DROPPED if made and made[0].dropped else None,
            request=RequestData.model_validate_json(stored.request) if stored.request else None,
            deliveries=[Delivery.of(one) for one in made],
        )


class Attempt(BaseModel):
    id: UUID
    number: int
    status: Literal["delivered", "failed", "gone"]
    failure: Failure | None = Field(description="Why it failed, of a closed list: docs/outcomes.md.")
    response_status: int | None
    detail: str
    response: str = Field(description="The beginning of the target's answer.")
    conversation: list[dict[str, Any]] | None
    started_at: datetime
    finished_at: datetime

    @classmethod
    def of(cls, stored: AttemptRecord) -> "Attempt":
        return cls.model_validate({**vars(stored), "response": stored.response.decode(errors="replace")})


class DeliveryDetail(Delivery):
    history: list[Attempt]

    @classmethod
    def with_history(cls, stored: StoredDelivery, attempts: list[AttemptRecord]) -> "DeliveryDetail":
        return cls(**Delivery.of(stored).model_dump(), history=[Attempt.of(one) for one in attempts])


class Replayed(BaseModel):
    delivery_id: UUID


class ReplayCreate(Body):
    """A replay of many events. It takes the deliveries that exist now and match everything that is given.

    At least one of the filters is given, or `all`.
    """

    status: DeliveryStatus | None = Field(None, description="Default: dead. With `all`: every status.")
    project_id: str | None = None
    project_trigger_id: UUID | None = None
    event_type: str | None = None
    since: Instant | None = None
    until: Instant | None = None
    all: bool = Field(False, description="Repeat what was delivered as well.")
    per_second: Annotated[int, Field(ge=1, le=1000)] = 10
    to_project_id: str | None = Field(None, description="Where to, if not to the project each event belongs to.")

    @model_validator(mode="after")
    def _not_everything_unasked(self) -> Self:
        if not self.all and not any(getattr(self, name) for name in ReplayQuery.__dataclass_fields__):
            raise ValueError("Give a filter, such as a status or a time, or say `all: true` to repeat everything.")
        return self

    def query(self) -> ReplayQuery:
        return ReplayQuery(
            status=self.status or (None if self.all else "dead"),
            project_id=self.project_id,
            project_trigger_id=self.project_trigger_id,
            event_type=self.event_type,
            since=self.since,
            until=self.until,
        )


class ReplayPreview(BaseModel):
    query: dict[str, str] = Field(description="What would be asked for.")
    total: int | None = Field(description="Events that match now. Null where there are too many to count at once.")


class Replay(BaseModel):
    id: UUID
    status: Literal["running", "done", "cancelled"]
    query: dict[str, str] = Field(description="What was asked for.")
    per_second: int
    to_project_id: str | None
    replayed: int = Field(description="Events so far.")
    total: int | None = Field(
        description="Events that matched when it was started; what has changed since is not in it. "
        "Null where there were too many to count at once."
    )
    created_at: datetime
    ended_at: datetime | None

    @classmethod
    def of(cls, stored: Job) -> "Replay":
        status = "cancelled" if stored.cancelled else "done" if stored.ended_at else "running"
        return cls.model_validate({**vars(stored), "status": status})


class QuotaUse(BaseModel):
    """A quota of the organisation, and how much of it is used."""

    quota: Quota
    counted: str = Field(description="What is counted.")
    limit: int
    used: int | None = Field(description="Null for a limit of each connection.")
    resets_at: datetime | None = Field(description="When the count begins again. Null: it never does.")

    @classmethod
    def of(cls, use: Use) -> "QuotaUse":
        return cls(quota=use.quota, counted=use.quota.counted, limit=use.limit, used=use.used, resets_at=use.resets_at)


class ServiceHealth(BaseModel):
    """The health of the service. `full`: no new event is taken until there is room again."""

    takes_events: bool
    disk: DiskState = Field(description="`unknown`: what the database's disk can hold is not known.")
    disk_used_percent: float | None
    detail: str

    @classmethod
    def of(cls, use: DiskUse) -> "ServiceHealth":
        percent = None if use.used is None else round(100 * use.used, 1)
        return cls(takes_events=use.state != "full", disk=use.state, disk_used_percent=percent, detail=use.sentence)


class Paused(BaseModel):
    paused: bool


class Suspended(Body):
    """A choice among the suspended deliveries: the oldest, or the oldest of those that are named."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000
    delivery_ids: Annotated[list[UUID], Field(max_length=1000)] | None = Field(None, description="Only these.")


class Moved(BaseModel):
    count: int = Field(description="Deliveries. Less than `limit`: no others are suspended.")


class PollResult(BaseModel):
    code: Code
    detail: str
    event_ids: list[UUID]
    repeats: int = Field(description="Events that were there already.")
    console: list[str]
    error_kind: PollErrorKind | None = Field(None, description="What of polling code failed: a limit, or js_error.")

    @classmethod
    def of(cls, result: Result) -> "PollResult":
        return cls(
            code=result.code,
            detail=result.detail,
            event_ids=list(result.events),
            repeats=result.repeats,
            console=list(result.console),
            error_kind=PollErrorKind(result.error_kind) if result.error_kind else None,
        )


class Outcome(BaseModel):
    kind: Kind
    code: Code
    detail: str
    events: int
    count: int = Field(description="Requests alike that it stands for; more than 1 where there were very many.")
    at: datetime

    @classmethod
    def of(cls, stored: outcomes.Outcome) -> "Outcome":
        return cls.model_validate(stored, from_attributes=True)


class Health(BaseModel):
    """The health of a trigger.

    `failing`: its last poll failed, its last request was refused, or its last delivery failed. `stalled`: it is
    overdue, and no worker works on it. `paused`: its deliveries are suspended.
    """

    status: Status
    reason: str
    since: datetime | None
    next_at: datetime | None
    expected_by: datetime | None = Field(
        description="By when it should be heard of again. Null: nothing can be expected by a time, as with webhooks."
    )

    @classmethod
    def of(cls, found: Diagnosed) -> "Health":
        return cls.model_validate(found, from_attributes=True)


class TriggerHealth(BaseModel):
    id: UUID
    name: str | None
    project_id: str
    provider_id: str
    trigger_id: str
    external_user_id: str | None = Field(description="The user of your product to whom it belongs.")
    health: Health

    @classmethod
    def of(cls, found: Condition, diagnosed: Diagnosed) -> "TriggerHealth":
        return cls(
            id=found.id,
            name=found.name,
            project_id=found.project_id,
            provider_id=found.provider_id,
            trigger_id=found.trigger_id,
            external_user_id=found.external_user_id,
            health=Health.of(diagnosed),
        )


class Step(BaseModel):
    at: datetime
    what: str = Field(description="The kind of an outcome, or event, delivery, attempt.")
    code: str = Field(description="How it ended, of a closed list: docs/outcomes.md.")
    detail: str
    count: int
    event_id: UUID | None
    delivery_id: UUID | None


class Explanation(BaseModel):
    """An explanation of why something did or did not fire, in words and with what is recorded of it, oldest first."""

    summary: str
    health: Health
    steps: list[Step]

    @classmethod
    def of(cls, told: explainer.Explanation) -> "Explanation":
        return cls.model_validate(told, from_attributes=True)


class Sweep(BaseModel):
    """The poll beside a push, which finds what the provider's requests did not bring."""

    every_seconds: int
    next_at: datetime | None
    last_at: datetime | None = Field(description="The last one that went well.")
    failures_in_a_row: int
    last_error: str | None

    @classmethod
    def of(cls, stored: Poll) -> Self:
        return cls(
            every_seconds=stored.every_seconds or 0,
            next_at=stored.next_at,
            last_at=stored.last_at,
            failures_in_a_row=stored.failures,
            last_error=stored.error,
        )


class Subscription(BaseModel):
    """The webhook at the provider, as it was found there last."""

    registered_at: datetime = Field(description="When it was last made or renewed.")
    expires_at: datetime | None = Field(description="When the provider ends it. Null: it has no end.")
    next_look_at: datetime = Field(description="When it is renewed or looked at next.")
    last_seen_at: datetime = Field(description="When the provider last had it as it should be.")
    lost_at: datetime | None = Field(description="Since when it is known to be gone or switched off.")
    last_error: str | None

    @classmethod
    def of(cls, stored: StoredSubscription) -> Self:
        return cls(
            registered_at=stored.registered_at,
            expires_at=stored.expires_at,
            next_look_at=stored.next_at,
            last_seen_at=stored.seen_at,
            lost_at=stored.lost_at,
            last_error=stored.error,
        )


class Clockwork(BaseModel):
    """The state of a trigger: when it is due, how far it has come, and how its latest work ended."""

    id: UUID
    name: str | None
    status: Literal["ENABLED", "DISABLED"]
    health: Health
    paused: bool
    external_user_id: str | None = Field(description="The user of your product to whom it belongs.")
    webhook_url: str | None = Field(description="Where its deliveries go, for a webhook trigger.")
    repeats: str | None = Field(description="What counts as a repeat of a request, for a webhook of any sender.")
    privacy: Privacy
    next_at: datetime | None
    upcoming: list[datetime] = Field(description="The next ten firings of a schedule.")
    notes: list[str] = Field(description="What of its schedule may surprise.")
    last_at: datetime | None
    failures_in_a_row: int
    failing_since: datetime | None = Field(description="When the first of these failures happened.")
    last_error: str | None = Field(
        description="Why the latest poll failed, or the latest firing was put off; null when neither happened."
    )
    sweep: Sweep | None = Field(description="Null: its provider has no list, or it gets no requests.")
    subscription: Subscription | None = Field(description="Null: nothing has to be looked after at the provider.")
    outcomes: list[Outcome] = Field(description="Newest first.")


def _text(body: bytes) -> tuple[str, Literal["utf-8", "base64"]]:
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"
