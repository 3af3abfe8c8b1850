"""Defines the provider Discord. A bot polls a channel, which needs neither a public address nor an open connection.

The key is the message's id, which also says when the message was written. If the bot may not read the history, Discord
answers with an empty list and no error. https://docs.discord.com/developers/resources/message#get-channel-messages
"""

from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit

_BEGINNING = 1_420_070_400_000  # https://docs.discord.com/developers/reference#snowflakes


class Channel(kit.PollingConfig):
    channel_id: str = Field(
        pattern="^[0-9]{15,20}$",
        title="Channel",
        description="The channel's id: in developer mode, its menu copies it.",
        examples=["41771983423143937"],
    )
    include_bots: bool = Field(
        default=False,
        title="Messages of bots too",
        description="Also the bot's own: a workflow that answers in the same channel would then start itself.",
    )


def _snowflake(at: datetime) -> int:
    """Return the highest id that is lower than the ids of all messages of this millisecond and later."""
    return max((int(at.timestamp() * 1000) - _BEGINNING << 22) - 1, 0)


async def _asked(question: kit.Question[Channel], look: kit.Look) -> Any:
    after = look.token or _snowflake(look.since)
    return await question.api.get(f"channels/{question.config.channel_id}/messages", {"after": after, "limit": 100})


def _following(_: Any, messages: list[Any], __: kit.Look) -> Any:
    """Return the newest id on a page, after which the next page begins. Return None for an empty page, which is the
    last one.
    """
    return str(max(int(one["id"]) for one in messages)) if messages else None


def _from_a_person(message: Any, config: Channel) -> bool:
    return config.include_bots or not kit.at_pointer(message, "/author/bot")


def _with_a_file(message: Any, config: Channel) -> bool:
    return _from_a_person(message, config) and bool(message.get("attachments"))


async def _samples(question: kit.Question[Channel]) -> Any:
    return await question.api.get(f"channels/{question.config.channel_id}/messages", {"limit": 3})


def _on(id_: str, name: str, description: str, wanted: Any) -> kit.Polling[Channel]:
    fields = kit.Fields(key="/id", subject="/channel_id", at="/timestamp")
    return kit.Polling(
        id=id_,
        name=name,
        description=description,
        config=Channel,
        poll=kit.Asked(_asked, fields, timedelta(minutes=2), following=_following, wanted=wanted),
        samples=_samples,
    )


provider = kit.Provider(
    id="discord",
    name="Discord",
    icon="🎮",
    base_url="https://discord.com/api/v10/",
    # https://docs.discord.com/developers/reference#user-agent
    auth=kit.KeyHeader("authorization", "bot_token", "Bot ", also={"user-agent": "DiscordBot (hairtrigger, 1)"}),
    guide="In Discord's developer portal, make an application with a bot, switch on its message content intent, and "
    "invite it to the server with the permissions View Channels and Read Message History.",
    labels={"bot_token": "Bot token"},
    check=lambda api: api.get("users/@me"),
    triggers=(
        _on("on_message", "Message", "A message was written in a channel.", _from_a_person),
        _on("on_file_shared", "File shared", "A message with a file was written in a channel.", _with_a_file),
    ),
)
