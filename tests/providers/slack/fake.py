"""Slack: tokens of workspaces, and an app's Events API address. https://docs.slack.dev"""

import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hairtrigger.conformance import Fake as AnyFake
from hairtrigger.conformance import Recorded


@dataclass
class Slack:
    """A Slack with `tokens` and the answers of auth.test for them, at `…/api/`; events go to `request_url`."""

    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    request_url: str = "https://hooks.example.com/v1/webhooks/slack"
    signing_secret: str = "8f742231b10e8888abcd99yyyzzz85a5"
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def add_bot(self, token: str, team_id: str, **more: Any) -> None:
        self.tokens[token] = {
            "team_id": team_id,
            "user_id": "U1",
            "bot_id": "B1",
            "is_enterprise_install": False,
            **more,
        }


def app(state: Slack) -> Starlette:
    async def auth_test(request: Request) -> Response:
        identity = state.tokens.get(request.headers.get("authorization", "").removeprefix("Bearer "))
        if identity is None:
            return JSONResponse({"ok": False, "error": "invalid_auth"})
        return JSONResponse({"ok": True, **identity})

    return Starlette(routes=[Route("/api/auth.test", auth_test, methods=["POST"])])


def signed(body: bytes, secret: str, at: datetime) -> dict[str, str]:
    time = str(int(at.timestamp()))
    signature = hmac.digest(secret.encode(), f"v0:{time}:".encode() + body, "sha256").hex()
    return {
        "content-type": "application/json",
        "x-slack-request-timestamp": time,
        "x-slack-signature": f"v0={signature}",
    }


async def verify_url(state: Slack, client: httpx2.AsyncClient, challenge: str) -> httpx2.Response:
    """Ask the question that Slack asks when a user enters the app's request URL."""
    return await _post(state, client, {"type": "url_verification", "challenge": challenge})


async def happen(
    state: Slack, client: httpx2.AsyncClient, team_id: str, event: dict[str, Any]
) -> tuple[httpx2.Response, dict[str, Any]]:
    """Send the app an event of a workspace; return the envelope too, so that it can be sent again."""
    number = next(state.numbers)
    envelope = {
        "type": "event_callback",
        "team_id": team_id,
        "context_team_id": team_id,
        "api_app_id": "A1",
        "event": event,
        "event_id": f"Ev{number:09d}",
        "event_time": int(datetime.now(UTC).timestamp()),
        "authorizations": [{"enterprise_id": None, "team_id": team_id, "user_id": "U1", "is_bot": True}],
    }
    return await _post(state, client, envelope), envelope


async def retry(state: Slack, client: httpx2.AsyncClient, envelope: dict[str, Any]) -> httpx2.Response:
    """Send an envelope again, as Slack does after three seconds without an answer."""
    return await _post(state, client, envelope, {"x-slack-retry-num": "1", "x-slack-retry-reason": "http_timeout"})


async def _post(
    state: Slack, client: httpx2.AsyncClient, message: dict[str, Any], more: dict[str, str] | None = None
) -> httpx2.Response:
    body = json.dumps(message).encode()
    headers = signed(body, state.signing_secret, datetime.now(UTC)) | (more or {})
    return await client.post(state.request_url, content=body, headers=headers)


class Fake(AnyFake):
    secrets = {"bot_token": "xoxb-right"}

    def server(self) -> ASGIApp:
        state = Slack()
        state.add_bot("xoxb-right", "T123ABC456")
        return app(state)

    def signed(self, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        return signed(body, secret, at)


def _recorded(trigger: str, key: str) -> Recorded:
    return Recorded(trigger, key, "C123ABC456", datetime(2018, 1, 8, 22, 11, 23, tzinfo=UTC))


RECORDED = (
    _recorded("on_message_received", "Ev0PV52K21"),
    _recorded("on_app_mention", "Ev0PV52K25"),
    _recorded("on_reaction_added", "Ev0PV52K26"),
)
