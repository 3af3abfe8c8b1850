"""The three APIs under one roof, the webhook route before it, and the health of it all."""

from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hairtrigger.domain.errors import Unavailable


def service_app(
    *,
    webhooks: ASGIApp,
    writable: Callable[[], Awaitable[bool]],
    own: ASGIApp,
    integrations: ASGIApp,
    projects: ASGIApp,
) -> Router:
    """A webhook is matched first and passes through no middleware: it says itself what the others are told to say."""
    roof = Starlette(
        routes=[
            Route("/livez", _livez),
            Route("/readyz", _readyz(writable)),
            Mount("/v1", own),
            Mount("/integrations/v1", integrations),
            Mount("/api/public/integrations/v1", integrations),
            Mount("/", projects),
        ],
        middleware=[Middleware(NoSniff)],
        exception_handlers={HTTPException: _nowhere},
    )
    return Router([Route("/v1/webhooks/{webhook_id}", webhooks, methods=["POST"]), Mount("/", roof)])


class NoSniff:
    """Tells browsers to take every answer for what it says it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, send_marked if scope["type"] == "http" else send)


async def _nowhere(_: Request, error: Exception) -> Response:
    """A path that none of the APIs gets to see, because it has a line break."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code)


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
