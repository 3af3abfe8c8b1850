"""`PATCH /v1/project-triggers/{id}`: a trigger is changed without making it anew."""

from typing import Any

import pytest

from tests.api.conftest import Tenant

pytestmark = pytest.mark.anyio


async def test_a_trigger_is_changed_and_its_name_is_shown(tenant: Tenant) -> None:
    project = (await tenant.project("http://127.0.0.1:1/"))["id"]
    config = {"cron": "0 9 * * *"}
    body = {"provider_id": "schedule", "trigger_id": "on_schedule", "trigger_config": config, "name": "Morning"}
    made = await tenant.ask("POST", f"/projects/{project}/triggers", body, status=201)
    id_ = made["project_trigger_id"]
    path = f"/v1/project-triggers/{id_}"
    assert made["name"] == "Morning"
    await tenant.ask("POST", f"/triggers/{id_}/enable")

    changed = await tenant.ask("PATCH", path, {"name": "Night", "trigger_config": {"cron": "0 22 * * *"}})

    assert (changed["name"], changed["trigger_config"], changed["status"]) == (
        "Night",
        {"cron": "0 22 * * *"},
        "ENABLED",
    )
    assert changed == await tenant.ask("GET", f"/triggers/{id_}")
    assert [one["name"] for one in await tenant.ask("GET", "/triggers")] == ["Night"]
    assert [one["name"] for one in (await tenant.ask("GET", "/v1/project-triggers"))["data"]] == ["Night"]
    assert (await tenant.ask("GET", path))["name"] == "Night"
    same = await tenant.ask("PATCH", path, {"name": None})
    assert (same["name"], same["trigger_config"]) == (None, changed["trigger_config"])


async def test_what_does_not_fit_is_refused_and_named(tenant: Tenant, stranger: Tenant) -> None:
    project = (await tenant.project("http://127.0.0.1:1/"))["id"]
    id_ = await tenant.trigger(project, "schedule", "on_schedule", {"cron": "0 9 * * *"})
    path = f"/v1/project-triggers/{id_}"

    refused = await tenant.ask("PATCH", path, {"trigger_config": {"corn": "0 9 * * *"}}, status=422)

    assert ["trigger_config", "corn"] in [error["path"] for error in refused["errors"]]
    bodies: list[dict[str, Any]] = [{"trigger_confg": {}}, {"name": ""}, {"connection_id": "x"}]
    for body in bodies:
        await tenant.ask("PATCH", path, body, status=422)
    await stranger.ask("PATCH", path, {"name": "Mine"}, status=404)
