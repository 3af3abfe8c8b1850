"""Inputs of provider files: requests as they arrive, and questions that a fake answers."""

from collections.abc import Mapping
from typing import Any

from starlette.types import ASGIApp

from hairtrigger.conformance.asking import NOW, arrived, events, parsed_here, question
from hairtrigger.kit.parsing import Parse
from hairtrigger.kit.trigger import Cursor, Provider, Question
from hairtrigger.providers import CATALOGUE

__all__ = ["NOW", "arrived", "asking", "events", "parsed_here", "provider", "trigger"]


def provider(provider_id: str) -> Provider:
    (found,) = (one for one in CATALOGUE if one.id == provider_id)
    return found


def trigger(provider_id: str, trigger_id: str) -> Any:
    found = provider(provider_id).trigger(trigger_id)
    assert found
    return found


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
    return question(
        *(provider(provider_id), trigger(provider_id, trigger_id), app, config, secrets),
        hosts=(host,) if host else (),
        cursor=cursor,
        parse=parse,
    )
