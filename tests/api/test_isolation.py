"""An organisation can see, change and use nothing of another one: to it, those things do not exist."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import httpx2
import pytest

from hairtrigger.domain.caller import INTEGRATION_API, SCOPES, TRIGGER_API
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.operational import DiskUsed, OperationalEvent, OperationalType
from hairtrigger.store.alerts import operational_events
from tests.api.conftest import Tenant
from tests.support.documents import integrations_document, own_document, projects_document
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

Operation = tuple[str, str]  # method and path
Ids = Mapping[str, str]  # by the names of path parameters

DOCUMENTS = {"": projects_document, "/integrations/v1": integrations_document, "/v1": own_document}
OPERATIONS: list[Operation] = [
    (method.upper(), prefix + path)
    for prefix, document in DOCUMENTS.items()
    for path, item in json.loads(document())["paths"].items()
    for method in item
]
WEBHOOK = ("POST", "/v1/webhooks/{webhook_id}")  # open to all senders that know its secret
_OF_NO_ID = {"{client_name}", "{external_user_id}"}  # names that each organisation gives
WITH_IDS = sorted(
    (one for one in OPERATIONS if "{" in one[1] and one != WEBHOOK and not _OF_NO_ID & {*one[1].split("/")}),
    key=lambda one: one[0] == "DELETE",  # deletions come last
)
BY_LOGIN = {  # no API key may do these, and here an API key asks
    ("GET", "/v1/organizations/{organization_id}/deletion"),
    ("DELETE", "/v1/organizations/{organization_id}"),
    ("DELETE", "/v1/users/{user_id}"),
}
LISTS = [path for method, path in OPERATIONS if method == "GET" and "{" not in path]
ICON = b"\x89PNG\r\n\x1a\npixels"


@pytest.fixture
async def mine(tenant: Tenant) -> Ids:
    return await _everything(tenant)


@pytest.fixture
async def theirs(stranger: Tenant) -> Ids:
    return await _everything(stranger)


async def test_with_its_own_ids_every_route_finds_something(tenant: Tenant, mine: Ids) -> None:
    """Prove that the tests below get a 404 only because the ids are another organisation's."""
    statuses = {(method, path): (await _ask(tenant, method, path, mine)).status_code for method, path in WITH_IDS}
    assert {statuses.pop(operation) for operation in BY_LOGIN} == {403}
    assert {operation for operation, status in statuses.items() if status not in {200, 201, 204, 400, 409}} == set()


async def test_with_ids_of_another_organisation_every_route_is_404_and_changes_nothing(
    tenant: Tenant, stranger: Tenant, mine: Ids, theirs: Ids
) -> None:
    before = await _lists(stranger)
    own = {"api_key": mine["api_key"]}
    found = {}
    for method, path in WITH_IDS:
        answer = await _ask(tenant, method, path, {**theirs, **own})
        if answer.status_code != 404:
            found[method, path] = answer.text
    assert found == {}
    assert await _lists(stranger) == before


async def test_a_thing_of_another_organisation_is_not_reached_through_ones_own(
    tenant: Tenant, mine: Ids, theirs: Ids
) -> None:
    """Each id of a path that has several is checked."""
    several = [(method, path) for method, path in WITH_IDS if path.count("{") > 1 and "{provider_id}" not in path]
    assert several
    for method, path in several:
        inner = "project_trigger_id" if path.endswith("{api_key}") else path.rpartition("{")[2].rstrip("}")
        answer = await _ask(tenant, method, path, {**mine, inner: theirs[inner]})
        assert answer.status_code == 404, f"{method} {path}: {answer.text}"


async def test_lists_hold_nothing_of_another_organisation(tenant: Tenant, mine: Ids, theirs: Ids) -> None:
    shown = "".join((await _lists(tenant)).values())
    for name in (
        "project_id",
        "project_trigger_id",
        "connection_id",
        "event_id",
        "key_id",
        "operational_event_id",
        "alert_channel_id",
        "integrationId",
    ):
        assert mine[name] in shown
    assert [name for name, value in theirs.items() if value in shown and value != mine[name]] == []


@pytest.mark.parametrize("name", ["project_id", "project_trigger_id"])
async def test_filters_lead_to_nothing_of_another_organisation(
    tenant: Tenant, stranger: Tenant, theirs: Ids, name: str
) -> None:
    query = f"?{name}={theirs[name]}"
    for path in ("/v1/events", "/v1/deliveries"):
        assert (await stranger.ask("GET", path + query))["data"]
        assert (await tenant.ask("GET", path + query))["data"] == []
    await tenant.ask("POST", "/v1/replays", {name: theirs[name]}, status=404)


async def test_nothing_is_replayed_to_another_organisations_project(tenant: Tenant, mine: Ids, theirs: Ids) -> None:
    await tenant.ask("POST", "/v1/replays", {"to_project_id": theirs["project_id"], "all": True}, status=404)


async def test_deliveries_of_another_organisations_event_are_not_listed(tenant: Tenant, theirs: Ids) -> None:
    assert (await tenant.ask("GET", f"/v1/deliveries?event_id={theirs['event_id']}"))["data"] == []


async def test_nothing_is_built_on_what_belongs_to_another_organisation(tenant: Tenant, mine: Ids, theirs: Ids) -> None:
    path = f"/projects/{mine['project_id']}/triggers"
    with_connection = {
        "provider_id": "stripe",
        "trigger_id": "on_customer_created",
        "connection_id": theirs["connection_id"],
    }
    of_integration = {"provider_id": theirs["integrationId"], "trigger_id": theirs["slug"]}
    await tenant.ask("POST", path, with_connection, status=404)
    await tenant.ask("POST", path, of_integration, status=404)
    to_integration = {"provider_id": theirs["integrationId"], "secrets": {}}
    await tenant.ask("POST", "/v1/connections", to_integration, status=404)


