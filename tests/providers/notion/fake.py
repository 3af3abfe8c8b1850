"""Notion: queries of a data source. https://developers.notion.com/reference/query-a-data-source"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.notion import provider
from tests.providers.hook_fake import for_all
from tests.providers.list_fake import ListFake

_SOURCE = "1c7b35e6-e67f-8096-bf3f-000ba938459e"


class Fake(ListFake):
    secrets = {"token": "ntn_right"}
    configs = for_all(provider, data_source_id=_SOURCE)
    minutes = True

    def authorized(self, request: Request) -> bool:
        assert request.headers["notion-version"] == "2025-09-03"
        return request.headers.get("authorization") == "Bearer ntn_right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        id_, time = f"page-{number}", at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = {"object": "page", "id": id_, "created_time": time, "last_edited_time": time, "properties": {}}
        return (id_ if trigger == "on_page_created" else f"{id_}:{time}"), shown

    def answered(self, request: Request, asked: Any) -> Any:
        assert request.url.path == f"/v1/data_sources/{_SOURCE}/query"
        time = asked["filter"]["timestamp"]
        assert asked["sorts"] == [{"timestamp": time, "direction": "ascending"}]
        found = self.since(datetime.fromisoformat(asked["filter"][time]["on_or_after"]))
        page, following = self.paged_from(found, int(asked.get("start_cursor", 0)), asked["page_size"])
        more = following is not None
        return {"object": "list", "results": page, "has_more": more, "next_cursor": str(following) if more else None}
