"""Defines the configuration of targets, and the attempts to deliver events to them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Protocol, Self
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    SecretStr,
    TypeAdapter,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import to_json

from hairtrigger.domain import hops
from hairtrigger.domain.json_reader import read_json
from hairtrigger.domain.outcome import Failure

DEFAULT_TEMPLATE = "{{type}} happened at {{time}}.\n\n{{event}}"

PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")
NAMED = ("event", "type", "time", "id", "key", "subject", "attempt", "test", "project_id", "delivery_id", "method")
"""The names that a placeholder of a template may hold. It may also hold `data`, `query`, `headers` and paths into
these.
"""
_WITH_PATHS = frozenset({"data", "query", "headers"})

MASK = str(SecretStr("any"))
"""The text that answers show in place of a secret. In a request it stands for the secret that is stored."""

Format = Literal["json", "structured", "binary", "plain", "template"]
"""The form of the requests to a workflow; `docs/target-formats.md` shows each."""

# Headers that this service sets itself.
_TAKEN = {"content-length", "content-type", "host", "proxy-authorization", "traceparent", hops.HEADER}
_LONGEST_TEMPLATE = 100_000  # bytes of JSON
_DEEPEST_TEMPLATE = 50
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_HEADER_VALUE = re.compile(r"[\t -~]*")


def _callable(url: str) -> str:
    """Return the URL unchanged, because a URL is shown, stored and called as its user typed it. Raises `ValueError` if
    it can't be called.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.port == 0:
        raise ValueError("A target's URL begins with http:// or https:// and names a host.")
    if parts.username or parts.password:
        raise ValueError("A target's URL holds no password; give it as the target's `auth`.")
    return url


def _sendable(headers: dict[str, SecretStr]) -> dict[str, SecretStr]:
    lowered = {name.lower(): value for name, value in headers.items()}
    for name, value in lowered.items():
        if name in _TAKEN or name.startswith("webhook-"):
            raise ValueError(f"The header {name} can't be set here.")
        if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value.get_secret_value()):
            raise ValueError(f"The header {name!r} can't be sent.")
    return lowered


def _sendable_text(value: SecretStr) -> SecretStr:
    if not _HEADER_VALUE.fullmatch(value.get_secret_value()):
        raise ValueError("This can't be sent in a header.")
    return value


def _json_template(template: JsonValue) -> JsonValue:
    """Return a template as a JSON value. It may be given as a JSON value or as JSON text.

    Raises `ValueError` if the text is not JSON, or if the template is nested too deep, is too long, or has an unknown
    placeholder.
    """
    if isinstance(template, str):
        try:
            template = read_json(template.encode(errors="replace"), allow_inf_nan=False)
        except ValueError:
            raise ValueError("The template is not JSON. Each placeholder stands within a string.") from None
    for text, depth in _texts(template):
        if depth > _DEEPEST_TEMPLATE:
            raise ValueError(f"The template is nested more than {_DEEPEST_TEMPLATE} levels deep.")
        for name in (found.strip() for found in PLACEHOLDER.findall(text)):
            if name not in NAMED and name.partition(".")[0] not in _WITH_PATHS:
                paths = "data, data.…, query.…, headers.…"
                raise ValueError(f"There is no {{{{{name}}}}}. A template may name {paths}, {', '.join(NAMED)}.")
    if len(to_json(template)) > _LONGEST_TEMPLATE:
        raise ValueError(f"The template is longer than {_LONGEST_TEMPLATE} bytes.")
    return template


def _texts(value: JsonValue, depth: int = 0) -> Iterator[tuple[str, int]]:
    """Yield each string of a JSON value with its depth. In place of each value that lies deeper than
    `_DEEPEST_TEMPLATE`, yield an empty string with its depth.
    """
    inner: list[JsonValue] = []
    if depth > _DEEPEST_TEMPLATE:
        yield "", depth
    elif isinstance(value, str):
        yield value, depth
    elif isinstance(value, list):
        inner = value
    elif isinstance(value, dict):
        inner = list(value.values())
    for one in inner:
        yield from _texts(one, depth + 1)


_SHOWN_MASKED = WithJsonSchema({"type": "string", "description": f"Stored sealed. Answers show `{MASK}`."})
_Secret = Annotated[SecretStr, Field(min_length=1, max_length=8192), AfterValidator(_sendable_text), _SHOWN_MASKED]
_HeaderValue = Annotated[SecretStr, _SHOWN_MASKED]
_Headers = Annotated[dict[str, _HeaderValue], AfterValidator(_sendable), Field(max_length=50, repr=False)]
_Url = Annotated[str, Field(max_length=2048), AfterValidator(_callable)]
_Frozen = ConfigDict(frozen=True, extra="forbid")


class BasicAuth(BaseModel):
    """A user name and password, as RFC 7617 sends them."""

    model_config = _Frozen

    kind: Literal["basic"] = "basic"
    username: Annotated[str, Field(max_length=1024, pattern="^[^:\\x00-\\x1f\\x7f]*$")]
    password: Annotated[SecretStr, Field(max_length=8192), _SHOWN_MASKED]


class BearerAuth(BaseModel):
    """A token, as RFC 6750 sends it."""

    model_config = _Frozen

    kind: Literal["bearer"] = "bearer"
    token: _Secret


