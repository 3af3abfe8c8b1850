"""The provider Stripe. Each trigger has a webhook endpoint of its own, in the mode (live or test) of its connection's
API key.

https://docs.stripe.com/webhooks
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from hairtrigger import kit


class Subject(kit.Payload):
    id: str | None = None


class Data(kit.Payload):
    object: Subject


class Event(kit.Payload):
    """An event of Stripe.

    https://docs.stripe.com/api/events/object
    """

    id: kit.Key
    type: str
    created: kit.EpochSeconds
    data: Data


class Events(kit.Payload):
    data: list[dict[str, Any]]


class Endpoint(kit.Payload):
    """A webhook endpoint of Stripe.

    https://docs.stripe.com/api/webhook_endpoints/object
    """

    id: str
    url: str


class Created(Endpoint):
    secret: str = Field(repr=False)


class Endpoints(kit.Payload):
    data: list[Endpoint]
    has_more: bool


@dataclass(frozen=True)
class EndpointFor:
    """The subscription to one type of Stripe's events, by a webhook endpoint for each trigger.

    https://docs.stripe.com/api/webhook_endpoints
    """

    event_type: str

    async def create(self, question: kit.Question[kit.Empty], url: str, secret: str) -> kit.Registration:  # noqa: ARG002
        await self.remove(question, url)  # an earlier endpoint is of no use: Stripe tells its secret only once
        form = [("url", url), ("enabled_events[]", self.event_type), ("metadata[created_by]", "hairtrigger")]
        created = kit.read(Created, await question.api.post_form("v1/webhook_endpoints", form))
        return kit.Registration({"webhook_endpoint_id": created.id}, created.secret)

    async def remove(self, question: kit.Question[kit.Empty], url: str) -> None:
        for endpoint in await _endpoints(question.api):
            if endpoint.url == url:
                with suppress(kit.MissingAtProvider):
                    await question.api.delete(f"v1/webhook_endpoints/{endpoint.id}")


async def _endpoints(api: kit.Api) -> Sequence[Endpoint]:
    """Return all webhook endpoints of the account. https://docs.stripe.com/api/pagination"""
    found: list[Endpoint] = []
    more = True
    while more:
        after = {"starting_after": found[-1].id} if found else {}
        page = kit.read(Endpoints, await api.get("v1/webhook_endpoints", {"limit": 100, **after}))
        found += page.data
        more = page.has_more and bool(page.data)
    return found


def _on(event_type: str, id_: str, name: str, description: str) -> kit.Webhook[kit.Empty]:
    def events(incoming: kit.Incoming[kit.Empty]) -> Iterable[kit.Draft]:
        event = incoming.parse(Event)
        if event.type != event_type:
            raise kit.NotWanted(f"It is a {event.type[:100]}; this trigger listens to {event_type}.")
        yield kit.Draft(
            key=event.id,
            data=incoming.request.body,
            subject=event.data.object.id,
            occurred_at=event.created,
        )

    async def samples(question: kit.Question[kit.Empty]) -> Sequence[Any]:
        """Return the three latest events of the type. https://docs.stripe.com/api/events/list"""
        return kit.read(Events, await question.api.get("v1/events", {"type": event_type, "limit": 3})).data

    return kit.Webhook(
        id=id_,
        name=name,
        description=description,
        config=kit.Empty,
        verify=kit.STRIPE,
        subscription=EndpointFor(event_type),
        events=events,
        samples=samples,
    )


provider = kit.Provider(
    id="stripe",
    name="Stripe",
    icon="💳",
    base_url="https://api.stripe.com/",
    auth=kit.Bearer("api_key"),
    guide="In the Stripe dashboard, under Developers, API keys, make a restricted key that may write webhook "
    "endpoints. A key of the test mode hears of test events only.",
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
