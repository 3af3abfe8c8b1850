"""Defines the provider Zendesk. Each trigger has a webhook of its own that listens to one type of event.

The key is the event's id, which all attempts to deliver the event share.
https://developer.zendesk.com/api-reference/webhooks/event-types/webhook-event-types/
"""

from typing import Any

from pydantic import Field

from hairtrigger import kit


class SigningSecret(kit.Payload):
    secret: kit.Key = Field(repr=False)


class Told(kit.Payload):
    signing_secret: SigningSecret = Field(repr=False)


class Hooks(kit.Hooks[kit.Empty]):
    """The subscription by a webhook. https://developer.zendesk.com/api-reference/webhooks/webhooks-api/webhooks/"""

    async def secret_of(self, question: Any, answer: Any, id_: str, secret: str) -> str:  # noqa: ARG002
        return kit.read(Told, await question.api.get(f"webhooks/{id_}/signing_secret")).signing_secret.secret


def _hooks(type_: str) -> kit.Hooks[kit.Empty]:
    def body(_: Any, url: str, __: str) -> dict[str, Any]:
        how = {"http_method": "POST", "request_format": "json", "status": "active", "subscriptions": [type_]}
        return {"webhook": {"name": "hairtrigger", "endpoint": url, **how}}

    return Hooks(
        "webhooks",
        body,
        made="/webhook",
        items="/webhooks",
        url="/endpoint",
        paging=kit.NextUrl("/links/next", {"page[size]": 100}),
    )


def _sample(type_: str) -> Any:
    detail = {
        "id": "35436",
        "subject": "The teapot leaks",
        "status": "OPEN",
        "priority": "HIGH",
        "requester_id": "20978392",
        "created_at": "2026-05-01T11:58:00Z",
        "updated_at": "2026-05-01T12:00:00Z",
    }
    told = {"account_id": 22129848, "id": "2b24ef10-19d3-4740-93cf-8f98ec4776c0", "time": "2026-05-01T12:00:00Z"}
    subject = f"zen:{type_.rpartition(':')[2].partition('.')[0]}:35436"
    return {"type": type_, **told, "subject": subject, "detail": detail, "event": {"current": "OPEN"}}


_EVENTS = kit.WebhookFamily(
    config=kit.Empty,
    sender=kit.SENDERS["zendesk"],
    subscription=_hooks,
    fields=kit.Fields(key="/id", type="/type", subject="/subject", at="/time"),
    sample=_sample,
)
_TICKET = "zen:event-type:ticket."

provider = kit.Provider(
    id="zendesk",
    name="Zendesk",
    icon="🎧",
    base_url="https://{subdomain}.zendesk.com/api/v2/",
    auth=kit.UserAndPassword("email", "api_token", user_suffix="/token"),
    guide="In Zendesk's Admin Center, under Apps and integrations, Zendesk API, make an API token. Connect with it and "
    "the e-mail address of an admin. The subdomain is what stands before .zendesk.com.",
    labels={"subdomain": "Subdomain", "email": "E-mail address", "api_token": "API token"},
    check=lambda api: api.get("webhooks?page[size]=1"),
    triggers=(
        _EVENTS.on(_TICKET + "created", "on_ticket_created", "Ticket created", "A ticket was created."),
        _EVENTS.on(_TICKET + "comment_added", "on_comment_added", "Comment added", "A comment was added to a ticket."),
        _EVENTS.on(_TICKET + "status_changed", "on_ticket_status_changed", "Ticket status changed", "It did."),
        _EVENTS.on(_TICKET + "priority_changed", "on_ticket_priority_changed", "Ticket priority changed", "It did."),
        _EVENTS.on(_TICKET + "agent_assignment_changed", "on_ticket_assigned", "Ticket assigned", "An agent got it."),
        _EVENTS.on("zen:event-type:user.created", "on_user_created", "User created", "A user was created."),
        _EVENTS.on("zen:event-type:organization.created", "on_organization_created", "Organization created",
                   "An organization was created."),
    ),
)  # fmt: skip
