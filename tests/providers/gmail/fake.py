"""Gmail: history, messages and the profile. https://developers.google.com/workspace/gmail/api/reference/rest"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from tests.providers.list_fake import ListFake

_ME = "/gmail/v1/users/me"
_LABELS = {"on_email_received": "INBOX", "on_email_sent": "SENT", "on_email_starred": "STARRED"}


class Fake(ListFake):
    """A mailbox. The history begins at 5000; what is before `oldest` is forgotten."""

    secrets = {"access_token": "right"}
    oldest = 5000

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        id_ = f"18c{number}"
        date, labels = str(round(at.timestamp() * 1000)), [_LABELS[trigger], "UNREAD"]
        whole = {"id": id_, "threadId": "18c", "labelIds": labels, "internalDate": date, "snippet": "Is the teapot"}
        return id_, {**whole, "historyId": str(5000 + number), "payload": {"headers": []}}

    def answered(self, request: Request, asked: Any) -> Any:
        path = request.url.path.removeprefix(_ME)
        newest = str(5000 + len(self.things))
        there = [one for one in self.things if one.key]
        if path == "/profile":
            return {"emailAddress": "ada@example.com", "historyId": newest}
        if path == "/history":
            if int(asked["startHistoryId"]) < self.oldest:
                raise LookupError("history")
            start = max(int(asked.get("pageToken", 0)), int(asked["startHistoryId"]) - 5000)
            page, following = self.paged_from(self.things, start, int(asked["maxResults"]))
            records = [self._record(one.shown, asked) for one in page if one.key]
            return {"history": records, "historyId": newest, **({"nextPageToken": str(following)} if following else {})}
        if path == "/messages":
            after = datetime.fromtimestamp(int(asked["q"].removeprefix("after:")), UTC)
            found = [one for one in reversed(there) if one.at >= after and asked["labelIds"] in one.shown["labelIds"]]
            page, following = self.paged_from(found, int(asked.get("pageToken", 0)), int(asked["maxResults"]))
            ids = [{"id": one.key, "threadId": "18c"} for one in page]
            return {"messages": ids, **({"nextPageToken": str(following)} if following else {})}
        return next(one.shown for one in there if path == f"/messages/{one.key}")

    def _record(self, message: Mapping[str, Any], asked: Any) -> Any:
        short = {"id": message["id"], "threadId": "18c", "labelIds": message["labelIds"]}
        change = {"message": short}
        if asked["historyTypes"] == "labelAdded":
            return {"id": message["historyId"], "labelsAdded": [{**change, "labelIds": [asked["labelId"]]}]}
        return {"id": message["historyId"], "messages": [short], "messagesAdded": [change]}

    def remove(self, key: str) -> None:
        for place, one in enumerate(self.things):
            if one.key == key:
                self.things[place] = type(one)("", one.at, one.shown)
