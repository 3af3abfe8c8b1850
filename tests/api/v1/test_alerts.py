"""The running service tells projects and people of what has happened."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from standardwebhooks import Webhook

from tests.api.conftest import Tenant
from tests.support.servers import Seen, Server, answering, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def gone() -> AsyncIterator[Server]:
    async with serving(answering(410)) as server:
        yield server


@pytest.fixture
async def chat() -> AsyncIterator[Server]:
    async with serving(answering(200, b"ok")) as server:
        yield server


def has(server: Server, wanted: Callable[[Seen], bool]) -> Callable[[], Awaitable[bool]]:
    async def found() -> bool:
        return any(wanted(seen) for seen in server.seen)

    return found


async def listener(tenant: Tenant, target: Server, **asked: Any) -> tuple[str, str]:
    """Make a project that is told; return the id of its trigger and its signing secret."""
    project = await tenant.project(target.url)
    trigger = await tenant.trigger(project["id"], "hairtrigger", "on_operational_event", asked)
    await tenant.ask("POST", f"/triggers/{trigger}/enable")
    return trigger, project["signing_secret"]


async def test_what_happens_is_told_to_a_project_signed_and_to_a_chat(
    tenant: Tenant, target: Server, gone: Server, chat: Server
) -> None:
    told, secret = await listener(tenant, target, types=["trigger.disabled"])
    channel = {"name": "#alerts", "kind": "slack", "url": f"{chat.url}/services/T0/B0/x", "types": ["trigger.disabled"]}
    made = await tenant.ask("POST", "/v1/alert-channels", channel, status=201)
    assert (made["status"], made["waiting"], made["detail"]) == ("healthy", 0, "")
    assert "url" not in made

    trigger, key = await tenant.webhook((await tenant.project(gone.url))["id"])
    await tenant.client.post(f"/v1/webhooks/{trigger}", json={}, headers={"x-webhook-secret": key})
    await until(has(target, lambda seen: b"trigger.disabled" in seen.body))
    await until(has(chat, lambda seen: trigger in json.loads(seen.body)["text"]))

    [seen] = target.seen
    envelope = Webhook(secret).verify(seen.body, dict(seen.headers))
    assert (envelope["type"], envelope["source"]) == ("trigger.disabled", f"/project-triggers/{told}")
    [listed] = (await tenant.ask("GET", f"/v1/operational-events?type=trigger.disabled&project_trigger_id={trigger}"))[
        "data"
    ]
    assert listed["data"] == envelope["data"]
    assert listed["sentence"] == "The target answered 410 Gone, so the trigger was disabled."
    assert await tenant.ask("GET", f"/v1/operational-events/{listed['id']}") == listed
    types = {one["type"]: one for one in (await tenant.ask("GET", "/v1/operational-event-types"))["data"]}
    Draft202012Validator(types["trigger.disabled"]["data_schema"]).validate(listed["data"])
    [delivery] = await tenant.deliveries(project_trigger_id=told)
    assert delivery["event_type"] == "trigger.disabled"


async def test_operational_events_are_paged_and_filtered(tenant: Tenant, gone: Server) -> None:
    project = await tenant.project(gone.url)
    for _ in range(3):
        trigger, key = await tenant.webhook(project["id"])
        await tenant.client.post(f"/v1/webhooks/{trigger}", json={}, headers={"x-webhook-secret": key})
    path = "/v1/operational-events?type=trigger.disabled&limit=2"

    async def told() -> bool:
        return (await tenant.ask("GET", path))["next_cursor"] is not None

    await until(told)
    first = await tenant.ask("GET", path)
    rest = await tenant.ask("GET", f"{path}&cursor={first['next_cursor']}")
    ids = [one["id"] for one in (*first["data"], *rest["data"])]
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) == 3
    assert (await tenant.ask("GET", "/v1/operational-events?type=disk.low"))["data"] == []
    assert (await tenant.ask("GET", "/v1/operational-events?project_id=proj_x"))["data"] == []
    await tenant.ask("GET", "/v1/operational-events?type=nonsense", status=422)


async def test_a_channel_is_changed_tested_and_deleted(tenant: Tenant, chat: Server) -> None:
    body = {"name": "Chat", "kind": "discord", "url": f"{chat.url}/one"}
    id_ = (await tenant.ask("POST", "/v1/alert-channels", body, status=201))["id"]
    path = f"/v1/alert-channels/{id_}"
    changed = await tenant.ask("PATCH", path, {"name": "Other", "url": f"{chat.url}/two", "types": ["disk.low"]})
    assert (changed["name"], changed["types"]) == ("Other", ["disk.low"])
    assert await tenant.ask("POST", f"{path}/test") == {"taken": True, "detail": "The chat answered 200."}
    assert [seen.path for seen in chat.seen] == ["/two"]
    found = await tenant.ask("GET", path)
    assert found["last_sent_at"]
    assert (await tenant.ask("GET", "/v1/alert-channels"))["data"] == [found]
    await tenant.ask("DELETE", path, status=204)
    await tenant.ask("GET", path, status=404)


async def test_without_a_mail_server_e_mail_is_refused_with_the_way_out(tenant: Tenant) -> None:
    body = {"name": "Mail", "kind": "email", "recipients": ["ops@example.com"]}
    refused = await tenant.ask("POST", "/v1/alert-channels", body, status=400)
    assert "HAIRTRIGGER_SMTP_HOST" in refused["detail"]
