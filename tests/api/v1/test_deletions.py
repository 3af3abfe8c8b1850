"""Projects, users and organisations are deleted through the API, by those that may."""

from collections.abc import AsyncIterator

import pytest

from hairtrigger.main import Application
from tests.api.conftest import PASSWORD, Tenant, another_organisation
from tests.support.servers import Server
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def guest(service: Application) -> AsyncIterator[Tenant]:
    """Make an organisation that does not operate the service."""
    async with another_organisation(service) as made:
        yield made


async def test_a_deleted_project_takes_its_events_with_it(tenant: Tenant, target: Server) -> None:
    project = (await tenant.project(target.url))["id"]
    other = (await tenant.project(target.url))["id"]
    trigger, secret = await tenant.webhook(project)
    kept, kept_secret = await tenant.webhook(other)
    for id_, value in ((trigger, secret), (kept, kept_secret)):
        sent = await tenant.client.post(f"/v1/webhooks/{id_}", json={}, headers={"x-webhook-secret": value})
        assert sent.status_code == 200

    preview = await tenant.ask("GET", f"/v1/projects/{project}/deletion")
    assert (preview["triggers"], preview["enabled_triggers"], preview["events"]) == (1, 1, 1)
    await tenant.ask("DELETE", f"/v1/projects/{project}", status=409)
    await tenant.ask("DELETE", f"/v1/projects/{project}?with_enabled_triggers=true", status=204)
    await tenant.ask("GET", f"/v1/projects/{project}", status=404)
    await tenant.ask("GET", f"/v1/project-triggers/{trigger}", status=404)
    gone = await tenant.client.post(f"/v1/webhooks/{trigger}", json={}, headers={"x-webhook-secret": secret})
    deleted, secret = await tenant.webhook(other)
    await tenant.ask("DELETE", f"/triggers/{deleted}", status=204)
    like = await tenant.client.post(f"/v1/webhooks/{deleted}", json={}, headers={"x-webhook-secret": secret})
    assert (gone.status_code, gone.json()) == (like.status_code, like.json())

    async def only_the_other() -> bool:
        found = (await tenant.ask("GET", "/v1/events"))["data"]
        return [one["project_id"] for one in found] == [other]

    await until(only_the_other)


async def test_the_history_of_a_project_is_kept_if_that_is_asked_for(tenant: Tenant, target: Server) -> None:
    project = (await tenant.project(target.url))["id"]
    trigger, secret = await tenant.webhook(project)
    sent = await tenant.client.post(f"/v1/webhooks/{trigger}", json={}, headers={"x-webhook-secret": secret})
    assert sent.status_code == 200
    await tenant.ask("DELETE", f"/v1/projects/{project}?with_enabled_triggers=true&keep_history=true", status=204)
    assert len((await tenant.ask("GET", "/v1/events"))["data"]) == 1


async def test_only_a_user_that_logged_in_deletes_an_organisation_and_only_by_its_name(
    tenant: Tenant, guest: Tenant
) -> None:
    path = f"/v1/organizations/{guest.org_id}"
    key = await guest.key("TRIGGER_API")
    by_key = await guest.client.delete(f"{path}?confirm=Org", headers={"authorization": f"Bearer {key}"})
    assert (by_key.status_code, "Log in" in by_key.json()["detail"]) == (403, True)
    await guest.ask("DELETE", f"/v1/organizations/{tenant.org_id}?confirm=Org", status=404)
    await guest.ask("DELETE", path, status=409)
    await guest.ask("DELETE", f"{path}?confirm=Other", status=409)
    await tenant.ask("DELETE", f"/v1/organizations/{tenant.org_id}?confirm=Org", status=409)
    preview = await guest.ask("GET", f"{path}/deletion")
    assert (preview["requested_at"], preview["deletes"]["users"], preview["deletes"]["api_keys"]) == (None, 1, 1)

    begun = await guest.ask("DELETE", f"{path}?confirm=Org", status=202)

    assert begun["requested_at"]
    await guest.ask("GET", "/v1/organizations/current", status=401)
    assert (await guest.client.get("/v1/projects", headers={"authorization": f"Bearer {key}"})).status_code == 401
    refused = await guest.client.post("/token", data={"username": guest.email, "password": PASSWORD})
    assert refused.is_error


async def test_the_operator_deletes_another_organisation(tenant: Tenant, guest: Tenant, target: Server) -> None:
    project = (await guest.project(target.url))["id"]
    trigger, secret = await guest.webhook(project)
    await tenant.ask("DELETE", f"/v1/organizations/{guest.org_id}?confirm=Org", status=202)

    async def gone() -> bool:
        answer = await guest.client.post(f"/v1/webhooks/{trigger}", json={}, headers={"x-webhook-secret": secret})
        return answer.status_code == 404

    await until(gone)
    left = await tenant.ask("GET", f"/v1/organizations/{guest.org_id}/deletion")
    assert left["requested_at"]
    assert left["deletes"]["users"] == 0


async def test_a_user_is_deleted_by_another_with_the_keys_that_the_user_made(tenant: Tenant) -> None:
    key = await tenant.key("TRIGGER_API")
    await tenant.ask("DELETE", f"/v1/users/{tenant.caller.id}", status=409)
    added = await tenant.app.accounts.add_user(tenant.caller.org_id, f"second-{tenant.email}", PASSWORD, operator=True)
    listed = (await tenant.ask("GET", "/v1/users"))["data"]
    assert [one["email"] for one in listed] == [tenant.email, added.email]
    token = await tenant.client.post("/token", data={"username": added.email, "password": PASSWORD})
    second = {"authorization": f"Bearer {token.json()['access_token']}"}

    deleted = await tenant.client.delete(f"/v1/users/{tenant.caller.id}", headers=second)

    assert deleted.status_code == 204
    assert (await tenant.client.get("/v1/users", headers={"authorization": f"Bearer {key}"})).status_code == 401
    await tenant.ask("GET", "/v1/users", status=401)
