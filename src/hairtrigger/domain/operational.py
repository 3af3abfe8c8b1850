"""Defines operational events, with which the service tells of itself, such as that a trigger fails or that a quota is
nearly used up.

The types are a closed list. A type is never removed, and a field of its data is never removed or changed, because
programs read them. New types and new fields may be added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, SerializeAsAny

from hairtrigger.domain.quotas import Quota, Use

PROVIDER = "hairtrigger"
"""The id of the provider whose triggers bring operational events to projects."""

_NEAR = 0.8  # of a quota
_FAR = 0.75  # of a quota: what was told of it is over

Severity = Literal["problem", "recovery"]
Stall = Literal["overdue", "off_the_clock", "unregistered", "unrouted"]
Side = Literal["polls", "subscription", "sweeps", "requests", "deliveries"]


class Details(BaseModel):
    """The part of an operational event's data whose fields depend on the event's type."""

    model_config = ConfigDict(frozen=True)


class Stalled(Details):
    since: AwareDatetime = Field(description="The due time that passed, or when the trigger was enabled.")
    stall: Stall


class Failing(Details):
    since: AwareDatetime | None = Field(description="When the first of these failures happened.")
    sides: list[Side] = Field(
        description="What fails: its polls, its webhook at the provider (subscription), the polls beside that "
        "(sweeps), the requests to it, or the deliveries of its events."
    )


class Recovered(Details):
    was: Literal["failing", "stalled"]
    since: AwareDatetime | None = Field(description="When that had begun.")


class Disabled(Details):
    code: str = Field(description="The code of the outcome: docs/outcomes.md.")


class Counted(Details):
    count: int = Field(description="How many polls did so since the last such event.")


class Dead(Details):
    count: int = Field(description="How many deliveries of the trigger ended so since the last such event.")
    delivery_ids: list[UUID] = Field(description="The first 20 of them.")


class TargetFailing(Details):
    since: AwareDatetime = Field(description="When the first of these attempts failed.")
    failed_attempts: int = Field(description="How many attempts failed in a row.")


class TargetRecovered(Details):
    since: AwareDatetime | None = Field(description="When the target had begun to fail.")


class QuotaUsed(Details):
    quota: Quota
    limit: int
    used: int
    resets_at: AwareDatetime | None = Field(description="When the count begins again. Null: it never does.")


class DiskUsed(Details):
    used_percent: float | None


class RemovalFailed(Details):
    provider_id: str


class ConnectionNamed(Details):
    connection_id: UUID
    provider_id: str
    name: str
    external_user_id: str | None = Field(description="The user of your product whose connection it is.")


class ConnectionBroken(ConnectionNamed):
    status: Literal["expired", "refused", "needs_reconnect"]
    since: AwareDatetime
    enabled_triggers: int = Field(description="How many enabled triggers use it.")


class ConnectionRecovered(ConnectionNamed):
    since: AwareDatetime | None = Field(description="When it had broken.")


class Resubscribed(Details):
    provider_id: str
    last_seen_at: AwareDatetime = Field(description="When the provider was last seen to have it as it should be.")


class Flooded(Details):
    count: int = Field(description="How many events such polls have brought since the last such event.")


class OperationalType(StrEnum):
    """The types of operational events."""

    meaning: str
    severity: Severity
    details: type[Details]

    # The defaults are for mypy, which reads the lookup `OperationalType("disk.low")` as a call of this method.
    def __new__(
        cls, value: str, meaning: str = "", severity: Severity = "problem", details: type[Details] = Details
    ) -> Self:
        made = str.__new__(cls, value)
        made._value_ = value
        made.meaning, made.severity, made.details = meaning, severity, details
        return made

    TRIGGER_STALLED = (
        "trigger.stalled",
        "An enabled trigger is overdue and no worker has taken it, or it can never fire as it is.",
        "problem",
        Stalled,
    )
    TRIGGER_FAILING = (
        "trigger.failing",
        "A trigger's polls fail, the requests to it are refused, or its events can't be delivered.",
        "problem",
        Failing,
    )
    TRIGGER_RECOVERED = (
        "trigger.recovered",
        "A trigger that was failing or stalled works again.",
        "recovery",
        Recovered,
    )
    TRIGGER_DISABLED = "trigger.disabled", "The service itself has disabled a trigger.", "problem", Disabled
    TRIGGER_ITEMS_REFUSED = (
        "trigger.items_refused",
        "Polls brought items that can't be told apart, so these made no events. Told once an hour at most.",
        "problem",
        Counted,
    )
    DELIVERY_DEAD = (
        "delivery.dead",
        "Deliveries are dead letters: nothing more is tried until they are replayed. Told once a minute at most.",
        "problem",
        Dead,
    )
    TARGET_FAILING = "target.failing", "The attempts to deliver to a project's target fail.", "problem", TargetFailing
    TARGET_RECOVERED = (
        "target.recovered",
        "A project's target that was failing takes deliveries again.",
        "recovery",
        TargetRecovered,
    )
    QUOTA_NEAR = "quota.near", "The organisation has used 80 % of a quota.", "problem", QuotaUsed
    QUOTA_REACHED = "quota.reached", "The organisation has used up a quota.", "problem", QuotaUsed
    DISK_LOW = (
        "disk.low",
        "The service's disk is nearly full. Only the operator's organisation is told.",
        "problem",
        DiskUsed,
    )
    DISK_FULL = (
        "disk.full",
        "The service's disk is full, so no new event is taken. Only the operator's organisation is told.",
        "problem",
        DiskUsed,
    )
    DISK_RECOVERED = (
        "disk.recovered",
        "The service's disk has room again. Only the operator's organisation is told.",
        "recovery",
        DiskUsed,
    )
    WEBHOOK_REMOVAL_FAILED = (
        "webhook.removal_failed",
        "The removal of a webhook at its provider was given up: remove it there.",
        "problem",
        RemovalFailed,
    )
    CONNECTION_BROKEN = (
        "connection.broken",
        "A provider does not accept a connection's credentials any more. Its polls wait, and webhooks are still taken.",
        "problem",
        ConnectionBroken,
    )
    CONNECTION_RECOVERED = (
        "connection.recovered",
        "A connection that was broken has new credentials, or is accepted again.",
        "recovery",
        ConnectionRecovered,
    )
    TRIGGER_FLOODED = (
        "trigger.flooded",
        "A poll brought very many events at once. All are stored, and delivered at the pace of their project.",
        "problem",
        Flooded,
    )
    SUBSCRIPTION_RENEWED = (
        "subscription.renewed",
        "A trigger's webhook was gone, switched off or doubled at its provider, and was made again.",
        "recovery",
        Resubscribed,
    )


class ProjectNamed(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: str
    name: str | None = Field(description="Null if the project has been deleted.")


class TriggerNamed(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str | None = Field(description="Null if it has none, or has been deleted.")
    provider_id: str | None
    trigger_id: str | None


class Data(BaseModel):
    """The data of an operational event, as it is stored and delivered to projects."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    type: OperationalType
    version: Literal[1] = 1
    severity: Severity
    at: AwareDatetime = Field(description="When the service told it.")
    sentence: str = Field(description="What happened, for a person.")
    organization_id: UUID
    project: ProjectNamed | None = Field(description="The project it is about. Null: all of the organisation.")
    trigger: TriggerNamed | None = Field(description="The project trigger it is about.")
    details: SerializeAsAny[Details]


