"""A webhook request becomes an event that the target receives, and the history shows each step."""

import asyncio
import json
from functools import partial
from typing import Any

import httpx2
import pytest
from sqlalchemy import text
from standardwebhooks import Webhook

from hairtrigger.domain.hops import HEADER, MOST
from hairtrigger.main import Application
from tests.api.conftest import Tenant, another_organisation
from tests.support.servers import Seen, Server, answering, response, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


async def _send(client: httpx2.AsyncClient, id_: str, secret: str, body: bytes, **headers: str) -> dict[str, Any]:
    sent = {"x-webhook-secret": secret, "content-type": "application/json", **headers}
    answer = await client.post(f"/v1/webhooks/{id_}", content=body, headers=sent)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_a_request_reaches_the_target_once_signed_and_byte_for_byte(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url)
    id_, secret = await tenant.webhook(project["id"])
    body = b'{"amount": 1.0, "big": 12345678901234567890, "name": "\\u00e9"}'

    answer = await _send(anybody, id_, secret, body)

    assert answer["status"] == "accepted"
    [seen] = await until(lambda: _seen(target, 1))
    assert body in seen.body, "the event's JSON was changed on its way"
    Webhook(project["signing_secret"]).verify(seen.body, dict(seen.headers))
    assert json.loads(seen.body)["type"] == "webhook.on_request"
    [delivery] = await until(lambda: tenant.deliveries(status="delivered"))
    assert delivery["event_id"] == answer["events"][0] == seen.header("webhook-id")


async def test_two_equal_requests_are_two_events_and_a_repeated_id_is_one(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url)
    id_, secret = await tenant.webhook(project["id"])
    for _ in range(2):
        assert (await _send(anybody, id_, secret, b"{}"))["status"] == "accepted"
    first = await _send(anybody, id_, secret, b"{}", **{"idempotency-key": "one"})
    again = await _send(anybody, id_, secret, b"{}", **{"idempotency-key": "one"})
    assert (first["status"], again["status"]) == ("accepted", "duplicate")
    await until(lambda: _seen(target, 3))
    await _settled(tenant)
    assert len(target.seen) == 3
    trigger = await tenant.ask("GET", f"/v1/project-triggers/{id_}")
    assert trigger["outcomes"][0]["code"] == "duplicate"


