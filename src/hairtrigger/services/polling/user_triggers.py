"""Triggers that users define, in the form of providers: their polling code answers each question."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pydantic_core import to_json

from hairtrigger.domain.errors import PollFailed
from hairtrigger.domain.event import Draft, digest
from hairtrigger.domain.instants import instant
from hairtrigger.domain.slug import kebab
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.egress import Egress, EgressFailed, Reason
from hairtrigger.platform.shares import Tenant
from hairtrigger.sandbox.protocol.poll import (
    FetchFailed,
    HttpRequest,
    HttpResponse,
    PollError,
    Program,
    ResponseTooLarge,
    place,
)
from hairtrigger.sandbox.service.sandbox import Sandbox
from hairtrigger.sandbox.service.slices import Work, in_slices
from hairtrigger.services.catalogue import Owned
from hairtrigger.services.setup.integrations import config_model, inputs_of, passwords_of
from hairtrigger.store.setup import integrations
from hairtrigger.store.setup.integrations import Integration, IntegrationTrigger, WithTriggers
from hairtrigger.store.transaction import Transaction

NO_CODE = "The trigger has no polling code, so it never fires."
_LAST = "last_poll_time"  # in the cursor


@dataclass(frozen=True)
class IntegrationAuth:
    """The secrets of a connection to an integration: the fields that its author asked for. Polling code uses them."""

    secrets: tuple[str, ...]

    def headers(self, secrets: Any) -> dict[str, str]:  # noqa: ARG002
        return {}


@dataclass(frozen=True)
class UserTriggers:
    sandbox: Sandbox
    egress: Egress
    fetch_deadline: timedelta = timedelta(seconds=20)
    public_url: str = ""

    async def providers(self, tx: Transaction, wanted: Collection[Owned]) -> dict[Owned, Provider]:
        """Return the integrations that exist, as providers. An integration of another organisation is not returned."""
        found = await integrations.with_triggers(tx, wanted)
        return {(one.integration.org_id, one.integration.id): self._provider(one) for one in found}

    def _provider(self, found: WithTriggers) -> Provider:
        integration = found.integration
        required = tuple(field.slug for field in integration.auth_fields if field.required)
        return Provider(
            id=str(integration.id),
            name=integration.name,
            icon=integration.icon_url or (self._image_url(integration) if found.has_image else ""),
            auth=IntegrationAuth(required),
            triggers=tuple(self._trigger(integration, one) for one in found.triggers),
        )

    def _image_url(self, integration: Integration) -> str:
        """Return the address of the image that was uploaded as the icon. It is read with an API key."""
        return f"{self.public_url}/integrations/v1/{integration.id}/icon/image"

    def _trigger(self, integration: Integration, stored: IntegrationTrigger) -> Polling[Any]:
        async def poll(question: Question[PollingConfig]) -> Page:
            if stored.polling_code is None:
                raise PollFailed(NO_CODE)
            fields, config = stored.input_fields, question.config
            program = Program(
                code=stored.polling_code,
                inputs=inputs_of(fields, config),
                secrets=question.secrets,
                last_poll_time=_last_poll(question),
                hidden=passwords_of(fields, config),
                tenant=str(integration.org_id),
                project=question.project,
            )
            page = await self._page(program, question)
            return replace(page, events=[replace(one, type=event_type(integration, stored)) for one in page.events])

        return Polling(
            id=stored.slug,
            name=stored.name,
            description=stored.description,
            config=config_model(stored.input_fields),
            poll=poll,
            baseline=False,  # the code is told from which time on to look
            lacks=NO_CODE if stored.polling_code is None else "",
        )

    async def _page(self, program: Program, question: Question[PollingConfig]) -> Page:
        tenant = Tenant(program.tenant, program.project)

        async def fetch(request: HttpRequest) -> HttpResponse:
            response = await self.fetch(tenant, request)
            question.api.quota.note(response.status, response.headers)
            return response

        try:
            outcome = await self.sandbox.run(program, fetch)
        except PollError as error:
            said = f"{error.name}: {error.message}{place(error.line, error.column)}"
            raise PollFailed(said, error.console, error.kind) from error
        cursor = {_LAST: question.asked_at.isoformat()}  # its start: the next poll finds what happened since
        return Page(await in_slices(drafts_of(outcome.value)), cursor, console=outcome.console)

    async def fetch(self, tenant: Tenant, request: HttpRequest) -> HttpResponse:
        try:
            reply = await self.egress.of(tenant).send(
                request.method,
                request.url,
                headers=request.headers,
                body=request.body,
                redirects=request.redirect,
                timeout=self.fetch_deadline,
                max_bytes=self.sandbox.limits.response_bytes,
            )
        except EgressFailed as error:
            if error.reason is Reason.TOO_LARGE:
                raise ResponseTooLarge(error.reason, error.cost) from error
            raise FetchFailed(error.reason, error.cost, error.told) from error
        return HttpResponse(
            reply.status, reply.reason, reply.url, reply.redirected, reply.headers, reply.body, reply.cost
        )


def drafts_of(value: Sequence[Any]) -> Work[list[Draft]]:
    drafts = []
    for one in value:
        drafts.append(draft_of(one))
        yield
    return drafts


def draft_of(element: Any) -> Draft:
    """Return the event of an element in either published form: `{id, timestamp, data}`, or any other value."""
    key = _key(element)
    match element:
        case {"id": _, "timestamp": str() as timestamp, "data": dict() as data} if key:
            return Draft(key=key, data=to_json(data), occurred_at=_instant(timestamp))
        case dict():
            return Draft(key=key or _digest(element), data=to_json(element))
        case _:
            return Draft(key=_digest(element), data=to_json({"value": element}))


def event_type(integration: Integration, trigger: IntegrationTrigger) -> str:
    """Return the type made of the names that the author chose. An id would tell a reader nothing."""
    return f"{kebab(integration.name)}.{trigger.slug}"


def last_poll_of(cursor: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(cursor[_LAST])


def _last_poll(question: Question[PollingConfig]) -> datetime:
    return last_poll_of(question.cursor) if question.cursor else question.enabled_at


def _key(element: Any) -> str | None:
    """Return the element's id, if it is a whole number or a text. An empty text would make all elements one event."""
    match element:
        case {"id": bool()}:
            return None
        case {"id": str() | int() as id_}:
            return str(id_) or None
        case _:
            return None


def _digest(element: Any) -> str:
    """Return a digest that does not depend on the order of keys in the value."""
    return digest(json.dumps(element, sort_keys=True, separators=(",", ":")).encode())


def _instant(text: str) -> datetime | None:
    try:
        return instant(datetime.fromisoformat(text))
    except ValueError:
        return None
