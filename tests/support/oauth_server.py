"""An authorization server with an API, written from RFC 6749, 7636, 8628 and 9700, and a user who grants what is asked.

It refuses what the specifications tell it to refuse. Tests make it slow, broken, or forgetful.
"""

import base64
import hashlib
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlencode, urlsplit

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.support.clock import ManualClock

HOST = "https://accounts.test"


@dataclass
class Token:
    access: str
    ends_at: datetime
    scope: str


async def _nothing(_: dict[str, str]) -> None:
    pass


@dataclass
class OAuthServer:
    clock: ManualClock
    redirect_uri: str
    clients: dict[str, str] = field(default_factory=lambda: {"app": "app-secret"})
    life: timedelta = timedelta(hours=1)
    rotates: bool = True
    """A refresh token is valid once, and its second use ends the whole grant (RFC 9700, section 4.14.2)."""
    faults: list[Response] = field(default_factory=list)  # answers of the token endpoint, before it works again
    more: dict[str, Any] = field(default_factory=dict)  # fields of each token answer, in place of its own
    before_answer: Callable[[dict[str, str]], Awaitable[None]] = _nothing
    denies: tuple[str, str] | None = None  # error and description of the user's answer
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refreshing: dict[str, str] = field(default_factory=dict)  # live refresh tokens, each with its grant
    used: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)  # grants
    grants: dict[str, str] = field(default_factory=dict)  # of access tokens
    devices: dict[str, bool] = field(default_factory=dict)
    asked: list[dict[str, str]] = field(default_factory=list)  # the forms at the token endpoint
    assertions: list[str] = field(default_factory=list)

    @property
    def refreshes(self) -> int:
        return sum(one.get("grant_type") == "refresh_token" for one in self.asked)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/device", self._device, methods=["POST"]),
                Route("/api/me", self._me),
                Route("/api/items", self._items),
            ]
        )

    async def grants_at(self, url: str) -> str:
        """Grant what the address asks for, as the user does in a browser, and return where the browser goes then."""
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app), base_url=HOST) as browser:
            answer = await browser.get(url)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    async def _authorize(self, request: Request) -> Response:
        asked = dict(parse_qsl(request.url.query))
        if asked.get("client_id") not in self.clients or asked.get("redirect_uri") != self.redirect_uri:
            return JSONResponse({"error": "invalid_request"}, 400)  # never a redirect to an unknown address
        state = {"state": asked["state"]} if "state" in asked else {}
        if self.denies:
            error, said = self.denies
            return RedirectResponse(
                f"{self.redirect_uri}?{urlencode({'error': error, 'error_description': said, **state})}", 302
            )
        if asked.get("response_type") != "code" or asked.get("code_challenge_method") != "S256":
            return RedirectResponse(f"{self.redirect_uri}?{urlencode({'error': 'invalid_request', **state})}", 302)
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return RedirectResponse(f"{self.redirect_uri}?{urlencode({'code': code, 'iss': HOST, **state})}", 302)

    async def _device(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        if form.get("client_id") not in self.clients:
            return JSONResponse({"error": "invalid_client"}, 401)
        code = secrets.token_urlsafe(16)
        self.devices[code] = False
        return JSONResponse(
            {
                "device_code": code,
                "user_code": "WDJB-MJHT",
                "verification_uri": f"{HOST}/enter",
                "expires_in": 600,
                "interval": 5,
            }
        )

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        self.asked.append(form)
        await self.before_answer(form)
        if self.faults:
            return self.faults.pop(0)
        match form.get("grant_type"):
            case "urn:ietf:params:oauth:grant-type:jwt-bearer":
                self.assertions.append(form["assertion"])
                return self._granted("assertion", "", refresh=False)
            case "urn:ietf:params:oauth:grant-type:device_code" if form.get("client_id") in self.clients:
                return self._by_device(form["device_code"])
        if not self._knows(request, form):
            return JSONResponse({"error": "invalid_client"}, 401)
        match form.get("grant_type"):
            case "authorization_code":
                return self._by_code(form)
            case "refresh_token":
                return self._refreshed(form["refresh_token"])
            case "client_credentials":
                return self._granted("client", form.get("scope", ""), refresh=False)
        return JSONResponse({"error": "unsupported_grant_type"}, 400)

    def _knows(self, request: Request, form: dict[str, str]) -> bool:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme == "Basic":
            id_, _, secret = base64.b64decode(given).decode().partition(":")
            return self.clients.get(unquote(id_)) == unquote(secret)
        return self.clients.get(form.get("client_id", "")) == form.get("client_secret")

    def _by_code(self, form: dict[str, str]) -> Response:
        asked = self.codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "")
        proof = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
        if not asked or form.get("redirect_uri") != asked["redirect_uri"] or proof != asked.get("code_challenge"):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return self._granted(secrets.token_hex(4), asked.get("scope", ""))

    def _refreshed(self, token: str) -> Response:
        if grant := self.used.get(token):
            self.revoked.add(grant)
        grant = self.refreshing.get(token)
        if grant is None or grant in self.revoked:
            return JSONResponse({"error": "invalid_grant", "error_description": "Token is not active."}, 400)
        if self.rotates:
            self.used[token] = self.refreshing.pop(token)
        return self._granted(grant, "", refresh=self.rotates)

    def _by_device(self, code: str) -> Response:
        if code not in self.devices:
            return JSONResponse({"error": "invalid_grant"}, 400)
        if not self.devices[code]:
            return JSONResponse({"error": "authorization_pending"}, 400)
        del self.devices[code]
        return self._granted(secrets.token_hex(4), "")

    def _granted(self, grant: str, scope: str, *, refresh: bool = True) -> Response:
        access = f"at-{secrets.token_hex(8)}"
        self.tokens[access] = Token(access, self.clock.now() + self.life, scope)
        self.grants[access] = grant
        answer: dict[str, Any] = {
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": int(self.life.total_seconds()),
        }
        if refresh:
            answer["refresh_token"] = f"rt-{secrets.token_hex(8)}"
            self.refreshing[answer["refresh_token"]] = grant
        return JSONResponse({**answer, **self.more}, headers={"cache-control": "no-store"})

    def _admits(self, request: Request) -> bool:
        token = self.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        return bool(token and token.ends_at > self.clock.now() and self.grants[token.access] not in self.revoked)

    async def _me(self, request: Request) -> Response:
        return JSONResponse({"name": "Ada"}) if self._admits(request) else JSONResponse({}, 401)

    async def _items(self, request: Request) -> Response:
        return JSONResponse([{"id": "1"}]) if self._admits(request) else JSONResponse({}, 401)


def query(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
