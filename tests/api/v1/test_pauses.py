"""Public routes pause, resume, release and discard, start replay jobs, and order deliveries by key."""

import asyncio
import json
from typing import Any

import httpx2
import pytest

from tests.api.conftest import Tenant
from tests.support.servers import Seen, Server, response, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def _send(client: httpx2.AsyncClient, id_: str, secret: str, number: int) -> str:
    headers = {"x-webhook-secret": secret, "content-type": "application/json"}
    answer = await client.post(f"/v1/webhooks/{id_}", content=json.dumps({"n": number}).encode(), headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["events"][0])


async def _numbers(target: Server, count: int) -> list[int]:
    await until(lambda: _received(target, count))
    return [json.loads(seen.body)["data"]["n"] for seen in target.seen]


async def _received(target: Server, count: int) -> bool:
    return len(target.seen) >= count


async def _suspended(tenant: Tenant, count: int) -> list[str]:
    async def found() -> list[str]:
        held = await tenant.deliveries(status="suspended")
        return [one["id"] for one in held] if len(held) == count else []

    ids: list[str] = await until(found)
    return ids


@pytest.mark.parametrize("what", ["projects", "project-triggers"])
async def test_a_pause_holds_events_and_its_end_delivers_them_in_order(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server, what: str
) -> None:
    project = await tenant.project(target.url, max_inflight=1)
    id_, secret = await tenant.webhook(project["id"])
    path = f"/v1/{what}/{project['id'] if what == 'projects' else id_}"
    assert await tenant.ask("POST", f"{path}/pause") == {"paused": True}
    assert (await tenant.ask("GET", path))["paused"] is True
    made = [await _send(anybody, id_, secret, number) for number in range(5)]
    assert await _suspended(tenant, 5) == made[::-1]
    assert target.seen == []

    assert await tenant.ask("POST", f"{path}/suspended/release", {"limit": 1}) == {"count": 1}
    assert await _numbers(target, 1) == [0]
    assert await tenant.ask("POST", f"{path}/suspended/discard", {"delivery_ids": [made[2]]}) == {"count": 1}
    [dead] = await tenant.deliveries(status="dead")
    assert (dead["id"], dead["detail"]) == (made[2], f"Discarded by {tenant.caller.id} while it was suspended.")

    assert await tenant.ask("POST", f"{path}/resume") == {"paused": False}
    assert await _numbers(target, 4) == [0, 1, 3, 4]
    assert (await tenant.ask("GET", path))["paused"] is False


