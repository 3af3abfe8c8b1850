"""Confluence Cloud: search by CQL. https://developer.atlassian.com/cloud/confluence/rest/v1/api-group-search/"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from starlette.requests import Request

from hairtrigger.providers.confluence import provider
from tests.providers.hook_fake import for_all
from tests.providers.list_fake import ListFake

_BASIC = "Basic " + base64.b64encode(b"ada@example.com:right").decode()
_CQL = re.compile(
    r'space = "DOCS" AND type = (?:page|comment|blogpost) AND (created|lastmodified) >= "(.{16})" ORDER BY \1 ASC'
)


class Fake(ListFake):
    secrets = {"site": "acme", "email": "ada@example.com", "api_token": "right"}
    configs = for_all(provider, space="DOCS")
    zone: str | None = "Asia/Tokyo"  # None if the user hides it

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == _BASIC

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        version = {"number": number + 1, "when": time}
        content = {"id": f"98{number}", "title": "Teapots", "version": version, "history": {"createdDate": time}}
        key = f"98{number}:{number + 1}" if trigger == "on_page_updated" else f"98{number}"
        return key, {"content": content, "title": "Teapots", "lastModified": time}

    def answered(self, request: Request, asked: Any) -> Any:
        if request.url.path == "/wiki/rest/api/user/current":
            return {"type": "known", "accountId": "5b10", "timeZone": self.zone}
        assert request.url.path == "/wiki/rest/api/search"
        found = _CQL.fullmatch(asked["cql"])
        assert found, asked["cql"]
        zone = ZoneInfo(self.zone or "Pacific/Kiritimati")
        since = datetime.strptime(found[2], "%Y-%m-%d %H:%M").replace(tzinfo=zone)
        page, following = self.paged_from(self.since(since), int(asked.get("cursor", 0)), int(asked["limit"]))
        after = urlencode({**asked, "cursor": following}) if following is not None else ""
        links = {"base": "https://acme.atlassian.net/wiki", "context": "/wiki"}
        return {"results": page, "_links": {**links, **({"next": f"/rest/api/search?{after}"} if after else {})}}
