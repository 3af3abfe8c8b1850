"""Defines the provider Resend. Each trigger has a webhook of its own.

The key is the signed id of the message (`svix-id`), which all attempts to deliver the message share.
https://resend.com/docs/webhooks/introduction

It is unconfirmed that a webhook which fails for days is disabled.
"""

from typing import Any

from hairtrigger import kit


def _hooks(event: str) -> kit.Hooks[kit.Empty]:
    """Return the subscription to events of one type. https://resend.com/docs/api-reference/webhooks/create-webhook"""
    return kit.Hooks(
        "webhooks",
        lambda _, url, __: {"endpoint": url, "events": [event]},
        items="/data",
        url="/endpoint",
        signs_with="/signing_secret",
        paging=kit.After("after", more="/has_more"),  # https://resend.com/docs/api-reference/pagination
    )


def _sample(event: str) -> Any:
    message = {
        "email_id": "56761188-7520-42d8-8898-ff6fc54ce618",
        "from": "Acme <shop@example.com>",
        "to": ["ada@example.com"],
        "subject": "Your order",
        "created_at": "2026-05-01T11:59:58Z",
    }
    return {"type": event, "created_at": "2026-05-01T12:00:00Z", "data": message}


_EVENTS = kit.WebhookFamily(
    config=kit.Empty,
    sender=kit.SENDERS["resend"],
    subscription=_hooks,
    fields=kit.Fields(key="header:svix-id", type="/type", subject="/data/email_id", at="/created_at"),
    sample=_sample,
)

provider = kit.Provider(
    id="resend",
    name="Resend",
    icon="✉️",
    base_url="https://api.resend.com/",
    auth=kit.Bearer("api_key"),
    guide="In Resend, under API keys, make a key with full access. A key for sending can't make webhooks.",
    labels={"api_key": "API key"},
    check=lambda api: api.get("webhooks"),
    triggers=(
        _EVENTS.on("email.received", "on_email_received", "Email received", "An e-mail came in."),
        _EVENTS.on("email.delivered", "on_email_delivered", "Email delivered", "An e-mail was delivered."),
        _EVENTS.on("email.bounced", "on_email_bounced", "Email bounced", "A mail server refused an e-mail for good."),
        _EVENTS.on("email.complained", "on_email_complained", "Email complained", "A reader marked it as spam."),
        _EVENTS.on("email.opened", "on_email_opened", "Email opened", "A reader opened an e-mail."),
        _EVENTS.on("email.clicked", "on_email_clicked", "Email clicked", "A reader followed a link in an e-mail."),
    ),
)
