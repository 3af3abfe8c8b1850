"""The provider Stripe. Each trigger has a webhook endpoint of its own, in the mode (live or test) of its connection's
API key.

https://docs.stripe.com/webhooks
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from hairtrigger import kit

# https://docs.stripe.com/api/events/object
EVENTS = kit.Fields(key="/id", type="/type", subject="/data/object/id", at="/created", unit="s")


class Events(kit.Payload):
    data: list[dict[str, Any]]


def _endpoint(event_type: str) -> kit.Hooks[kit.Empty]:
    """Return the subscription to one type of Stripe's events. Each trigger has a webhook endpoint of its own.

    https://docs.stripe.com/api/webhook_endpoints
    """
    return kit.Hooks(
        "v1/webhook_endpoints",
        lambda _, url, __: [("url", url), ("enabled_events[]", event_type), ("metadata[created_by]", "hairtrigger")],
        items="/data",
        signs_with="/secret",
        named="webhook_endpoint_id",
        on=("/status", "enabled"),  # Stripe disables an endpoint that has failed for several days
        paging=kit.After("starting_after", more="/has_more"),  # https://docs.stripe.com/api/pagination
    )


def _sweep(event_type: str) -> kit.Sweep[kit.Empty]:
    """Return the sweep of Stripe's list of events, which keeps them for 30 days and shows each as it is sent.

    https://docs.stripe.com/api/events/list
    """
    listed = kit.Listed[kit.Empty](
        "v1/events",
        EVENTS,
        lambda since: {"type": event_type, "created[gte]": int(since.timestamp())},
        late=timedelta(minutes=15),  # the clocks of Stripe and of this service may differ
        items="/data",
        paging=kit.After("starting_after", more="/has_more"),
        newest_first=True,
    )
    return kit.Sweep(poll=listed)


def _on(event_type: str, id_: str, name: str, description: str) -> kit.Webhook[kit.Empty]:
    async def samples(question: kit.Question[kit.Empty]) -> Sequence[Any]:
        """Return the three latest events of the type, or fewer if there are fewer.
        https://docs.stripe.com/api/events/list
        """
        return kit.read(Events, await question.api.get("v1/events", {"type": event_type, "limit": 3})).data

    return kit.Webhook(
        id=id_,
        name=name,
        description=description,
        config=kit.Empty,
        verify=kit.STRIPE,
        subscription=_endpoint(event_type),
        events=EVENTS.only(event_type),
        key_explained="The event's id at Stripe, which is the same in every repeat.",
        samples=samples,
        sweep=_sweep(event_type),
    )


provider = kit.Provider(
    id="stripe",
    name="Stripe",
    icon="💳",
    base_url="https://api.stripe.com/",
    auth=kit.Bearer("api_key"),
    guide="In the Stripe dashboard, under Developers, API keys, make a restricted key that may write webhook "
    "endpoints and read events: with the second, what Stripe could not send is found. A key of the test mode hears of "
    "test events only.",
    delivery=kit.DeliveryRules(
        retries="It sends a request again for three days, or three times within a few hours in a sandbox.",
        gives_up="It disables an endpoint that fails for several days. What happens meanwhile is never sent later.",
        source="https://docs.stripe.com/webhooks",
    ),
    labels={"api_key": "Secret or restricted key"},
    check=lambda api: api.get("v1/webhook_endpoints", {"limit": 1}),
    triggers=(
        _on("customer.created", "on_customer_created", "Customer created", "A customer was added to the account."),
        _on("payment_intent.succeeded", "on_payment_succeeded", "Payment succeeded", "A payment was completed."),
        _on("invoice.paid", "on_invoice_paid", "Invoice paid", "An invoice was paid, or marked as paid."),
        _on(
            "invoice.payment_failed",
            "on_invoice_payment_failed",
            "Invoice payment failed",
            "An attempt to pay an invoice failed.",
        ),
        _on(
            "customer.subscription.created",
            "on_subscription_created",
            "Subscription created",
            "A customer was signed up for a plan.",
        ),
        _on(
            "customer.subscription.updated",
            "on_subscription_updated",
            "Subscription updated",
            "A subscription changed: its plan, its state or its dates.",
        ),
        _on(
            "customer.subscription.deleted",
            "on_subscription_deleted",
            "Subscription ended",
            "A customer's subscription ended.",
        ),
        _on(
            "checkout.session.completed",
            "on_checkout_completed",
            "Checkout completed",
            "A customer completed a checkout. The payment itself may still be under way.",
        ),
    ),
)
