"""Routes are built before the first request, and documents in a thread."""

import asyncio
import threading
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter, FastAPI, routing

from hairtrigger.api.documents import Once, prepare

pytestmark = pytest.mark.anyio


def _app() -> FastAPI:
    app, router = FastAPI(), APIRouter()

    @router.get("/things/{thing}")
    async def thing(thing: str) -> str:
        return thing

    app.include_router(router)
    return app


async def _get(app: FastAPI, path: str) -> httpx2.Response:
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://hairtrigger.test") as client:
        return await client.get(path)


async def test_the_event_loop_goes_on_while_a_document_is_made() -> None:
    app = _app()
    entered, gate = threading.Event(), threading.Event()
    made = []

    def openapi() -> dict[str, Any]:
        entered.set()
        made.append(gate.wait(60))  # in the loop, it would wait for itself
        return {"openapi": "3.1.0"}

    app.openapi = openapi  # type: ignore[method-assign]
    prepare(app)
    asked = [asyncio.create_task(_get(app, "/openapi.json")) for _ in range(5)]
    await asyncio.to_thread(entered.wait, 60)
    gate.set()
    answers = [(await one).json()["openapi"] for one in asked]
    assert answers == ["3.1.0"] * 5
    assert made[0]


async def test_what_many_ask_for_at_once_is_made_once() -> None:
    once = Once(object)
    assert len(set(await asyncio.gather(*(once.get() for _ in range(5))))) == 1


async def test_no_route_is_built_at_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    app = _app()
    prepare(app)
    monkeypatch.delattr(routing, "_EffectiveRouteContext")
    assert (await _get(app, "/things/one")).json() == "one"
