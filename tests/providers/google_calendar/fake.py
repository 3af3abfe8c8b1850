"""Google Calendar: events with sync tokens. https://developers.google.com/workspace/calendar/api/guides/sync"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request

from tests.providers.list_fake import Gone, ListFake


class Fake(ListFake):
    """A calendar. Its sync tokens are numbers of changes; those before `oldest` are forgotten."""

    secrets = {"access_token": "right"}
    oldest = 0

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        id_, time = f"event{number}", at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if trigger == "on_event_cancelled":
            return id_, {"kind": "calendar#event", "id": id_, "status": "cancelled"}
        event = {"id": id_, "status": "confirmed", "summary": "Tea", "created": time, "updated": time}
        return (id_ if trigger == "on_event_created" else f"{id_}:{time}"), event

    def answered(self, request: Request, asked: Any) -> Any:
        assert request.url.path == "/calendar/v3/calendars/primary/events"
        assert asked["showDeleted"] == "true"
        first = int(asked.get("syncToken", 0))
        if "syncToken" in asked and first < self.oldest:
            raise Gone("Sync token is no longer valid, a full sync is required.")
        start = max(int(asked.get("pageToken", 0)), first)
        things = [one.shown for one in self.things]
        page, following = self.paged_from(things, start, int(asked["maxResults"]))
        shown = [one for one in page if one is not None]
        if following is not None:
            return {"items": shown, "nextPageToken": str(following)}
        return {"items": shown, "nextSyncToken": str(len(things))}

    def remove(self, key: str) -> None:
        for place, one in enumerate(self.things):
            if one.key == key:
                self.things[place] = type(one)("", one.at, None)  # type: ignore[arg-type]
