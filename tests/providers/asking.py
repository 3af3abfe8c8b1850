"""Inputs of provider files: requests as they arrive, and questions that a fake answers."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic_core import to_json
from starlette.types import ASGIApp

from hairtrigger.domain.errors import NotWanted
from hairtrigger.domain.event import Draft
from hairtrigger.kit.http import Api
from hairtrigger.kit.incoming import Headers, Incoming, Request
from hairtrigger.kit.parsing import Parse, Parser
from hairtrigger.kit.trigger import AppWebhook, Cursor, Provider, Question, Trigger, Webhook
from hairtrigger.providers import CATALOGUE
from tests.support.internet import Internet

T = TypeVar("T")

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


def provider(provider_id: str) -> Provider:
    (found,) = (one for one in CATALOGUE if one.id == provider_id)
    return found


def trigger(provider_id: str, trigger_id: str) -> Any:
    found = provider(provider_id).trigger(trigger_id)
    assert found
    return found


async def parsed_here(parser: Parser[T], data: bytes, **hints: str) -> AsyncIterator[T]:
    """Parse in this process, for providers whose answers are JSON and for tests that parse many times."""
    for record in parser.read(data, **hints):
        yield parser.shape.validate_json(to_json(record))


def asking(
    provider_id: str,
    trigger_id: str,
    app: ASGIApp,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
    *,
    cursor: Cursor | None = None,
    host: str | None = None,
    parse: Parse = parsed_here,
) -> Question[Any]:
    """Return a question as the engine asks it. The fake answers at the provider's own address or at `host`."""
    asked = provider(provider_id)
    held = secrets or {}
    address = host or "/".join(asked.address(held).split("/")[:3])
    return Question(
        config=trigger(provider_id, trigger_id).config.model_validate(config or {}),
        api=Api(Internet({address: app}), asked.address(held), asked.auth.carried(held)),
        secrets=held,
        cursor=cursor,
        enabled_at=NOW,
        asked_at=NOW,
        parse=parse,
    )


def arrived(body: bytes, headers: Mapping[str, str] | None = None) -> Request:
    return Request("POST", "https://hooks.example.com/v1/webhooks/1", Headers((headers or {}).items()), body, NOW)


def events(definition: Trigger, request: Request, config: Mapping[str, Any] | None = None) -> list[Draft]:
    assert isinstance(definition, Webhook | AppWebhook)
    read: Callable[[Incoming[Any]], Any] = definition.events
    try:
        return list(read(Incoming(request, definition.config.model_validate(config or {}))))
    except NotWanted:
        return []
