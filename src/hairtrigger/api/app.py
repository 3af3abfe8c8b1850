"""The three APIs under one roof, the webhook route before them, and the health of it all."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from hairtrigger.domain.errors import Unavailable


def service_app(
    *,
    webhooks: Callable[[Request], Awaitable[Response]],
    writable: Callable[[], Awaitable[bool]],
    own: ASGIApp,
    integrations: ASGIApp,
    projects: ASGIApp,
) -> Starlette:
    return Starlette(
        routes=[
            Route("/livez", _livez),
            Route("/readyz", _readyz(writable)),
            Route("/v1/webhooks/{webhook_id}", webhooks, methods=["POST"]),
            Mount("/v1", own),
            Mount("/integrations/v1", integrations),
            Mount("/api/public/integrations/v1", integrations),
            Mount("/", projects),
        ]
    )


async def _livez(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _readyz(writable: Callable[[], Awaitable[bool]]) -> Callable[[Request], Awaitable[Response]]:
    """Ready means: an event that comes now would be stored."""

    async def readyz(_: Request) -> Response:
        with suppress(Unavailable):
            if await writable():
                return JSONResponse({"status": "ok"})
        return JSONResponse({"status": "the database can't be written"}, status_code=503)

    return readyz
