"""Defines the provider Google Drive. It is polled by the log of changes, whose tokens do not expire.

The key of a new file is its id, because a file is created only once. The key of a change also has the file's version,
and that of a removal its time. Several changes of a file between two polls are one event.
https://developers.google.com/workspace/drive/api/guides/manage-changes
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from hairtrigger import kit

_EARLIER = timedelta(minutes=2)  # how far Google's clock may be behind ours
_FILE = "id,name,mimeType,parents,createdTime,modifiedTime,version,size,webViewLink,owners,lastModifyingUser,trashed"
_ALL = {"supportsAllDrives": "true", "includeItemsFromAllDrives": "true", "pageSize": 200}
_FIELDS = f"nextPageToken,newStartPageToken,changes(changeType,time,removed,fileId,file({_FILE}))"


class Folder(kit.PollingConfig):
    folder_id: str | None = Field(
        default=None,
        pattern="^[A-Za-z0-9_-]+$",
        title="Folder",
        description="The id of the only folder to look at, without those in it: the end of its address.",
    )


class Start(kit.Payload):
    """The token from which changes are listed.
    https://developers.google.com/workspace/drive/api/reference/rest/v3/changes/getStartPageToken
    """

    page: kit.Key = Field(alias="startPageToken")


class Changes(kit.Payload):
    """A page of the log of changes. https://developers.google.com/workspace/drive/api/reference/rest/v3/changes/list"""

    changes: list[dict[str, Any]]
    page: str | None = Field(default=None, alias="nextPageToken")
    start: str | None = Field(default=None, alias="newStartPageToken")


Wanted = Callable[[Any, datetime], bool]


def _poll(fields: kit.Fields, wanted: Wanted) -> Any:
    async def poll(question: kit.Question[Folder]) -> kit.Page:
        if question.cursor is None:
            answer = await question.api.get("drive/v3/changes/startPageToken", {"supportsAllDrives": "true"})
            return kit.Page((), {"page": kit.read(Start, answer).page})
        params = {"pageToken": question.cursor["page"], "includeRemoved": "true", "fields": _FIELDS, **_ALL}
        found = kit.read(Changes, await question.api.get("drive/v3/changes", params))
        start, folder = question.enabled_at - _EARLIER, question.config.folder_id
        files = [one for one in found.changes if one.get("changeType", "file") == "file" and wanted(one, start)]
        within = [one for one in files if folder is None or folder in (kit.at_pointer(one, "/file/parents") or ())]
        cursor = {"page": found.page or found.start or question.cursor["page"]}
        return kit.Page(fields.drafts(within), cursor, more=found.page is not None)

    return poll


def _there(change: Any) -> bool:
    return not change.get("removed") and not kit.at_pointer(change, "/file/trashed")


def _created(change: Any, start: datetime) -> bool:
    text = kit.at_pointer(change, "/file/createdTime")
    return _there(change) and isinstance(text, str) and datetime.fromisoformat(text) >= start


async def _samples(question: kit.Question[Folder]) -> Any:
    params = {"pageSize": 3, "orderBy": "modifiedTime desc", "fields": f"files({_FILE})"}
    files = kit.items_at(await question.api.get("drive/v3/files", params), "/files")
    return [{"changeType": "file", "removed": False, "fileId": one["id"], "file": one} for one in files]


def _on(id_: str, name: str, description: str, key: tuple[str, ...], wanted: Wanted) -> kit.Polling[Folder]:
    fields = kit.Fields(key=key, subject="/fileId", at="/time")
    return kit.Polling(
        id=id_, name=name, description=description, config=Folder, poll=_poll(fields, wanted), samples=_samples
    )


provider = kit.Provider(
    id="google_drive",
    name="Google Drive",
    icon="📁",
    base_url="https://www.googleapis.com/",
    auth=kit.google("drive.metadata.readonly"),
    guide=kit.GOOGLE_GUIDE,
    check=lambda api: api.get("drive/v3/about?fields=user"),
    triggers=(
        _on("on_file_created", "File created", "A file or a folder was made or uploaded.", ("/fileId",), _created),
        _on("on_file_updated", "File updated", "A file or a folder was made or changed.",
            ("/fileId", "/file/version"), lambda change, _: _there(change)),
        _on("on_file_removed", "File removed", "A file was moved to the trash, deleted, or is no longer shared.",
            ("/fileId", "/time"), lambda change, _: not _there(change)),
    ),
)  # fmt: skip
