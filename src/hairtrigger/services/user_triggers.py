"""Triggers users define themselves, as providers like any other: their polling code answers the questions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pydantic_core import to_json

from hairtrigger.domain.errors import PollFailed
from hairtrigger.domain.event import Draft, digest
from hairtrigger.domain.integration import InputField
from hairtrigger.domain.slug import kebab
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.egress import Egress, EgressFailed
from hairtrigger.sandbox.code import FetchFailed, HttpRequest, HttpResponse, PollError, Program
from hairtrigger.sandbox.host import Sandbox
from hairtrigger.services.integrations import config_model, inputs_of
from hairtrigger.store import integrations
from hairtrigger.store.database import Transaction
from hairtrigger.store.integrations import IntegrationTrigger

_LAST = "last_poll_time"  # in the cursor


@dataclass(frozen=True)
class Held:
    """What a connection to an integration holds: the fields its author asked for. The code puts them to use."""

    secrets: tuple[str, ...]

    def headers(self, secrets: Any) -> dict[str, str]:  # noqa: ARG002
        return {}


@dataclass(frozen=True)
class UserTriggers:
    sandbox: Sandbox
    egress: Egress

    async def provider(self, tx: Transaction, org_id: UUID, integration_id: UUID) -> Provider | None:
        """An organisation's integration; None where it has no such one."""
        found = await integrations.get(tx, org_id, integration_id)
        if not found:
            return None
        required = tuple(field.slug for field in found.auth_fields if field.required)
        return Provider(
            id=str(found.id),
            name=found.name,
            icon=found.icon_url or "",
            auth=Held(required),
            triggers=tuple(self._trigger(found.name, one) for one in await integrations.triggers(tx, integration_id)),
        )

    def _trigger(self, integration: str, stored: IntegrationTrigger) -> Polling[Any]:
        code, fields = stored.polling_code, stored.input_fields
        event_type = f"{kebab(integration)}.{stored.slug}"  # as its author named it: an id would tell a reader nothing

        async def poll(question: Question[PollingConfig]) -> Page:
            if code is None:
                raise PollFailed("The trigger has no polling code, so it never fires.")
            page = await self._run(code, fields, question)
            return replace(page, events=[replace(one, type=event_type) for one in page.events])

        return Polling(
            id=stored.slug,
            name=stored.name,
            description=stored.description,
            config=config_model(fields),
            poll=poll,
            baseline=False,  # the code is told since when
        )

    async def _run(self, code: str, fields: Sequence[InputField], question: Question[PollingConfig]) -> Page:
        last = datetime.fromisoformat(question.cursor[_LAST]) if question.cursor else question.enabled_at
        program = Program(code, inputs_of(fields, question.config), question.secrets, last)
        try:
            outcome = await self.sandbox.run(program, self._fetch)
        except PollError as error:
            where = f" (line {error.line})" if error.line else ""
            raise PollFailed(f"{error.name}: {error.message}{where}", error.console) from error
        cursor = {_LAST: question.asked_at.isoformat()}  # its start: what happened meanwhile comes with the next
        return Page([_draft(one) for one in outcome.value], cursor, console=outcome.console)

    async def _fetch(self, request: HttpRequest) -> HttpResponse:
        try:
            reply = await self.egress.send(
                request.method,
                request.url,
                headers=request.headers,
                body=request.body,
                redirects=request.redirect,
            )
        except EgressFailed as error:
            raise FetchFailed(error.reason) from error
        return HttpResponse(reply.status, reply.reason, reply.url, reply.redirected, reply.headers, reply.body)


def _draft(element: Any) -> Draft:
    """Both published forms: `{id, timestamp, data}`, or any other value, which is the event itself."""
    key = _key(element)
    match element:
        case {"id": _, "timestamp": str() as timestamp, "data": dict() as data} if key:
            return Draft(key=key, data=to_json(data), occurred_at=_instant(timestamp))
        case dict():
            return Draft(key=key or _digest(element), data=to_json(element))
        case _:
            return Draft(key=_digest(element), data=to_json({"value": element}))


def _key(element: Any) -> str | None:
    """Its id, if that is a text or a whole number. An empty one would make one event of all."""
    match element:
        case {"id": bool()}:
            return None
        case {"id": str() | int() as id_}:
            return str(id_) or None
        case _:
            return None


def _digest(element: Any) -> str:
    """The same for the same value, whatever the order of its keys."""
    return digest(json.dumps(element, sort_keys=True, separators=(",", ":")).encode())


def _instant(text: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(text)
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # no date, or none that there is in UTC
        return None
