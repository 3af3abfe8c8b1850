"""Zendesk: webhooks. https://developer.zendesk.com/api-reference/webhooks/webhooks-api/webhooks/"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hairtrigger.providers.zendesk import provider
from tests.providers.hook_fake import HookFake, Kept, all_sampled, scheme_of

_BASIC = "Basic " + base64.b64encode(b"ada@example.com/token:right").decode()
_API = "https://acme.zendesk.com/api/v2/webhooks"


class Fake(HookFake):
    secrets = {"subdomain": "acme", "email": "ada@example.com", "api_token": "right"}
    collection = "/api/v2/webhooks"
    scheme = scheme_of("zendesk")

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == _BASIC

    def taken(self, asked: Any) -> tuple[str, str | None]:
        webhook = asked["webhook"]
        assert (webhook["http_method"], webhook["request_format"], webhook["status"]) == ("POST", "json", "active")
        assert webhook["name"]
        assert webhook["subscriptions"]
        return webhook["endpoint"], self.chosen_secret()

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        return {"id": hook.id, "name": "hairtrigger", "endpoint": hook.url, "status": "active"}

    def made(self, hook: Kept) -> Any:
        return {"webhook": self.shown(hook)}

    def listed(self, shown: list[Any], request: Request) -> Any:
        start, size = int(request.query_params.get("page[after]", 0)), int(request.query_params["page[size]"])
        page, following = self.after(shown, start, size)
        after = f"{_API}?page%5Bafter%5D={following}&page%5Bsize%5D={size}" if following is not None else None
        return {"webhooks": page, "meta": {"has_more": after is not None}, "links": {"next": after, "prev": None}}

    def more(self) -> Sequence[BaseRoute]:
        async def secret(request: Request) -> Response:
            if not self.authorized(request):
                return JSONResponse({"error": "Couldn't authenticate you"}, 401)
            there = [one for one in self.kept if one.id == request.path_params["id"]]
            told = {"algorithm": "SHA256", "secret": there[0].secret if there else None}
            return JSONResponse({"signing_secret": told}, 200 if there else 404)

        return [Route("/api/v2/webhooks/{id}/signing_secret", secret)]


_ID = "2b24ef10-19d3-4740-93cf-8f98ec4776c0"
_OTHERS = {"on_user_created": "zen:user:35436", "on_organization_created": "zen:organization:35436"}
RECORDED = all_sampled(provider, [(one.id, _ID, _OTHERS.get(one.id, "zen:ticket:35436")) for one in provider.triggers])