async def test_a_failed_delivery_is_retried_with_the_same_id(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    answers = iter((503, 200))

    async def answer(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(next(answers)))

    async with serving(answer) as target:
        project = await tenant.project(target.url)
        id_, secret = await tenant.webhook(project["id"])
        await _send(anybody, id_, secret, b"{}")
        [delivery] = await until(lambda: tenant.deliveries(status="delivered"))
    first, second = target.seen
    assert first.header("webhook-id") == second.header("webhook-id")
    detail = await tenant.ask("GET", f"/v1/deliveries/{delivery['id']}")
    assert [(one["number"], one["status"], one["response_status"]) for one in detail["history"]] == [
        (1, "failed", 503),
        (2, "delivered", 200),
    ]


async def test_a_target_that_is_gone_disables_its_trigger_and_says_so(
    tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    async with serving(answering(410)) as target:
        project = await tenant.project(target.url)
        id_, secret = await tenant.webhook(project["id"])
        await _send(anybody, id_, secret, b"{}")
        [delivery] = await until(lambda: tenant.deliveries(status="dead"))
        assert "410" in delivery["detail"]

        async def disabled() -> bool:
            return bool((await tenant.ask("GET", f"/triggers/{id_}"))["status"] == "DISABLED")

        await until(disabled)
    outcomes = (await tenant.ask("GET", f"/v1/project-triggers/{id_}"))["outcomes"]
    assert "target_gone" in {one["code"] for one in outcomes}


async def test_a_target_that_hangs_delays_nobody_else(
    tenant: Tenant, stranger: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    release = asyncio.Event()

    async def hang(_: Seen, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(response())

    async with serving(hang) as dead:
        slow = await tenant.project(dead.url, max_inflight=3)
        slow_id, slow_secret = await tenant.webhook(slow["id"])
        quick = await stranger.project(target.url)
        quick_id, quick_secret = await stranger.webhook(quick["id"])
        for _ in range(300):  # more than a worker has places
            await _send(anybody, slow_id, slow_secret, b"{}")
        await _send(anybody, quick_id, quick_secret, b"{}")

        await until(lambda: _seen(target, 1))
        assert len(dead.seen) == 3, "the slow project has just its own places"
        release.set()
        await until(lambda: _all_delivered(tenant, 200))


async def test_a_delivery_whose_lease_ran_out_while_the_service_stood_still_is_not_sent_twice(
    service: Application, tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    release = asyncio.Event()

    async def hang(_: Seen, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(response())

    async with serving(hang) as target:
        project = await tenant.project(target.url)
        id_, secret = await tenant.webhook(project["id"])
        await _send(anybody, id_, secret, b"{}")
        await until(lambda: _seen(target, 1))
        async with service.store.transaction() as tx:
            queued = "FROM pgmq.q_dispatch WHERE message ->> 'project' = :project"
            await tx.connection.execute(
                text(f"SELECT pgmq.set_vt('dispatch', msg_id, 0) {queued}"), {"project": project["id"]}
            )

        async def claimed_again() -> bool:
            async with service.store.transaction() as tx:
                rows = await tx.connection.execute(text(f"SELECT read_ct {queued}"), {"project": project["id"]})
                return bool(rows.scalar_one() == 2)

        await until(claimed_again)
        release.set()
        await until(lambda: _all_delivered(tenant, 1))
        assert len(target.seen) == 1


async def test_events_and_deliveries_can_be_listed_filtered_read_and_repeated(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url)
    id_, secret = await tenant.webhook(project["id"])
    for number in range(5):
        await _send(anybody, id_, secret, json.dumps({"number": number}).encode())
    await until(lambda: _seen(target, 5))

    first = await tenant.ask("GET", "/v1/events?limit=3")
    second = await tenant.ask("GET", f"/v1/events?limit=3&cursor={first['next_cursor']}")
    assert [len(first["data"]), len(second["data"]), second["next_cursor"]] == [3, 2, None]
    newest = await tenant.ask("GET", f"/v1/events/{first['data'][0]['id']}")
    assert json.loads(newest["body"]) == {"number": 4}
    assert (await tenant.ask("GET", "/v1/events?project_id=proj_other"))["data"] == []

    replayed = await tenant.ask("POST", f"/v1/events/{newest['id']}/replay", {}, status=201)
    seen = (await until(lambda: _seen(target, 6)))[-1]
    assert seen.header("webhook-id") == replayed["delivery_id"] != newest["id"]
    assert json.loads(seen.body)["id"] == newest["id"], "it is the same event"


async def test_a_repeated_idempotency_key_gets_the_first_answer_and_does_nothing(tenant: Tenant) -> None:
    body = {"name": "Once", "target": {"kind": "log"}}
    headers = {"idempotency-key": "make it once"}
    first = await tenant.client.post("/v1/projects", json=body, headers=headers)
    again = await tenant.client.post("/v1/projects", json=body, headers=headers)
    other = await tenant.client.post("/v1/projects", json={**body, "name": "Other"}, headers=headers)
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert first.json() == again.json()
    assert len((await tenant.ask("GET", "/v1/projects"))["data"]) == 1


async def _seen(target: Server, count: int) -> list[Seen]:
    return target.seen if len(target.seen) >= count else []


async def _all_delivered(tenant: Tenant, count: int) -> bool:
    return len(await tenant.deliveries(status="delivered")) >= count


async def _settled(tenant: Tenant) -> None:
    async def settled() -> bool:
        return all(one["status"] == "delivered" for one in await tenant.deliveries())

    await until(settled)


async def test_why_a_target_can_not_be_called_is_told_to_the_operators_organisation_alone(
    service: Application, tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    body = {"name": "Project", "target": {"kind": "workflow", "url": "http://10.9.8.7/run"}}
    async with another_organisation(service) as other:
        told = {}
        for which, one in (("operator", tenant), ("other", other)):
            project = await one.ask("POST", "/v1/projects", body, status=201)
            changed = await one.ask("PATCH", f"/v1/projects/{project['id']}", {"target": body["target"]})
            assert changed["warnings"] == project["warnings"]
            id_, secret = await one.webhook(project["id"])
            event_id = (await _send(anybody, id_, secret, b"{}"))["events"][0]
            await until(partial(one.deliveries, status="retrying"))
            [attempt] = (await one.ask("GET", f"/v1/deliveries/{event_id}"))["history"]
            explained = await one.ask("GET", f"/v1/project-triggers/{id_}/explain?event={event_id}")
            told[which] = [*project["warnings"], attempt["failure"], attempt["detail"], explained["summary"]]

    reason = "10.9.8.7 is no public address"
    warning, failure, detail, summary = told["operator"]
    assert reason in warning
    assert "HAIRTRIGGER_EGRESS_ALLOW=10.9.8.7/32" in warning
    assert failure == "refused_address"
    assert reason in detail
    assert reason in summary
    warning, failure, detail, summary = told["other"]
    assert warning.endswith("The address could not be reached.")
    assert (failure, detail) == ("unreachable", "The address could not be reached.")
    assert "public" not in summary
    assert "EGRESS" not in json.dumps(told["other"])


async def test_a_sample_is_sent_to_the_target_without_a_provider_and_marked_as_a_test(
    tenant: Tenant, stranger: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url)
    path = f"/v1/projects/{project['id']}/sample"

    result = await tenant.ask("POST", path, {})

    assert (result["status"], result["response_status"]) == ("delivered", 200)
    assert result["detail"] == "The target answered 200."
    [seen] = target.seen
    Webhook(project["signing_secret"]).verify(seen.body, dict(seen.headers))
    sample = json.loads(seen.body)
    assert (seen.header("hairtrigger-test"), sample["istest"], sample["type"]) == ("true", True, "hairtrigger.sample")
    assert await tenant.deliveries(project_id=project["id"]) == []

    await tenant.ask("POST", path, {"type": "a.b", "subject": "s", "data": {"n": 1}})
    own = json.loads(target.seen[1].body)
    assert (own["type"], own["subject"], own["data"]) == ("a.b", "s", {"n": 1})

    id_, secret = await tenant.webhook(project["id"])
    event_id = (await _send(anybody, id_, secret, b'{"real": 1.0}'))["events"][0]
    await until(lambda: _seen(target, 3))
    await tenant.ask("POST", path, {"event_id": event_id})
    again = json.loads(target.seen[3].body)
    assert (again["id"], again["replayof"], again["istest"]) == (event_id, event_id, True)
    assert b'"data":{"real": 1.0}' in target.seen[3].body
    assert target.seen[3].header("webhook-id") != event_id

    await stranger.ask("POST", path, {}, status=404)
    await stranger.ask(
        "POST",
        path.replace(project["id"], (await stranger.project(target.url))["id"]),
        {"event_id": event_id},
        status=404,
    )


async def test_a_sample_that_fails_says_why(tenant: Tenant) -> None:
    async with serving(answering(500, b"oops")) as target:
        project = await tenant.project(target.url)
        result = await tenant.ask("POST", f"/v1/projects/{project['id']}/sample", {})

    assert (result["status"], result["response"]) == ("failed", "oops")
    assert result["detail"] == "The target answered 500 Internal Server Error."


async def test_a_target_that_leads_back_to_its_own_webhook_ends_and_is_told(
    tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    way: dict[str, str] = {}

    async def lead_back(seen: Seen, writer: asyncio.StreamWriter) -> None:
        """Send the delivery to the webhook, as happens if the project's target is that webhook."""
        passed = {HEADER: seen.header(HEADER) or ""}
        await _send(anybody, way["id"], way["secret"], seen.body, **passed)
        writer.write(response())

    async with serving(lead_back) as target:
        project = await tenant.project(target.url)
        way["id"], way["secret"] = await tenant.webhook(project["id"])
        await _send(anybody, way["id"], way["secret"], b"{}")
        last = await until(lambda: _outcome(tenant, way["id"], "ignored_loop"))
        await until(lambda: _all_delivered(tenant, MOST + 1))
        await _settled(tenant)
    assert [seen.header(HEADER) for seen in target.seen] == [str(number + 1) for number in range(MOST + 1)]
    told = await tenant.ask("GET", f"/v1/project-triggers/{way['id']}/explain?at={last['at'].replace('+', '%2B')}")
    assert f"{MOST + 1} deliveries of this service led to it" in json.dumps(told)


async def test_what_is_over_a_rate_limit_waits_says_so_everywhere_and_is_released(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url, rate_limits={"per_day": 1})
    id_, secret = await tenant.webhook(project["id"])
    [first] = (await _send(anybody, id_, secret, b"{}"))["events"]
    await until(lambda: tenant.deliveries(status="delivered", event_id=first))
    [second] = (await _send(anybody, id_, secret, b"{}"))["events"]

    [held] = await tenant.deliveries(status="waiting")
    assert held["event_id"] == second
    assert held["next_attempt_at"].endswith("T00:00:00Z")
    explained = await tenant.ask("GET", f"/v1/project-triggers/{id_}/explain?event={second}")
    assert "rate limits of deliveries are used up, so its deliveries wait until" in explained["summary"]
    assert "rate limits of deliveries are used up" in explained["health"]["reason"]

    await tenant.ask("PATCH", f"/v1/projects/{project['id']}", {"rate_limits": {}})
    await until(lambda: tenant.deliveries(status="delivered", event_id=second))
    assert len(target.seen) == 2


async def _outcome(tenant: Tenant, id_: str, code: str) -> dict[str, Any] | None:
    outcomes = (await tenant.ask("GET", f"/v1/project-triggers/{id_}"))["outcomes"]
    return next((one for one in outcomes if one["code"] == code), None)
