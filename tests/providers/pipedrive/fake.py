"""Pipedrive: webhooks. https://developers.pipedrive.com/docs/api/v1/Webhooks"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hairtrigger.kit.verify import Basic
from hairtrigger.providers.pipedrive import provider
from tests.providers.hook_fake import HookFake, Kept, all_sampled


class Fake(HookFake):
    secrets = {"api_token": "right"}
    collection = "/v1/webhooks"
    scheme = Basic()
    signing_secrets = ("hairtrigger:first", "hairtrigger:second")
    deleted = 200
    paged = False

    def authorized(self, request: Request) -> bool:
        return request.headers.get("x-api-token") == "right"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert asked["version"] == "2.0"
        assert asked["event_action"] in {"create", "change", "delete", "*"}
        assert ":" not in asked["http_auth_password"]
        return asked["subscription_url"], f"{asked['http_auth_user']}:{asked['http_auth_password']}"

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        return {"id": int(hook.id), "company_id": 7, "subscription_url": hook.url, "is_active": 1, "version": "2.0"}

    def made(self, hook: Kept) -> Any:
        return {"success": True, "data": self.shown(hook)}

    def listed(self, shown: list[Any], request: Request) -> Any:
        return {"success": True, "status": "ok", "data": shown}


_ID = "4f6b1e0a-8d0f-4a9c-9b43-0c6ad6e1f001"
RECORDED = all_sampled(provider, [(one.id, _ID, "42") for one in provider.triggers])
