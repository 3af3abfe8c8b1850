"""The applications that a process serves: the webhook route, the three APIs and the health endpoints."""

import re
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from hairtrigger.api import reference
from hairtrigger.api.reference import Described
from hairtrigger.domain.disk import DiskUse, Thresholds
from hairtrigger.domain.errors import Unavailable
from hairtrigger.domain.webhook_address import WEBHOOK_PATH
from hairtrigger.platform.peers import Proxies


def _unseen() -> DiskUse:
    return DiskUse("unknown", None, Thresholds())


def service_app(
    *,
    webhooks: ASGIApp,
    writable: Callable[[], Awaitable[bool]],
    own: FastAPI,
    integrations: FastAPI,
    projects: FastAPI,
    leaving: Callable[[], bool] = lambda: False,
    proxies: Sequence[str] = ("127.0.0.1",),
    disk: Callable[[], DiskUse] = _unseen,
    metrics: Sequence[Route] = (),
    pages: Sequence[Route] = (),
) -> Router:
    """Return the application of a process that serves the APIs.

    The webhook route is matched first and passes through no middleware. It sets by itself the headers that
    `EveryAnswer` adds to all other answers.
    """
    roof = Starlette(
        routes=[
            *_health(writable, leaving, disk),
            *metrics,
            *reference.routes(_described(own, integrations, projects)),
            *pages,
            Mount("/v1", own),
            Mount("/integrations/v1", integrations),
            Mount("/api/public/integrations/v1", integrations),
            Mount("/", projects),
        ],
        middleware=[Middleware(EveryAnswer, leaving=leaving), Middleware(HeadAsGet)],
        exception_handlers={HTTPException: _nowhere},
    )
    heard = cast(
        "ASGIApp", ProxyHeadersMiddleware(cast("Any", roof), list(proxies))
    )  # both libraries describe ASGI, each with types of its own
    hooks = [Route(path, webhooks) for path in (WEBHOOK_PATH, f"{WEBHOOK_PATH}/")]
    return Router([*hooks, Mount("/", heard)])


def _described(own: FastAPI, integrations: FastAPI, projects: FastAPI) -> tuple[Described, ...]:
    return (
        Described(
            "v1",
            "hairtrigger API",
            "Projects, connections, API keys, events, deliveries, replays and explanations.",
            "v1/openapi.json",
            own,
        ),
        Described(
            "triggers",
            "Triggers API",
            "The triggers of projects, after Stack AI's reference.",
            "openapi.json",
            projects,
        ),
        Described(
            "integrations",
            "Integrations API",
            "Triggers that you write yourself, after Odeus' reference.",
            "integrations/v1/openapi.json",
            integrations,
        ),
    )


def worker_app(
    *,
    writable: Callable[[], Awaitable[bool]],
    leaving: Callable[[], bool],
    disk: Callable[[], DiskUse] = _unseen,
    metrics: Sequence[Route] = (),
) -> Router:
    """Return the application of a worker process, which serves the health endpoints, the metrics and no API."""
    roof = Starlette(
        routes=[*_health(writable, leaving, disk), *metrics], middleware=[Middleware(EveryAnswer, leaving=leaving)]
    )
    return Router([Mount("/", roof)])


class BelowPath:
    """Serves an application below a path: that of its public address, or the one that a trusted proxy names.

    A proxy may pass the path on or take it away. Inside, every path has it, as ASGI asks for (`root_path`), so that
    whatever leads back to this service leads through the proxy. Webhooks without it go the shortest way.
    """

    def __init__(self, app: ASGIApp, public_url: str, proxies: Proxies | None = None) -> None:
        self._app = app
        self._path = urlsplit(public_url).path.rstrip("/")
        self._proxies = proxies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(_WEBHOOKS):
            prefix = self._forwarded(scope) or self._path
            if prefix:
                scope = _below(scope, prefix)
        await self._app(scope, receive, send)

    def _forwarded(self, scope: Scope) -> str:
        """Return the path that the proxy says it has taken away, or an empty text."""
        given = next((value for name, value in scope["headers"] if name == b"x-forwarded-prefix"), b"").decode(
            "latin-1"
        )
        prefix = given.strip().rstrip("/")
        client = scope.get("client")
        trusted = self._proxies is not None and client is not None and not self._proxies.place(client[0])
        return prefix if trusted and len(prefix) <= _LONGEST_PREFIX and _PREFIX.fullmatch(prefix) else ""


_WEBHOOKS = WEBHOOK_PATH.partition("{")[0]
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_LONGEST_PREFIX = 200


def _below(scope: Scope, prefix: str) -> Scope:
    path, raw = scope["path"], scope["raw_path"]
    if not path.startswith(f"{prefix}/"):
        path, raw = f"{prefix}{path}", prefix.encode() + raw
    return {**scope, "root_path": prefix, "path": path, "raw_path": raw}


class EveryAnswer:
    """Middleware that adds headers to every answer.

    `nosniff` stops browsers from guessing another content type. While the service is stopping, `Connection: close`
    makes clients send their next request on a new connection.
    """

    def __init__(self, app: ASGIApp, leaving: Callable[[], bool]) -> None:
        self._app = app
        self._leaving = leaving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Content-Type-Options"] = "nosniff"
                if self._leaving():
                    headers["Connection"] = "close"
            await send(message)

        await self._app(scope, receive, send_marked if scope["type"] == "http" else send)


@dataclass(frozen=True)
class HeadAsGet:
    """Middleware that answers HEAD as GET, without the body."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        await self.app(scope, receive, send)


def _without_body(send: Send) -> Send:
    async def send_head(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return send_head


async def _nowhere(_: Request, error: Exception) -> Response:
    """Return the answer to a path with a line break. No route matches such a path, so the request reaches none of the
    APIs.
    """
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code)


def _health(
    writable: Callable[[], Awaitable[bool]], leaving: Callable[[], bool], disk: Callable[[], DiskUse]
) -> list[Route]:
    return [Route("/livez", _livez), Route("/readyz", _readyz(writable, leaving, disk))]


async def _livez(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


def _readyz(
    writable: Callable[[], Awaitable[bool]], leaving: Callable[[], bool], disk: Callable[[], DiskUse]
) -> Callable[[Request], Awaitable[Response]]:
    """Return the endpoint of /readyz. A process is ready if events can be stored now and it is not stopping.

    The answer is 200 if it is ready and 503 if not. While the disk is low, the answer of a ready process says so.
    """

    async def readyz(_: Request) -> Response:
        if leaving():
            return JSONResponse({"status": "the service is stopping"}, status_code=503)
        use = disk()
        if use.state == "full":
            return JSONResponse({"status": use.sentence}, status_code=503)
        with suppress(Unavailable):
            if await writable():
                return JSONResponse({"status": "ok"} | ({"warning": use.sentence} if use.state == "low" else {}))
        return JSONResponse({"status": "the database can't be written"}, status_code=503)

    return readyz
