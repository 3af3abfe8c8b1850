"""Todoist: sync of tasks. https://developer.todoist.com/api/v1/#tag/Sync"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.providers.list_fake import ListFake


class Fake(ListFake):
    secrets = {"token": "right"}

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        id_, time = f"6X{number}", at.isoformat().replace("+00:00", "Z")
        done = trigger == "on_task_completed"
        task = {"id": id_, "content": "Buy tea", "added_at": time, "updated_at": time, "is_deleted": False}
        shown = {**task, "checked": done, "completed_at": time if done else None, "project_id": "6Jf8"}
        return (id_ if trigger == "on_task_added" else f"{id_}:{time}"), shown

    def answered(self, request: Request, asked: Any) -> Any:
        raise NotImplementedError

    def server(self) -> Starlette:
        async def sync(request: Request) -> Response:
            if not self.authorized(request):
                return JSONResponse({"error": "Unauthorized"}, 401)
            form = dict(parse_qsl((await request.body()).decode()))
            assert form["resource_types"] == '["items"]'
            first = 0 if form["sync_token"] == "*" else int(form["sync_token"])
            items = [one.shown for one in self.things[first:] if one.key]
            return JSONResponse({"items": items, "sync_token": str(len(self.things)), "full_sync": not first})

        return Starlette(routes=[Route("/api/v1/sync", sync, methods=["POST"])])

    def remove(self, key: str) -> None:
        for place, one in enumerate(self.things):
            if one.key == key:
                self.things[place] = type(one)("", one.at, one.shown)

    paged = False
