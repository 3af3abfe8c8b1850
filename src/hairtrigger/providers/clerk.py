"""Defines the provider Clerk. The user enters the trigger's URL as an endpoint in Clerk's dashboard, and the endpoint's
secret in this service.

The key is the signed id of the message (`svix-id`), which all attempts to deliver the message share.
https://clerk.com/docs/guides/development/webhooks/overview
"""

from typing import Any

from hairtrigger import kit


def _sample(type_: str) -> Any:
    data = {"id": "user_29w83sxmDNGwOuEthce5gg56FcC", "object": type_.partition(".")[0], "first_name": "Ada"}
    return {"object": "event", "type": type_, "timestamp": 1777636800000, "instance_id": "ins_123", "data": data}


_EVENTS = kit.WebhookFamily(
    config=kit.Empty,
    sender=kit.SENDERS["clerk"],
    fields=kit.Fields(key="header:svix-id", type="/type", subject="/data/id", at="/timestamp", unit="ms"),
    sample=_sample,
    instructions="In Clerk, under Configure, Webhooks, add an endpoint with this trigger's URL and its event. "
    "Then set the endpoint's signing secret, which begins with whsec_, as the trigger's secret.",
)

provider = kit.Provider(
    id="clerk",
    name="Clerk",
    icon="🔐",
    triggers=(
        _EVENTS.on("user.created", "on_user_created", "User created", "A user signed up or was added."),
        _EVENTS.on("user.updated", "on_user_updated", "User updated", "A user's data changed."),
        _EVENTS.on("user.deleted", "on_user_deleted", "User deleted", "A user was deleted."),
        _EVENTS.on("session.created", "on_session_created", "Session created", "A user signed in."),
        _EVENTS.on("organization.created", "on_organization_created", "Organization created", "One was created."),
        _EVENTS.on("organizationMembership.created", "on_member_added", "Member added", "A user joined one."),
    ),
)
