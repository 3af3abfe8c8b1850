"""Keep the first requests for an API and for its OpenAPI document from stopping the event loop."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from fastapi import FastAPI
from pydantic_core import to_json
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response

T = TypeVar("T")


class Once(Generic[T]):
    """A value that takes long to make. It is made in a thread, when it is first asked for."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: T | None = None
        self._making = asyncio.Lock()

    async def get(self) -> T:
        async with self._making:
            if self._made is None:
                self._made = await asyncio.to_thread(self._make)
        return self._made


def prepare(app: FastAPI) -> None:
    """Build the app's routes now, and its document when it is asked for.

    FastAPI would build both in the event loop, at the first request. The routes take tens of milliseconds and the
    document takes hundreds, while no other request is answered.
    """
    nowhere = {"type": "http", "method": "GET", "path": "/", "root_path": "", "headers": [], "app": app}
    for route in app.routes:
        route.matches(nowhere)
    _serve_document(app)


_MOST = 8  # documents that are kept of each app; a proxy may name other paths


def _serve_document(app: FastAPI) -> None:
    """Keep the rendered document for each path below which the app is served."""
    route = next(route for route in app.routes if isinstance(route, Route) and route.path == app.openapi_url)
    described, rendered = Once(app.openapi), dict[str, bytes]()

    async def document(request: Request) -> Response:
        path = request.scope["root_path"]
        found = rendered.get(path)
        if found is None:
            found = to_json({**await described.get(), "servers": [{"url": path or "/"}]})
            if len(rendered) < _MOST:
                rendered[path] = found
        return Response(found, media_type="application/json")

    route.app = request_response(document)