@dataclass(frozen=True)
class OperationalEvent:
    """An operational event as it is recorded, before it is told."""

    id: UUID
    org_id: UUID
    type: OperationalType
    at: datetime
    sentence: str
    details: Details
    project: ProjectNamed | None = None
    trigger: TriggerNamed | None = None
    of_target: bool = False
    """Whether the event is about deliveries to the project's own target. If so, that project is not told of it."""
    people_only: bool = False
    """Whether the event is about a trigger that brings operational events. If so, no project is told of it, because
    each delivery could cause a further event without end; alert channels are told.
    """

    @property
    def data(self) -> bytes:
        """Return the event's data (`Data`) as JSON in UTF-8."""
        told = Data(
            id=self.id,
            type=self.type,
            severity=self.type.severity,
            at=self.at,
            sentence=self.sentence,
            organization_id=self.org_id,
            project=self.project,
            trigger=self.trigger,
            details=self.details,
        )
        return told.model_dump_json().encode()


def schema_of(type_: OperationalType) -> dict[str, Any]:
    """Return the JSON Schema of `Data` for operational events of one type."""
    schema = Data.model_json_schema(mode="serialization")
    details = type_.details.model_json_schema(mode="serialization")
    schema["$defs"] = {**schema["$defs"], **details.pop("$defs", {})}
    del schema["$defs"]["OperationalType"], schema["$defs"]["Details"]
    own = {"type": {"const": type_.value}, "severity": {"const": type_.severity}, "details": details}
    schema["properties"] |= own
    return {**schema, "title": type_.value, "description": type_.meaning}


@dataclass(frozen=True)
class Wanted:
    """A filter for the operational events that a project or an alert channel asks for. Without `types` they are of all
    types, and without `project_ids` they are about all projects.
    """

    types: Sequence[str] = ()
    project_ids: Sequence[str] = ()

    def include(self, one: OperationalEvent) -> bool:
        """Return whether the event passes the filter. An event that is about no single project passes with any
        `project_ids`.
        """
        of_type = not self.types or one.type in self.types
        return of_type and (not self.project_ids or one.project is None or one.project.id in self.project_ids)


@dataclass(frozen=True)
class Notice:
    """Something that happened and will be told as an operational event. Until then, equal notices are counted in one
    row.
    """

    org_id: UUID
    type: OperationalType
    subject: str
    """The id of what it happened to. Notices of an organisation are equal if they have the same type and subject."""
    at: datetime | None
    """The time at which it happened. None stands for the time of storing."""
    sentence: str
    project_trigger_id: UUID | None = None
    count: int = 1
    ids: Sequence[UUID] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def strain_of(use: Use) -> OperationalType | None:
    """Return the type of event that tells of this use of a quota: `QUOTA_REACHED` if the quota is used up, and
    `QUOTA_NEAR` if at least 80 % of it is used. Return None if less is used, or if the use is not known.
    """
    if use.used is None or use.used < _NEAR * use.limit:
        return None
    return OperationalType.QUOTA_REACHED if use.used >= use.limit else OperationalType.QUOTA_NEAR


def is_far(use: Use) -> bool:
    """Return whether less than 75 % of a quota is used, or its use is not known. An earlier warning about the quota is
    then over, so that a new one is given when 80 % are used again.
    """
    return use.used is None or use.used < _FAR * use.limit
