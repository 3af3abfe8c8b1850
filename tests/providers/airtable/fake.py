"""Airtable: records of a table by a formula. https://airtable.com/developers/web/api/list-records"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request

from hairtrigger.providers.airtable import provider
from tests.providers.hook_fake import for_all
from tests.providers.list_fake import ListFake

_CONFIG = {"base_id": "appABCDEFGHIJKLMN", "table_id": "tblABCDEFGHIJKLMN"}
_FORMULA = re.compile(r"IS_AFTER\((CREATED_TIME\(\)|\{Last change \\} of\}), '([^']+)'\)")


class Fake(ListFake):
    secrets = {"token": "pat_right"}
    configs = {
        **for_all(provider, **_CONFIG),
        "on_record_updated": {**_CONFIG, "modified_field": "Last change } of"},
    }

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer pat_right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        time = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        shown = {"id": f"rec{number}", "createdTime": time, "fields": {"Name": "Tea", "Last change } of": time}}
        return (f"rec{number}" if trigger == "on_record_created" else f"rec{number}:{time}"), shown

    def answered(self, request: Request, asked: Any) -> Any:
        assert request.url.path == "/v0/appABCDEFGHIJKLMN/tblABCDEFGHIJKLMN"
        found = _FORMULA.fullmatch(asked["filterByFormula"])
        assert found, asked["filterByFormula"]
        after = datetime.fromisoformat(found[2]) + timedelta(milliseconds=1)
        page, following = self.paged_from(self.since(after), int(asked.get("offset", 0)), int(asked["pageSize"]))
        return {"records": page, **({"offset": str(following)} if following is not None else {})}
