"""Admits a request to the Integrations API if no web page sends it, its key has the right scope, and its organisation
does not ask too often.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from math import ceil
from time import time
from typing import Any

from fastapi.routing import APIRoute
from limits import RateLimitItem
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from hairtrigger.api.auth import bearer_value
from hairtrigger.api.bodies import BoundedRequest
from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import RateLimited, Unauthenticated
from hairtrigger.services.accounts import Accounts

_NO_BROWSERS = "Browsers may not call this API: everybody could read your API key. Call it from a server."


@dataclass(frozen=True)
class NoBrowsers:
    """Middleware that refuses every request that a web page sends, also preflights. A visitor can read an API key in a
    page.

    A browser names the page in `Origin` or `Sec-Fetch-Site`, and no script can remove these headers. Other clients send
    neither of them.
    """

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and any(_names_a_page(*header) for header in scope["headers"]):
            refusal = JSONResponse({"message": _NO_BROWSERS}, 403)
            await refusal(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _names_a_page(header: bytes, value: bytes) -> bool:
    return header == b"origin" or (header == b"sec-fetch-site" and value.strip().lower() != b"none")


@dataclass(frozen=True)
class Admission:
    """Admits callers with an API key.

    A request is refused with 401 for its key, then with 403 for the key's scope, then with 429 for the rate of its
    organisation's requests.
    """

    accounts: Accounts
    limit: RateLimitItem  # for all keys of an organisation together
    limiter: FixedWindowRateLimiter = field(default_factory=lambda: FixedWindowRateLimiter(MemoryStorage()))

    async def caller(self, request: Request, *any_of: str) -> Caller:
        try:
            caller = await self.accounts.by_key(bearer_value(request))
        except Unauthenticated:
            raise Unauthenticated("The provided API key is invalid.") from None
        caller.require(*any_of)
        if not await self.limiter.hit(self.limit, str(caller.org_id)):
            window = await self.limiter.get_window_stats(self.limit, str(caller.org_id))
            wait = timedelta(seconds=max(1, ceil(window.reset_time - time())))
            raise RateLimited("Rate limit for public API exceeded", retry_after=wait)
        return caller


def admitting(admission: Admission, *any_of: str, max_body: int) -> type[APIRoute]:
    """Return a class of routes that admit a caller who has one of these scopes before they read a body.

    They refuse a body of more than `max_body` bytes.
    """

    class Admitting(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def admit_and_handle(request: Request) -> Response:
                request.state.caller = await admission.caller(request, *any_of)
                return await handle(BoundedRequest(request, max_body))

            return admit_and_handle

    return Admitting


async def json_only(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    if not is_json and await request.body():
        raise HTTPException(415, "Send the body as application/json.")
