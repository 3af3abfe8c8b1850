"""Defines the provider PagerDuty. Each trigger has a webhook subscription (v3) of its own, for the account or for one
service.

The key is the event's id, which all attempts to deliver the event share.
https://developer.pagerduty.com/docs/webhooks-overview
"""

from typing import Any

from pydantic import Field

from hairtrigger import kit


class Where(kit.Config):
    service_id: str | None = Field(
        default=None,
        pattern="^[A-Z0-9]+$",
        title="Service",
        description="The id of the only service to listen to: it ends the address of the service's page.",
        examples=["PF9KMXH"],
    )


def _body(event: str) -> Any:
    def body(config: Where, url: str, _: str) -> dict[str, Any]:
        service = config.service_id
        where = {"type": "service_reference", "id": service} if service else {"type": "account_reference"}
        subscription = {
            "type": "webhook_subscription",
            "delivery_method": {"type": "http_delivery_method", "url": url},
            "events": [event],
            "filter": where,
            "description": "hairtrigger",
        }
        return {"webhook_subscription": subscription}

    return body


def _hooks(event: str) -> kit.Hooks[Where]:
    """Return the subscription to events of one type. https://developer.pagerduty.com/api-reference/ (Webhooks)"""
    return kit.Hooks(
        "webhook_subscriptions",
        _body(event),
        made="/webhook_subscription",
        items="/webhook_subscriptions",
        url="/delivery_method/url",
        signs_with="/delivery_method/secret",
        paging=kit.Offset(),
    )


def _sample(event: str) -> Any:
    incident = {
        "id": "PGR0VU2",
        "type": "incident",
        "number": 2,
        "status": event.rpartition(".")[2],
        "title": "The shop answers slowly",
        "service": {"id": "PF9KMXH", "summary": "Shop"},
        "urgency": "high",
        "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
    }
    told = {"id": "01BYF6P6AU", "event_type": event, "resource_type": "incident", "occurred_at": "2026-05-01T12:00:00Z"}
    return {"event": {**told, "agent": {"id": "PLH1HKV", "type": "user_reference"}, "data": incident}}


_EVENTS = kit.WebhookFamily(
    config=Where,
    sender=kit.SENDERS["pagerduty"],
    subscription=_hooks,
    fields=kit.Fields(key="/event/id", type="/event/event_type", subject="/event/data/id", at="/event/occurred_at"),
    sample=_sample,
)

provider = kit.Provider(
    id="pagerduty",
    name="PagerDuty",
    icon="🚨",
    base_url="https://api.pagerduty.com/",
    auth=kit.KeyHeader(
        "authorization", "api_key", "Token token=", also={"accept": "application/vnd.pagerduty+json;version=2"}
    ),
    guide="In PagerDuty, under Integrations, API access keys, make a key that is not read-only.",
    labels={"api_key": "REST API key"},
    check=lambda api: api.get("abilities"),
    triggers=(
        _EVENTS.on("incident.triggered", "on_incident_triggered", "Incident triggered", "An incident began."),
        _EVENTS.on("incident.acknowledged", "on_incident_acknowledged", "Incident acknowledged", "A user took it on."),
        _EVENTS.on("incident.resolved", "on_incident_resolved", "Incident resolved", "An incident was resolved."),
        _EVENTS.on("incident.escalated", "on_incident_escalated", "Incident escalated", "An incident was escalated."),
        _EVENTS.on("incident.annotated", "on_note_added", "Note added", "A note was added to an incident."),
        _EVENTS.on("incident.reassigned", "on_incident_reassigned", "Incident reassigned", "It got other assignees."),
    ),
)
