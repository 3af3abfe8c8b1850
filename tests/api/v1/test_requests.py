"""Requests that a client has got wrong are refused with the reason, and never carried out as something else."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.api.conftest import Tenant

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    "path", ["/v1/deliveries?state=dead", "/v1/events?type=x", "/v1/projects?limit=1", "/v1/connections?provider=x"]
)
async def test_an_unknown_query_parameter_is_refused_by_its_name(tenant: Tenant, path: str) -> None:
    answer = await tenant.client.get(path)
    name = path.partition("?")[2].partition("=")[0]
    assert answer.status_code == 422
    assert f"There is no parameter '{name}' here." in answer.json()["detail"]
    assert answer.json()["errors"][0]["path"] == ["query", name]


async def test_known_query_parameters_are_taken(tenant: Tenant) -> None:
    for path in ("/v1/deliveries?status=dead&limit=5", "/v1/connections?provider_id=stripe", "/v1/events?limit=1"):
        assert (await tenant.client.get(path)).status_code == 200, path


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_is_not_declared_as_json_is_refused_with_the_way_out(
    tenant: Tenant, content_type: str | None
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    project = await tenant.project("https://example.com")
    for path in ("/v1/projects", f"/projects/{project['id']}/triggers"):
        answer = await tenant.client.post(path, content=b'{"name": "x"}', headers=headers)
        assert answer.status_code == 422
        assert "Send `Content-Type: application/json`." in answer.text


async def test_an_api_key_that_has_expired_already_cannot_be_made(tenant: Tenant) -> None:
    past = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
    body = {"name": "Old", "scopes": ["TRIGGER_API"], "expires_at": past}
    answer = await tenant.client.post("/v1/api-keys", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["path"] == ["expires_at"]
    later = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    assert (await tenant.client.post("/v1/api-keys", json={**body, "expires_at": later})).status_code == 201


async def test_the_providers_say_what_a_connection_needs(tenant: Tenant) -> None:
    listed = (await tenant.client.get("/v1/providers")).json()["data"]
    found = {one["id"]: one for one in listed}
    assert {"github", "rss", "schedule", "slack", "stripe", "typeform", "webhook"} <= set(found)
    needs = found["stripe"]["connection"]
    assert (needs["required"], [one["name"] for one in needs["fields"]]) == (True, ["api_key"])
    for one in found.values():
        can_be_connected = bool(one["connection"]["fields"] or one["ways"])
        assert bool(one["connection"]["guide"]) == can_be_connected, one["id"]
        assert one["triggers"]
    assert not found["schedule"]["connection"]["required"]
    assert (await tenant.client.get("/v1/providers/stripe")).json() == found["stripe"]
    assert (await tenant.client.get("/v1/providers/strpe")).status_code == 404


async def test_a_trigger_shows_its_form_and_what_its_events_are_like(tenant: Tenant) -> None:
    path = "/v1/providers/typeform/triggers/on_form_submitted"
    form = await tenant.ask("GET", path)

    assert form["config_schema"]["properties"]["form_id"]["title"] == "Form"
    assert form["options"] == ["form_id"]
    assert form["example"]["form_response"]["answers"]
    assert form["key_explained"].endswith(".")
    assert form["version"] == "1.0.0"
    assert (await tenant.client.get("/v1/providers/typeform/triggers/on_other")).status_code == 404
    asked = await tenant.client.post(f"{path}/options/form_id", json={"search": "a"})
    assert (asked.status_code, asked.json()["errors"][0]["path"]) == (422, ["connection_id"])
    assert (await tenant.client.post(f"{path}/options/other", json={})).status_code == 404


async def test_an_integration_of_the_organisation_is_a_provider_with_the_labels_of_its_author(tenant: Tenant) -> None:
    key = {"authorization": f"Bearer {await tenant.key()}"}
    made = await tenant.client.post("/integrations/v1/create", json={"name": "Shop"}, headers=key)
    id_ = made.json()["integration"]["id"]
    fields = [{"slug": "api_token", "label": "Token of the shop", "type": "PASSWORD", "required": True}]
    auth = {"authType": "API_KEY", "authFields": fields}
    answer = await tenant.client.patch(f"/integrations/v1/{id_}/auth", json=auth, headers=key)
    assert answer.is_success, answer.text
    found = {one["id"]: one for one in (await tenant.ask("GET", "/v1/providers"))["data"]}
    [field] = found[id_]["connection"]["fields"]
    assert field == {"name": "api_token", "label": "Token of the shop", "required": True}


async def test_a_project_can_be_deleted_with_its_enabled_triggers_if_that_is_asked_for(tenant: Tenant) -> None:
    project = await tenant.project("https://example.com")
    trigger, _ = await tenant.webhook(project["id"])
    path = f"/v1/projects/{project['id']}"
    assert (await tenant.client.delete(path)).status_code == 409
    assert (await tenant.client.delete(f"{path}?with_enabled_triggers=true")).status_code == 204
    assert (await tenant.client.get(path)).status_code == 404
    assert (await tenant.client.get(f"/triggers/{trigger}")).status_code == 404
