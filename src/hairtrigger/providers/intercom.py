"""Defines the provider Intercom. One address of the operator's app serves all workspaces that have installed the app.

The key is the id of the notification, which all attempts to deliver the notification share. The topics that are sent
are chosen on the app's page. https://developers.intercom.com/docs/webhooks
"""

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import Field

from hairtrigger import kit


class Named(kit.Payload):
    app_id: str | None = None


class Workspace(kit.Payload):
    id: kit.Key = Field(alias="id_code")


class Admin(kit.Payload):
    """The connection's user, with the workspace.
    https://developers.intercom.com/docs/references/rest-api/api.intercom.io/admins/identifyadmin
    """

    app: Workspace


def _named(request: kit.Request) -> Sequence[str]:
    named = Named.of(request.body).app_id
    return [f"app:{named}"] if named else []


async def _workspace(question: kit.Question[Any]) -> Sequence[str]:
    return [f"app:{kit.read(Admin, await question.api.get('me')).app.id}"]


_NOTIFICATION = kit.Fields(key="/id", type="/topic", subject="/data/item/id", at="/created_at", unit="s")


def _on(topic: str, id_: str, name: str, description: str) -> kit.AppWebhook[kit.Empty]:
    wanted = _NOTIFICATION.only(topic)

    def events(incoming: kit.Incoming[kit.Empty]) -> Iterable[kit.Draft]:
        try:
            return wanted(incoming)
        except kit.NotWanted:  # the app's other topics, and its test, are for other triggers
            return ()

    return kit.AppWebhook(
        id=id_,
        name=name,
        description=description,
        instructions=f"The operator's app must send the topic {topic}, and be installed in the workspace.",
        config=kit.Empty,
        accounts=_workspace,
        events=events,
        requires_verification=True,
    )


provider = kit.Provider(
    id="intercom",
    name="Intercom",
    icon="💠",
    base_url="https://{host}/",
    auth=kit.Bearer("token", also={"intercom-version": "2.14"}),
    guide="In Intercom's developer hub, under Authentication, take the access token of the app. The host is "
    "api.intercom.io, api.eu.intercom.io or api.au.intercom.io.",
    labels={"host": "API host", "token": "Access token"},
    check=lambda api: api.get("me"),
    app=kit.App(verify=kit.SENDERS["intercom"].verify, accounts=_named, handshakes=kit.SENDERS["intercom"].handshakes),
    triggers=(
        _on("conversation.user.created", "on_conversation_started", "Conversation started", "A user wrote first."),
        _on("conversation.user.replied", "on_user_replied", "User replied", "A user replied in a conversation."),
        _on("conversation.admin.replied", "on_admin_replied", "Admin replied", "A teammate replied to a user."),
        _on("conversation.admin.closed", "on_conversation_closed", "Conversation closed", "A teammate closed one."),
        _on("contact.user.created", "on_user_created", "User created", "A user was added."),
        _on("contact.lead.created", "on_lead_created", "Lead created", "A lead was added."),
        _on("ticket.created", "on_ticket_created", "Ticket created", "A ticket was made."),
    ),
)
