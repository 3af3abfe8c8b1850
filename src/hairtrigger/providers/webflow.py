"""Defines the provider Webflow. Each trigger has a webhook of its own in a site.

The key of a form's submission is its id. The key of a change to an item of a collection also has the time of the
change. https://developers.webflow.com/data/docs/working-with-webhooks
"""

from typing import Any

from pydantic import Field

from hairtrigger import kit


class Site(kit.Config):
    site_id: str = Field(
        pattern="^[0-9a-f]{24}$",
        title="Site",
        description="The site's id, which its settings show.",
        examples=["65427cf400e02b306eaa04a0"],
    )


def _hooks(type_: str) -> kit.Hooks[Site]:
    """Return the subscription to events of one type. https://developers.webflow.com/data/reference/webhooks/create"""
    return kit.Hooks(
        "sites/{site_id}/webhooks",
        lambda _, url, __: {"triggerType": type_, "url": url},
        items="/webhooks",
        signs_with="/secretKey",
        one="webhooks/{id}",
    )


def _sample(type_: str) -> Any:
    thing = {"id": "6321ca84df3949bfc6752327", "siteId": "65427cf400e02b306eaa04a0"}
    item = {"collectionId": "64c0", "lastUpdated": "2026-05-01T12:00:00.000Z", "fieldData": {"name": "A post"}}
    form = {"name": "Contact", "data": {"Email": "ada@example.com"}, "submittedAt": "2026-05-01T12:00:00.000Z"}
    order = {"orderId": "dfa-3f1", "status": "unfulfilled", "acceptedOn": "2026-05-01T12:00:00.000Z"}
    site = {"domain": ["shop.example.com"], "publishedOn": "2026-05-01T12:00:00.000Z", "site": thing["siteId"]}
    kinds: dict[str, Any] = {"form_submission": form, "ecomm_new_order": order, "site_publish": site}
    return {"triggerType": type_, "payload": {**thing, **kinds.get(type_, item)}}


def _on(type_: str, key: tuple[str, ...], time: str, id_: str, name: str, description: str) -> kit.Webhook[Site]:
    family = kit.WebhookFamily(
        config=Site,
        sender=kit.SENDERS["webflow"],
        subscription=_hooks,
        fields=kit.Fields(key=key, type="/triggerType", subject=key[0], at=time),
        sample=_sample,
    )
    return family.on(type_, id_, name, description)


_ID, _CHANGED = "/payload/id", "/payload/lastUpdated"

provider = kit.Provider(
    id="webflow",
    name="Webflow",
    icon="🌊",
    base_url="https://api.webflow.com/v2/",
    auth=kit.Bearer("token"),
    guide="In Webflow, in the site's settings, under Apps and integrations, API access, make a token that may write "
    "sites and read forms, CMS and ecommerce. Webflow signs only what it sends for webhooks made with such a token.",
    labels={"token": "Site API token"},
    check=lambda api: api.get("token/introspect"),
    triggers=(
        _on("form_submission", (_ID,), "/payload/submittedAt", "on_form_submitted", "Form submitted",
            "A visitor submitted a form of the site."),
        _on("collection_item_created", (_ID,), _CHANGED, "on_item_created", "Item created",
            "An item was added to a collection."),
        _on("collection_item_changed", (_ID, _CHANGED), _CHANGED, "on_item_changed", "Item changed",
            "An item of a collection was changed."),
        _on("ecomm_new_order", ("/payload/orderId",), "/payload/acceptedOn", "on_order_placed", "Order placed",
            "A customer placed an order."),
        _on("site_publish", ("/payload/publishedOn",), "/payload/publishedOn", "on_site_published", "Site published",
            "The site was published."),
    ),
)  # fmt: skip
