"""Jira Cloud: search by JQL. https://developer.atlassian.com/cloud/jira/platform/rest/v3/api-group-issue-search/"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from starlette.requests import Request

from hairtrigger.providers.jira import provider
from tests.providers.hook_fake import for_all
from tests.providers.list_fake import ListFake

_BASIC = "Basic " + base64.b64encode(b"ada@example.com:right").decode()
_JQL = re.compile(r'\(project = SHOP\) AND (created|updated) >= "(.{16})" ORDER BY \1 ASC')


class Fake(ListFake):
    secrets = {"site": "acme", "email": "ada@example.com", "api_token": "right"}
    configs = for_all(provider, jql="project = SHOP")
    zone = "America/New_York"

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == _BASIC

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        local = at.astimezone(ZoneInfo(self.zone))
        time = f"{local:%Y-%m-%dT%H:%M:%S}.{local.microsecond // 1000:03}{local:%z}"
        fields = {"summary": "The teapot leaks", "created": time, "updated": time}
        shown = {"id": f"1000{number}", "key": f"SHOP-{number}", "fields": fields}
        return (f"1000{number}" if trigger == "on_issue_created" else f"1000{number}:{time}"), shown

    def answered(self, request: Request, asked: Any) -> Any:
        if request.url.path == "/rest/api/3/myself":
            return {"accountId": "5b10", "timeZone": self.zone}
        assert request.url.path == "/rest/api/3/search/jql"
        found = _JQL.fullmatch(asked["jql"])
        assert found, asked["jql"]
        assert asked["fields"], "otherwise Jira answers with ids alone"
        since = datetime.strptime(found[2], "%Y/%m/%d %H:%M").replace(tzinfo=ZoneInfo(self.zone), fold=1)
        page, following = self.paged_from(self.since(since), int(asked.get("nextPageToken", 0)), asked["maxResults"])
        token = {"nextPageToken": str(following)} if following is not None else {}
        return {"issues": page, "isLast": following is None, **token}
