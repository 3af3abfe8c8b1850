"""Inputs of provider files: questions that a fake answers, and requests as they arrive."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

from pydantic_core import to_json
from starlette.types import ASGIApp

from hairtrigger.conformance.internet import Internet
from hairtrigger.domain.errors import NotWanted
from hairtrigger.domain.event import Draft
from hairtrigger.kit.http import Api
from hairtrigger.kit.incoming import Headers, Incoming, Request
from hairtrigger.kit.parsing import Parse, Parser
from hairtrigger.kit.trigger import AppWebhook, Cursor, Known, Provider, Question, Trigger, Webhook

T = TypeVar("T")

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
URL = "https://hooks.example.com/v1/webhooks/018f4e7a-0000-7000-8000-000000000001"
OTHER_URL = "https://hooks.example.com/v1/webhooks/018f4e7a-0000-7000-8000-000000000002"


async def parsed_here(parser: Parser[T], data: bytes, **hints: str) -> AsyncIterator[T]:
    """Parse in this process, for providers whose answers are JSON and for tests that parse many times."""
    for record in parser.read(data, **hints):
        yield parser.shape.validate_json(to_json(record))


async def nothing_known(_: Sequence[str]) -> Collection[str]:
    return ()


def question(
    provider: Provider,
    trigger: Trigger,
    app: ASGIApp,
    config: Mapping[str, Any] | None = None,
    held: Mapping[str, str] | None = None,
    *,
    hosts: Sequence[str] = (),
    cursor: Cursor | None = None,
    at: datetime = NOW,
    parse: Parse = parsed_here,
    known: Known = nothing_known,
) -> Question[Any]:
    """Return a question as the engine asks it. The fake answers at the provider's own address or at `hosts`."""
    held = held or {}
    address = provider.address(held)
    parts = urlsplit(address)
    at_hosts = hosts or (f"{parts.scheme}://{parts.hostname}",)
    asked: Question[Any] = Question(
        config=trigger.config.model_validate(config or {}),
        api=Api(
            Internet(dict.fromkeys(at_hosts, app)),
            address,
            provider.auth.carried(held),
            secrets=tuple(held[name] for name in provider.fields if held.get(name)),
        ),
        secrets=held,
        cursor=cursor,
        enabled_at=NOW,
        asked_at=at,
        parse=parse,
    )
    return replace(asked, known=known)


def arrived(body: bytes, headers: Mapping[str, str] | None = None, at: datetime = NOW, query: str = "") -> Request:
    return Request("POST", f"{URL}?{query}" if query else URL, Headers((headers or {}).items()), body, at)


def events(definition: Trigger, request: Request, config: Mapping[str, Any] | None = None) -> list[Draft]:
    """Return the events that a webhook's request becomes. A request that the trigger does not want becomes none."""
    assert isinstance(definition, Webhook | AppWebhook)
    incoming: Incoming[Any] = Incoming(request, definition.config.model_validate(config or {}))
    try:
        return list(definition.events(incoming))
    except NotWanted:
        return []
