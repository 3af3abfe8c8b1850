"""The provider Slack. One address for its Events API serves all workspaces that have installed the operator's app.

A request that Slack repeats (X-Slack-Retry-Num) is read like the first one, which may never have been stored.

https://docs.slack.dev/apis/events-api/
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit

_INSTRUCTIONS = (
    "Install the app in the workspace and invite it to the channels it is to hear. "
    "Connect with its bot token, which begins with xoxb."
)

# The errors that Slack says are caused by the token. https://docs.slack.dev/reference/methods/auth.test#errors
_REFUSED = frozenset(
    {"access_denied", "account_inactive", "invalid_auth", "no_permission", "not_authed", "org_login_required"}
    | {"token_expired", "token_revoked", "two_factor_setup_required", "missing_scope", "not_allowed_token_type"}
)

# The subtypes of written messages; all others report edits, new members of a channel, and the like.
# https://docs.slack.dev/reference/events/message#subtypes
_WRITTEN = frozenset({None, "file_share", "me_message", "thread_broadcast"})


class Messages(kit.Config):
    channel: str | None = Field(
        default=None,
        pattern="^[CDG][A-Z0-9]+$",
        title="Channel",
        description="The id of the only channel to listen to: it is at the end of the channel's details in Slack.",
        examples=["C0123456789"],
    )
    include_bots: bool = Field(
        default=False,
        title="Messages of bots too",
        description="Also the app's own: a workflow that answers in the same channel would then start itself.",
    )


class Authorization(kit.Payload):
    team_id: str | None = None


class Envelope(kit.Payload):
    """The fields that every request of Slack has."""

    type: str
    team_id: str | None = None
    context_team_id: str | None = None
    authorizations: list[Authorization] | None = None


class Callback(kit.Payload):
    """A request that brings an event.

    https://docs.slack.dev/apis/events-api/#event-type-structure
    """

    event_id: kit.Key
    event_time: kit.EpochSeconds
    event: dict[str, Any]


class Status(kit.Payload):
    """The fields that every answer of Slack has.

    https://docs.slack.dev/apis/web-api/#responses
    """

    ok: bool
    error: str = ""


class Identity(kit.Payload):
    """The workspace and the bot that a token was made for.

    https://docs.slack.dev/reference/methods/auth.test
    """

    team_id: kit.Key
    bot_id: str | None = None
    is_enterprise_install: bool = False


def _workspaces(request: kit.Request) -> Sequence[str]:
    """Return the workspaces that a request names, each as an account such as `team:T123`.

    In a channel that is shared over Slack Connect, an event may happen in one workspace (`team_id`) and be sent because
    the app is in another (`context_team_id`, `authorizations`). Slack sends it once, with one authorization of several.
    """
    envelope = Envelope.of(request.body)
    named = (envelope.team_id, envelope.context_team_id, *(one.team_id for one in envelope.authorizations or ()))
    return [f"team:{team_id}" for team_id in dict.fromkeys(named) if team_id]


async def _workspace(question: kit.Question[Any]) -> Sequence[str]:
    """Return the workspace for which the connection's token was made, as an account. Slack is asked for it, because a
    user could name the workspace of another organisation.
    """
    return [f"team:{await _team(question.api)}"]


async def _team(api: kit.Api) -> str:
    answer = await api.post("auth.test", {})
    status = kit.read(Status, answer)
    if not status.ok:  # the HTTP status is 200 all the same
        failure = kit.CredentialsRefused if status.error in _REFUSED else kit.ProviderFailed
        raise failure(f"Slack answered '{status.error}'.")
    identity = kit.read(Identity, answer)
    if not identity.bot_id:
        raise kit.Invalid("This is a person's token. Connect with the app's bot token.")
    if identity.is_enterprise_install:
        raise kit.Invalid(
            "This token is of a whole organization. Install the app in a workspace and connect with that."
        )
    return identity.team_id


def _on(
    id_: str,
    name: str,
    description: str,
    wanted: Callable[[Mapping[str, Any], Any], bool],
    config: type[kit.Config] = kit.Empty,
) -> kit.AppWebhook[Any]:
    def events(incoming: kit.Incoming[Any]) -> Iterable[kit.Draft]:
        if incoming.parse(Envelope).type != "event_callback":  # for example app_rate_limited
            return
        callback = incoming.parse(Callback)
        if wanted(callback.event, incoming.config):
            yield kit.Draft(
                key=callback.event_id,
                data=incoming.request.body,
                subject=_channel(callback.event),
                occurred_at=callback.event_time,
            )

    return kit.AppWebhook(
        id=id_,
        name=name,
        description=description,
        instructions=_INSTRUCTIONS,
        config=config,
        accounts=_workspace,
        events=events,
        key_explained="Slack's event_id, which is the same when Slack sends an event again.",
        requires_verification=True,
    )


def _written(event: Mapping[str, Any], config: Messages) -> bool:
    """Return whether the event is a written message. Raises `NotWanted` for a written message that the configuration
    leaves out.
    """
    subtype, channel = event.get("subtype"), event.get("channel")
    if event.get("type") != "message" or not (subtype in _WRITTEN or subtype == "bot_message"):
        return False
    if config.channel not in (None, channel):
        raise kit.NotWanted(f"It is a message in {str(channel)[:50]}; this trigger listens to {config.channel}.")
    if (subtype == "bot_message" or event.get("bot_id") is not None) and not config.include_bots:
        raise kit.NotWanted("It is a message of a bot, and this trigger leaves these out (include_bots).")
    return True


def _channel(event: Mapping[str, Any]) -> str | None:
    item = event.get("item")
    channel = item.get("channel") if isinstance(item, dict) else event.get("channel")
    return channel if isinstance(channel, str) else None


provider = kit.Provider(
    id="slack",
    name="Slack",
    icon="💬",
    base_url="https://slack.com/api/",
    auth=kit.Bearer("bot_token"),
    guide="Install the Slack app of this service in your workspace, and take the bot token, which begins with xoxb-, "
    "from its page OAuth & Permissions.",
    delivery=kit.DeliveryRules(
        answer_within=timedelta(seconds=3),
        retries="It sends a request that was not answered again three times: at once, after a minute and after five.",
        gives_up="It stops sending for a while if fewer than 5 % of the requests of an hour are answered.",
        source="https://docs.slack.dev/apis/events-api/",
    ),
    labels={"bot_token": "Bot token"},
    check=_team,
    app=kit.App(verify=kit.SLACK, accounts=_workspaces, handshakes=(kit.HANDSHAKES["slack"],)),
    triggers=(
        _on(
            "on_message_received",
            "Message received",
            "A user wrote a message where the app is: in a channel, a group or to the app itself.",
            _written,
            Messages,
        ),
        _on(
            "on_app_mention",
            "App mentioned",
            "A user mentioned the app in a message.",
            lambda event, _: event.get("type") == "app_mention",
        ),
        _on(
            "on_reaction_added",
            "Reaction added",
            "A user reacted to a message or file with an emoji.",
            lambda event, _: event.get("type") == "reaction_added",
        ),
    ),
)
