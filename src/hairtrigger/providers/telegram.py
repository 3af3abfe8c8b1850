"""Defines the provider Telegram. A bot has only one webhook, so only one trigger can listen to a bot. The trigger
`on_update` brings several kinds of updates.

A trigger is not enabled if its bot has another webhook already, because it would take the updates away from that
webhook. The key is the number of the update. Telegram keeps updates for 24 hours, and drops a webhook that answers 410
for 23 hours. https://core.telegram.org/bots/api#getting-updates
"""

from collections.abc import Iterable
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from hairtrigger import kit

Kind = Literal["message", "edited_message", "channel_post", "edited_channel_post", "callback_query", "inline_query",
               "message_reaction", "poll_answer", "chat_member", "my_chat_member", "chat_join_request"]  # fmt: skip


_UNDATED = frozenset({"callback_query", "inline_query", "poll_answer"})


class Kinds(kit.Config):
    kinds: list[Kind] = Field(
        default=["message", "callback_query"], min_length=1, title="Kinds", description="The kinds of updates to take."
    )


class Status(kit.Payload):
    """The webhook of a bot. https://core.telegram.org/bots/api#webhookinfo"""

    url: str


class Answer(kit.Payload):
    """An answer of Telegram's API that holds the webhook of a bot.
    https://core.telegram.org/bots/api#making-requests
    """

    result: Status


class BotWebhook:
    """The subscription by a bot's only webhook. https://core.telegram.org/bots/api#setwebhook"""

    def __init__(self, *kinds: str) -> None:
        self._kinds = kinds

    async def create(self, question: kit.Question[Any], url: str, secret: str) -> kit.Registration:
        there = await _webhook(question)
        if there not in ("", url):
            ours = there.rpartition("/")[0] == url.rpartition("/")[0]
            by = "another trigger of this service" if ours else f"a service at {urlsplit(there).hostname}"
            raise kit.Invalid(
                f"The bot sends its updates to {by}, and a bot has one webhook. Use another bot for this."
            )
        # Telegram takes A-Z, a-z, 0-9, _ and - as a secret: https://core.telegram.org/bots/api#setwebhook
        token = kit.digest(secret.encode()).removeprefix("sha256:") if not secret.isalnum() else secret
        kinds = self._kinds or question.config.kinds
        await question.api.post("setWebhook", {"url": url, "secret_token": token, "allowed_updates": list(kinds)})
        return kit.Registration({"allowed_updates": list(kinds)}, token)

    async def remove(self, question: kit.Question[Any], url: str) -> None:
        if await _webhook(question) == url:
            await question.api.post("deleteWebhook", {})


async def _webhook(question: kit.Question[Any]) -> str:
    return kit.read(Answer, await _asked(question.api, "getWebhookInfo")).result.url


async def _asked(api: kit.Api, method: str) -> Any:
    try:
        return await api.get(method)
    except kit.MissingAtProvider as error:  # what Telegram says of a token that is no bot's
        raise kit.CredentialsRefused("Telegram knows no bot with this token.") from error


def _example(kind: str) -> Any:
    chat = {"id": 1111111, "type": "private", "username": "ada"}
    who = {"id": 1111111, "is_bot": False, "first_name": "Ada", "username": "ada"}
    message = {"message_id": 1365, "from": who, "chat": chat, "date": 1777636800, "text": "Is the teapot there?"}
    query = {"id": "4382bfdwdsb323b2d9", "from": who, "message": message, "data": "yes"}
    return {"update_id": 10000, kind: query if kind == "callback_query" else message}


def _on(id_: str, name: str, description: str, *kinds: str) -> kit.Webhook[Any]:
    def events(incoming: kit.Incoming[Any]) -> Iterable[kit.Draft]:
        body = incoming.json()
        kind = next((name for name in body if name != "update_id"), "") if isinstance(body, dict) else ""
        wanted = kinds or incoming.config.kinds
        if kind and kind not in wanted:
            raise kit.NotWanted(f"It is a {kind[:50]}; this trigger listens to {', '.join(wanted)}.")
        chat = f"/{kind}/message/chat/id" if kind == "callback_query" else f"/{kind}/chat/id"
        at = "" if kind in _UNDATED else f"/{kind}/date"
        places = kit.Fields(key="/update_id", subject=chat, at=at, unit="s")
        return places.only()(incoming)

    return kit.Webhook(
        id=id_,
        name=name,
        description=description,
        config=kit.Empty if kinds else Kinds,
        verify=kit.SENDERS["telegram"].verify,
        subscription=BotWebhook(*kinds),
        events=events,
        example=_example(kinds[0] if kinds else "message"),
        key_explained="Telegram's `update_id`, which is the same when Telegram sends an update again.",
    )


provider = kit.Provider(
    id="telegram",
    name="Telegram",
    icon="✈️",
    base_url="https://api.telegram.org/bot{token}/",
    guide="In Telegram, write /newbot to @BotFather, and take the token of the new bot. To hear all messages of a "
    "group and not only commands, switch the bot's group privacy off (/setprivacy).",
    labels={"token": "Bot token"},
    check=lambda api: _asked(api, "getMe"),
    triggers=(
        _on("on_message", "Message", "A message was written to the bot or in its groups.", "message"),
        _on("on_edited_message", "Edited message", "A message was edited.", "edited_message"),
        _on("on_channel_post", "Channel post", "A post appeared in a channel of the bot.", "channel_post"),
        _on("on_callback_query", "Callback query", "A user pressed a button under a message.", "callback_query"),
        _on("on_update", "Update", "An update of one of the chosen kinds came in."),
    ),
)
