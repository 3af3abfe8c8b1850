"""The shapes of operational events and alert channels."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from hairtrigger.api.v1.schemas import Body, Name, Secret
from hairtrigger.domain.alert_channel import MOST_AN_HOUR, MOST_RECIPIENTS, Kind
from hairtrigger.domain.operational import OperationalType, Severity, schema_of
from hairtrigger.services.alerts.alert_channels import Changes, Draft, Tried
from hairtrigger.store.alerts import channels
from hairtrigger.store.alerts.operational_events import Recorded

_Types = Annotated[list[OperationalType], Field(max_length=100)]
_Projects = Annotated[list[str], Field(max_length=100)]
_Recipients = Annotated[
    list[Annotated[str, StringConstraints(strip_whitespace=True, max_length=254)]], Field(max_length=MOST_RECIPIENTS)
]
_TYPES = "Only events of these types. Empty: all of them."
_PROJECTS = "Only events about these projects, or about the whole organisation. Empty: about any project."
_URL = "The address of the chat's incoming webhook. Write-only."


class OperationalEventType(BaseModel):
    """A type of operational events. A type stays, and so does each field of its data; new ones may come."""

    type: OperationalType
    severity: Severity
    description: str
    data_schema: dict[str, Any] = Field(description="The JSON Schema of the data.")

    @classmethod
    def of(cls, type_: OperationalType) -> "OperationalEventType":
        return cls(type=type_, severity=type_.severity, description=type_.meaning, data_schema=schema_of(type_))


class OperationalEvent(BaseModel):
    id: UUID
    type: OperationalType
    severity: Severity
    at: datetime
    sentence: str
    project_id: str | None
    project_trigger_id: UUID | None
    data: dict[str, Any] = Field(description="What a project gets that asks for it: GET /v1/operational-event-types")

    @classmethod
    def of(cls, stored: Recorded) -> "OperationalEvent":
        return cls.model_validate({**vars(stored), "severity": stored.type.severity})


class AlertChannelCreate(Body):
    name: Name
    kind: Kind = Field(
        description="`email`, or the chat whose JSON the address takes. Mattermost, Rocket.Chat and Google Chat take "
        "that of `slack`."
    )
    recipients: _Recipients = Field(default_factory=list, description="E-mail addresses, for `email`.")
    url: Secret | None = Field(None, repr=False, description=f"{_URL} For chats.")
    types: _Types = Field(default_factory=list, description=_TYPES)
    project_ids: _Projects = Field(default_factory=list, description=_PROJECTS)

    def draft(self) -> Draft:
        return Draft(self.name, self.kind, self.types, self.project_ids, self.recipients, self.url)


class AlertChannelUpdate(Body):
    """A change of an alert channel. A field that is left out stays as it is."""

    name: Name | None = None
    recipients: _Recipients | None = None
    url: Secret | None = Field(None, repr=False, description=_URL)
    types: _Types | None = Field(None, description=_TYPES)
    project_ids: _Projects | None = Field(None, description=_PROJECTS)

    def changes(self) -> Changes:
        return Changes(self.name, self.types, self.project_ids, self.recipients, self.url)


class AlertChannel(BaseModel):
    id: UUID
    name: str
    kind: Kind
    recipients: list[str]
    types: list[OperationalType]
    project_ids: list[str]
    status: Literal["healthy", "failing"] = Field(description="`failing`: the last message was not taken.")
    detail: str = Field(description="How the last message ended; empty before the first one.")
    failing_since: datetime | None
    waiting: int = Field(
        description=f"Operational events that it has not told yet. It sends {MOST_AN_HOUR} messages an hour at most; "
        "what happens beyond is in the next one."
    )
    next_at: datetime = Field(description="No message is sent before this time.")
    last_sent_at: datetime | None = Field(description="In the last hour.")
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, stored: channels.AlertChannel, waiting: int) -> "AlertChannel":
        more = {
            "status": "failing" if stored.failures else "healthy",
            "waiting": waiting,
            "last_sent_at": max(stored.sent, default=None),
        }
        return cls.model_validate({**vars(stored), **more})


class TestResult(BaseModel):
    """The result of a test message."""

    __test__ = False  # pytest takes classes by their names

    taken: bool
    detail: str

    @classmethod
    def of(cls, tried: Tried) -> "TestResult":
        return cls(taken=tried.taken, detail=tried.detail)
