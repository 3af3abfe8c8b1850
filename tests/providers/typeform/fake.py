"""Typeform: webhooks and responses of forms. https://www.typeform.com/developers/"""

import base64
import hmac
import json
from collections.abc import Sequence
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
from hairtrigger.conformance import Hook, Recorded


@dataclass
class Typeform:
    """An account with some forms: `webhooks` by form and tag, `responses` by form, newest first."""

    token: str = "tfp_right"
    forms: tuple[str, ...] = ("u6nXL7",)
    webhooks: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    responses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    numbers: "count[int]" = field(default_factory=lambda: count(1))


def app(state: Typeform) -> Starlette:
    def refusal(request: Request) -> Response | None:
        if request.headers.get("authorization") != f"Bearer {state.token}":
            return _error(401, "AUTHENTICATION_FAILED", "Authentication credentials not found on the Request Headers")
        if request.path_params["form_id"] not in state.forms:
            return _error(404, "FORM_NOT_FOUND", "form not found")
        return None

    async def webhook(request: Request) -> Response:
        if refused := refusal(request):
            return refused
        form_id, tag = request.path_params["form_id"], request.path_params["tag"]
        if request.method == "DELETE":
            if state.webhooks.pop((form_id, tag), None) is None:
                return _error(404, "WEBHOOK_NOT_FOUND", "webhook not found")
            return Response(status_code=204)
        state.webhooks[form_id, tag] = await request.json()
        shown = {name: value for name, value in state.webhooks[form_id, tag].items() if name != "secret"}
        return JSONResponse({"id": "01", "form_id": form_id, "tag": tag, **shown})

    async def forms(request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {state.token}":
            return _error(401, "AUTHENTICATION_FAILED", "Authentication credentials not found on the Request Headers")
        found = [one for one in state.forms if request.query_params.get("search", "") in f"Form {one}"]
        size, page = int(request.query_params.get("page_size", 10)), int(request.query_params.get("page", 1))
        shown = [{"id": one, "title": f"Form {one}"} for one in found[size * (page - 1) : size * page]]
        return JSONResponse({"total_items": len(found), "page_count": -(-len(found) // size), "items": shown})

    async def hooks(request: Request) -> Response:
        if refused := refusal(request):
            return refused
        form_id = request.path_params["form_id"]
        own = [(tag, one) for (form, tag), one in state.webhooks.items() if form == form_id]
        items = [{"id": "01", "form_id": form_id, "tag": tag, **one, "secret": None} for tag, one in own]
        return JSONResponse({"items": items})

    async def responses(request: Request) -> Response:
        if refused := refusal(request):
            return refused
        query = request.query_params
        found = state.responses.get(request.path_params["form_id"], [])
        if since := query.get("since"):
            found = [one for one in found if one["submitted_at"] >= since]
        if query.get("sort") == "submitted_at,asc":
            found = sorted(found, key=lambda one: str(one["submitted_at"]))
        page = found[: int(request.query_params.get("page_size", 25))]
        return JSONResponse({"total_items": len(found), "page_count": 1, "items": page})

    return Starlette(
        routes=[
            Route("/forms", forms, methods=["GET"]),
            Route("/forms/{form_id}/webhooks/{tag}", webhook, methods=["PUT", "DELETE"]),
            Route("/forms/{form_id}/webhooks", hooks, methods=["GET"]),
            Route("/forms/{form_id}/responses", responses, methods=["GET"]),
        ]
    )


def signed(body: bytes, secret: str) -> dict[str, str]:
    signature = base64.b64encode(hmac.digest(secret.encode(), body, "sha256")).decode()
    return {"content-type": "application/json", "typeform-signature": f"sha256={signature}"}


async def submit(
    state: Typeform, client: httpx2.AsyncClient, form_id: str, answers: list[dict[str, Any]]
) -> list[httpx2.Response]:
    """Submit a response to a form, and send it to every webhook of the form."""
    token, now = f"token{next(state.numbers)}", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    response = {"token": token, "landed_at": now, "submitted_at": now, "answers": answers}
    state.responses.setdefault(form_id, []).insert(0, response)
    event = {
        "event_id": f"event{next(state.numbers)}",
        "event_type": "form_response",
        "form_response": {"form_id": form_id, **response},
    }
    return await deliver(state, client, event)


async def deliver(state: Typeform, client: httpx2.AsyncClient, event: dict[str, Any]) -> list[httpx2.Response]:
    """Send an event to its webhooks. A test may send it twice, as Typeform does after a lost answer."""
    body = json.dumps(event).encode()
    return [
        await client.post(webhook["url"], content=body, headers=signed(body, webhook["secret"]))
        for (form_id, _), webhook in state.webhooks.items()
        if form_id == event["form_response"]["form_id"] and webhook["enabled"]
    ]


def _error(status: int, code: str, description: str) -> Response:
    return JSONResponse({"code": code, "description": description}, status)


class Fake(AnyFake):
    secrets = {"token": "tfp_right"}
    configs = {"on_form_submitted": {"form_id": "u6nXL7"}}

    def __init__(self) -> None:
        super().__init__()
        self.account = Typeform()

    def server(self) -> ASGIApp:
        return app(self.account)

    def signed(self, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        return signed(body, secret)

    def hooks(self) -> Sequence[Hook]:
        return [Hook(one["url"], one["secret"]) for one in self.account.webhooks.values()]

    def add_hook(self, trigger: str, url: str) -> None:
        self.account.webhooks["u6nXL7", f"theirs{next(self.account.numbers)}"] = {"url": url, "secret": "theirs"}


RECORDED = (
    Recorded(
        "on_form_submitted",
        "a3a12ec67a1365927098a606107fac15",
        "a3a12ec67a1365927098a606107fac15",
        datetime(2018, 1, 18, 18, 17, 2, tzinfo=UTC),
        config={"form_id": "lT4Z3j"},
        former_keys=("LtWXD3crgy",),
    ),
)
