"""Google Sheets: values of a range.

https://developers.google.com/workspace/sheets/api/reference/rest/v4/spreadsheets.values/get
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.requests import Request

from hairtrigger.domain.event import digest
from hairtrigger.providers.google_sheets import provider
from tests.providers.hook_fake import for_all
from tests.providers.list_fake import ListFake

_SHEET = "1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"


class Fake(ListFake):
    secrets = {"access_token": "right"}
    configs = {
        **for_all(provider, spreadsheet_id=_SHEET, sheet="It's"),
        "on_row_added": {"spreadsheet_id": _SHEET, "sheet": "It's", "key_column": "Order"},
    }
    dated = paged = False

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        row = [f"A-{number}", "Tea", 29.35]
        written = f'["A-{number}","Tea",29.35]'.encode()
        return (f"A-{number}" if trigger == "on_row_added" else f"{digest(written)}#1"), {"row": row}

    def answered(self, request: Request, asked: Any) -> Any:
        assert request.url.path == f"/v4/spreadsheets/{_SHEET}/values/'It''s'"
        assert asked["valueRenderOption"] == "UNFORMATTED_VALUE"
        rows = [one.shown["row"] for one in self.things]
        values = {"values": [["Order", "What", "Price"], [], *rows]} if rows else {}  # an empty sheet has no values
        return {"range": "'It''s'!A1:Z1000", "majorDimension": "ROWS", **values}
