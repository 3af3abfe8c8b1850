"""Defines the provider WooCommerce. Each trigger has a webhook of its own in the store.

The key is made of the thing's id and, for a change, of the time of the change. The store's delivery id is no key,
because two deliveries of the same second share it. The store does not repeat a failed delivery, and disables a webhook
after five failed ones. https://woocommerce.github.io/woocommerce-rest-api-docs/#webhooks and the plugin's
class-wc-webhook.php
"""

from typing import Any

from hairtrigger import kit


def _hooks(topic: str) -> kit.Hooks[kit.Empty]:
    def body(_: Any, url: str, secret: str) -> dict[str, Any]:
        return {"name": "hairtrigger", "topic": topic, "delivery_url": url, "secret": secret, "status": "active"}

    return kit.Hooks(
        "webhooks",
        body,
        url="/delivery_url",
        one="webhooks/{id}?force=true",
        paging=kit.Numbered(),
    )


def _sample(topic: str) -> Any:
    thing = {"id": 727, "date_created_gmt": "2026-05-01T11:58:00", "date_modified_gmt": "2026-05-01T12:00:00"}
    match topic.partition(".")[0]:
        case "order":
            bill = {"first_name": "Ada", "email": "ada@example.com"}
            return {**thing, "number": "1042", "status": "processing", "total": "29.35", "billing": bill}
        case "customer":
            return {**thing, "email": "ada@example.com", "first_name": "Ada", "username": "ada"}
        case _:
            return {**thing, "name": "Teapot", "status": "publish", "price": "29.35", "stock_quantity": 3}


def _family(at: str, *key: str) -> kit.WebhookFamily[kit.Empty]:
    return kit.WebhookFamily(
        config=kit.Empty,
        sender=kit.SENDERS["woocommerce"],
        subscription=_hooks,
        fields=kit.Fields(key=key, type="header:x-wc-webhook-topic", subject="/id", at=at, unit="utc"),
        sample=_sample,
    )


_CHANGED = "/date_modified_gmt"
_ONCE, _CHANGES = _family("/date_created_gmt", "/id"), _family(_CHANGED, "/id", _CHANGED)

provider = kit.Provider(
    id="woocommerce",
    name="WooCommerce",
    icon="🛒",
    base_url="https://{store}/wp-json/wc/v3/",
    auth=kit.UserAndPassword("consumer_key", "consumer_secret"),
    guide="In WordPress, under WooCommerce, Settings, Advanced, REST API, add a key with read and write access for a "
    "user who manages the store. The store is its host name, such as shop.example.com.",
    labels={"store": "Store", "consumer_key": "Consumer key", "consumer_secret": "Consumer secret"},
    check=lambda api: api.get("webhooks?per_page=1"),
    triggers=(
        _ONCE.on("order.created", "on_order_created", "Order created", "A customer placed an order."),
        _CHANGES.on("order.updated", "on_order_updated", "Order updated", "An order changed, its status for example."),
        _ONCE.on("product.created", "on_product_created", "Product created", "A product was added."),
        _CHANGES.on("product.updated", "on_product_updated", "Product updated", "A product changed."),
        _ONCE.on("customer.created", "on_customer_created", "Customer created", "A customer registered."),
        _CHANGES.on("customer.updated", "on_customer_updated", "Customer updated", "A customer's data changed."),
    ),
)
