"""Routes for the authors of polling code: a dry run, types for their editor, and the place of a mistake."""

import asyncio
from typing import Any

import httpx2
import pytest

from hairtrigger.api.v1.polling_code import declarations
from hairtrigger.domain.caller import INTEGRATION_API, TRIGGER_API
from tests.api.conftest import Tenant
from tests.support.servers import answering, serving

pytestmark = pytest.mark.anyio

PATH = "/v1/polling-code/dry-run"


async def written(tenant: Tenant, trigger: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Make an integration with this trigger; return the integration's id and the trigger as it was made."""
    key = {"authorization": f"Bearer {await tenant.key()}"}
    made = await tenant.client.post("/integrations/v1/create", json={"name": "Tracker"}, headers=key)
    integration = str(made.json()["integration"]["id"])
    added = await tenant.client.post(f"/integrations/v1/{integration}/triggers/create", json=trigger, headers=key)
    assert added.status_code == 201, added.text
    return integration, added.json()["trigger"]


async def test_a_dry_run_shows_everything_and_moves_nothing(tenant: Tenant) -> None:
    async with serving(answering(200, b'[{"id": "t1"}, {"id": "t2"}]', ("X-From", "server"))) as server:
        code = f"""const found = await (await fetch('{server.url}/?key=' + secrets.key, {{
                headers: {{Authorization: `Bearer ${{secrets.key}}`}}}})).json();
            console.log('found', found.length, secrets.key); return [...found, found[0]]"""
        asked = {"code": code, "secrets": {"key": "s3cr3t"}, "last_poll_time": "2026-03-01T12:00:00Z"}
        report = await tenant.ask("POST", PATH, asked)

    assert [(one["verdict"], one["key"], one["data"]) for one in report["events"]] == [
        ("new", "t1", {"id": "t1"}),
        ("new", "t2", {"id": "t2"}),
        ("repeated", "t1", {"id": "t1"}),
    ]
    assert report["error"] is None
    assert report["console"] == ["found 2 ***"]
    assert report["last_poll_time"] == "2026-03-01T12:00:00Z"
    [exchange] = report["exchanges"]
    assert (exchange["method"], exchange["url"], exchange["status"]) == ("GET", f"{server.url}/?key=***", 200)
    assert {"name": "authorization", "value": "***"} in exchange["request_headers"]
    assert {"name": "x-from", "value": "server"} in exchange["response_headers"]
    assert (exchange["response_body"], exchange["response_bytes"]) == ('[{"id": "t1"}, {"id": "t2"}]', 28)
    assert report["usage"]["fetches"] == 1
    assert report["usage"]["cpu_milliseconds"] > 0
    assert report["usage"]["wall_milliseconds"] >= exchange["milliseconds"] > 0
    assert (await tenant.ask("GET", "/v1/events"))["data"] == []


async def test_an_enabled_trigger_is_dry_run_beside_its_polls(tenant: Tenant) -> None:
    body = {"name": "New Ticket", "pollingCode": "return [{id: 'always'}]"}
    integration, made = await written(tenant, body)
    project = await tenant.project("http://127.0.0.1:1/")
    trigger = await tenant.trigger(project["id"], integration, made["slug"], {})
    by_id = {"integration_id": integration, "integration_trigger_id": made["id"]}
    before = await tenant.ask("POST", PATH, by_id)
    await tenant.ask("POST", f"/triggers/{trigger}/enable")
    await tenant.ask("POST", f"/v1/project-triggers/{trigger}/poll")
    after = await tenant.ask("POST", PATH, {"project_trigger_id": trigger})
    await tenant.ask("POST", f"/triggers/{trigger}/disable")

    assert [one["verdict"] for one in before["events"]] == ["new"]
    assert [(one["verdict"], one["type"]) for one in after["events"]] == [("stored", "tracker.new-ticket")]


async def test_code_that_fails_is_an_answer_with_its_error(tenant: Tenant) -> None:
    report = await tenant.ask("POST", PATH, {"code": "for (;;);"})

    assert report["error"] == {
        "kind": "cpu_limit",
        "name": "CpuLimit",
        "message": "The code used more than 250 ms of CPU time.",
        "line": None,
        "column": None,
    }
    assert report["events"] == []
    error = (await tenant.ask("POST", PATH, {"code": "const a = 1;\n  a.b.c"}))["error"]
    assert (error["kind"], error["line"], error["column"]) == ("js_error", 2, 3)


async def test_too_many_at_a_time_are_429_with_when_to_come_back(tenant: Tenant) -> None:
    slow = {"code": "await new Promise((resolve) => setTimeout(resolve, 300)); return []"}

    answers = await asyncio.gather(*(tenant.client.post(PATH, json=slow) for _ in range(3)))

    assert sorted(answer.status_code for answer in answers) == [200, 200, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert int(refused.headers["retry-after"]) >= 1
    assert refused.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"code": "x" * 1001}, 422),
        ({"code": "return []", "connection_id": "00000000-0000-4000-8000-000000000000"}, 404),
        ({"project_trigger_id": "00000000-0000-4000-8000-000000000000"}, 404),
        ({"integration_id": "00000000-0000-4000-8000-000000000000", "code": "return []"}, 404),
    ],
)
async def test_what_cannot_be_run_is_refused(tenant: Tenant, body: dict[str, Any], status: int) -> None:
    await tenant.ask("POST", PATH, body, status=status)


async def test_writing_code_needs_the_scope_for_it(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    for scopes, status in (([TRIGGER_API], 403), ([TRIGGER_API, INTEGRATION_API], 200)):
        key = {"authorization": f"Bearer {await tenant.key(*scopes)}"}
        assert (await anybody.post(PATH, json={"code": "return []"}, headers=key)).status_code == status


async def test_an_idempotency_key_keeps_nothing_of_a_dry_run(tenant: Tenant) -> None:
    """A kept answer would store what the dry run found, and a dry run must store nothing."""
    body = {"code": "return [crypto.randomUUID()]"}
    headers = {"idempotency-key": "same"}

    first, second = [(await tenant.client.post(PATH, json=body, headers=headers)).json() for _ in range(2)]

    assert first["events"][0]["data"] != second["events"][0]["data"]


async def test_the_declarations_are_served_as_typescript(tenant: Tenant) -> None:
    answer = await tenant.client.get("/v1/polling-code/environment.d.ts")

    assert answer.headers["content-type"].startswith("application/typescript")
    assert answer.text == declarations()


@pytest.mark.parametrize(
    ("code", "where"),
    [
        ("const a = 1;\n\tconst b = ;", "line 2, column 12"),
        ("const s = '😀'; s b", "line 1, column 19"),
        ("if (true) {\r\n  call(", "line 2, column 8"),
        ("return 'abc", "line 1, column 8"),
        ("return []; }", "line 1, column 13"),
    ],
)
async def test_a_mistake_is_refused_with_its_place_when_it_is_written(tenant: Tenant, code: str, where: str) -> None:
    integration, good = await written(tenant, {"name": "Good", "pollingCode": "return []"})
    key = {"authorization": f"Bearer {await tenant.key()}"}
    place = f"/integrations/v1/{integration}/triggers"

    created = await tenant.client.post(f"{place}/create", json={"name": "New", "pollingCode": code}, headers=key)
    changed = await tenant.client.put(f"{place}/{good['id']}", json={"name": "Good", "pollingCode": code}, headers=key)

    for answer in (created, changed):
        assert answer.status_code == 400
        [issue] = answer.json()["message"]
        assert issue["path"] == ["pollingCode"]
        assert where in issue["message"]
