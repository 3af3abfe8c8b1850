"""Shopify: webhook subscriptions by GraphQL.

https://shopify.dev/docs/api/admin-graphql/2026-07/mutations/webhookSubscriptionCreate
"""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.shopify import provider
from tests.providers.graphql_fake import Field, GraphqlFake
from tests.providers.hook_fake import sampled, scheme_of


class Fake(GraphqlFake):
    secrets = {"shop": "acme", "access_token": "shpat_right", "client_secret": "shpss_right"}
    path = "/admin/api/2026-07/graphql.json"
    scheme = scheme_of("shopify")

    def authorized(self, request: Request) -> bool:
        return request.headers.get("x-shopify-access-token") == "shpat_right"

    def fields(self) -> Mapping[str, Field]:
        return {
            "webhookSubscriptionCreate": self._create,
            "webhookSubscriptionDelete": self._delete,
            "webhookSubscriptions": lambda asked: self.connection(
                [self.shown(one) for one in self.kept], asked["after"]
            ),
            "shop": lambda _: {"id": "gid://shopify/Shop/1"},
        }

    def _create(self, asked: Mapping[str, Any]) -> Any:
        assert asked["topic"].isupper()
        if any(one.url == asked["uri"] for one in self.kept):
            taken = {
                "field": ["webhookSubscription", "uri"],
                "message": "Address for this topic has already been taken",
            }
            return {"webhookSubscription": None, "userErrors": [taken]}
        hook = self.add(asked["uri"], "shpss_right", asked)
        return {"webhookSubscription": {"id": hook.id}, "userErrors": []}

    def _delete(self, asked: Mapping[str, Any]) -> Any:
        there = [one for one in self.kept if one.id == asked["id"]]
        missing = [{"field": ["id"], "message": "Webhook subscription does not exist"}]
        self.kept = [one for one in self.kept if one not in there]
        return {"userErrors": [] if there else missing}


_ID = "820982911946154508"
_TOPICS = {
    "on_order_created": "orders/create",
    "on_order_paid": "orders/paid",
    "on_order_fulfilled": "orders/fulfilled",
    "on_order_cancelled": "orders/cancelled",
    "on_order_updated": "orders/updated",
    "on_product_created": "products/create",
    "on_product_updated": "products/update",
    "on_customer_created": "customers/create",
    "on_customer_updated": "customers/update",
}
RECORDED = tuple(
    sampled(
        provider,
        trigger,
        f"{_ID}:2026-05-01T12:00:00Z" if topic.endswith(("updated", "update")) else _ID,
        _ID,
        headers={"x-shopify-topic": topic},
    )
    for trigger, topic in _TOPICS.items()
)
