"""WooCommerce: webhooks of a store. https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.woocommerce import provider
from tests.providers.hook_fake import NOON, HookFake, Kept, sampled, scheme_of

_BASIC = "Basic " + base64.b64encode(b"ck_right:cs_right").decode()


class Fake(HookFake):
    secrets = {"store": "shop.example.com", "consumer_key": "ck_right", "consumer_secret": "cs_right"}
    collection = "/wp-json/wc/v3/webhooks"
    scheme = scheme_of("woocommerce")
    deleted = 200

    def authorized(self, request: Request) -> bool:
        if request.method == "DELETE":
            assert request.query_params["force"] == "true", "webhooks do not support trashing"
        return request.headers.get("authorization") == _BASIC

    def taken(self, asked: Any) -> tuple[str, str | None]:
        assert asked["status"] == "active"
        assert asked["topic"].count(".") == 1
        assert not set("&<>\"'") & set(asked["secret"]), "the store keeps the secret escaped for HTML"
        return asked["delivery_url"], asked["secret"]

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        return {"id": int(hook.id), "name": "hairtrigger", "status": "active", "delivery_url": hook.url, "hooks": []}

    def listed(self, shown: list[Any], request: Request) -> Any:
        return self.numbered(shown, request)


_TOPICS = {
    "on_order_created": ("order.created", "727"),
    "on_order_updated": ("order.updated", "727:2026-05-01T12:00:00"),
    "on_product_created": ("product.created", "727"),
    "on_product_updated": ("product.updated", "727:2026-05-01T12:00:00"),
    "on_customer_created": ("customer.created", "727"),
    "on_customer_updated": ("customer.updated", "727:2026-05-01T12:00:00"),
}
_MADE = datetime(2026, 5, 1, 11, 58, tzinfo=UTC)
RECORDED = tuple(
    sampled(provider, trigger, key, "727", headers={"x-wc-webhook-topic": topic}, at=_MADE if key == "727" else NOON)
    for trigger, (topic, key) in _TOPICS.items()
)
