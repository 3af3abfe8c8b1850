"""Defines the provider Pipedrive. Each trigger has a webhook (version 2) of its own, whose requests carry a password of
ours.

The key is the id of the event (`meta/id`), which all attempts to deliver the event share. Pipedrive deletes a webhook
that fails on three days. https://pipedrive.readme.io/docs/guide-for-webhooks-v2
"""

from typing import Any

from hairtrigger import kit

_USER = "hairtrigger:"


class Hooks(kit.Hooks[kit.Empty]):
    """The subscription by a webhook. Its secret is the user and the password of HTTP Basic.
    https://developers.pipedrive.com/docs/api/v1/Webhooks#addWebhook
    """

    async def secret_of(self, question: Any, answer: Any, id_: str, secret: str) -> str:  # noqa: ARG002
        return _USER + secret.removeprefix(_USER)


def _hooks(type_: str) -> kit.Hooks[kit.Empty]:
    def body(_: Any, url: str, secret: str) -> dict[str, Any]:
        entity, _, action = type_.partition(".")
        password = {"http_auth_user": _USER[:-1], "http_auth_password": secret.removeprefix(_USER)}
        return {"subscription_url": url, "event_object": entity, "event_action": action, "version": "2.0", **password}

    return Hooks("v1/webhooks", body, made="/data", items="/data", url="/subscription_url")


def _sample(type_: str) -> Any:
    entity, _, action = type_.partition(".")
    data = {"id": 42, "title": "Teapots for the office", "name": "Ada", "value": 300, "status": "open", "stage_id": 2}
    meta = {
        "action": action,
        "entity": entity,
        "entity_id": "42",
        "company_id": "7",
        "id": "4f6b1e0a-8d0f-4a9c-9b43-0c6ad6e1f001",
        "timestamp": "2026-05-01T12:00:00.000Z",
        "version": "2.0",
        "attempt": 1,
    }
    return {"meta": meta, "data": data, "previous": {"stage_id": 1} if action == "change" else None}


_EVENTS = kit.WebhookFamily(
    config=kit.Empty,
    sender=kit.KnownSender(kit.Basic()),
    subscription=_hooks,
    fields=kit.Fields(
        key="/meta/id",
        type=("/meta/entity", "/meta/action"),
        subject="/meta/entity_id",
        at="/meta/timestamp",
    ),
    sample=_sample,
)

provider = kit.Provider(
    id="pipedrive",
    name="Pipedrive",
    icon="💼",
    base_url="https://api.pipedrive.com/",
    auth=kit.KeyHeader("x-api-token", "api_token"),
    guide="In Pipedrive, under Personal preferences, API, take the API token of an admin: events are limited to what "
    "its user may see.",
    labels={"api_token": "API token"},
    check=lambda api: api.get("v1/users/me"),
    triggers=(
        _EVENTS.on("deal.create", "on_deal_created", "Deal created", "A deal was added."),
        _EVENTS.on("deal.change", "on_deal_updated", "Deal updated", "A deal changed: `previous` says what."),
        _EVENTS.on("person.create", "on_person_created", "Person created", "A person was added."),
        _EVENTS.on("person.change", "on_person_updated", "Person updated", "A person's data changed."),
        _EVENTS.on("organization.create", "on_organization_created", "Organization created", "One was added."),
        _EVENTS.on("lead.create", "on_lead_created", "Lead created", "A lead was added."),
        _EVENTS.on("activity.create", "on_activity_created", "Activity created", "An activity was planned or logged."),
        _EVENTS.on("note.create", "on_note_created", "Note created", "A note was written."),
    ),
)
