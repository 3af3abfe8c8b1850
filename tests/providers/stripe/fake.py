"""Stripe: webhook endpoints and events. https://docs.stripe.com/api"""

import hmac
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from hairtrigger.conformance import Fake as AnyFake
from hairtrigger.conformance import Hook, Recorded


@dataclass
class Stripe:
    """An account. `endpoints` and `events` are as the API shows them, oldest first; a list has at most `page`."""

    api_key: str = "sk_test_right"
    page: int = 100
    endpoints: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    numbers: "count[int]" = field(default_factory=lambda: count(1))

    def add_endpoint(self, url: str, *event_types: str) -> dict[str, Any]:
        number = next(self.numbers)
        endpoint = {
            "id": f"we_{number}",
            "object": "webhook_endpoint",
            "url": url,
            "enabled_events": list(event_types),
            "metadata": {},
            "status": "enabled",
            "secret": f"whsec_{number:032d}",
        }
        self.endpoints.append(endpoint)
        return endpoint


def app(state: Stripe) -> Starlette:
    def authorized(request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {state.api_key}"

    def listed(request: Request, things: list[dict[str, Any]]) -> Response:
        """Return the page of things that follows `starting_after`, newest first."""
        newest = things[::-1]
        ids = [thing["id"] for thing in newest]
        start = ids.index(after) + 1 if (after := request.query_params.get("starting_after")) else 0
        end = start + min(int(request.query_params.get("limit", 10)), state.page)
        return JSONResponse({"object": "list", "data": newest[start:end], "has_more": end < len(newest)})

    async def endpoints(request: Request) -> Response:
        if not authorized(request):
            return _error(401, "Invalid API Key provided")
        if request.method == "GET":
            return listed(request, [{**endpoint, "secret": None} for endpoint in state.endpoints])
        form = parse_qsl((await request.body()).decode(), strict_parsing=True)
        (url,) = (value for name, value in form if name == "url")
        created = state.add_endpoint(url, *(value for name, value in form if name == "enabled_events[]"))
        created["metadata"] = {name[9:-1]: value for name, value in form if name.startswith("metadata[")}
        return JSONResponse(created)

    async def endpoint(request: Request) -> Response:
        if not authorized(request):
            return _error(401, "Invalid API Key provided")
        found = [one for one in state.endpoints if one["id"] == request.path_params["id"]]
        if not found:
            return _error(404, "No such webhook endpoint")
        state.endpoints.remove(found[0])
        return JSONResponse({"id": found[0]["id"], "object": "webhook_endpoint", "deleted": True})

    async def events(request: Request) -> Response:
        if not authorized(request):
            return _error(401, "Invalid API Key provided")
        wanted, since = request.query_params.get("type"), int(request.query_params.get("created[gte]", 0))
        found = [one for one in state.events if wanted in (None, one["type"]) and one.get("created", 0) >= since]
        return listed(request, found)

    return Starlette(
        routes=[
            Route("/v1/webhook_endpoints", endpoints, methods=["GET", "POST"]),
            Route("/v1/webhook_endpoints/{id}", endpoint, methods=["DELETE"]),
            Route("/v1/events", events, methods=["GET"]),
        ]
    )


def signed(body: bytes, secret: str, at: datetime) -> dict[str, str]:
    time = str(int(at.timestamp()))
    signature = hmac.digest(secret.encode(), f"{time}.".encode() + body, "sha256").hex()
    return {"content-type": "application/json; charset=utf-8", "stripe-signature": f"t={time},v1={signature}"}


async def happen(state: Stripe, client: httpx2.AsyncClient, event_type: str, **thing: Any) -> list[httpx2.Response]:
    """Make an event of the account, and send it to every endpoint that asked for its type."""
    now = datetime.now(UTC)
    event = {
        "id": f"evt_{next(state.numbers)}",
        "object": "event",
        "type": event_type,
        "created": int(now.timestamp()),
        "data": {"object": thing},
    }
    state.events.append(event)
    return await deliver(state, client, event)


async def deliver(state: Stripe, client: httpx2.AsyncClient, event: dict[str, Any]) -> list[httpx2.Response]:
    """Send an event to its endpoints. A test may send it twice, as Stripe does after a lost answer."""
    body = json.dumps(event, indent=2).encode()
    return [
        await client.post(endpoint["url"], content=body, headers=signed(body, endpoint["secret"], datetime.now(UTC)))
        for endpoint in state.endpoints
        if event["type"] in endpoint["enabled_events"]
    ]


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": {"type": "invalid_request_error", "message": message}}, status)


class Fake(AnyFake):
    secrets = {"api_key": "sk_test_right"}

    def __init__(self) -> None:
        super().__init__()
        self.account = Stripe()

    def server(self) -> ASGIApp:
        self.account.page = self.page
        return app(self.account)

    def signed(self, body: bytes, secret: str, at: datetime) -> dict[str, str]:
        return signed(body, secret, at)

    def hooks(self) -> Sequence[Hook]:
        return [Hook(one["url"], one["secret"]) for one in self.account.endpoints]

    def add_hook(self, trigger: str, url: str) -> None:
        self.account.add_endpoint(url, "*")


def _recorded(trigger: str, key: str, subject: str, created: int) -> Recorded:
    return Recorded(trigger, key, subject, datetime.fromtimestamp(created, UTC))


RECORDED = (
    _recorded("on_customer_created", "evt_1NG8Du2eZvKYlo2CUI79vXWy", "cus_9s6XKzkNRiz8i3", 1686089970),
    _recorded("on_payment_succeeded", "evt_3NG8Du2eZvKYlo2C1uXvXWyz", "pi_3MtwBwLkdIwHu7ix28a3tqPa", 1686089971),
    _recorded("on_invoice_paid", "evt_1NG8Du2eZvKYlo2CinvPaid1", "in_1MtHbELkdIwHu7ixl4OzzPMv", 1686089972),
    _recorded("on_invoice_payment_failed", "evt_1NG8Du2eZvKYlo2CinvFail1", "in_1MtHbELkdIwHu7ixl4OzzPMw", 1686089973),
    _recorded("on_subscription_created", "evt_1NG8Du2eZvKYlo2CsubCrea1", "sub_1MowQVLkdIwHu7ixeRlqHVzs", 1686089974),
    _recorded("on_subscription_updated", "evt_1NG8Du2eZvKYlo2CsubUpda1", "sub_1MowQVLkdIwHu7ixeRlqHVzs", 1686089975),
    _recorded("on_subscription_deleted", "evt_1NG8Du2eZvKYlo2CsubDele1", "sub_1MowQVLkdIwHu7ixeRlqHVzs", 1686089976),
    _recorded(
        "on_checkout_completed",
        "evt_1NG8Du2eZvKYlo2CcheComp1",
        "cs_test_a11YYufWQzNY63zpQ6QSNRQhkUpVph4WRmzW0zWJO2znZKdVujZ0N0S22u",
        1686089977,
    ),
)
