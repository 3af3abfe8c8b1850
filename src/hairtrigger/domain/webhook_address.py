"""Defines the addresses of webhooks, be it the webhook of one trigger or of a provider's app."""

from uuid import UUID

WEBHOOK_PATH = "/v1/webhooks/{webhook_id}"


def webhook_url(public_url: str, trigger_id: UUID) -> str:
    """Return the URL to which a provider sends the requests of one trigger. `public_url` has no slash at its end."""
    return public_url + WEBHOOK_PATH.format(webhook_id=trigger_id)
