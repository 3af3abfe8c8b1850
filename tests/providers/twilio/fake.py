"""Twilio: lists of messages and calls. https://www.twilio.com/docs/messaging/api/message-resource"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

from tests.providers.list_fake import ListFake

_BASIC = "Basic " + base64.b64encode(b"AC1:right").decode()
_FILTERS = {"messages": "DateSent>", "calls": "StartTime>"}


class Fake(ListFake):
    secrets = {"account_sid": "AC1", "auth_token": "right"}

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == _BASIC

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        time = format_datetime(at.replace(microsecond=0))
        whole = {"sid": f"SM{number:032}", "date_created": time, "date_sent": time, "end_time": time}
        kind = {"direction": "outbound-api", "status": "failed"}
        return whole["sid"], {
            **whole,
            **(kind if "failed" in trigger else {"direction": "inbound"}),
            "to": "+4930123456",
        }

    def answered(self, request: Request, asked: Any) -> Any:
        name = request.url.path.rpartition("/")[2].removesuffix(".json").lower()
        assert request.url.path == f"/2010-04-01/Accounts/AC1/{name.capitalize()}.json"
        since = datetime.strptime(asked[_FILTERS[name]], "%Y-%m-%d").replace(tzinfo=UTC)
        found = self.since(since, newest_first=True)
        page, following = self.paged_from(found, int(asked.get("PageToken", 0)), int(asked["PageSize"]))
        query = urlencode({**asked, "PageToken": following})
        uri = f"{request.url.path}?{query}" if following is not None else None
        return {name: page, "next_page_uri": uri, "page_size": int(asked["PageSize"])}
