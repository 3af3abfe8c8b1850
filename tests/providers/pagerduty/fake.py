"""PagerDuty: webhook subscriptions. https://developer.pagerduty.com/api-reference/ (Webhooks)"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.pagerduty import provider
from tests.providers.hook_fake import HookFake, Kept, all_sampled, scheme_of


class Fake(HookFake):
    secrets = {"api_key": "u+right"}
    collection = "/webhook_subscriptions"
    scheme = scheme_of("pagerduty")

    def authorized(self, request: Request) -> bool:
        assert request.headers["accept"] == "application/vnd.pagerduty+json;version=2"
        return request.headers.get("authorization") == "Token token=u+right"

    def taken(self, asked: Any) -> tuple[str, str | None]:
        subscription = asked["webhook_subscription"]
        assert subscription["type"] == "webhook_subscription"
        assert subscription["events"]
        assert subscription["filter"]["type"] in {"account_reference", "service_reference"}
        assert subscription["delivery_method"]["type"] == "http_delivery_method"
        return subscription["delivery_method"]["url"], self.chosen_secret()

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        method = {"type": "http_delivery_method", "url": hook.url, "secret": None, "temporarily_disabled": False}
        return {"id": hook.id, "type": "webhook_subscription", "active": True, "delivery_method": method}

    def made(self, hook: Kept) -> Any:
        shown = self.shown(hook)
        method = {**shown["delivery_method"], "secret": hook.secret}
        return {"webhook_subscription": {**shown, "delivery_method": method}}

    def listed(self, shown: list[Any], request: Request) -> Any:
        start, limit = int(request.query_params.get("offset", 0)), int(request.query_params.get("limit", 25))
        page, following = self.after(shown, start, limit)
        return {"webhook_subscriptions": page, "limit": limit, "offset": start, "more": following is not None}


RECORDED = all_sampled(provider, [(one.id, "01BYF6P6AU", "PGR0VU2") for one in provider.triggers])
