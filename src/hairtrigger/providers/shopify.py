"""Defines the provider Shopify. Each trigger has a webhook subscription of its own, made with a shop's custom app.

The key of an order, a product or a customer that was created is its id, because it is created only once. The key of a
change also has `updated_at`. Shopify deletes a subscription after eight failed deliveries.
https://shopify.dev/docs/apps/build/webhooks
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from hairtrigger import kit

_PATH = "graphql.json"
_CREATE = """mutation($topic: WebhookSubscriptionTopic!, $uri: String!) {
  webhookSubscriptionCreate(topic: $topic, webhookSubscription: {uri: $uri, format: JSON}) {
    webhookSubscription { id } userErrors { field message } } }"""
_DELETE = "mutation($id: ID!) { webhookSubscriptionDelete(id: $id) { userErrors { field message } } }"
_LIST = """query($after: String) {
  webhookSubscriptions(first: 100, after: $after) { nodes { id uri } pageInfo { hasNextPage endCursor } } }"""


class Fault(kit.Payload):
    message: str


class Hook(kit.Payload):
    id: str


class Made(kit.Payload):
    webhook_subscription: Hook | None = Field(default=None, alias="webhookSubscription")
    user_errors: list[Fault] = Field(alias="userErrors")


@dataclass(frozen=True)
class Hooks(kit.ListedHooks[kit.Empty]):
    """The subscription to one topic.
    https://shopify.dev/docs/api/admin-graphql/2026-07/mutations/webhookSubscriptionCreate
    """

    topic: str
    one_per_url = True  # Shopify refuses a second one with the same topic and address

    async def make(self, question: kit.Question[kit.Empty], url: str, secret: str) -> tuple[str, kit.Registration]:  # noqa: ARG002
        topic = self.topic.replace("/", "_").upper()
        data = await question.api.graphql(_PATH, _CREATE, topic=topic, uri=url)
        made = kit.read(Made, data["webhookSubscriptionCreate"])
        if made.webhook_subscription is None:
            raise kit.ProviderFailed(
                f"Shopify made no webhook: {'; '.join(one.message for one in made.user_errors)[:300]}"
            )
        id_ = made.webhook_subscription.id
        return id_, kit.Registration({"webhook_id": id_, "topic": topic}, question.secrets["client_secret"])

    async def there(self, question: kit.Question[kit.Empty]) -> AsyncIterator[tuple[str, str]]:
        async for hook in kit.nodes(question.api, _PATH, _LIST, "webhookSubscriptions"):
            yield str(hook["id"]), str(hook["uri"])

    async def drop(self, question: kit.Question[kit.Empty], id_: str) -> None:
        await question.api.graphql(_PATH, _DELETE, id=id_)


def _sample(topic: str) -> Any:
    thing = {"id": 820982911946154508, "created_at": "2026-05-01T11:58:00Z", "updated_at": "2026-05-01T12:00:00Z"}
    match topic.partition("/")[0]:
        case "orders":
            items = [{"id": 866550311766439020, "title": "Teapot", "quantity": 1, "price": "29.35"}]
            return {**thing, "name": "#1001", "email": "ada@example.com", "total_price": "29.35", "line_items": items}
        case "customers":
            return {**thing, "email": "ada@example.com", "first_name": "Ada"}
        case _:
            return {**thing, "title": "Teapot", "status": "active", "variants": [{"id": 1, "price": "29.35"}]}


def _family(*key: str) -> kit.WebhookFamily[kit.Empty]:
    return kit.WebhookFamily(
        config=kit.Empty,
        sender=kit.SENDERS["shopify"],
        subscription=Hooks,
        fields=kit.Fields(key=key, type="header:x-shopify-topic", subject="/id", at="/updated_at"),
        sample=_sample,
    )


_ONCE, _CHANGES = _family("/id"), _family("/id", "/updated_at")

provider = kit.Provider(
    id="shopify",
    name="Shopify",
    icon="🛍️",
    base_url="https://{shop}.myshopify.com/admin/api/2026-07/",
    auth=kit.KeyHeader("x-shopify-access-token", "access_token"),
    further=("client_secret",),
    guide="In Shopify's settings, under Apps and sales channels, develop an app that may read orders, products and "
    "customers. Take its Admin API access token, and its API secret key, which Shopify signs with. The shop is what "
    "stands before .myshopify.com.",
    labels={"shop": "Shop", "access_token": "Admin API access token", "client_secret": "API secret key"},
    check=lambda api: api.graphql(_PATH, "{ shop { id } }"),
    triggers=(
        _ONCE.on("orders/create", "on_order_created", "Order created", "A customer placed an order."),
        _ONCE.on("orders/paid", "on_order_paid", "Order paid", "An order was paid."),
        _ONCE.on("orders/fulfilled", "on_order_fulfilled", "Order fulfilled", "All of an order was sent."),
        _ONCE.on("orders/cancelled", "on_order_cancelled", "Order cancelled", "An order was cancelled."),
        _CHANGES.on("orders/updated", "on_order_updated", "Order updated", "An order changed."),
        _ONCE.on("products/create", "on_product_created", "Product created", "A product was added."),
        _CHANGES.on("products/update", "on_product_updated", "Product updated", "A product changed."),
        _ONCE.on("customers/create", "on_customer_created", "Customer created", "A customer was added."),
        _CHANGES.on("customers/update", "on_customer_updated", "Customer updated", "A customer's data changed."),
    ),
)