Auth = Annotated[BasicAuth | BearerAuth, Field(discriminator="kind")]


class _Called(BaseModel):
    """A target that is called over HTTP."""

    model_config = _Frozen

    headers: _Headers = {}
    auth: Auth | None = None

    @model_validator(mode="after")
    def _one_authorization(self) -> Self:
        if self.auth and "authorization" in self.headers:
            raise ValueError("Give either `auth` or the header Authorization.")
        return self


class WorkflowTarget(_Called):
    """A workflow that runs when its address is called."""

    kind: Literal["workflow"] = "workflow"
    url: _Url
    timeout_seconds: int = Field(default=30, ge=1, le=300)
    format: Format = Field(
        default="json",
        description="What is sent: the CloudEvents envelope as application/json (`json`) or as "
        "application/cloudevents+json (`structured`), the data with the envelope in `ce-*` headers (`binary`), the "
        "data alone (`plain`), or JSON of your own (`template`).",
    )
    template: Annotated[JsonValue | None, BeforeValidator(_json_template)] = Field(
        default=None,
        description='JSON of your own for the format `template`: {"text": "New: {{data.name}}"}. A string that is one '
        "placeholder alone becomes its value, of whatever type.",
    )

    @model_validator(mode="after")
    def _template_where_needed(self) -> Self:
        if (self.format == "template") != (self.template is not None):
            raise ValueError("The format `template` needs a `template`, and the other formats have none.")
        return self


class AgentTarget(_Called):
    """An agent behind an API like OpenAI's. Each delivery opens a conversation."""

    kind: Literal["agent"] = "agent"
    base_url: _Url
    model: str = Field(min_length=1, max_length=200)
    system_prompt: str | None = Field(default=None, max_length=100_000)
    template: str = Field(default=DEFAULT_TEMPLATE, min_length=1, max_length=100_000)
    timeout_seconds: int = Field(default=100, ge=1, le=600)


class LogTarget(BaseModel):
    """The service's own log. It shows what a target would be sent, before there is a real one."""

    model_config = _Frozen

    kind: Literal["log"] = "log"


TargetConfig = Annotated[WorkflowTarget | AgentTarget | LogTarget, Field(discriminator="kind")]

_config: TypeAdapter[TargetConfig] = TypeAdapter(TargetConfig)


def read_config(stored: Mapping[str, Any]) -> TargetConfig:
    """Return the configuration of a target from its stored form. A workflow that was stored without a format gets the
    format `structured`, the only one at that time.
    """
    older = {"format": "structured"} if stored.get("kind") == "workflow" else {}
    return _config.validate_python({**older, **stored})


def authorized(config: TargetConfig) -> bool:
    """Return whether the configuration has credentials of its own, in `auth` or in a header Authorization."""
    return isinstance(config, _Called) and (config.auth is not None or "authorization" in config.headers)


@dataclass(frozen=True)
class Outgoing:
    """One attempt to deliver one event. All attempts of a delivery have the same `delivery_id`, by which the target can
    recognise repeats.
    """

    delivery_id: UUID
    event_id: UUID
    attempt: int
    """The number of the attempt, from 1."""
    source: str
    """The CloudEvents source of the event, a URI reference such as `/project-triggers/<uuid>`."""
    type: str
    """The event's type, such as `stripe.on_customer_created`."""
    subject: str | None
    time: datetime
    content_type: str
    body: bytes = field(repr=False)
    """The event's data, byte for byte as it is stored."""
    org_id: UUID
    project_id: str
    project_trigger_id: UUID
    event_key: str
    replay_of: UUID | None = None
    traceparent: str | None = None
    """The trace context of the attempt as W3C writes it, or None if the attempt belongs to no trace."""
    tracestate: str | None = None
    is_test: bool = False
    """Whether the event did not happen, but was made because a user wants to try the target."""
    hops: int = 1
    """How many deliveries of this service led to this one, including this one itself. See `domain/hops.py`."""
    request: str | None = field(default=None, repr=False)
    """The method, query and headers of the request that brought the event, as JSON text, or None if they were
    not kept.
    """
    incomplete: bool = False
    """The data only names the thing that happened, and its provider no longer has the rest."""


@dataclass(frozen=True)
class Sent:
    """The result of an attempt."""

    status: Literal["delivered", "failed", "gone"]
    """The way in which the attempt ended. `gone` means that the target asked never to be called again."""
    response_status: int | None
    detail: str
    """A short sentence for the users of the trigger. It holds no secret."""
    retry_after: timedelta | None = None
    """How long the target asked not to be called, or None if it did not ask for a wait."""
    response: bytes = field(default=b"", repr=False)
    """The beginning of the target's answer."""
    failure: Failure | None = None
    """Why the attempt was not successful, or None if it was."""
    conversation: list[dict[str, Any]] | None = field(default=None, repr=False)
    """The messages exchanged with an agent so far, of which the last is the agent's. None if there is no such
    message.
    """


class Target(Protocol):
    """A place to which a project's events are delivered."""

    async def send(self, outgoing: Outgoing) -> Sent:
        """Make the attempt and return its result. An error of the target or the network is a result, and is
        not raised.
        """
        ...
