"""Defines the provider Cal.com. Each trigger has a webhook of its own, of the connection's user.

The key is made of the event's name, the booking's uid and its start time, because a booking is created and cancelled
only once, but may be moved several times. https://cal.com/docs/api-reference/v2/webhooks/create-a-webhook

It is unconfirmed whether Cal.com repeats a delivery after a failure.
"""

from typing import Any

from hairtrigger import kit


def _hooks(event: str) -> kit.Hooks[kit.Empty]:
    return kit.Hooks(
        "v2/webhooks",
        lambda _, url, secret: {"subscriberUrl": url, "triggers": [event], "active": True, "secret": secret},
        made="/data",
        items="/data",
        url="/subscriberUrl",
        paging=kit.Offset("skip", "take"),
    )


def _sample(event: str) -> Any:
    booking = {
        "uid": "bFJeNb2uX8ANpT3JL5EfXw",
        "bookingId": 91,
        "type": "consultation",
        "title": "Consultation with Grace",
        "startTime": "2026-05-04T09:00:00Z",
        "endTime": "2026-05-04T09:30:00Z",
        "organizer": {"name": "Ada", "email": "ada@example.com", "timeZone": "Europe/Berlin"},
        "attendees": [{"name": "Grace", "email": "grace@example.com", "timeZone": "Europe/Berlin"}],
    }
    return {"triggerEvent": event, "createdAt": "2026-05-01T12:00:00Z", "payload": booking}


_EVENTS = kit.WebhookFamily(
    config=kit.Empty,
    sender=kit.SENDERS["calcom"],
    subscription=_hooks,
    fields=kit.Fields(
        key=("/triggerEvent", "/payload/uid", "/payload/startTime"),
        type="/triggerEvent",
        subject="/payload/uid",
        at="/createdAt",
    ),
    sample=_sample,
)

provider = kit.Provider(
    id="calcom",
    name="Cal.com",
    icon="🗓️",
    base_url="https://{host}/",
    auth=kit.Bearer("api_key"),
    guide="In Cal.com, under Settings, Security, API keys, make a key. The host is api.cal.com, api.cal.eu, or that of "
    "your own API server.",
    labels={"host": "API host", "api_key": "API key"},
    check=lambda api: api.get("v2/me"),
    triggers=(
        _EVENTS.on("BOOKING_CREATED", "on_booking_created", "Booking created", "A booking was made."),
        _EVENTS.on("BOOKING_RESCHEDULED", "on_booking_rescheduled", "Booking rescheduled", "A booking was moved."),
        _EVENTS.on("BOOKING_CANCELLED", "on_booking_cancelled", "Booking cancelled", "A booking was cancelled."),
        _EVENTS.on("BOOKING_REQUESTED", "on_booking_requested", "Booking requested", "A booking awaits approval."),
        _EVENTS.on("BOOKING_PAID", "on_booking_paid", "Booking paid", "A booking was paid."),
    ),
)
