"""Resend: webhooks. https://resend.com/docs/api-reference/webhooks/create-webhook"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.resend import provider
from tests.providers.hook_fake import HookFake, Kept, all_sampled, scheme_of


class Fake(HookFake):
    secrets = {"api_key": "re_right"}
    scheme = scheme_of("resend")
    deleted = 200

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer re_right"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert asked["events"]
        return asked["endpoint"], self.chosen_secret()

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        return {"id": hook.id, "created_at": "2026-05-01 12:00:00+00", "status": "enabled", "endpoint": hook.url}

    def made(self, hook: Kept) -> Any:
        return {"object": "webhook", "id": hook.id, "signing_secret": hook.secret}

    def listed(self, shown: list[Any], request: Request) -> Any:
        ids = [one["id"] for one in shown]
        start = ids.index(after) + 1 if (after := request.query_params.get("after")) else 0
        page, following = self.after(shown, start, int(request.query_params.get("limit", 20)))
        return {"object": "list", "has_more": following is not None, "data": page}


_MAIL = "56761188-7520-42d8-8898-ff6fc54ce618"
RECORDED = all_sampled(provider, [(one.id, "msg_1", _MAIL) for one in provider.triggers])
