"""Fakes of providers: what the rules need to know about a provider's own side.

A fake is written from the provider's documentation, schema or SDK, and not from the provider file. Its class is named
`Fake`, and stands in `tests/providers/<id>/fake.py` together with `RECORDED`, the requests that the provider sends as
its documentation shows them; their bodies are the files in `recorded/` beside it.
"""

import base64
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hairtrigger.domain.event import Draft, digest

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
OTHER_SECRET = "whsec_" + base64.b64encode(b"76543210fedcba9876543210").decode()

_LACKS = "A rule needs this part of the fake. Write it in fake.py."

Sign = Callable[[bytes, str, datetime], Mapping[str, str]]


class Hook(NamedTuple):
    """A webhook as the provider knows it. `secret` is what it signs with, or None if it does not say."""

    url: str
    secret: str | None = None


@dataclass(frozen=True)
class Recorded:
    """A request that brings events, as the provider's documentation shows it, and the events that it must become.

    The body is the file `recorded/<trigger>.json` or `file`, or `body`. The event has `key`, by default the digest of
    the body, and the body as its data; `drafts` describes other events. `config` is a configuration that wants the
    event, and `headers` are sent beside those of `Fake.signed`.
    """

    trigger: str
    key: str | None = None
    subject: str | None = None
    at: datetime | None = None
    type: str | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    drafts: Sequence[Draft] | None = None
    body: bytes | None = field(default=None, repr=False)
    file: str = ""
    sign: Sign | None = None  # in place of `Fake.signed`
    query: str = ""  # the parameter of the URL that holds the secret, if it is there
    signs_body: bool | None = None  # None: as the verifier says
    timed: bool | None = None  # whether an old request is refused; None: as the verifier says
    any_body: bool = False  # whether every body is an event
    former_keys: tuple[str, ...] = ()

    def expected(self, body: bytes) -> list[Draft]:
        if self.drafts is not None:
            return list(self.drafts)
        key = digest(body) if self.key is None else self.key
        return [
            Draft(
                key=key,
                data=body,
                type=self.type,
                subject=self.subject,
                occurred_at=self.at,
                former_keys=self.former_keys,
            )
        ]


@dataclass(frozen=True)
class Fault:
    status: int
    headers: Mapping[str, str]
    body: bytes
    after: bool


class Fake(ABC):
    """A provider in memory. Each rule makes a new one.

    The rules for subscriptions call `hooks` and `add_hook`, those for polls call `happen` and `remove`. Both kinds
    make requests fail by `fail`. A fake checks the credentials of each request, as the provider does.
    """

    secrets: Mapping[str, str] = {}
    """The fields of a connection that the fake accepts."""
    configs: Mapping[str, Mapping[str, Any]] = {}
    """A configuration for each trigger that needs one, by its id."""
    signing_secrets: tuple[str, str] = (SECRET, OTHER_SECRET)
    """Two secrets that the provider could sign with. If it signs with a private key, these are public keys."""
    hosts: Sequence[str] = ()
    """The addresses at which the fake is found. Default: that of the provider."""
    late: timedelta = timedelta(minutes=1)
    """How long after its time a thing may appear in the provider's lists."""
    paged: bool = True
    """Whether lists have pages, of at most `page` things."""
    dated: bool = True
    """Whether the provider says when a thing happened, and the fake takes `at` for that."""

    def __init__(self) -> None:
        self.page = 100
        self.asked: list[str] = []  # the requests so far, such as "GET /v1/things"
        self.between: Callable[[], Awaitable[object]] | None = None  # is called before each request
        self._faults: dict[int, Fault] = {}

    @abstractmethod
    def server(self) -> ASGIApp:
        """Return the provider's API as an ASGI application. It is called for each request; `self` holds the state."""

    def signed(self, body: bytes, secret: str, at: datetime) -> Mapping[str, str]:
        """Return the headers of a request that the provider signs with this secret at this time."""
        raise NotImplementedError(_LACKS)

    def hooks(self) -> Sequence[Hook]:
        """Return the webhooks that exist at the provider."""
        raise NotImplementedError(_LACKS)

    def add_hook(self, trigger: str, url: str) -> None:
        """Make a webhook as another program does."""
        raise NotImplementedError(_LACKS)

    async def happen(self, trigger: str, at: datetime) -> str:
        """Make happen what this trigger waits for, dated at this time. Return the key of its event."""
        raise NotImplementedError(_LACKS)

    def remove(self, key: str) -> None:
        """Delete the thing with this event key at the provider."""
        raise NotImplementedError(_LACKS)

    def fail(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        skip: int = 0,
        after: bool = False,
    ) -> None:
        """Answer the next request so, or the one after `skip` requests. With `after`, do what it asks for before."""
        self._faults[len(self.asked) + skip] = Fault(status, headers or {}, body, after)

    def heal(self) -> None:
        """Forget the faults that have not happened."""
        self._faults.clear()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, with the faults that `fail` has set. This is the ASGI application that the rules call."""
        if self.between:
            await self.between()
        number = len(self.asked)
        request = Request(scope)
        self.asked.append(f"{request.method} {request.url.path}")
        fault = self._faults.pop(number, None)
        if fault is None or fault.after:
            await self.server()(scope, receive, _nowhere if fault else send)
        if fault:
            await Response(fault.body, fault.status, dict(fault.headers))(scope, receive, send)


class Unasked(Fake):
    """The fake of a provider that is never asked, and that has nothing of its own."""

    def server(self) -> ASGIApp:
        return Response(status_code=404)


async def _nowhere(_: Message) -> None:
    """Drop an answer that gets lost."""
