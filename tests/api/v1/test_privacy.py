"""A trigger says what is kept of its events: in the database, in answers and in explanations there is no more."""

import json
from typing import Any

import pytest

from tests.api.conftest import Tenant
from tests.support.servers import Server, answering, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NONE = {"keep_body": False}


async def a_trigger(tenant: Tenant, url: str, privacy: dict[str, Any]) -> tuple[str, str]:
    project = (await tenant.project(url))["id"]
    body = {
        "provider_id": "webhook",
        "trigger_id": "on_request",
        "privacy": privacy,
        "trigger_config_params": {"event_id": "/id"},
    }
    made = await tenant.ask("POST", f"/projects/{project}/triggers", body, status=201)
    id_ = str(made["project_trigger_id"])
    secret = (await tenant.ask("POST", f"/v1/project-triggers/{id_}/secret", {}))["secret"]
    await tenant.ask("POST", f"/triggers/{id_}/enable")
    return id_, secret


async def send(tenant: Tenant, trigger: str, secret: str, body: Any, **headers: str) -> str:
    sent = await tenant.client.post(
        f"/v1/webhooks/{trigger}?email=a@b.c", json=body, headers={"x-webhook-secret": secret, **headers}
    )
    assert sent.status_code == 200, sent.text
    found: list[str] = sent.json()["events"]
    return found[0] if found else sent.json()["status"]


async def ended(tenant: Tenant, event: str, status: str = "delivered") -> dict[str, Any]:
    async def is_so() -> bool:
        return bool((await tenant.ask("GET", f"/v1/deliveries/{event}"))["status"] == status)

    await until(is_so)
    found: dict[str, Any] = await tenant.ask("GET", f"/v1/events/{event}")
    return found


async def test_a_body_is_dropped_when_it_was_delivered_and_that_is_told(tenant: Tenant) -> None:
    async with serving(answering(body=b"you sent 4711")) as target:
        trigger, secret = await a_trigger(tenant, target.url, NONE)
        event = await send(tenant, trigger, secret, {"id": "1", "card": "4711"}, **{"x-user": "A"})
        found = await ended(tenant, event)
        assert b"4711" in target.seen[0].body

    assert (found["body"], found["request"]) == ("", None)
    assert "dropped when its delivery had ended" in found["body_dropped"]
    [attempt] = (await tenant.ask("GET", f"/v1/deliveries/{event}"))["history"]
    assert (attempt["response_status"], attempt["response"]) == (200, "")
    explained = await tenant.ask("GET", f"/v1/project-triggers/{trigger}/explain?event={event}")
    assert "The body was dropped" in explained["summary"]
    refused = await tenant.ask("POST", f"/v1/events/{event}/replay", status=409)
    assert "can't be delivered again" in refused["detail"]
    preview = await tenant.ask("POST", "/v1/replays/preview", {"project_trigger_id": trigger, "all": True})
    assert preview["total"] == 0
    assert await send(tenant, trigger, secret, {"id": "1", "card": "4711"}) == "duplicate"


async def test_a_dead_letter_is_dropped_too_and_what_is_under_way_is_not(tenant: Tenant) -> None:
    async with serving(answering(status=500, body=b"4711 is wrong")) as target:
        trigger, secret = await a_trigger(tenant, target.url, NONE)
        event = await send(tenant, trigger, secret, {"id": "1", "card": "4711"})
        found = await ended(tenant, event, "retrying")
        assert "4711" in found["body"]
        await tenant.ask("POST", f"/v1/deliveries/{event}/cancel")
    found = await ended(tenant, event, "dead")
    assert (found["body"], found["body_dropped"] is None) == ("", False)
    assert [one["response"] for one in (await tenant.ask("GET", f"/v1/deliveries/{event}"))["history"]] == [""]
    explained = await tenant.ask("GET", f"/v1/project-triggers/{trigger}/explain?event={event}")
    assert "/replay" not in explained["summary"]


async def test_what_is_redacted_is_neither_stored_nor_delivered(tenant: Tenant, target: Server) -> None:
    places = ["/id", "/user/email", "/items/*/note", "header:X-User", "query:email"]
    trigger, secret = await a_trigger(tenant, target.url, {"redact": places})
    body = {"id": "1", "user": {"email": "a@b.c", "name": "A"}, "items": [{"note": "n"}]}
    event = await send(tenant, trigger, secret, body, **{"x-user": "U", "x-other": "O"})
    found = await ended(tenant, event)

    expected = {"id": "[redacted]", "user": {"email": "[redacted]", "name": "A"}, "items": [{"note": "[redacted]"}]}
    assert json.loads(found["body"]) == expected
    assert found["request"]["headers"]["x-user"] == found["request"]["query"]["email"] == "[redacted]"
    assert found["request"]["headers"]["x-other"] == "O"
    assert found["key"] == "1"
    assert b"a@b.c" not in target.seen[0].body
    assert await send(tenant, trigger, secret, body) == "duplicate"


async def test_privacy_is_shown_and_changed_and_holds_for_what_is_stored(tenant: Tenant, target: Server) -> None:
    trigger, secret = await a_trigger(tenant, target.url, {})
    path = f"/v1/project-triggers/{trigger}"
    assert (await tenant.ask("GET", path))["privacy"] == {"keep_body": True, "redact": [], "retention_days": None}
    event = await send(tenant, trigger, secret, {"id": "1"})
    assert (await ended(tenant, event))["body"]
    await tenant.ask("PATCH", path, {"privacy": {"keep_body": False, "redact": ["/a"], "retention_days": 3}})
    shown = (await tenant.ask("GET", path))["privacy"]
    assert shown == {"keep_body": False, "redact": ["/a"], "retention_days": 3}
    for days in (0, 31, 10**20):
        await tenant.ask("PATCH", path, {"privacy": {"retention_days": days}}, status=422)
    await tenant.ask("PATCH", path, {"name": "Named"})
    assert (await tenant.ask("GET", path))["privacy"] == shown
    await tenant.ask("PATCH", path, {"privacy": None})
    assert (await tenant.ask("GET", path))["privacy"]["keep_body"] is True


@pytest.mark.parametrize(
    ("privacy", "said"),
    [
        ({"redact": ["email"]}, "JSON pointer"),
        ({"retention_days": 0}, "greater than or equal to 1"),
        ({"retention_days": 31}, "keeps events for 30 days"),
        ({"keep": True}, "Extra inputs"),
    ],
)
async def test_privacy_that_can_not_be_kept_is_refused(
    tenant: Tenant, target: Server, privacy: dict[str, Any], said: str
) -> None:
    project = (await tenant.project(target.url))["id"]
    body = {"provider_id": "webhook", "trigger_id": "on_request", "privacy": privacy}
    refused = await tenant.client.post(f"/projects/{project}/triggers", json=body)
    assert refused.status_code in (400, 422)
    assert said in refused.text
    trigger, _ = await a_trigger(tenant, target.url, {})
    refused = await tenant.client.patch(f"/v1/project-triggers/{trigger}", json={"privacy": privacy})
    assert (refused.status_code, said in refused.text) == (422, True)
