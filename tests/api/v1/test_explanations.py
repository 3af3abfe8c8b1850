"""The running service explains why a trigger did or did not fire."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from tests.api.conftest import Tenant
from tests.support.servers import Server
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

STEP = {"at", "what", "code", "detail", "count", "event_id", "delivery_id"}
HEALTH = {"status", "reason", "since", "next_at", "expected_by"}


async def explain(tenant: Tenant, id_: str, status: int = 200, **question: str) -> dict[str, Any]:
    answer = await tenant.client.get(f"/v1/project-triggers/{id_}/explain", params=question)
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def send(client: httpx2.AsyncClient, id_: str, secret: str, key: str, body: bytes = b"{}") -> httpx2.Response:
    headers = {"x-webhook-secret": secret, "webhook-id": key, "content-type": "application/json"}
    return await client.post(f"/v1/webhooks/{id_}", content=body, headers=headers)


async def test_a_request_can_be_followed_to_its_target(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url)
    id_, secret = await tenant.webhook(project["id"])
    [event] = (await send(anybody, id_, secret, "order 7")).json()["events"]
    await until(lambda: tenant.deliveries(status="delivered"))
    received = (await tenant.ask("GET", f"/v1/events/{event}"))["received_at"]
    for question in ({"event": event}, {"delivery": event}, {"key": "order 7"}, {"at": received, "within": "1"}):
        told = await explain(tenant, id_, **question)
        assert told["summary"].startswith("The event with the key 'order 7' arrived at "), question
        assert "It was delivered at " in told["summary"]
        assert all(step.keys() == STEP for step in told["steps"])
        assert [step["what"] for step in told["steps"] if step["event_id"] == event] == ["event", "attempt"]
    told = await explain(tenant, id_)
    assert told["summary"].startswith("The trigger is healthy since ")
    assert told["health"].keys() == HEALTH


async def test_a_request_that_was_refused_says_why(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    project = await tenant.project("https://target.test")
    id_, _ = await tenant.webhook(project["id"])
    before = datetime.now().astimezone()
    assert (await send(anybody, id_, "wrong", "order 7")).status_code == 401
    told = await explain(tenant, id_, at=before.isoformat())
    assert "was refused: its signature or token is missing or wrong." in told["summary"]
    told = await explain(tenant, id_, key="order 7")
    assert told["summary"].startswith("No event with the key 'order 7' has arrived")


async def test_one_thing_is_asked_about_at_a_time(tenant: Tenant) -> None:
    project = await tenant.project("https://target.test")
    id_, _ = await tenant.webhook(project["id"])
    now = datetime.now().astimezone().isoformat()
    problem = await explain(tenant, id_, 422, at=now, key="order 7")
    assert problem["detail"] == "Ask about one thing: at, event, key or delivery; here are at and key."
    assert problem["errors"] == [{"path": ["query", "key"], "message": problem["detail"], "code": "invalid"}]


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ({"event": str(uuid4())}, 404),
        ({"delivery": str(uuid4())}, 404),
        ({"event": "order 7"}, 422),
        ({"at": "yesterday"}, 422),
        ({"at": "2026-05-04T10:00:00"}, 422),
        ({"at": "2026-05-04T10:00:00Z", "within": "0"}, 422),
        ({"key": ""}, 422),
        ({"key": "\0"}, 200),
        ({"key": "k" * 5000}, 200),
        ({"at": "0001-01-01T00:00:00Z"}, 200),
        ({"at": "9999-12-31T23:59:59Z"}, 200),
    ],
)
async def test_odd_questions_are_answered_or_refused(tenant: Tenant, question: dict[str, str], status: int) -> None:
    project = await tenant.project("https://target.test")
    id_, _ = await tenant.webhook(project["id"])
    await explain(tenant, id_, status, **question)


async def test_nothing_is_told_of_another_organisations_events(
    tenant: Tenant, stranger: Tenant, anybody: httpx2.AsyncClient
) -> None:
    theirs, secret = await stranger.webhook((await stranger.project("https://target.test"))["id"])
    mine, _ = await tenant.webhook((await tenant.project("https://target.test"))["id"])
    [event] = (await send(anybody, theirs, secret, "order 7")).json()["events"]
    await explain(tenant, theirs, 404)
    for question in ({"event": event}, {"delivery": event}):
        await explain(tenant, theirs, 404, **question)
        await explain(tenant, mine, 404, **question)
    assert (await explain(tenant, mine, key="order 7"))["summary"].startswith("No event with the key")


async def test_triggers_are_listed_by_how_they_are(tenant: Tenant) -> None:
    project = (await tenant.project("https://target.test"))["id"]
    on, _ = await tenant.webhook(project)
    off = await tenant.trigger(project, "rss", "on_item_published", {"url": "https://feed.test"})
    found = await tenant.ask("GET", "/v1/project-triggers")
    assert [(one["id"], one["health"]["status"]) for one in found["data"]] == [(on, "healthy"), (off, "disabled")]
    assert found["data"][0]["health"].keys() == HEALTH
    first = await tenant.ask("GET", "/v1/project-triggers?limit=1")
    rest = await tenant.ask("GET", f"/v1/project-triggers?limit=1&cursor={first['next_cursor']}")
    assert [one["id"] for one in (*first["data"], *rest["data"])] == [on, off]
    assert rest["next_cursor"] is None
    assert [one["id"] for one in (await tenant.ask("GET", "/v1/project-triggers?health=disabled"))["data"]] == [off]
    assert (await tenant.ask("GET", "/v1/project-triggers?health=stalled"))["data"] == []
    await tenant.ask("GET", "/v1/project-triggers?health=well", status=422)


async def test_a_body_that_is_too_large_is_told_of_its_trigger(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    project = await tenant.project("https://target.test")
    id_, secret = await tenant.webhook(project["id"])
    assert (await send(anybody, id_, secret, "large", b"x" * 200_000)).status_code == 413
    await tenant.app.flush()
    told = await explain(tenant, id_, at=datetime.now().astimezone().isoformat())
    assert "was refused: its body is larger than this service accepts." in told["summary"]
