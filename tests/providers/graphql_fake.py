"""A base for fakes with a GraphQL API: fields of queries and mutations are functions."""

import re
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.providers.hook_fake import HookFake, Kept, Refused

Field = Callable[[Mapping[str, Any]], Any]


class GraphqlFake(HookFake):
    """A provider whose webhooks are made, listed and removed by fields of a GraphQL schema.

    A query names one field. It is found by its name, and called with the variables.
    """

    path = "/graphql"

    @abstractmethod
    def fields(self) -> Mapping[str, Field]: ...

    def connection(self, things: list[Any], after: str | None) -> Any:
        """Return a page of a connection, https://graphql.org/learn/pagination/."""
        start = int(after) if after else 0
        page, following = self.after(things, start, 100)
        info = {"hasNextPage": following is not None, "endCursor": str(start + len(page))}
        return {"nodes": page, "pageInfo": info}

    def shown(self, hook: Kept) -> Mapping[str, Any]:
        return {"id": hook.id, "url": hook.url, "uri": hook.url}

    def taken(self, asked: Any) -> tuple[str, str | None]:
        raise NotImplementedError

    def error(self, words: str, code: str) -> Response:
        return JSONResponse({"errors": [{"message": words, "extensions": {"code": code, "type": code}}]})

    def server(self) -> Starlette:
        async def answered(request: Request) -> Response:
            asked = await request.json()
            name = re.sub(r"^\s*(?:query|mutation)?\s*(?:\([^)]*\))?\s*\{\s*", "", asked["query"])
            field = re.match(r"\w+", name)
            assert field, asked["query"]
            if not self.authorized(request):
                return self.error("Authentication required, not authenticated", "AUTHENTICATION_ERROR")
            try:
                return JSONResponse({"data": {field[0]: self.fields()[field[0]](asked.get("variables", {}))}})
            except Refused as refused:
                return self.error(str(refused), "INPUT_ERROR")

        return Starlette(routes=[Route(self.path, answered, methods=["POST"])])

    def found(self, id_: str) -> Kept:
        there = [one for one in self.kept if one.id == id_]
        if not there:
            raise Refused(400, "Entity not found")
        return there[0]
