"""Fireflies: transcripts by GraphQL. https://docs.fireflies.ai/graphql-api/query/transcripts"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from starlette.requests import Request

from tests.providers.list_fake import ListFake


class Fake(ListFake):
    secrets = {"api_key": "right"}
    late = timedelta(hours=6)

    def authorized(self, request: Request) -> bool:
        return request.headers.get("authorization") == "Bearer right"

    def thing(self, number: int, at: datetime, trigger: str) -> tuple[str, Mapping[str, Any]]:
        whole = {"id": f"ff{number}", "title": "Teapots", "date": at.timestamp() * 1000, "duration": 30}
        return f"ff{number}", {**whole, "organizer_email": "ada@example.com"}

    def answered(self, request: Request, asked: Any) -> Any:
        assert request.url.path == "/graphql"
        assert "transcripts(fromDate: $from, skip: $skip, limit: $limit)" in asked["query"]
        variables = asked["variables"]
        assert variables["limit"] <= 50
        found = self.since(datetime.fromisoformat(variables["from"]), newest_first=True)
        return {"data": {"transcripts": self.paged_from(found, variables["skip"], variables["limit"])[0]}}
