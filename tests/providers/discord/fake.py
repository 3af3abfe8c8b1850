"""Discord: messages of a channel. https://docs.discord.com/developers/resources/message#get-channel-messages"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.discord import provider
from tests.providers.hook_fake import for_all
from tests.providers.list_fake import ListFake

_CHANNEL = "41771983423143937"


class Fake(ListFake):
    secrets = {"bot_token": "right"}
    configs = for_all(provider, channel_id=_CHANNEL)

    def authorized(self, request: Request) -> bool:
        assert request.headers["user-agent"].startswith("DiscordBot (")
        return request.headers.get("authorization") == "Bot right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        id_ = str((int(at.timestamp() * 1000) - 1_420_070_400_000 << 22) + number)
        files = [{"id": "1", "filename": "tea.png"}] if trigger == "on_file_shared" else []
        author = {"id": "80351110224678912", "username": "ada"}
        text = {"content": "Is the teapot there?", "attachments": files, "author": author}
        return id_, {"id": id_, "channel_id": _CHANNEL, "timestamp": at.isoformat(), **text}

    def answered(self, request: Request, asked: Any) -> Any:
        assert request.url.path == f"/api/v10/channels/{_CHANNEL}/messages"
        limit = min(int(asked["limit"]), self.page)
        newer = sorted((one.shown for one in self.things if int(one.key) > int(asked["after"])), key=_id)
        return newer[:limit][::-1]  # the next ones after the id, newest first


def _id(message: Mapping[str, Any]) -> int:
    return int(message["id"])