async def test_an_idempotency_key_is_an_organisations_own(tenant: Tenant, stranger: Tenant) -> None:
    body, headers = {"name": "Project", "target": {"kind": "log"}}, {"idempotency-key": "1"}
    first = await tenant.client.post("/v1/projects", json=body, headers=headers)
    other = await stranger.client.post("/v1/projects", json=body, headers=headers)
    assert first.json()["id"] != other.json()["id"]


async def _everything(tenant: Tenant) -> Ids:
    """Make one of each thing and return the ids. The tenant's client then has an API key, which every API takes."""
    key = await tenant.key(*SCOPES)
    tenant.client.headers["authorization"] = f"Bearer {key}"
    project = (await tenant.ask("POST", "/v1/projects", {"name": "P", "target": {"kind": "log"}}, status=201))["id"]
    trigger, _ = await tenant.webhook(project)
    by_key = f"/organizations/{tenant.org_id}/triggers/{trigger}/webhook/key/{key}"
    event = (await tenant.ask("POST", by_key, {}))["events"][0]
    secrets = {"provider_id": "stripe", "secrets": {"api_key": "key"}}
    integrations = "/integrations/v1"
    integration = (await tenant.ask("POST", f"{integrations}/create", {"name": "I"}, status=201))["integration"]["id"]
    base = f"{integrations}/{integration}"
    uploaded = await tenant.client.put(f"{base}/icon", files={"icon": ICON})
    assert uploaded.status_code == 200
    polling = (await tenant.ask("POST", f"{base}/triggers/create", {"name": "New Issue"}, status=201))["trigger"]
    return {
        "org_id": tenant.org_id,
        "organization_id": tenant.org_id,
        "user_id": str(tenant.caller.id),
        "api_key": key,
        "project_id": project,
        "project_trigger_id": trigger,
        "connection_id": (await tenant.ask("POST", "/v1/connections", secrets, status=201))["id"],
        "event_id": event,
        "delivery_id": event,
        "replay_id": await _ended_replay(tenant),
        "key_id": (await _new_key(tenant))["id"],
        "operational_event_id": await _operational_event(tenant),
        "alert_channel_id": (await _alert_channel(tenant))["id"],
        "authorization_id": await _authorization(tenant),
        "connect_link_id": (await tenant.ask("POST", "/v1/connect-links", {"provider_id": "stripe"}, status=201))["id"],
        "provider_id": integration,
        "integrationId": integration,
        "triggerId": polling["id"],
        "slug": polling["slug"],
        "actionId": (await tenant.ask("POST", f"{base}/actions/create", {"name": "A"}, status=201))["action"]["id"],
    }


async def _ended_replay(tenant: Tenant) -> str:
    """Make a replay job and wait for its end, after which it does not change by itself."""
    id_ = (await tenant.ask("POST", "/v1/replays", {"event_type": "none"}, status=201))["id"]

    async def ended() -> bool:
        return bool((await tenant.ask("GET", f"/v1/replays/{id_}"))["ended_at"])

    await until(ended)
    return str(id_)


async def _operational_event(tenant: Tenant) -> str:
    now = datetime.now(UTC)
    details = DiskUsed(used_percent=91)
    org_id = UUID(tenant.org_id)
    told = OperationalEvent(new_id(now), org_id, OperationalType.DISK_LOW, now, f"It is low for {org_id}.", details)
    async with tenant.app.store.transaction() as tx:
        await operational_events.record(tx, [told])
    return str(told.id)


async def _alert_channel(tenant: Tenant) -> dict[str, Any]:
    body = {"name": "Chat", "kind": "slack", "url": "http://127.0.0.1:1/hook", "types": ["quota.reached"]}
    made: dict[str, Any] = await tenant.ask("POST", "/v1/alert-channels", body, status=201)
    return made


async def _authorization(tenant: Tenant) -> str:
    await tenant.ask("PUT", "/v1/oauth-clients/github", {"client_id": f"of {tenant.org_id}"})
    made = await tenant.ask("POST", "/v1/authorizations", {"provider_id": "github"}, status=201)
    return str(made["id"])


async def _new_key(tenant: Tenant) -> dict[str, Any]:
    body = {"name": "Key", "scopes": [INTEGRATION_API, TRIGGER_API]}
    made: dict[str, Any] = await tenant.ask("POST", "/v1/api-keys", body, status=201)
    return made


async def _ask(tenant: Tenant, method: str, path: str, ids: Ids) -> httpx2.Response:
    """Send a request with a valid body, so that only the owner of the ids decides the answer."""
    if "/providers/" in path:
        ids = {**ids, "trigger_id": ids["slug"], "field": "polling_frequency"}
    url = path.format_map(ids)
    match method, path:
        case "PUT", "/integrations/v1/{integrationId}/icon":
            return await tenant.client.put(url, files={"icon": ICON})
        case "POST", "/projects/{project_id}/triggers":
            body: Any = {"provider_id": "webhook", "trigger_id": "on_request"}
        case _, "/integrations/v1/{integrationId}/auth":
            body = {"authType": "NONE"}
        case (("PATCH" | "PUT"), _):
            body = {"name": "Changed"}
        case "DELETE", "/v1/organizations/{organization_id}":
            url, body = f"{url}?confirm=Org", None
        case _ if path.endswith("/create"):
            body = {"name": "New"}
        case "POST", _:
            body = {}
        case _:
            body = None
    return await tenant.client.request(method, url, json=body)


async def _lists(tenant: Tenant) -> dict[str, str]:
    """Return every list of the APIs as the organisation sees it."""
    return {path: (await tenant.client.get(path)).text for path in LISTS}