async def test_what_is_under_way_when_the_pause_comes_finishes(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    release = asyncio.Event()

    async def hang(_: Seen, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(response())

    async with serving(hang) as target:
        project = await tenant.project(target.url)
        id_, secret = await tenant.webhook(project["id"])
        await _send(anybody, id_, secret, 0)
        await until(lambda: _received(target, 1))
        await tenant.ask("POST", f"/v1/projects/{project['id']}/pause")
        release.set()
        await until(lambda: tenant.deliveries(status="delivered"))


async def test_a_repeated_pause_with_an_idempotency_key_gets_the_first_answer(tenant: Tenant, target: Server) -> None:
    project = await tenant.project(target.url)
    headers = {"idempotency-key": "pause it once"}
    pause = f"/v1/projects/{project['id']}/pause"
    await tenant.client.post(pause, headers=headers)
    await tenant.ask("POST", f"/v1/projects/{project['id']}/resume")
    again = await tenant.client.post(pause, headers=headers)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (200, "true")
    assert (await tenant.ask("GET", f"/v1/projects/{project['id']}"))["paused"] is False


async def test_a_failing_delivery_holds_back_those_behind_it(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    answers = iter((503, 200, 200, 200))

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(next(answers)))

    async with serving(answer) as target:
        project = await tenant.project(target.url, order_by="trigger")
        assert project["order_by"] == "trigger"
        id_, secret = await tenant.webhook(project["id"])
        for number in range(3):
            await _send(anybody, id_, secret, number)
        assert await _numbers(target, 4) == [0, 0, 1, 2]


async def test_an_order_is_kept_until_it_is_taken_away(tenant: Tenant, target: Server) -> None:
    project = await tenant.project(target.url, order_by="subject")
    path = f"/v1/projects/{project['id']}"
    assert (await tenant.ask("PATCH", path, {"name": "Other"}))["order_by"] == "subject"
    assert (await tenant.ask("PATCH", path, {"order_by": None}))["order_by"] is None
    await tenant.ask("PATCH", path, {"order_by": "colour"}, status=422)


async def test_many_events_are_replayed_by_a_job_that_can_be_followed(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url)
    id_, secret = await tenant.webhook(project["id"])
    for number in range(3):
        await _send(anybody, id_, secret, number)
    await until(lambda: _received(target, 3))
    query = {"project_trigger_id": id_, "event_type": "webhook.on_request", "all": True, "per_second": 100}
    headers = {"idempotency-key": "replay it once"}
    started = (await tenant.client.post("/v1/replays", json=query, headers=headers)).json()
    assert (await tenant.client.post("/v1/replays", json=query, headers=headers)).json() == started

    async def done() -> bool:
        return bool((await tenant.ask("GET", f"/v1/replays/{started['id']}"))["status"] == "done")

    await until(done)
    assert sorted(await _numbers(target, 6)) == [0, 0, 1, 1, 2, 2]
    [listed] = (await tenant.ask("GET", "/v1/replays"))["data"]
    assert (listed["id"], listed["replayed"], listed["total"]) == (started["id"], 3, 3)
    await tenant.ask("POST", f"/v1/replays/{started['id']}/cancel", status=409)
    slow = await tenant.ask("POST", "/v1/replays", {"all": True, "per_second": 1}, status=201)
    assert (await tenant.ask("POST", f"/v1/replays/{slow['id']}/cancel"))["status"] == "cancelled"


@pytest.mark.parametrize("asked", [{}, {"per_second": 5}, {"status": None}, {"all": False}])
async def test_everything_is_replayed_only_if_that_is_said(tenant: Tenant, asked: dict[str, object]) -> None:
    for path in ("/v1/replays", "/v1/replays/preview"):
        refused = await tenant.ask("POST", path, asked, status=422)
        assert "all: true" in json.dumps(refused)


async def test_a_filter_without_a_status_means_dead_letters_and_a_preview_says_how_many(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url)
    id_, secret = await tenant.webhook(project["id"])
    await _send(anybody, id_, secret, 1)
    await until(lambda: tenant.deliveries(status="delivered"))
    of_project = {"project_id": project["id"]}

    preview = await tenant.ask("POST", "/v1/replays/preview", of_project)

    assert preview == {"query": {**of_project, "status": "dead"}, "total": 0}
    everything = await tenant.ask("POST", "/v1/replays/preview", {**of_project, "all": True})
    assert everything == {"query": of_project, "total": 1}
    started = await tenant.ask("POST", "/v1/replays", of_project, status=201)
    assert (started["query"], started["total"]) == (preview["query"], 0)


async def test_a_delivery_is_retried_at_once_or_cancelled(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    answers = iter((503, 503, 200))

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(next(answers)))

    async with serving(answer) as target:
        project = await tenant.project(target.url)
        id_, secret = await tenant.webhook(project["id"])
        await _send(anybody, id_, secret, 1)
        [delivery] = await until(lambda: tenant.deliveries(status="retrying"))
        await tenant.ask("POST", f"/v1/deliveries/{delivery['id']}/retry")

        async def failed_twice() -> list[dict[str, Any]]:
            return [one for one in await tenant.deliveries(status="retrying") if one["attempts"] == 2]

        await until(failed_twice)  # the next attempt would be due in minutes
        cancelled = await tenant.ask("POST", f"/v1/deliveries/{delivery['id']}/cancel")
        assert cancelled["status"] == "dead"
        await tenant.ask("POST", f"/v1/deliveries/{delivery['id']}/retry", status=409)
        replayed = await tenant.ask("POST", f"/v1/events/{delivery['event_id']}/replay", status=201)
        assert replayed["delivery_id"] != delivery["id"]
        await until(lambda: tenant.deliveries(status="delivered"))
        await tenant.ask("POST", f"/v1/deliveries/{replayed['delivery_id']}/cancel", status=409)
