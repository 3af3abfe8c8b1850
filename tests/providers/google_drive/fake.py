"""Google Drive: the log of changes. https://developers.google.com/workspace/drive/api/reference/rest/v3/changes"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request

from tests.providers.list_fake import ListFake


class Fake(ListFake):
    secrets = {"access_token": "right"}

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        id_, time = f"file{number}", at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        change = {"changeType": "file", "time": time, "removed": trigger == "on_file_removed", "fileId": id_}
        if trigger == "on_file_removed":
            return f"{id_}:{time}", change
        file = {"id": id_, "name": "Tea", "createdTime": time, "version": "7", "parents": ["root"], "trashed": False}
        return (id_ if trigger == "on_file_created" else f"{id_}:7"), {**change, "file": file}

    def answered(self, request: Request, asked: Any) -> Any:
        assert asked["supportsAllDrives"] == "true"
        things = [one.shown for one in self.things]
        if request.url.path == "/drive/v3/changes/startPageToken":
            return {"kind": "drive#startPageToken", "startPageToken": str(1000 + len(things))}
        assert request.url.path == "/drive/v3/changes"
        assert (asked["includeRemoved"], asked["includeItemsFromAllDrives"]) == ("true", "true")
        page, following = self.paged_from(things, int(asked["pageToken"]) - 1000, int(asked["pageSize"]))
        shown = [one for one in page if one is not None]
        if following is not None:
            return {"changes": shown, "nextPageToken": str(1000 + following)}
        return {"changes": shown, "newStartPageToken": str(1000 + len(things))}

    def remove(self, key: str) -> None:
        for place, one in enumerate(self.things):
            if one.key == key:
                self.things[place] = type(one)("", one.at, None)  # type: ignore[arg-type]
