"""Asana: webhooks of a project. https://developers.asana.com/reference/createwebhook"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hairtrigger.conformance import Recorded
from hairtrigger.domain.event import Draft, digest
from hairtrigger.providers.asana import provider
from tests.providers.hook_fake import HookFake, Kept, for_all, sample_of, scheme_of

_PROJECT, _WORKSPACE = "1204619611402340", "1200000000000001"
_CONFIG = {"project": _PROJECT}
_AT = datetime(2026, 5, 1, 12, 0, 0, 123000, UTC)


class Fake(HookFake):
    secrets = {"token": "right"}
    configs = for_all(provider, **_CONFIG)
    collection = "/api/1.0/webhooks"
    scheme = scheme_of("asana")
    deleted = 200

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert asked["data"]["resource"] == _PROJECT
        assert all("fields" not in one or one["action"] == "changed" for one in asked["data"]["filters"])
        return asked["data"]["target"], self.chosen_secret()

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        resource = {"gid": _PROJECT, "resource_type": "project"}
        return {"gid": hook.id, "resource_type": "webhook", "active": True, "resource": resource, "target": hook.url}

    def made(self, hook: Kept) -> Any:
        return {"data": self.shown(hook), "X-Hook-Secret": hook.secret}

    def listed(self, shown: list[Any], request: Request) -> Any:
        assert request.query_params["workspace"] == _WORKSPACE
        start, limit = int(request.query_params.get("offset", 0)), int(request.query_params["limit"])
        page, following = self.after(shown, start, limit)
        return {"data": page, "next_page": None if following is None else {"offset": str(following), "path": "/"}}

    def more(self) -> Sequence[BaseRoute]:
        async def project(request: Request) -> Response:
            if not self.authorized(request):
                return JSONResponse({"errors": [{"message": "Not Authorized"}]}, 401)
            workspace = {"gid": _WORKSPACE, "resource_type": "workspace"}
            return JSONResponse({"data": {"gid": _PROJECT, "workspace": workspace}})

        return [Route(f"/api/1.0/projects/{_PROJECT}", project)]


def _recorded(trigger: str) -> Recorded:
    body = sample_of(provider, trigger)
    (event,) = body["events"]
    data = json.dumps(event, separators=(",", ":")).encode()
    draft = Draft(digest(data), data, subject="1204619611402341", occurred_at=_AT)
    return Recorded(trigger, drafts=[draft], body=json.dumps(body).encode(), config=_CONFIG)


RECORDED = tuple(_recorded(one.id) for one in provider.triggers)
