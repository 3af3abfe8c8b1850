"""The Triggers API keeps what is published: its routes, fields, types, defaults, statuses and errors."""

import asyncio
import hashlib
import hmac
import json
import logging
import re
import socket
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
import structlog
import uvicorn
from joserfc import jwt
from joserfc.jwk import OctKey
from jsonschema import Draft202012Validator

from hairtrigger.domain.caller import ASSISTANT_API, INTEGRATION_API, TRIGGER_API
from hairtrigger.main import Application
from hairtrigger.platform import telemetry
from tests.api.conftest import SLACK_SECRET, Tenant
from tests.support.documents import projects_document
from tests.support.servers import answering, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

DOCUMENT = json.loads(projects_document())
OPERATIONS = [(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item]
PROTECTED = [(method, path) for method, path in OPERATIONS if "security" in DOCUMENT["paths"][path][method.lower()]]
WITH_TRIGGER = [(method, path) for method, path in OPERATIONS if "{project_trigger_id}" in path]

# The fields stand in the order of the published example.
FIELDS = {
    "project_trigger_id": str,
    "project_id": str,
    "connection_id": str | None,
    "provider_id": str,
    "trigger_id": str,
    "webhook_data": dict | None,
    "cursor_data": dict | None,
    "trigger_config": dict | None,
    "status": str,
    "created_at": str,
    "updated_at": str,
    "created_by": str,
    "updated_by": str | None,
    "name": str | None,  # an extension, behind the published ones
}
DEFINITION = {
    "trigger_type": str,
    "provider_id": str,
    "trigger_id": str,
    "trigger_name": str,
    "description": str,
    "instructions": str | None,
    "icon": str,
    "tags": list | None,
    "version": str,
    "webhook_requires_verification": bool,
    "can_get_test_samples": bool,
    "config_schema": dict,  # a field of this service, which the published API lacks
}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")  # 2025-11-28T01:31:30.449Z
FEED = b"""<rss version="2.0"><channel><title>News</title>
<item><guid>1</guid><title>First</title></item><item><guid>2</guid><title>Second</title></item></channel></rss>"""


@pytest.fixture
async def project(tenant: Tenant) -> str:
    """Make a project whose deliveries go to the log, and return its id."""
    made = await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": {"kind": "log"}}, status=201)
    return str(made["id"])


@pytest.fixture
async def schedule(tenant: Tenant, project: str) -> str:
    """Make a disabled trigger with a schedule of once an hour, and return its id."""
    return await tenant.trigger(project, "schedule", "on_schedule", {"interval": "1h"})


# -- the routes


def test_the_document_has_every_published_route_and_one_to_log_in() -> None:
    by_key = "/organizations/{org_id}/triggers/{project_trigger_id}"
    assert set(OPERATIONS) == {
        ("GET", "/projects/{project_id}/triggers"),
        ("POST", "/projects/{project_id}/triggers"),
        ("GET", "/triggers/{project_trigger_id}"),
        ("DELETE", "/triggers/{project_trigger_id}"),
        ("GET", "/triggers"),
        ("POST", "/triggers/{project_trigger_id}/enable"),
        ("POST", "/triggers/{project_trigger_id}/disable"),
        ("GET", "/providers/{provider_id}/triggers"),
        ("GET", "/providers/{provider_id}/triggers/{trigger_id}"),
        ("POST", by_key + "/webhook/key/{api_key}"),
        ("POST", by_key + "/polling/key/{api_key}"),
        ("POST", by_key + "/scheduled/key/{api_key}"),
        ("POST", "/v1/webhooks/{webhook_id}"),
        ("GET", "/api/v0/project-triggers/{project_trigger_id}/test-samples"),
        ("POST", "/token"),
    }
    deprecated = {path for _, path in OPERATIONS if DOCUMENT["paths"][path].get("post", {}).get("deprecated")}
    assert deprecated == {path for _, path in OPERATIONS if path.endswith("/key/{api_key}")}


async def test_credentials_are_a_bearer_token_of_the_password_flow() -> None:
    [scheme] = DOCUMENT["components"]["securitySchemes"].items()
    assert scheme == (
        "OAuth2PasswordBearer",
        {"type": "oauth2", "flows": {"password": {"scopes": {}, "tokenUrl": "token"}}},
    )


# -- create, read, delete


async def test_a_schedule_that_may_surprise_is_answered_with_a_note_and_its_next_times(
    tenant: Tenant, project: str
) -> None:
    body = {"provider_id": "schedule", "trigger_id": "on_schedule", "trigger_config": {"cron": "0 9 1-7 * 1"}}

    made = await tenant.ask("POST", f"/projects/{project}/triggers", body, status=201)
    enabled = await tenant.ask("POST", f"/triggers/{made['project_trigger_id']}/enable")

    for answer in (made, enabled):
        assert "cron takes the two as alternatives" in answer["notes"][0]
        assert answer["notes"][-1].startswith("The next times are ")


async def test_a_created_trigger_has_the_published_fields_in_their_order_and_is_disabled(
    tenant: Tenant, project: str
) -> None:
    body = {
        "provider_id": "rss",
        "trigger_id": "on_item_published",
        "trigger_config_params": {"url": "https://example.com/feed", "polling_frequency": "10000"},
    }
    made = await tenant.ask("POST", f"/projects/{project}/triggers", body, status=201)

    _holds(made, FIELDS)
    UUID(made["project_trigger_id"])
    assert INSTANT.fullmatch(made["created_at"])
    assert made["updated_at"] == made["created_at"]
    assert made | {"project_trigger_id": "", "created_at": "", "updated_at": ""} == {
        "project_trigger_id": "",
        "project_id": project,
        "connection_id": None,
        "provider_id": "rss",
        "trigger_id": "on_item_published",
        "webhook_data": None,
        "cursor_data": None,
        "trigger_config": body["trigger_config_params"],
        "status": "DISABLED",
        "created_at": "",
        "updated_at": "",
        "created_by": str(tenant.caller.id),
        "updated_by": None,
        "name": None,
    }


async def test_a_trigger_keeps_its_connection(tenant: Tenant, project: str) -> None:
    connection = await tenant.ask(
        "POST", "/v1/connections", {"provider_id": "stripe", "secrets": {"api_key": "k"}}, status=201
    )
    id_ = await tenant.trigger(project, "stripe", "on_customer_created", {}, connection["id"])
    assert (await tenant.ask("GET", f"/triggers/{id_}"))["connection_id"] == connection["id"]


async def test_a_trigger_without_configuration_may_leave_it_out(tenant: Tenant, project: str) -> None:
    body = {"provider_id": "webhook", "trigger_id": "on_request"}
    made = await tenant.ask("POST", f"/projects/{project}/triggers", body, status=201)
    assert made["trigger_config"] == {"data": "read"}, "what new triggers get"


async def test_an_unknown_key_is_refused_and_named(tenant: Tenant, project: str) -> None:
    body = {"provider_id": "webhook", "trigger_id": "on_request"}
    for name in (
        "project_trigger_id",
        "cursor_data",
        "status",
        "created_by",
        "org_id",
        "trigger_confg",
        "triggerConfig",
    ):
        refusal = await tenant.ask("POST", f"/projects/{project}/triggers", {**body, name: {"x": 1}}, status=422)
        assert [issue["loc"] for issue in _issues(refusal)] == [["body", name]]
    assert await tenant.ask("GET", f"/projects/{project}/triggers") == []


async def test_the_configuration_has_either_of_its_two_names(tenant: Tenant, project: str) -> None:
    body = {"provider_id": "rss", "trigger_id": "on_item_published"}
    config = {"url": "https://example.com/feed", "polling_frequency": "10000"}
    path = f"/projects/{project}/triggers"
    for name in ("trigger_config", "trigger_config_params"):
        made = await tenant.ask("POST", path, {**body, name: config}, status=201)
        assert made["trigger_config"] == config
        refusal = await tenant.ask("POST", path, {**body, name: {**config, "ulr": "x"}}, status=422)
        assert [issue["loc"] for issue in _issues(refusal)] == [["body", name, "ulr"]]
    both = {**body, "trigger_config": config, "trigger_config_params": {"url": "https://example.com/other"}}
    await tenant.ask("POST", path, both, status=422)


async def test_what_an_api_key_makes_is_made_by_the_keys_owner(
    tenant: Tenant, anybody: httpx2.AsyncClient, project: str
) -> None:
    """A key that was made with another key has the same owner."""
    first = {"authorization": f"Bearer {await tenant.key()}"}
    made = await anybody.post("/v1/api-keys", json={"name": "Second", "scopes": [TRIGGER_API]}, headers=first)
    for key in (first, {"authorization": f"Bearer {made.json()['key']}"}):
        body = {"provider_id": "schedule", "trigger_id": "on_schedule", "trigger_config": {"cron": "0 9 * * *"}}
        trigger = (await anybody.post(f"/projects/{project}/triggers", json=body, headers=key)).json()
        assert trigger["created_by"] == str(tenant.caller.id)
        enabled = await anybody.post(f"/triggers/{trigger['project_trigger_id']}/enable", headers=key)
        assert enabled.json()["updated_by"] == str(tenant.caller.id)


async def test_the_triggers_of_a_project_are_an_array(tenant: Tenant, project: str, schedule: str) -> None:
    assert await tenant.ask("GET", f"/projects/{project}/triggers") == [
        await tenant.ask("GET", f"/triggers/{schedule}")
    ]


async def test_the_triggers_of_an_organisation_carry_their_projects_name_and_themselves(
    tenant: Tenant, project: str, schedule: str
) -> None:
    await tenant.ask("PATCH", f"/v1/projects/{project}", {"name": "Invoices"})
    trigger = await tenant.ask("GET", f"/triggers/{schedule}")
    assert await tenant.ask("GET", "/triggers") == [{**trigger, "project_name": "Invoices", "trigger": trigger}]


async def test_without_triggers_the_lists_are_empty_arrays(tenant: Tenant, project: str) -> None:
    assert await tenant.ask("GET", "/triggers") == []
    assert await tenant.ask("GET", f"/projects/{project}/triggers") == []


async def test_a_deleted_trigger_is_gone_and_the_answer_has_no_body(tenant: Tenant, schedule: str) -> None:
    await tenant.ask("POST", f"/triggers/{schedule}/enable")
    answer = await tenant.client.delete(f"/triggers/{schedule}")
    assert (answer.status_code, answer.content) == (204, b"")
    await tenant.ask("GET", f"/triggers/{schedule}", status=404)
    await tenant.ask("DELETE", f"/triggers/{schedule}", status=404)


# -- enable and disable


async def test_enabling_and_disabling_answer_with_the_trigger_and_can_be_repeated(
    tenant: Tenant, schedule: str
) -> None:
    enabled = await tenant.ask("POST", f"/triggers/{schedule}/enable")
    _holds(enabled, FIELDS)
    assert (enabled["status"], enabled["updated_by"]) == ("ENABLED", str(tenant.caller.id))
    assert enabled["updated_at"] > enabled["created_at"]
    assert await tenant.ask("GET", f"/triggers/{schedule}") == enabled
    assert await tenant.ask("POST", f"/triggers/{schedule}/enable") == enabled

    disabled = await tenant.ask("POST", f"/triggers/{schedule}/disable")
    assert disabled == {**enabled, "status": "DISABLED", "updated_at": disabled["updated_at"]}
    assert await tenant.ask("POST", f"/triggers/{schedule}/disable") == disabled
    assert await tenant.ask("GET", f"/triggers/{schedule}") == disabled


async def test_an_enabled_webhook_shows_its_address_and_no_secret(tenant: Tenant, project: str) -> None:
    id_, secret = await tenant.webhook(project)
    enabled = await tenant.ask("GET", f"/triggers/{id_}")
    assert enabled["webhook_data"]["url"] == f"http://hairtrigger.test/v1/webhooks/{id_}"
    assert set(enabled["webhook_data"]) == {"url", "repeats"}
    assert enabled["cursor_data"] is None
    assert secret not in json.dumps(enabled)
    assert (await tenant.ask("POST", f"/triggers/{id_}/disable"))["webhook_data"] is None


async def test_a_polling_trigger_has_a_cursor_from_the_moment_it_is_enabled_and_keeps_it(
    tenant: Tenant, project: str
) -> None:
    async with serving(answering(200, FEED)) as feed:
        id_ = await tenant.trigger(project, "rss", "on_item_published", {"url": feed.url, "polling_frequency": 3600})
        cursor = (await tenant.ask("POST", f"/triggers/{id_}/enable"))["cursor_data"]
        assert cursor
        assert (await tenant.ask("POST", f"/triggers/{id_}/disable"))["cursor_data"] == cursor
        assert (await tenant.ask("POST", f"/triggers/{id_}/enable"))["cursor_data"] == cursor


async def test_enabling_without_the_connection_it_needs_is_400(tenant: Tenant, project: str) -> None:
    id_ = await tenant.trigger(project, "stripe", "on_customer_created", {})
    refusal = await tenant.ask("POST", f"/triggers/{id_}/enable", status=400)
    _is_detail(refusal)
    assert "connection" in refusal["detail"]
    assert (await tenant.ask("GET", f"/triggers/{id_}"))["status"] == "DISABLED"


@pytest.mark.parametrize("status", [401, 404, 429, 500])
async def test_a_provider_that_refuses_is_502_and_the_trigger_stays_disabled(
    tenant: Tenant, project: str, status: int
) -> None:
    async with serving(answering(status)) as feed:
        id_ = await tenant.trigger(project, "rss", "on_item_published", {"url": feed.url})
        before = await tenant.ask("GET", f"/triggers/{id_}")
        _is_detail(await tenant.ask("POST", f"/triggers/{id_}/enable", status=502))
    assert await tenant.ask("GET", f"/triggers/{id_}") == before


# -- test samples


async def test_samples_come_from_the_provider_and_move_no_cursor(tenant: Tenant, project: str) -> None:
    async with serving(answering(200, FEED)) as feed:
        id_ = await tenant.trigger(project, "rss", "on_item_published", {"url": feed.url})
        found = await tenant.ask("GET", f"/api/v0/project-triggers/{id_}/test-samples")
    assert found["source"] == "live"
    assert {sample["title"] for sample in found["samples"]} == {"First", "Second"}
    assert (await tenant.ask("GET", f"/triggers/{id_}"))["cursor_data"] is None
    assert (await tenant.ask("GET", "/v1/events"))["data"] == []


async def test_a_trigger_that_can_not_be_asked_has_no_samples(tenant: Tenant, schedule: str) -> None:
    _is_detail(await tenant.ask("GET", f"/api/v0/project-triggers/{schedule}/test-samples", status=400))


async def test_without_a_connection_the_sample_is_the_example_of_the_provider_file(
    tenant: Tenant, project: str
) -> None:
    id_ = await tenant.trigger(project, "typeform", "on_form_submitted", {"form_id": "u6nXL7"})
    found = await tenant.ask("GET", f"/api/v0/project-triggers/{id_}/test-samples")
    assert found["source"] == "example"
    assert [sample["event_type"] for sample in found["samples"]] == ["form_response"]


async def test_a_provider_that_gives_no_samples_is_502(tenant: Tenant, project: str) -> None:
    async with serving(answering(500)) as feed:
        id_ = await tenant.trigger(project, "rss", "on_item_published", {"url": feed.url})
        _is_detail(await tenant.ask("GET", f"/api/v0/project-triggers/{id_}/test-samples", status=502))


# -- the catalogue


@pytest.mark.parametrize("provider", ["webhook", "schedule", "rss", "github", "slack", "stripe", "typeform"])
async def test_anybody_may_read_what_a_provider_offers(anybody: httpx2.AsyncClient, provider: str) -> None:
    answer = await anybody.get(f"/providers/{provider}/triggers")
    assert answer.status_code == 200
    definitions = answer.json()
    assert definitions
    for definition in definitions:
        _holds(definition, DEFINITION)
        assert definition["provider_id"] == provider
        assert definition["trigger_type"] in {"WEBHOOK", "POLLING", "SCHEDULED"}
        assert all(isinstance(tag, str) for tag in definition["tags"])
        one = await anybody.get(f"/providers/{provider}/triggers/{definition['trigger_id']}")
        assert (one.status_code, one.json()) == (200, definition)


async def test_the_one_published_pair_of_ids_is_there(anybody: httpx2.AsyncClient) -> None:
    found = (await anybody.get("/providers/stripe/triggers/on_customer_created")).json()
    assert (found["trigger_type"], found["version"], found["tags"]) == ("WEBHOOK", "1.0.0", [])


async def test_a_slash_at_the_end_leads_to_the_same_definition_without_a_redirect(anybody: httpx2.AsyncClient) -> None:
    path = "/providers/stripe/triggers/on_customer_created"
    with_slash = await anybody.get(path + "/")
    assert (with_slash.status_code, with_slash.json()) == (200, (await anybody.get(path)).json())


@pytest.mark.parametrize(
    ("definition", "type_", "verified", "sampled"),
    [
        ("stripe/triggers/on_customer_created", "WEBHOOK", False, True),
        ("slack/triggers/on_message_received", "WEBHOOK", True, False),
        ("rss/triggers/on_item_published", "POLLING", False, True),
        ("schedule/triggers/on_schedule", "SCHEDULED", False, False),
    ],
)
async def test_a_definition_says_how_its_trigger_works(
    anybody: httpx2.AsyncClient, definition: str, type_: str, *, verified: bool, sampled: bool
) -> None:
    found = (await anybody.get(f"/providers/{definition}")).json()
    assert found["trigger_type"] == type_
    assert found["webhook_requires_verification"] is verified
    assert found["can_get_test_samples"] is sampled


async def test_the_schema_of_a_definition_says_what_creating_accepts(tenant: Tenant, project: str) -> None:
    found = await tenant.ask("GET", "/providers/rss/triggers/on_item_published")
    assert found["config_schema"]["required"] == ["url"]
    body = {"provider_id": "rss", "trigger_id": "on_item_published", "trigger_config_params": {}}
    refusal = await tenant.ask("POST", f"/projects/{project}/triggers", body, status=422)
    assert refusal["detail"][0]["loc"] == ["body", "trigger_config_params", "url"]


async def test_the_schema_of_a_definition_takes_the_published_values(anybody: httpx2.AsyncClient) -> None:
    """`"10000"` is the example of the published page; what creating accepts, the schema accepts."""
    schema = (await anybody.get("/providers/rss/triggers/on_item_published")).json()["config_schema"]
    for frequency, fits in (("10000", True), (60, True), (None, True), ("often", False), (0, False)):
        config = {"url": "https://example.com/feed", "polling_frequency": frequency}
        assert Draft202012Validator(schema).is_valid(config) is fits


async def test_an_integration_is_a_provider_for_its_own_organisation(
    tenant: Tenant, stranger: Tenant, anybody: httpx2.AsyncClient
) -> None:
    key = {"authorization": f"Bearer {await tenant.key(INTEGRATION_API)}"}
    made = await anybody.post("/integrations/v1/create", json={"name": "Tracker"}, headers=key)
    integration = made.json()["integration"]["id"]
    trigger = {"name": "New Issue", "pollingCode": "return []"}
    await anybody.post(f"/integrations/v1/{integration}/triggers/create", json=trigger, headers=key)

    [definition] = await tenant.ask("GET", f"/providers/{integration}/triggers")
    _holds(definition, DEFINITION)
    assert (definition["trigger_type"], definition["trigger_id"]) == ("POLLING", "new-issue")
    assert definition["icon"] == ""
    icon = f"/integrations/v1/{integration}/icon"
    image = b"\x89PNG\r\n\x1a\npixels"
    await anybody.put(icon, files={"icon": ("icon.png", image)}, headers=key)
    [definition] = await tenant.ask("GET", f"/providers/{integration}/triggers")
    assert (await anybody.get(definition["icon"], headers=key)).content == image
    await stranger.ask("GET", f"/providers/{integration}/triggers", status=404)
    assert (await anybody.get(f"/providers/{integration}/triggers")).status_code == 404


async def test_what_is_public_is_answered_whatever_the_credentials(anybody: httpx2.AsyncClient) -> None:
    for path in ("/providers/stripe/triggers", "/providers/stripe/triggers/on_customer_created"):
        answer = await anybody.get(path, headers={"authorization": "Bearer wrong"})
        assert (answer.status_code, answer.json()) == (200, (await anybody.get(path)).json())


async def test_a_wrong_credential_is_refused_where_one_is_needed(anybody: httpx2.AsyncClient) -> None:
    answer = await anybody.get(f"/providers/{uuid4()}/triggers", headers={"authorization": "Bearer wrong"})
    assert answer.status_code == 401


# -- 401 and 403


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_without_credentials_a_route_is_401_and_says_which_it_wants(
    anybody: httpx2.AsyncClient, method: str, path: str
) -> None:
    for headers in ({}, {"authorization": "Basic dTpw"}, {"authorization": "Bearer"}):
        answer = await anybody.request(method, _filled(path), headers=headers, json=_body(method, path))
        assert answer.status_code == 401
        assert answer.json() == {"detail": "Not authenticated"}
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_token_that_is_not_ours_whole_and_fresh_is_401(
    service: Application, tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    token = tenant.client.headers["authorization"].removeprefix("Bearer ")
    head, claims, signature = token.split(".")
    now = int(time.time())
    mine = {"sub": str(tenant.caller.id), "iat": now, "exp": now + 60}
    ours = OctKey.import_key(service.accounts.token_key)
    assert (await _with(anybody, jwt.encode({"alg": "HS256"}, mine, ours))).status_code == 200

    wrong = {
        "cut": token[:-1],
        "of another signature": f"{head}.{claims}.{signature[::-1]}",
        "without a signature": f"{head}.{claims}.",
        "alg none": f"{_base64({'alg': 'none', 'typ': 'JWT'})}.{claims}.",
        "another's": jwt.encode({"alg": "HS256"}, mine, OctKey.import_key(b"somebody else's key of 32 bytes!")),
        "expired": jwt.encode({"alg": "HS256"}, {**mine, "exp": now - 1}, ours),
        "endless": jwt.encode({"alg": "HS256"}, {"sub": mine["sub"]}, ours),
        "nobody's": jwt.encode({"alg": "HS256"}, {**mine, "sub": str(uuid4())}, ours),
        "of another algorithm": jwt.encode({"alg": "HS512"}, mine, ours, algorithms=["HS512"]),
        "no text": "\x00",
        "a key": "htk_" + "x" * 51,
    }
    for what, value in wrong.items():
        answer = await _with(anybody, value)
        assert answer.status_code == 401, what
        assert answer.headers["www-authenticate"] == "Bearer", what
        _is_detail(answer.json())


@pytest.mark.parametrize(("method", "path"), PROTECTED)
async def test_a_key_without_the_scope_is_403(
    tenant: Tenant, anybody: httpx2.AsyncClient, method: str, path: str
) -> None:
    key = await tenant.key(INTEGRATION_API, ASSISTANT_API)
    headers = {"authorization": f"Bearer {key}"}
    answer = await anybody.request(method, _filled(path), headers=headers, json=_body(method, path))
    assert answer.status_code == 403
    _is_detail(answer.json())


async def test_a_key_with_the_scope_does_what_a_user_does(tenant: Tenant, project: str, schedule: str) -> None:
    tenant.client.headers["authorization"] = f"bearer {await tenant.key(TRIGGER_API)}"
    assert await tenant.ask("GET", f"/projects/{project}/triggers")


# -- 404 and 405


@pytest.mark.parametrize(("method", "path"), [one for one in WITH_TRIGGER if "{api_key}" not in one[1]])
async def test_a_trigger_that_does_not_exist_is_404(tenant: Tenant, method: str, path: str) -> None:
    _is_detail(await tenant.ask(method, _filled(path), status=404))


@pytest.mark.parametrize(
    ("path", "detail"),
    [
        ("/nothing", "Not Found"),
        ("/triggers/", "Not Found"),
        ("/projects/proj_none/triggers", "There is no project 'proj_none'."),
        ("/providers/strpe/triggers", "There is no provider 'strpe'."),
        ("/providers/strpe/triggers/on_customer_created", "There is no provider 'strpe'."),
        ("/providers/stripe/triggers/on_nothing", "The provider 'stripe' has no trigger 'on_nothing'."),
        (f"/providers/{UUID(int=1)}/triggers", f"There is no provider '{UUID(int=1)}'."),
    ],
)
async def test_what_does_not_exist_is_404_and_named(tenant: Tenant, path: str, detail: str) -> None:
    assert await tenant.ask("GET", path, status=404) == {"detail": detail}


@pytest.mark.parametrize(
    "change", [{"provider_id": "strpe"}, {"trigger_id": "on_nothing"}, {"connection_id": str(UUID(int=1))}]
)
async def test_a_trigger_of_nothing_that_exists_is_404(tenant: Tenant, project: str, change: dict[str, str]) -> None:
    body = {"provider_id": "stripe", "trigger_id": "on_customer_created", "trigger_config_params": {}, **change}
    _is_detail(await tenant.ask("POST", f"/projects/{project}/triggers", body, status=404))


async def test_a_trigger_of_a_project_that_does_not_exist_is_404(tenant: Tenant) -> None:
    body = {"provider_id": "webhook", "trigger_id": "on_request", "trigger_config_params": {}}
    _is_detail(await tenant.ask("POST", "/projects/proj_none/triggers", body, status=404))


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/triggers"), ("TRACE", "/triggers"), ("OPTIONS", "/triggers"), ("GET", "/token")]
)
async def test_another_method_is_405(tenant: Tenant, method: str, path: str) -> None:
    assert (await tenant.client.request(method, path)).status_code == 405


# -- 422


@pytest.mark.parametrize(("method", "path"), WITH_TRIGGER)
@pytest.mark.parametrize("id_", ["1", "not-a-uuid", f"{UUID(int=1)}0"])
async def test_an_id_that_is_no_uuid_is_422(tenant: Tenant, method: str, path: str, id_: str) -> None:
    refusal = await tenant.ask(method, _filled(path, project_trigger_id=id_), status=422)
    [issue] = _issues(refusal)
    assert issue["loc"] == ["path", "project_trigger_id"]


@pytest.mark.parametrize(
    ("body", "locations"),
    [
        ({}, [["body", "provider_id"], ["body", "trigger_id"]]),
        (None, [["body"]]),
        ([], [["body"]]),
        ({"provider_id": 1, "trigger_id": "t"}, [["body", "provider_id"]]),
        ({"provider_id": None, "trigger_id": "t"}, [["body", "provider_id"]]),
        ({"provider_id": "p", "trigger_id": ["t"]}, [["body", "trigger_id"]]),
        ({"provider_id": "p", "trigger_id": "t", "connection_id": "c"}, [["body", "connection_id"]]),
        ({"provider_id": "p", "trigger_id": "t", "trigger_config_params": []}, [["body", "trigger_config_params"]]),
        ({"provider_id": "p", "trigger_id": "t", "trigger_config_params": "x"}, [["body", "trigger_config_params"]]),
        ({"provider_id": "p", "trigger_id": "t", "trigger_config_params": None}, [["body", "trigger_config_params"]]),
    ],
)
async def test_a_body_that_does_not_fit_is_422_and_says_where(
    tenant: Tenant, project: str, body: Any, locations: list[list[str]]
) -> None:
    answer = await tenant.client.post(
        f"/projects/{project}/triggers", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert [issue["loc"] for issue in _issues(answer.json())] == locations


@pytest.mark.parametrize("body", ["", "{", "{'a': 1}", "\ufeff{}"])
async def test_a_body_that_is_no_json_is_422(tenant: Tenant, project: str, body: str) -> None:
    answer = await tenant.client.post(
        f"/projects/{project}/triggers", content=body, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    assert _issues(answer.json())[0]["loc"][0] == "body"


@pytest.mark.parametrize(
    ("provider", "trigger", "params", "name", "type_"),
    [
        ("rss", "on_item_published", {}, "url", "missing"),
        ("rss", "on_item_published", {"url": "no url"}, "url", "url_parsing"),
        ("rss", "on_item_published", {"url": "https://a.b/", "urll": "x"}, "urll", "extra_forbidden"),
        ("rss", "on_item_published", {"url": "https://a.b/", "polling_frequency": 0}, "polling_frequency", None),
        ("schedule", "on_schedule", {"cron": "every day"}, "cron", None),
        ("schedule", "on_schedule", {"cron": "0 9 * * *", "timezone": "Mars"}, "timezone", None),
        ("schedule", "on_schedule_once", {}, "run_at", "missing"),
        ("webhook", "on_request", {"scheme": "hope"}, "scheme", "literal_error"),
        ("stripe", "on_customer_created", {"k": "v"}, "k", "extra_forbidden"),
    ],
)
async def test_a_wrong_parameter_is_422_and_named(
    tenant: Tenant, project: str, provider: str, trigger: str, params: dict[str, Any], name: str, type_: str | None
) -> None:
    body = {"provider_id": provider, "trigger_id": trigger, "trigger_config_params": params}
    refusal = await tenant.ask("POST", f"/projects/{project}/triggers", body, status=422)
    [issue] = _issues(refusal)
    assert issue["loc"] == ["body", "trigger_config_params", name]
    assert type_ in {None, issue["type"]}
    assert await tenant.ask("GET", f"/projects/{project}/triggers") == []


async def test_a_connection_to_another_provider_is_422(tenant: Tenant, project: str) -> None:
    connection = await tenant.ask(
        "POST", "/v1/connections", {"provider_id": "stripe", "secrets": {"api_key": "k"}}, status=201
    )
    body = {"provider_id": "webhook", "trigger_id": "on_request", "connection_id": connection["id"]}
    refusal = await tenant.ask("POST", f"/projects/{project}/triggers", body, status=422)
    assert [issue["loc"] for issue in _issues(refusal)] == [["body", "connection_id"]]


# -- webhooks


async def test_a_request_to_a_triggers_address_is_accepted_once_it_is_stored(
    tenant: Tenant, anybody: httpx2.AsyncClient, project: str
) -> None:
    id_, secret = await tenant.webhook(project)
    answer = await anybody.post(f"/v1/webhooks/{id_}", content=b"{}", headers={"x-webhook-secret": secret})
    assert answer.status_code == 200
    assert answer.json()["status"] == "accepted"
    assert answer.headers["x-content-type-options"] == "nosniff"
    await tenant.ask("GET", f"/v1/events/{answer.json()['events'][0]}")


async def test_a_request_that_is_not_signed_is_401(tenant: Tenant, anybody: httpx2.AsyncClient, project: str) -> None:
    id_, _ = await tenant.webhook(project)
    for headers in ({}, {"x-webhook-secret": "wrong"}):
        answer = await anybody.post(f"/v1/webhooks/{id_}", content=b"{}", headers=headers)
        assert answer.status_code == 401
        _is_detail(answer.json())


async def test_a_request_to_a_disabled_trigger_is_ignored_without_an_error(
    tenant: Tenant, anybody: httpx2.AsyncClient, project: str
) -> None:
    id_, secret = await tenant.webhook(project)
    await tenant.ask("POST", f"/triggers/{id_}/disable")
    answer = await anybody.post(f"/v1/webhooks/{id_}", content=b"{}", headers={"x-webhook-secret": secret})
    assert answer.status_code == 200
    assert (answer.json()["status"], answer.json()["reason"]) == ("ignored", "disabled")


@pytest.mark.parametrize("webhook", ["stripe", "strpe", "1", str(UUID(int=1))])
async def test_an_address_nobody_has_is_404(anybody: httpx2.AsyncClient, webhook: str) -> None:
    answer = await anybody.post(f"/v1/webhooks/{webhook}", content=b"{}")
    assert answer.status_code == 404
    _is_detail(answer.json())


async def test_a_trigger_that_takes_no_webhooks_is_404(anybody: httpx2.AsyncClient, schedule: str) -> None:
    assert (await anybody.post(f"/v1/webhooks/{schedule}", content=b"{}")).status_code == 404


async def test_a_body_that_is_too_large_is_413(tenant: Tenant, anybody: httpx2.AsyncClient, project: str) -> None:
    id_, secret = await tenant.webhook(project)
    headers = {"x-webhook-secret": secret}
    answer = await anybody.post(f"/v1/webhooks/{id_}", content=b"x" * 100_001, headers=headers)
    assert answer.status_code == 413
    _is_detail(answer.json())


async def test_an_apps_challenge_is_answered_once_it_is_signed(anybody: httpx2.AsyncClient) -> None:
    body = json.dumps({"type": "url_verification", "challenge": "<b>3eZb"}).encode()
    sent_at = str(int(time.time()))
    signature = hmac.new(SLACK_SECRET.encode(), f"v0:{sent_at}:".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-slack-request-timestamp": sent_at, "x-slack-signature": f"v0={signature}"}
    answer = await anybody.post("/v1/webhooks/slack", content=body, headers=headers)
    assert (answer.status_code, answer.text) == (200, "<b>3eZb")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await anybody.post("/v1/webhooks/slack", content=body)).status_code == 401


# -- the deprecated routes


async def test_the_deprecated_webhook_route_takes_an_event_without_a_signature(
    tenant: Tenant, anybody: httpx2.AsyncClient, project: str
) -> None:
    id_, _ = await tenant.webhook(project)
    path = _by_key(tenant, id_, "webhook", await tenant.key(TRIGGER_API))
    answer = await anybody.post(path, content=b'{"amount": 1}')
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    _is_deprecated(answer)
    event = await tenant.ask("GET", f"/v1/events/{answer.json()['events'][0]}")
    assert event["body"] == '{"amount": 1}'

    for query, status in (
        ("?provider_id=webhook&trigger_id=on_request", 200),
        ("?provider_id=stripe", 404),
        ("?trigger_id=on_customer_created", 404),
    ):
        assert (await anybody.post(path + query, content=b"{}")).status_code == status
    assert (await anybody.post(path, content=b"x" * 100_001)).status_code == 413


async def test_the_deprecated_polling_route_polls_now(
    tenant: Tenant, anybody: httpx2.AsyncClient, project: str
) -> None:
    async with serving(answering(200, FEED)) as feed:
        id_ = await tenant.trigger(project, "rss", "on_item_published", {"url": feed.url, "polling_frequency": 3600})
        path = _by_key(tenant, id_, "polling", await tenant.key(TRIGGER_API))
        disabled = await anybody.post(path)
        await tenant.ask("POST", f"/triggers/{id_}/enable")
        await until(lambda: _has_polled(tenant, id_))
        answer = await anybody.post(path)
    assert disabled.status_code == 400
    _is_detail(disabled.json())
    assert (answer.status_code, answer.json()["events"]) == (200, [])
    _is_deprecated(answer)


async def test_the_deprecated_scheduled_route_fires_now(
    tenant: Tenant, anybody: httpx2.AsyncClient, schedule: str
) -> None:
    path = _by_key(tenant, schedule, "scheduled", await tenant.key(TRIGGER_API))
    disabled = await anybody.post(path)
    await tenant.ask("POST", f"/triggers/{schedule}/enable")
    answer = await anybody.post(path)
    assert disabled.status_code == 400
    _is_detail(disabled.json())
    assert (answer.status_code, answer.json()["status"]) == (200, "accepted")
    _is_deprecated(answer)
    assert [event["id"] for event in (await tenant.ask("GET", "/v1/events"))["data"]] == answer.json()["events"]


@pytest.mark.parametrize("kind", ["webhook", "polling", "scheduled"])
async def test_a_deprecated_route_of_another_kind_of_trigger_is_refused(
    tenant: Tenant, anybody: httpx2.AsyncClient, project: str, schedule: str, kind: str
) -> None:
    webhook, _ = await tenant.webhook(project)
    other = schedule if kind == "webhook" else webhook
    answer = await anybody.post(_by_key(tenant, other, kind, await tenant.key(TRIGGER_API)))
    assert answer.status_code in {400, 404}
    _is_detail(answer.json())


@pytest.mark.parametrize("kind", ["webhook", "polling", "scheduled"])
async def test_a_deprecated_route_checks_its_key(
    tenant: Tenant, stranger: Tenant, anybody: httpx2.AsyncClient, project: str, kind: str
) -> None:
    id_, _ = await tenant.webhook(project)
    key = await tenant.key(TRIGGER_API)
    for path, status in (
        (_by_key(tenant, id_, kind, key[:-1]), 401),
        (_by_key(tenant, id_, kind, "key"), 401),
        (_by_key(tenant, id_, kind, await tenant.key(INTEGRATION_API)), 403),
        (_by_key(tenant, id_, kind, await stranger.key(TRIGGER_API)), 404),
        (_by_key(stranger, id_, kind, key), 404),
        (_by_key(stranger, id_, kind, await stranger.key(TRIGGER_API)), 404),
        (_by_key(tenant, str(uuid4()), kind, key), 404),
    ):
        answer = await anybody.post(path, content=b"{}")
        assert answer.status_code == status, answer.text
        _is_detail(answer.json())


@pytest.fixture
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.getLogger("uvicorn.access").removeFilter(telemetry.mask_access_log)
    structlog.reset_defaults()


@pytest.mark.usefixtures("logging_as_it_was")
@pytest.mark.parametrize("as_json", [True, False])
async def test_a_key_in_a_path_is_never_logged(
    service: Application,
    tenant: Tenant,
    project: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    *,
    as_json: bool,
) -> None:
    monkeypatch.setattr(logging.getLogger("uvicorn.access"), "propagate", True)  # some servers end this
    id_, _ = await tenant.webhook(project)
    key = await tenant.key(TRIGGER_API)
    telemetry.configure(json=as_json, level="DEBUG")
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    server = uvicorn.Server(uvicorn.Config(service.asgi, log_config=None, lifespan="off"))
    async with asyncio.TaskGroup() as tasks, httpx2.AsyncClient(base_url=url) as client:
        tasks.create_task(server.serve(sockets=[listener]))
        for kind in ("webhook", "polling", "scheduled"):
            await client.post(_by_key(tenant, id_, kind, key) + f"?provider_id={key}")
        server.should_exit = True

    logged = capsys.readouterr().err
    assert key not in logged
    assert logged.count("/key/***") >= 3, "each of the requests has a line"


def _with(client: httpx2.AsyncClient, credential: str) -> Any:
    return client.get("/triggers", headers={"authorization": f"Bearer {credential}"})


def _base64(value: Any) -> str:
    return urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _filled(path: str, **ids: str) -> str:
    some = {"project_id": "proj_none", "api_key": "key", "org_id": str(UUID(int=1))}
    return path.format_map({**some, "project_trigger_id": str(UUID(int=1)), **ids})


def _body(method: str, path: str) -> Any:
    creates = (method, path) == ("POST", "/projects/{project_id}/triggers")
    return {"provider_id": "webhook", "trigger_id": "on_request"} if creates else None


def _by_key(tenant: Tenant, trigger_id: str, kind: str, key: str) -> str:
    return f"/organizations/{tenant.org_id}/triggers/{trigger_id}/{kind}/key/{key}"


async def _has_polled(tenant: Tenant, trigger_id: str) -> bool:
    """Return whether the trigger's first poll, which is due at once, has ended."""
    return (await tenant.ask("GET", f"/v1/project-triggers/{trigger_id}"))["last_at"] is not None


def _holds(found: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    assert list(found) == list(fields)
    wrong = {name: found[name] for name, type_ in fields.items() if not isinstance(found[name], type_)}
    assert not wrong


def _is_detail(body: Any) -> None:
    assert list(body) == ["detail"]
    assert isinstance(body["detail"], str)
    assert body["detail"]


def _issues(body: Any) -> list[dict[str, Any]]:
    """Check that a body is FastAPI's `HTTPValidationError`, and return its issues."""
    assert list(body) == ["detail"]
    for issue in body["detail"]:
        _holds(issue, {"loc": list, "msg": str, "type": str})
    found: list[dict[str, Any]] = body["detail"]
    return found


def _is_deprecated(answer: Any) -> None:
    assert re.fullmatch(r"@\d+", answer.headers["deprecation"]), "RFC 9745"
    assert answer.headers["sunset"].endswith(" GMT"), "RFC 8594"
