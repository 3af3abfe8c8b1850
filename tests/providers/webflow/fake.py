"""Webflow: webhooks of a site. https://developers.webflow.com/data/reference/webhooks/create"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.webflow import provider
from tests.providers.hook_fake import HookFake, Kept, for_all, sampled, scheme_of

_CONFIG = {"site_id": "65427cf400e02b306eaa04a0"}


class Fake(HookFake):
    secrets = {"token": "right"}
    configs = for_all(provider, **_CONFIG)
    collection, single = "/v2/sites/65427cf400e02b306eaa04a0/webhooks", "/v2/webhooks/{id}"
    scheme = scheme_of("webflow")
    paged = False

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert asked["triggerType"]
        return asked["url"], self.chosen_secret()

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        return {"id": hook.id, "triggerType": "form_submission", "url": hook.url, "createdOn": "2026-05-01T12:00:00Z"}

    def made(self, hook: Kept) -> Any:
        return {**self.shown(hook), "secretKey": hook.secret}

    def listed(self, shown: list[Any], request: Request) -> Any:
        return {"webhooks": shown}


_ID, _WHEN = "6321ca84df3949bfc6752327", "2026-05-01T12:00:00.000Z"
_KEYS = {
    "on_form_submitted": (_ID, _ID),
    "on_item_created": (_ID, _ID),
    "on_item_changed": (f"{_ID}:{_WHEN}", _ID),
    "on_order_placed": ("dfa-3f1", "dfa-3f1"),
    "on_site_published": (_WHEN, _WHEN),
}
RECORDED = tuple(sampled(provider, one, key, subject, config=_CONFIG) for one, (key, subject) in _KEYS.items())
