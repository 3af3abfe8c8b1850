"""Telegram: the webhook of a bot. https://core.telegram.org/bots/api#setwebhook"""

import re
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hairtrigger.conformance import Hook
from hairtrigger.providers.telegram import provider
from tests.providers.hook_fake import HookFake, Kept, sampled, scheme_of

TOKEN = "123456:ABC-right"


class Fake(HookFake):
    secrets = {"token": TOKEN}
    scheme = scheme_of("telegram")
    signing_secrets = ("a1b2c3", "d4e5f6")
    webhook: dict[str, Any] = {"url": ""}

    def authorized(self, request: Request) -> bool:
        return bool(request.path_params["token"] == TOKEN)

    def taken(self, asked: Any) -> tuple[str, str | None]:
        raise NotImplementedError

    def shown(self, hook: Kept) -> Any:
        raise NotImplementedError

    def hooks(self) -> Sequence[Hook]:
        url = self.webhook["url"]
        return [*super().hooks(), *([Hook(url, self.webhook.get("secret_token"))] if url else [])]

    def add_hook(self, trigger: str, url: str) -> None:
        """Make a webhook of another bot: a bot has one webhook, so no other program can have one beside ours."""
        self.add(url, None)

    def server(self) -> Starlette:
        async def answered(request: Request) -> Response:
            if not self.authorized(request):
                return JSONResponse({"ok": False, "error_code": 401, "description": "Unauthorized"}, 401)
            asked = await request.json() if request.method == "POST" else {}
            match request.path_params["method"]:
                case "getWebhookInfo":
                    return _result({"url": self.webhook["url"], "pending_update_count": 0})
                case "setWebhook":
                    assert re.fullmatch("[A-Za-z0-9_-]{1,256}", asked["secret_token"])
                    self.webhook = asked
                    return _result(True)
                case "deleteWebhook":
                    self.webhook = {"url": ""}
                    return _result(True)
                case "getMe":
                    return _result({"id": 123456, "is_bot": True})
                case _:
                    return JSONResponse({"ok": False, "error_code": 404, "description": "Not Found"}, 404)

        return Starlette(routes=[Route("/bot{token}/{method}", answered, methods=["GET", "POST"])])


def _result(result: Any) -> Response:
    return JSONResponse({"ok": True, "result": result})


RECORDED = tuple(
    sampled(provider, one.id, "10000", "1111111", **({"at": None} if one.id == "on_callback_query" else {}))
    for one in provider.triggers
)
