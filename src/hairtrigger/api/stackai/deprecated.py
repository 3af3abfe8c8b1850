"""The deprecated routes with an API key in their path.

They still work. Their headers announce the date on which they end, and logs mask the key.
"""

from typing import Any
from uuid import UUID

from fastapi import APIRouter, Response
from starlette.requests import ClientDisconnect, Request

from hairtrigger.api.stackai.responses import problems
from hairtrigger.api.webhooks import read_request
from hairtrigger.domain.caller import TRIGGER_API, Caller
from hairtrigger.domain.errors import Malformed, NotFound
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.ingest.ingest import Ingest
from hairtrigger.services.polling.poller import Poller
from hairtrigger.services.scheduling.schedules import Schedules

# RFC 9745: deprecated since 1 December 2025. RFC 8594: gone after 30 November 2027.
_HEADERS = {"Deprecation": "@1764547200", "Sunset": "Tue, 30 Nov 2027 23:59:59 GMT"}
_BASE = "/organizations/{org_id}/triggers/{project_trigger_id}"


def router(
    accounts: Accounts, ingest: Ingest, poller: Poller, schedules: Schedules, public_url: str, max_body: int
) -> APIRouter:
    routes = APIRouter(
        tags=["deprecated"], deprecated=True, responses=problems(400, 401, 403, 404, 409, 422, 429, 502, 503)
    )

    async def key_holder(org_id: str, api_key: str) -> Caller:
        caller = await accounts.by_key(api_key)
        caller.require(TRIGGER_API)
        if str(caller.org_id) != org_id.lower():
            raise NotFound("There is no such organisation.")
        return caller

    @routes.post(_BASE + "/webhook/key/{api_key}", responses=problems(413))
    async def webhook_trigger(
        org_id: str,
        project_trigger_id: UUID,
        api_key: str,
        request: Request,
        response: Response,
        trigger_id: str | None = None,
        provider_id: str | None = None,
    ) -> Any:
        """Takes a request for a webhook trigger that the key vouches for. Use `POST
        /v1/webhooks/{webhook_id}` instead.
        """
        response.headers.update(_HEADERS)
        caller = await key_holder(org_id, api_key)
        try:
            delivery = await read_request(request.scope, request.receive, public_url, max_body)
        except ClientDisconnect as gone:
            raise Malformed("The body did not come.") from gone
        answer = await ingest.receive_with_key(caller, project_trigger_id, delivery, provider_id, trigger_id)
        return Response(answer.body, answer.status, {**answer.headers, **_HEADERS})

    @routes.post(_BASE + "/polling/key/{api_key}")
    async def polling_trigger(org_id: str, project_trigger_id: UUID, api_key: str, response: Response) -> Any:
        """Polls a trigger now. Triggers also poll by themselves. Use `POST /v1/project-triggers/{id}/poll` instead."""
        response.headers.update(_HEADERS)
        result = await poller.poll_now(await key_holder(org_id, api_key), project_trigger_id)
        return {"status": result.code, "detail": result.detail, "events": result.events}

    @routes.post(_BASE + "/scheduled/key/{api_key}")
    async def scheduled_trigger(org_id: str, project_trigger_id: UUID, api_key: str, response: Response) -> Any:
        """Fires a scheduled trigger now. Schedules also fire by themselves."""
        response.headers.update(_HEADERS)
        event_id = await schedules.fire_now(await key_holder(org_id, api_key), project_trigger_id)
        return {"status": "accepted", "events": [event_id]}

    return routes
