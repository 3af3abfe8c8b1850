"""Targets, and the attempts to deliver events to them: a workflow behind HTTP, an agent's conversation, or the log."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from hairtrigger.domain.outcome import Failure

DEFAULT_TEMPLATE = "{{type}} happened at {{time}}.\n\n{{event}}"


# Headers that this service sets itself, or that hold credentials, which belong in the vault.
_TAKEN = {"authorization", "content-length", "content-type", "cookie", "host", "proxy-authorization", "traceparent"}
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_HEADER_VALUE = re.compile(r"[\t -~]*")


def _callable(url: str) -> str:
    """Return the URL unchanged: it is shown, stored and called as the user typed it."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("A target's URL begins with http:// or https:// and names a host.")
    if parts.username or parts.password:
        raise ValueError("A target's URL holds no password; give it as the target's credential.")
    return url


def _sendable(headers: dict[str, str]) -> dict[str, str]:
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, value in lowered.items():
        if name in _TAKEN or name.startswith("webhook-"):
            raise ValueError(f"The header {name} can't be set here.")
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
            raise ValueError(f"The header {name!r} can't be sent.")
    return lowered


_Url = Annotated[str, Field(max_length=2048), AfterValidator(_callable)]
_Frozen = ConfigDict(frozen=True, extra="forbid")


class WorkflowTarget(BaseModel):
    """A workflow that runs when its address is called."""

    model_config = _Frozen

    kind: Literal["workflow"] = "workflow"
    url: _Url
    timeout_seconds: int = Field(default=30, ge=1, le=300)
    headers: Annotated[dict[str, str], AfterValidator(_sendable)] = Field(default={}, max_length=50, repr=False)


class AgentTarget(BaseModel):
    """An agent behind an API like OpenAI's: each event opens a conversation."""

    model_config = _Frozen

    kind: Literal["agent"] = "agent"
    base_url: _Url
    model: str = Field(min_length=1, max_length=200)
    system_prompt: str | None = Field(default=None, max_length=100_000)
    template: str = Field(default=DEFAULT_TEMPLATE, min_length=1, max_length=100_000)
    timeout_seconds: int = Field(default=100, ge=1, le=600)


class LogTarget(BaseModel):
    """The service's own log: shows what a target would be sent, before there is one."""

    model_config = _Frozen

    kind: Literal["log"] = "log"


TargetConfig = Annotated[WorkflowTarget | AgentTarget | LogTarget, Field(discriminator="kind")]


@dataclass(frozen=True)
class Outgoing:
    """One attempt to deliver one event. All attempts have the same `delivery_id`, so a target can recognise repeats."""

    delivery_id: UUID
    event_id: UUID
    attempt: int
    """The number of the attempt, from 1."""
    source: str
    """A URI reference, such as `/project-triggers/<uuid>`."""
    type: str
    """The event's type, such as `stripe.on_customer_created`."""
    subject: str | None
    time: datetime
    content_type: str
    body: bytes = field(repr=False)
    """The event's data as it was received."""
    org_id: UUID
    project_id: str
    project_trigger_id: UUID
    event_key: str
    replay_of: UUID | None = None
    traceparent: str | None = None
    """W3C trace context."""


@dataclass(frozen=True)
class Sent:
    """The result of an attempt."""

    status: Literal["delivered", "failed", "gone"]
    """`gone`: the target asked never to be called again."""
    response_status: int | None
    detail: str
    """A short sentence for the users of the trigger. It holds no secret."""
    retry_after: timedelta | None = None
    """How long the target asked not to be called."""
    response: bytes = field(default=b"", repr=False)
    """The beginning of the target's answer."""
    failure: Failure | None = None
    """Why a failed attempt failed."""
    conversation: list[dict[str, Any]] | None = field(default=None, repr=False)
    """The messages exchanged with an agent so far; the last one is the agent's."""


class Target(Protocol):
    async def send(self, outgoing: Outgoing) -> Sent:
        """Make the attempt. It never raises because of what the target or the network does."""
        ...
