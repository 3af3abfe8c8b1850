"""HubSpot: search of CRM records, as in HubSpot's OpenAPI document of CRM objects v3.

https://developers.hubspot.com/docs/api-reference/crm-objects-v3/guide
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from tests.providers.list_fake import ListFake


class Fake(ListFake):
    secrets = {"token": "pat-right"}
    most = 10_000  # results of one search

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer pat-right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        changed = "lastmodifieddate" if "contact" in trigger else "hs_lastmodifieddate"
        properties = {"createdate": time, changed: time, "hs_object_id": str(number)}
        shown = {"id": str(number), "properties": properties, "createdAt": time, "updatedAt": time, "archived": False}
        return (str(number) if trigger.endswith("created") else f"{number}:{time}"), shown

    def answered(self, request: Request, asked: Any) -> Any:
        assert request.url.path.rpartition("/")[2] == "search"
        assert asked["limit"] <= 200
        ((one,),) = (group["filters"] for group in asked["filterGroups"])
        assert one["operator"] == "GTE"
        assert asked["sorts"] == [{"propertyName": one["propertyName"], "direction": "ASCENDING"}]
        found = self.since(datetime.fromtimestamp(int(one["value"]) / 1000, UTC))
        assert all(one["propertyName"] in thing["properties"] for thing in found)
        assert asked.get("after") != "0", "HubSpot refuses this as an invalid cursor"
        start = int(asked.get("after", 0))
        assert start + asked["limit"] <= self.most
        page, following = self.paged_from(found, start, asked["limit"])
        paging = {"paging": {"next": {"after": str(following)}}} if following is not None else {}
        return {"total": len(found), "results": page, **paging}
