"""Strangers don't read /metrics: it does not exist without a token in the settings, and is refused without it."""

import httpx2
import pytest
from starlette.routing import Route

from hairtrigger.api.app import worker_app
from hairtrigger.api.metrics import metrics_routes

pytestmark = pytest.mark.anyio

TOKEN = "0123456789abcdef"


async def said(accepted: str) -> tuple[bytes, str]:
    return f"accepts {accepted}".encode(), "text/plain; version=0.0.4; charset=utf-8"


async def ask(routes: list[Route], **headers: str) -> httpx2.Response:
    async def always() -> bool:
        return True

    app = worker_app(writable=always, leaving=lambda: False, metrics=routes)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hairtrigger.test") as client:
        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return await client.get("/metrics", headers=sent)


async def test_with_the_token_the_text_is_read() -> None:
    answer = await ask(metrics_routes(said, TOKEN), authorization=f"Bearer {TOKEN}", accept="text/plain")

    assert (answer.status_code, answer.text) == (200, "accepts text/plain")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Bearer 0123456789abcdeF"},
        {"authorization": f"Bearer {TOKEN}0"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": TOKEN},
        {"authorization": "Bearer \xe9"},
    ],
)
async def test_without_the_token_it_is_refused(headers: dict[str, str]) -> None:
    answer = await ask(metrics_routes(said, TOKEN), **headers)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert "HAIRTRIGGER_METRICS_TOKEN" in answer.json()["detail"]


async def test_without_a_token_in_the_settings_there_is_no_such_page(anybody: httpx2.AsyncClient) -> None:
    assert (await ask(metrics_routes(said, None))).status_code == 404
    assert (await anybody.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 404
