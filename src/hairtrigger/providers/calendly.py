"""Defines the provider Calendly. Each trigger has a webhook subscription of its own, for the connection's user or for
the organization.

The key is the event's name with the URI of what the event is about, because an invitee books and cancels only once. If
a time is changed, that is a cancellation (`rescheduled` is true) and a new invitee. Calendly takes one subscription for
each URL, and deletes it if a delivery is answered with 410.
https://developer.calendly.com/api-docs/overview-of-webhooks
"""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from hairtrigger import kit


class Scope(kit.Config):
    scope: Literal["user", "organization"] = Field(
        default="user",
        title="Scope",
        description="Events of the connection's user, or of the whole organization, for which it must be an admin.",
    )


class Resource(kit.Payload):
    uri: str
    current_organization: str


class Me(kit.Payload):
    """The connection's user. https://developer.calendly.com/api-docs/005832c83aeae-get-current-user"""

    resource: Resource


class Subscriptions(kit.Hooks[Scope]):
    """The subscription by a webhook subscription of Calendly.
    https://developer.calendly.com/api-docs/c1ddc06ce1f1b-create-webhook-subscription
    """

    async def scope(self, question: kit.Question[Scope]) -> Mapping[str, Any]:
        me = kit.read(Me, await question.api.get("users/me")).resource
        user = {"user": me.uri} if question.config.scope == "user" else {}
        return {"organization": me.current_organization, "scope": question.config.scope, **user}

    async def wanted(self, question: kit.Question[Scope], url: str, secret: str) -> Mapping[str, Any]:
        return {**dict(await super().wanted(question, url, secret)), **await self.scope(question)}

    async def drop(self, question: kit.Question[Scope], id_: str) -> None:
        await question.api.delete(f"webhook_subscriptions/{id_.rpartition('/')[2]}")


def _hooks(event: str) -> kit.Hooks[Scope]:
    return Subscriptions(
        "webhook_subscriptions",
        lambda _, url, secret: {"url": url, "events": [event], "signing_key": secret},
        made="/resource",
        items="/collection",
        id="/uri",
        url="/callback_url",
        paging=kit.PageToken("page_token", "/pagination/next_page_token", {"count": 100}),
        one_per_url=True,
    )


def _sample(event: str) -> Any:
    about = "https://api.calendly.com/scheduled_events/4d1c"
    payload = {
        "uri": f"{about}/invitees/7b2e",
        "email": "grace@example.com",
        "name": "Grace",
        "status": "canceled" if event == "invitee.canceled" else "active",
        "timezone": "Europe/Berlin",
        "rescheduled": False,
        "scheduled_event": {"uri": about, "name": "Consultation", "start_time": "2026-05-04T09:00:00Z"},
        "questions_and_answers": [{"question": "What is it about?", "answer": "A trigger", "position": 0}],
    }
    return {"event": event, "created_at": "2026-05-01T12:00:00Z", "created_by": "users/1", "payload": payload}


_EVENTS = kit.WebhookFamily(
    config=Scope,
    sender=kit.SENDERS["calendly"],
    subscription=_hooks,
    fields=kit.Fields(key=("/event", "/payload/uri"), type="/event", subject="/payload/uri", at="/created_at"),
    sample=_sample,
)

provider = kit.Provider(
    id="calendly",
    name="Calendly",
    icon="📅",
    base_url="https://api.calendly.com/",
    auth=kit.Bearer("token"),
    guide="In Calendly, under Integrations, API and webhooks, make a personal access token with the scopes "
    "users:read, webhooks:read and webhooks:write. Webhooks need a paid plan.",
    labels={"token": "Personal access token"},
    check=lambda api: api.get("users/me"),
    triggers=(
        _EVENTS.on("invitee.created", "on_event_booked", "Event booked", "An invitee booked an event."),
        _EVENTS.on("invitee.canceled", "on_event_canceled", "Event canceled", "An event was canceled, or moved."),
        _EVENTS.on("invitee_no_show.created", "on_no_show_marked", "No show marked", "An invitee did not come."),
        _EVENTS.on(
            "routing_form_submission.created",
            "on_routing_form_submitted",
            "Routing form submitted",
            "A visitor submitted a routing form. This needs the scope organization.",
        ),
    ),
)
