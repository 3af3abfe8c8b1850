"""Renders the OpenAPI document of each API once, and serves the kept copy."""

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, request_response


def render_once(app: FastAPI) -> None:
    """Make an app render its OpenAPI document only once for each path at which it is mounted.

    FastAPI takes milliseconds to render it.
    """
    route = next(route for route in app.routes if isinstance(route, Route) and route.path == app.openapi_url)
    render, rendered = route.endpoint, dict[str, bytes]()

    async def document(request: Request) -> Response:
        path = request.scope["root_path"]
        if path not in rendered:
            rendered[path] = bytes((await render(request)).body)
        return Response(rendered[path], media_type="application/json")

    route.app = request_response(document)
