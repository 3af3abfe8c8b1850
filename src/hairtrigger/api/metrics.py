"""`/metrics` for Prometheus. Without a token in the settings there is no such route."""

import hmac
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Text = Callable[[str], Awaitable[tuple[bytes, str]]]
"""A function that returns the text and its content type, for a value of `Accept`."""


def metrics_routes(text: Text | None, token: str | None) -> list[Route]:
    if text is None or token is None:
        return []
    expected = token.encode()

    async def metrics(request: Request) -> Response:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), expected):
            detail = "Send the token of HAIRTRIGGER_METRICS_TOKEN: `Authorization: Bearer …`."
            return JSONResponse({"detail": detail}, 401, {"WWW-Authenticate": "Bearer"})
        body, content_type = await text(request.headers.get("accept", ""))
        return Response(body, headers={"content-type": content_type, "cache-control": "no-store"})

    return [Route("/metrics", metrics)]
