"""This service's own routes under /v1: what they accept, what they return, and which secrets they show only once."""

import asyncio
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx2
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import text

from hairtrigger.domain.caller import ASSISTANT_API, INTEGRATION_API, SCOPES, TRIGGER_API
from hairtrigger.domain.target import MASK
from hairtrigger.main import Application
from tests.api.conftest import PASSWORD, Tenant
from tests.support.documents import integrations_document, own_document, projects_document
from tests.support.servers import Server, answering, serving
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

DOCUMENT = json.loads(own_document())
OPERATIONS = [(method.upper(), path) for path, item in DOCUMENT["paths"].items() for method in item]
WITH_BODY = [(method, path) for method, path in OPERATIONS if "requestBody" in DOCUMENT["paths"][path][method.lower()]]

LOG = {"kind": "log"}
PROJECT = {
    "id": str,
    "name": str,
    "target": dict,
    "max_inflight": int,
    "order_by": str | None,
    "rate_limits": dict,
    "paused": bool,
    "created_at": str,
    "updated_at": str,
}
CONNECTION = {
    "id": str,
    "provider_id": str,
    "name": str,
    "way": str | None,
    "external_user_id": str | None,
    "scopes": list | None,
    "status": str,
    "status_since": str | None,
    "status_detail": str,
    "last_success_at": str | None,
    "last_refusal_at": str | None,
    "expires_at": str | None,
    "created_at": str,
    "updated_at": str,
}
API_KEY = {
    "id": str,
    "name": str,
    "prefix": str,
    "scopes": list,
    "created_at": str,
    "last_used_at": str | None,
    "expires_at": str | None,
}
EVENT = {
    "id": str,
    "project_id": str,
    "project_trigger_id": str,
    "key": str,
    "type": str,
    "subject": str | None,
    "occurred_at": str,
    "received_at": str,
    "content_type": str,
}
DELIVERY = {
    "id": str,
    "event_id": str,
    "event_type": str,
    "project_id": str,
    "project_trigger_id": str,
    "replay_of": str | None,
    "status": str,
    "attempts": int,
    "next_attempt_at": str | None,
    "detail": str | None,
    "created_at": str,
}
ATTEMPT = {
    "id": str,
    "number": int,
    "status": str,
    "failure": str | None,
    "response_status": int | None,
    "detail": str,
    "response": str,
    "conversation": list | None,
    "started_at": str,
    "finished_at": str,
}
CLOCKWORK = {
    "id": str,
    "name": str | None,
    "status": str,
    "health": dict,
    "paused": bool,
    "external_user_id": str | None,
    "webhook_url": str | None,
    "repeats": str | None,
    "privacy": dict,
    "next_at": str | None,
    "upcoming": list,
    "notes": list,
    "last_at": str | None,
    "failures_in_a_row": int,
    "failing_since": str | None,
    "last_error": str | None,
    "sweep": dict | None,
    "subscription": dict | None,
    "outcomes": list,
}
OUTCOME = {"kind": str, "code": str, "detail": str, "events": int, "count": int, "at": str}
POLL = {"code": str, "detail": str, "event_ids": list, "repeats": int, "console": list, "error_kind": str | None}


# -- projects


@pytest.mark.parametrize(
    "target",
    [
        {"kind": "log"},
        {
            "kind": "workflow",
            "url": "https://example.com/run",
            "timeout_seconds": 30,
            "headers": {},
            "auth": None,
            "format": "json",
            "template": None,
        },
        {
            "kind": "agent",
            "headers": {},
            "auth": None,
            "base_url": "https://example.com/v1",
            "model": "m",
            "system_prompt": None,
            "template": "{{event}}",
            "timeout_seconds": 100,
        },
    ],
)
async def test_a_project_shows_its_target_and_only_at_first_its_secret(tenant: Tenant, target: dict[str, Any]) -> None:
    body = {"name": " Project ", "target": target, "api_key": "agent key", "max_inflight": 3}
    made = await tenant.ask("POST", "/v1/projects", body, status=201)
    _holds(made, {**PROJECT, "signing_secret": str, "warnings": list})
    assert made["signing_secret"].startswith("whsec_")
    assert (made["name"], made["target"], made["max_inflight"]) == ("Project", target, 3)

    shown = {name: value for name, value in made.items() if name in PROJECT}
    assert await tenant.ask("GET", f"/v1/projects/{made['id']}") == shown
    assert await tenant.ask("GET", "/v1/projects") == {"data": [shown], "next_cursor": None}
    assert "agent key" not in json.dumps(made)


async def test_the_secrets_of_a_target_go_in_and_never_come_out(tenant: Tenant, service: Application) -> None:
    target = {
        "kind": "workflow",
        "url": "https://example.com/run",
        "headers": {"X-Api-Key": "s3cret-1"},
        "auth": {"kind": "basic", "username": "me", "password": "s3cret-2"},
    }
    made = await tenant.ask("POST", "/v1/projects", {"name": "P", "target": target}, status=201)
    path = f"/v1/projects/{made['id']}"
    assert made["target"]["headers"] == {"x-api-key": MASK}
    assert made["target"]["auth"] == {"kind": "basic", "username": "me", "password": MASK}
    answers = [made, await tenant.ask("GET", path), await tenant.ask("GET", "/v1/projects")]

    changed = {**made["target"], "url": "https://example.com/other", "format": "plain"}
    answers.append(await tenant.ask("PATCH", path, {"target": changed}))
    answers.append(await tenant.ask("PATCH", path, {"target": {**changed, "headers": {"x-new": MASK}}}, status=422))

    assert "s3cret" not in json.dumps(answers)
    async with service.store.transaction() as tx:
        row = text("SELECT target::text, secrets FROM project WHERE id = :id")
        stored, sealed = (await tx.connection.execute(row, {"id": made["id"]})).one()
    assert "s3cret" not in stored
    assert b"s3cret" not in sealed


async def test_a_workflow_keeps_its_format_until_another_is_named(tenant: Tenant, service: Application) -> None:
    target = {"kind": "workflow", "url": "https://example.com/run"}
    made = await tenant.ask("POST", "/v1/projects", {"name": "P", "target": target}, status=201)
    path = f"/v1/projects/{made['id']}"
    assert made["target"]["format"] == "json"
    async with service.store.transaction() as tx:  # as it was stored before there were formats
        older = text("UPDATE project SET target = CAST(:target AS jsonb) WHERE id = :id")
        await tx.connection.execute(older, {"target": json.dumps(target), "id": made["id"]})
    assert (await tenant.ask("GET", path))["target"]["format"] == "structured"
    moved = await tenant.ask("PATCH", path, {"target": {**target, "url": "https://example.com/other"}})
    assert moved["target"]["format"] == "structured"
    switched = await tenant.ask("PATCH", path, {"target": {**target, "format": "json"}})
    assert switched["target"]["format"] == "json"


async def test_a_key_beside_another_authorization_is_422(tenant: Tenant) -> None:
    target = {"kind": "workflow", "url": "https://example.com/run", "headers": {"Authorization": "Token 1"}}
    both = {"name": "P", "target": target, "api_key": "k"}
    _is_problem(await tenant.client.post("/v1/projects", json=both), 422)


async def test_a_change_of_a_project_changes_what_it_names(tenant: Tenant) -> None:
    before = await tenant.ask("POST", "/v1/projects", {"name": "Before", "target": LOG}, status=201)
    path = f"/v1/projects/{before['id']}"
    del before["signing_secret"]
    renamed = await tenant.ask("PATCH", path, {"name": "After"})
    assert renamed == {**before, "name": "After", "updated_at": renamed["updated_at"]}
    limited = await tenant.ask("PATCH", path, {"max_inflight": 1, "api_key": "agent key"})
    assert limited == {**renamed, "max_inflight": 1, "updated_at": limited["updated_at"]}
    assert {**await tenant.ask("GET", path), "warnings": []} == limited


async def test_a_new_project_has_the_ceiling_of_its_target_and_no_rate_limits(tenant: Tenant) -> None:
    workflow = {"kind": "workflow", "url": "https://example.com/run"}
    agent = {"kind": "agent", "base_url": "https://example.com/v1", "model": "m"}
    made = [
        await tenant.ask("POST", "/v1/projects", {"name": "P", "target": target}, status=201)
        for target in (workflow, agent)
    ]
    assert [one["max_inflight"] for one in made] == [200, 20]
    assert made[0]["rate_limits"] == {"per_second": None, "per_hour": None, "per_day": None}


async def test_rate_limits_are_replaced_as_a_whole_or_left_as_they_were(tenant: Tenant) -> None:
    body = {"name": "P", "target": LOG, "rate_limits": {"per_second": 1, "per_day": 100}}
    made = await tenant.ask("POST", "/v1/projects", body, status=201)
    path = f"/v1/projects/{made['id']}"
    assert made["rate_limits"] == {"per_second": 1, "per_hour": None, "per_day": 100}
    for change in ({"name": "Q"}, {"rate_limits": None}):
        assert (await tenant.ask("PATCH", path, change))["rate_limits"] == made["rate_limits"]
    changed = {"per_second": None, "per_hour": 5, "per_day": None}
    assert (await tenant.ask("PATCH", path, {"rate_limits": {"per_hour": 5}}))["rate_limits"] == changed
    assert (await tenant.ask("GET", path))["rate_limits"] == changed


async def test_a_rotated_secret_is_new_and_shown_once(tenant: Tenant) -> None:
    made = await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201)
    rotated = await tenant.ask("POST", f"/v1/projects/{made['id']}/secret", {"overlap_seconds": 0})
    assert list(rotated) == ["secret"]
    assert rotated["secret"] != made["signing_secret"]
    assert rotated["secret"] not in json.dumps(await tenant.ask("GET", f"/v1/projects/{made['id']}"))


async def test_a_project_is_deleted_with_its_triggers_once_they_are_disabled(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_, _ = await tenant.webhook(project)
    _is_problem(await tenant.client.delete(f"/v1/projects/{project}"), 409)
    await tenant.ask("POST", f"/triggers/{id_}/disable")
    assert (await tenant.client.delete(f"/v1/projects/{project}")).content == b""
    await tenant.ask("GET", f"/v1/projects/{project}", status=404)
    await tenant.ask("GET", f"/triggers/{id_}", status=404)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"target": LOG}, ["body", "name"]),
        ({"name": " ", "target": LOG}, ["body", "name"]),
        ({"name": "x" * 201, "target": LOG}, ["body", "name"]),
        ({"name": "P"}, ["body", "target"]),
        ({"name": "P", "target": {"kind": "hope"}}, ["body", "target"]),
        ({"name": "P", "target": {"kind": "log", "url": "https://a.b"}}, ["body", "target", "log", "url"]),
        ({"name": "P", "target": {"kind": "workflow", "url": "ftp://a.b"}}, ["body", "target", "workflow", "url"]),
        ({"name": "P", "target": LOG, "max_inflight": 0}, ["body", "max_inflight"]),
        ({"name": "P", "target": LOG, "api_key": ""}, ["body", "api_key"]),
        ({"name": "P", "target": LOG, "rate_limits": {"per_second": 0}}, ["body", "rate_limits", "per_second"]),
        ({"name": "P", "target": LOG, "rate_limits": {"per_hour": 1.5}}, ["body", "rate_limits", "per_hour"]),
        ({"name": "P", "target": LOG, "rate_limits": {"per_day": 10**12}}, ["body", "rate_limits", "per_day"]),
        ({"name": "P", "target": LOG, "rate_limits": {"per_week": 1}}, ["body", "rate_limits", "per_week"]),
    ],
)
async def test_a_project_that_can_not_be_is_422_and_says_where(
    tenant: Tenant, body: dict[str, Any], where: list[str]
) -> None:
    problem = _is_problem(await tenant.client.post("/v1/projects", json=body), 422)
    assert [error["path"] for error in problem["errors"]] == [where]


# -- connections


async def test_the_secrets_of_a_connection_go_in_and_never_come_out(tenant: Tenant) -> None:
    body = {"provider_id": "stripe", "name": "Live", "secrets": {"api_key": "sk_live_1"}}
    made = await tenant.ask("POST", "/v1/connections", body, status=201)
    check = made.pop("check")
    assert check.startswith("It could not be checked at Stripe: ")
    _holds(made, CONNECTION)
    path = f"/v1/connections/{made['id']}"
    changed = await tenant.ask("PATCH", path, {"name": "Test", "secrets": {"api_key": "sk_test_2"}})
    anew = {name: changed[name] for name in ("updated_at", "status_since")}
    assert changed == {**made, "name": "Test", **anew}
    assert await tenant.ask("GET", path) == changed
    assert await tenant.ask("GET", "/v1/connections") == {"data": [changed], "next_cursor": None}
    assert await tenant.ask("GET", "/v1/connections?provider_id=github") == {"data": [], "next_cursor": None}
    assert await tenant.ask("GET", "/v1/connections?provider_id=stripe") == {"data": [changed], "next_cursor": None}


@pytest.mark.parametrize("secrets", [{}, {"api_key": ""}, {"key": "k"}, {"api_key": None}, {"api_key": 1}])
async def test_a_connection_without_the_secret_its_provider_needs_is_422(
    tenant: Tenant, secrets: dict[str, Any]
) -> None:
    answer = await tenant.client.post("/v1/connections", json={"provider_id": "stripe", "secrets": secrets})
    problem = _is_problem(answer, 422)
    assert [error["path"][-1] for error in problem["errors"]] == ["api_key"]
    made = await tenant.ask(
        "POST", "/v1/connections", {"provider_id": "stripe", "secrets": {"api_key": "k"}}, status=201
    )
    _is_problem(await tenant.client.patch(f"/v1/connections/{made['id']}", json={"secrets": secrets}), 422)


async def test_a_connection_to_nobody_is_404(tenant: Tenant) -> None:
    _is_problem(await tenant.client.post("/v1/connections", json={"provider_id": "strpe", "secrets": {}}), 404)


async def test_a_connection_is_deleted_when_no_enabled_trigger_uses_it(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    connection = (await tenant.ask("POST", "/v1/connections", {"provider_id": "rss", "secrets": {}}, status=201))["id"]
    async with serving(answering(200, b"<rss version='2.0'><channel><title>News</title></channel></rss>")) as feed:
        params = {"url": feed.url, "polling_frequency": 3600}
        id_ = await tenant.trigger(project, "rss", "on_item_published", params, connection)
        await tenant.ask("POST", f"/triggers/{id_}/enable")
    _is_problem(await tenant.client.delete(f"/v1/connections/{connection}"), 409)
    await tenant.ask("POST", f"/triggers/{id_}/disable")
    assert (await tenant.client.delete(f"/v1/connections/{connection}")).status_code == 204
    assert (await tenant.ask("GET", f"/triggers/{id_}"))["connection_id"] is None


# -- API keys


async def test_a_key_is_shown_once(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    expires = (datetime.now(UTC) + timedelta(days=90)).replace(microsecond=0)
    body = {"name": "CI", "scopes": [TRIGGER_API, TRIGGER_API], "expires_at": expires.isoformat()}
    made = await tenant.ask("POST", "/v1/api-keys", body, status=201)
    _holds(made, {**API_KEY, "key": str})
    assert made["key"].startswith(made["prefix"])
    assert len(made["prefix"]) < len(made["key"]) / 4
    assert made["scopes"] == [TRIGGER_API]
    assert datetime.fromisoformat(made["expires_at"]) == expires
    assert made["last_used_at"] is None

    shown = {name: value for name, value in made.items() if name != "key"}
    assert (await tenant.ask("GET", "/v1/api-keys"))["data"] == [shown]
    assert (await _as(anybody, made["key"], "/v1/projects")).status_code == 200
    [used] = (await tenant.ask("GET", "/v1/api-keys"))["data"]
    assert used == {**shown, "last_used_at": used["last_used_at"]}
    assert abs(datetime.now(UTC) - datetime.fromisoformat(used["last_used_at"])) < timedelta(minutes=1)


async def test_a_deleted_key_opens_nothing(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    made = await tenant.ask("POST", "/v1/api-keys", {"name": "Key", "scopes": [TRIGGER_API]}, status=201)
    assert (await tenant.client.delete(f"/v1/api-keys/{made['id']}")).status_code == 204
    _is_problem(await _as(anybody, made["key"], "/v1/projects"), 401)
    _is_problem(await tenant.client.delete(f"/v1/api-keys/{made['id']}"), 404)


async def test_an_expired_key_opens_nothing(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    body = {"name": "Old", "scopes": list(SCOPES), "expires_at": "9000-01-01T00:00:00Z"}
    made = await tenant.ask("POST", "/v1/api-keys", body, status=201)
    async with tenant.app.store.transaction() as tx:
        expired = text("UPDATE api_key SET expires_at = '2001-01-01T00:00:00Z' WHERE id = CAST(:id AS uuid)")
        await tx.connection.execute(expired, {"id": made["id"]})
    _is_problem(await _as(anybody, made["key"], "/v1/projects"), 401)
    assert (await _as(anybody, made["key"], "/triggers")).status_code == 401
    assert (await _as(anybody, made["key"], "/integrations/v1/get")).status_code == 401


async def test_a_key_that_was_changed_is_401(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    key = await tenant.key(TRIGGER_API)
    other = "A" if key[10] != "A" else "B"
    for value in (key[:-1], key + "0", key[:10] + other + key[11:], key.upper(), "htk_", key.removeprefix("htk_")):
        answer = await _as(anybody, value, "/v1/projects")
        _is_problem(answer, 401)
        assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_key_hands_out_no_scope_that_it_lacks(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    key = {"authorization": f"Bearer {await tenant.key(TRIGGER_API)}"}
    wider = {"name": "More", "scopes": [TRIGGER_API, INTEGRATION_API]}
    _is_problem(await anybody.post("/v1/api-keys", json=wider, headers=key), 403)
    same = await anybody.post("/v1/api-keys", json={"name": "Same", "scopes": [TRIGGER_API]}, headers=key)
    assert same.status_code == 201


@pytest.mark.parametrize("scopes", [[], ["ADMIN"], "TRIGGER_API", None])
async def test_a_key_of_no_known_scope_is_422(tenant: Tenant, scopes: Any) -> None:
    _is_problem(await tenant.client.post("/v1/api-keys", json={"name": "Key", "scopes": scopes}), 422)


# -- organisations and logging in


async def test_the_operator_creates_an_organisation_whose_user_can_log_in(
    tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    email = f"{uuid4()}@example.com"
    body = {"name": "Acme", "email": email.upper(), "password": PASSWORD}
    made = await tenant.ask("POST", "/v1/organizations", body, status=201)
    _holds(made, {"id": str, "name": str, "created_at": str})
    answer = await anybody.post("/token", data={"username": f" {email}", "password": PASSWORD})
    assert answer.status_code == 200
    token = answer.json()
    assert list(token) == ["access_token", "token_type", "expires_in"]
    assert token["token_type"] == "bearer"
    anybody.headers["authorization"] = f"Bearer {token['access_token']}"
    assert (await anybody.get("/v1/organizations/current")).json() == made
    assert (await anybody.get("/v1/projects")).json()["data"] == []

    not_the_operator = await anybody.post("/v1/organizations", json={**body, "email": "other@example.com"})
    _is_problem(not_the_operator, 403)
    _is_problem(await tenant.client.post("/v1/organizations", json=body), 409)


async def test_a_key_is_no_operator(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    body = {"name": "Acme", "email": f"{uuid4()}@example.com", "password": PASSWORD}
    key = {"authorization": f"Bearer {await tenant.key()}"}
    _is_problem(await anybody.post("/v1/organizations", json=body, headers=key), 403)


@pytest.mark.parametrize("change", [{"email": "nobody"}, {"email": "a b@c"}, {"password": "short"}, {"name": ""}])
async def test_an_organisation_that_can_not_be_is_422(tenant: Tenant, change: dict[str, str]) -> None:
    body = {"name": "Acme", "email": f"{uuid4()}@example.com", "password": PASSWORD, **change}
    problem = _is_problem(await tenant.client.post("/v1/organizations", json=body), 422)
    assert [error["path"][-1] for error in problem["errors"]] == list(change)


async def test_logging_in_says_the_same_of_a_wrong_password_and_of_nobody(
    tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    wrong = await anybody.post("/token", data={"username": tenant.email, "password": "wrong"})
    nobody = await anybody.post("/token", data={"username": f"{uuid4()}@example.com", "password": "wrong"})
    assert (wrong.status_code, wrong.json()) == (nobody.status_code, nobody.json())
    assert wrong.status_code == 400
    sentence = "The e-mail address or the password is wrong."
    assert wrong.json() == {"error": "invalid_grant", "error_description": sentence, "detail": sentence}


@pytest.mark.parametrize(
    ("form", "error"),
    [
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "username": "a@b", "password": "p"}, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "a@b"}, "invalid_request"),
        ({"grant_type": "password", "password": "p"}, "invalid_request"),
        ({}, "invalid_request"),
        ({"username": "\0", "password": "p"}, "invalid_request"),
    ],
)
async def test_a_form_that_gives_no_token_says_why_as_oauth_does(
    anybody: httpx2.AsyncClient, form: dict[str, str], error: str
) -> None:
    answer = await anybody.post("/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.json()["detail"] == answer.json()["error_description"] != ""


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "text/plain", ""])
async def test_what_is_no_form_gives_no_token(anybody: httpx2.AsyncClient, content_type: str) -> None:
    answer = await anybody.post("/token", content=b'{"username": "a"}', headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
async def test_no_cache_keeps_a_token(tenant: Tenant, anybody: httpx2.AsyncClient, password: str) -> None:
    form = {"grant_type": "password", "username": tenant.email, "password": password}
    answer = await anybody.post("/token", data=form)
    assert answer.status_code == (200 if password == PASSWORD else 400)
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")


async def test_guessing_a_password_is_slowed_down_and_its_owner_is_not(
    tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    async def log_in(username: str, password: str = "wrong") -> httpx2.Response:
        return await anybody.post("/token", data={"username": username, "password": password})

    answers = [await log_in(name) for name in (tenant.email, tenant.email.upper(), f" {tenant.email} ") * 4]
    refused = next(answer for answer in answers if answer.status_code != 400)
    assert refused.status_code == 429
    assert refused.json()["error"] == "temporarily_unavailable"
    assert int(refused.headers["retry-after"]) > 0
    assert (await log_in(f"{uuid4()}@example.com")).status_code == 400, "others are not held up"
    assert (await log_in(tenant.email, PASSWORD)).status_code == 200, "nor is the owner"


async def test_two_passwords_are_looked_at_at_a_time_whether_their_users_exist_or_not(
    tenant: Tenant, anybody: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = _Counting()
    monkeypatch.setattr("hairtrigger.services.accounts._passwords", PasswordHash((hasher,)))

    async def log_in(email: str) -> int:
        return (await anybody.post("/token", data={"username": email, "password": "wrong"})).status_code

    names = [tenant.email, *(f"{uuid4()}@example.com" for _ in range(5))]
    assert await asyncio.gather(*map(log_in, names)) == [400] * 6
    assert (hasher.most, hasher.count) == (2, 6)


async def test_logins_beyond_those_that_can_wait_are_429(
    anybody: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher = _Counting(let_go=threading.Event())
    monkeypatch.setattr("hairtrigger.services.accounts._passwords", PasswordHash((hasher,)))

    async def log_in() -> httpx2.Response:
        return await anybody.post("/token", data={"username": f"{uuid4()}@example.com", "password": "wrong"})

    tasks = [asyncio.create_task(log_in()) for _ in range(30)]
    refused = 0
    while refused < 30 - 18:
        await asyncio.wait([task for task in tasks if not task.done()], return_when=asyncio.FIRST_COMPLETED)
        refused = sum(task.done() for task in tasks)
    for task in tasks:
        if task.done():
            assert task.result().status_code == 429
            assert int(task.result().headers["retry-after"]) > 0
            assert task.result().json()["error"] == "temporarily_unavailable"
    hasher.let_go.set()
    await asyncio.gather(*tasks)
    assert hasher.most <= 2


class _Counting(Argon2Hasher):
    """Count the passwords that are checked, in all and at a time. Without `let_go`, two checks wait for each other."""

    def __init__(self, let_go: threading.Event | None = None) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.let_go = let_go or threading.Event()
        self.count = self.at_once = self.most = 0
        self._together = None if let_go else threading.Barrier(2)
        self._lock = threading.Lock()

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002
        with self._lock:
            self.count += 1
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        if self._together:
            self._together.wait(60)
        else:
            self.let_go.wait(60)
        with self._lock:
            self.at_once -= 1
        return super().verify(password, hash)


async def test_right_passwords_do_not_count(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    for _ in range(30):
        answer = await anybody.post("/token", data={"username": tenant.email, "password": PASSWORD})
        assert answer.status_code == 200


async def test_an_answer_is_not_handed_to_a_caller_with_other_rights(
    tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    """A caller with fewer scopes gets neither the stored answer nor a hint that the idempotency key was used."""
    body = {"name": "More", "scopes": [TRIGGER_API, INTEGRATION_API]}
    first = await tenant.client.post("/v1/api-keys", json=body, headers={"idempotency-key": "once"})
    assert first.status_code == 201
    fewer = {"authorization": f"Bearer {await tenant.key(TRIGGER_API)}", "idempotency-key": "once"}
    _is_problem(await anybody.post("/v1/api-keys", json=body, headers=fewer), 403)

    again = await tenant.client.post("/v1/api-keys", json=body, headers={"idempotency-key": "once"})
    assert again.json() == first.json()
    same = {**body, "scopes": [TRIGGER_API]}
    own = [await anybody.post("/v1/api-keys", json=same, headers=fewer) for _ in range(2)]
    assert [answer.status_code for answer in own] == [201, 201]
    assert own[0].json() == own[1].json()


async def test_an_organisation_that_the_operator_made_is_not_told_to_another_user(
    tenant: Tenant, anybody: httpx2.AsyncClient, service: Application
) -> None:
    body = {"name": "Acme", "email": f"{uuid4()}@example.com", "password": PASSWORD}
    once = {"idempotency-key": "once"}
    assert (await tenant.client.post("/v1/organizations", json=body, headers=once)).status_code == 201
    async with service.store.transaction() as tx:
        await tx.connection.execute(
            text("UPDATE app_user SET operator = false WHERE email = :email"), {"email": tenant.email}
        )
    _is_problem(await tenant.client.post("/v1/organizations", json=body, headers=once), 403)


@pytest.mark.parametrize("path", ["/v1/projects", "/v1/polling-code/dry-run", "/projects/proj_none/triggers"])
@pytest.mark.parametrize("headers", [{}, {"idempotency-key": "key"}])
async def test_nothing_is_read_of_a_body_before_its_sender_is_known(
    service: Application, path: str, headers: dict[str, str]
) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    await service.asgi({**scope, "headers": raw, "client": ("127.0.0.1", 1), "scheme": "http"}, receive, send)
    assert sent[0]["status"] == 401


# -- events and deliveries


async def test_an_event_and_its_delivery_have_these_fields(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url)
    id_, secret = await tenant.webhook(project["id"], {"event_id": "/id"})
    event_id = await _send(anybody, id_, secret, b'{"id": "evt_1"}')
    [delivery] = await until(lambda: tenant.deliveries(status="delivered"))

    event = await tenant.ask("GET", f"/v1/events/{event_id}")
    _holds(
        event,
        {
            **EVENT,
            "body": str,
            "body_encoding": str,
            "body_dropped": str | None,
            "request": dict | None,
            "deliveries": list,
        },
    )
    assert event["deliveries"] == [delivery]
    assert (event["key"], event["type"]) == ("evt_1", "webhook.on_request")
    assert (event["body"], event["body_encoding"]) == ('{"id": "evt_1"}', "utf-8")
    listed = await tenant.ask("GET", "/v1/events")
    assert listed == {"data": [{name: event[name] for name in EVENT}], "next_cursor": None}

    _holds(delivery, DELIVERY)
    assert (delivery["status"], delivery["attempts"], delivery["replay_of"]) == ("delivered", 1, None)
    detail = await tenant.ask("GET", f"/v1/deliveries/{delivery['id']}")
    _holds(detail, {**DELIVERY, "history": list})
    [attempt] = detail["history"]
    _holds(attempt, ATTEMPT)
    assert (attempt["number"], attempt["status"], attempt["response_status"]) == (1, "delivered", 200)


async def test_method_query_and_headers_are_shown_with_the_event_and_reach_the_target(
    tenant: Tenant, anybody: httpx2.AsyncClient, target: Server
) -> None:
    project = await tenant.project(target.url)
    id_, secret = await tenant.webhook(project["id"], {"event_type": "header:X-Shopify-Topic"})
    headers = {"x-webhook-secret": secret, "x-shopify-topic": "orders/create", "cookie": "a=b"}
    answer = await anybody.put(f"/v1/webhooks/{id_}?source=a", content=b"{}", headers=headers)
    [event_id] = answer.json()["events"]

    event = await tenant.ask("GET", f"/v1/events/{event_id}")
    assert event["type"] == "orders/create"
    assert (event["request"]["method"], event["request"]["query"]) == ("PUT", {"source": "a"})
    assert event["request"]["headers"]["x-shopify-topic"] == "orders/create"
    assert not {"x-webhook-secret", "cookie"} & set(event["request"]["headers"])
    await until(lambda: tenant.deliveries(status="delivered"))
    assert b"orders/create" in target.seen[0].body
    assert b"requestmethod" in target.seen[0].body


@pytest.mark.parametrize("pasted", ["a secret of theirs\n", "\r\n a secret of theirs \t"])
async def test_what_is_pasted_around_a_secret_is_no_part_of_it(
    tenant: Tenant, anybody: httpx2.AsyncClient, pasted: str
) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_, _ = await tenant.webhook(project)
    made = await tenant.ask("POST", f"/v1/project-triggers/{id_}/secret", {"secret": pasted})
    assert made["secret"] == "a secret of theirs"
    await _send(anybody, id_, "a secret of theirs", b"{}")


@pytest.mark.parametrize("secret", ["two\nlines of it", "a\x00 secret", "   short   ", " " * 20])
async def test_a_secret_that_no_sender_could_send_is_422(tenant: Tenant, secret: str) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_, _ = await tenant.webhook(project)
    problem = await tenant.client.post(f"/v1/project-triggers/{id_}/secret", json={"secret": secret})
    assert _is_problem(problem, 422)["errors"][0]["path"] == ["body", "secret"]
    if "\n" in secret or "\0" in secret:
        body = {"provider_id": "stripe", "secrets": {"api_key": secret}}
        _is_problem(await tenant.client.post("/v1/connections", json=body), 422)


async def test_a_secret_that_the_sender_s_scheme_can_not_use_is_422(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_ = await tenant.trigger(project, "webhook", "on_request", {"sender": "standard_webhooks"})
    path = f"/v1/project-triggers/{id_}/secret"
    problem = _is_problem(await tenant.client.post(path, json={"secret": "no base64 at all!"}), 422)
    assert problem["errors"][0]["path"] == ["secret"]
    assert "would refuse every request" in problem["detail"]


async def test_a_trigger_says_what_counts_as_a_repeat(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_ = await tenant.trigger(project, "webhook", "on_request", {"sender": "stripe"})
    assert "same id (/id)" in (await tenant.ask("GET", f"/v1/project-triggers/{id_}"))["repeats"]


async def test_a_body_that_is_no_text_is_shown_in_base64(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_, secret = await tenant.webhook(project)
    event = await tenant.ask("GET", f"/v1/events/{await _send(anybody, id_, secret, bytes([0xFF, 0]))}")
    assert (event["body"], event["body_encoding"]) == ("/wA=", "base64")


@pytest.mark.parametrize("path", ["/v1/events", "/v1/deliveries"])
async def test_pages_hold_everything_once_newest_first(tenant: Tenant, anybody: httpx2.AsyncClient, path: str) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_, secret = await tenant.webhook(project)
    sent = [await _send(anybody, id_, secret, b"{}") for _ in range(5)]

    pages = [await tenant.ask("GET", f"{path}?limit=2")]
    while cursor := pages[-1]["next_cursor"]:
        pages.append(await tenant.ask("GET", f"{path}?limit=2&cursor={cursor}"))
    assert [len(page["data"]) for page in pages] == [2, 2, 1]
    assert [one["id"] for page in pages for one in page["data"]] == sent[::-1]


@pytest.mark.parametrize(
    "question",
    [
        *(f"{path}?{wrong}" for path in ("events", "deliveries") for wrong in ("limit=0", "limit=201", "cursor=x")),
        "events?project_trigger_id=x",
        "events?since=yesterday",
        "events?since=2025-01-01T00:00:00",
        "deliveries?status=lost",
        "deliveries?event_id=1",
    ],
)
async def test_a_question_that_makes_no_sense_is_422(tenant: Tenant, question: str) -> None:
    problem = _is_problem(await tenant.client.get(f"/v1/{question}"), 422)
    name = question.partition("?")[2].partition("=")[0]
    assert [error["path"] for error in problem["errors"]] == [["query", name]]


async def test_events_since_a_time_are_those_and_no_others(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_, secret = await tenant.webhook(project)
    event_id = await _send(anybody, id_, secret, b"{}")
    for since, found in ((timedelta(hours=-1), [event_id]), (timedelta(hours=1), [])):
        params = {"since": (datetime.now(UTC) + since).isoformat()}
        answer = await tenant.client.get("/v1/events", params=params)
        assert [event["id"] for event in answer.json()["data"]] == found


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_a_time_before_the_first_or_after_the_last_is_422(tenant: Tenant, at: str) -> None:
    key = {"name": "Key", "scopes": [TRIGGER_API], "expires_at": at}
    _is_problem(await tenant.client.post("/v1/api-keys", json=key), 422)
    _is_problem(await tenant.client.post("/v1/replays", json={"since": at}), 422)
    _is_problem(await tenant.client.get("/v1/events", params={"since": at}), 422)


async def test_a_replay_is_a_new_delivery_of_the_same_event(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_, secret = await tenant.webhook(project)
    event_id = await _send(anybody, id_, secret, b"{}")
    await until(lambda: tenant.deliveries(status="delivered"))
    replayed = await tenant.ask("POST", f"/v1/events/{event_id}/replay", status=201)
    delivery = await tenant.ask("GET", f"/v1/deliveries/{replayed['delivery_id']}")
    assert delivery["event_id"] == delivery["replay_of"] == event_id
    assert delivery["id"] != event_id


# -- project triggers


async def test_a_trigger_says_where_it_stands(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_ = await tenant.trigger(project, "schedule", "on_schedule", {"cron": "0 9 * * *", "timezone": "Europe/Berlin"})
    disabled = await tenant.ask("GET", f"/v1/project-triggers/{id_}")
    _holds(disabled, CLOCKWORK)
    assert (disabled["status"], disabled["next_at"], disabled["upcoming"]) == ("DISABLED", None, [])

    await tenant.ask("POST", f"/triggers/{id_}/enable")
    enabled = await tenant.ask("GET", f"/v1/project-triggers/{id_}")
    assert enabled["status"] == "ENABLED"
    assert enabled["upcoming"][0] == enabled["next_at"]
    assert len(enabled["upcoming"]) == 10
    [outcome] = enabled["outcomes"]
    _holds(outcome, OUTCOME)
    assert (outcome["kind"], outcome["code"]) == ("trigger", "enabled")


async def test_why_enabling_failed_can_be_read_afterwards(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    async with serving(answering(500)) as feed:
        id_ = await tenant.trigger(project, "rss", "on_item_published", {"url": feed.url})
        await tenant.ask("POST", f"/triggers/{id_}/enable", status=502)
    [outcome] = (await tenant.ask("GET", f"/v1/project-triggers/{id_}"))["outcomes"]
    assert (outcome["kind"], outcome["code"]) == ("registration", "failed")
    assert "500" in outcome["detail"]


async def test_why_a_trigger_fails_since_when_and_when_it_is_tried_again_can_be_read(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    feed = b"<rss version='2.0'><channel><title>News</title></channel></rss>"
    async with serving(answering(200, feed)) as server:
        params = {"url": server.url, "polling_frequency": 3600}
        id_ = await tenant.trigger(project, "rss", "on_item_published", params)
        await tenant.ask("POST", f"/triggers/{id_}/enable")
        await until(lambda: _has_polled(tenant, id_))
        well = await tenant.ask("GET", f"/v1/project-triggers/{id_}")
    result = await tenant.ask("POST", f"/v1/project-triggers/{id_}/poll")

    assert (well["failures_in_a_row"], well["failing_since"], well["last_error"]) == (0, None, None)
    ill = await tenant.ask("GET", f"/v1/project-triggers/{id_}")
    _holds(ill, CLOCKWORK)
    assert (ill["failures_in_a_row"], ill["last_error"]) == (1, result["detail"])
    assert ill["failing_since"] < ill["next_at"]


async def test_a_poll_now_answers_with_what_came_of_it(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    items = ["<item><guid isPermaLink='false'>1</guid></item>"]

    async def feed(_: Any, writer: Any) -> None:
        body = f"<rss version='2.0'><channel><title>News</title>{''.join(items)}</channel></rss>".encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))

    async with serving(feed) as server:
        params = {"url": server.url, "polling_frequency": 3600}
        id_ = await tenant.trigger(project, "rss", "on_item_published", params)
        path = f"/v1/project-triggers/{id_}/poll"
        _is_problem(await tenant.client.post(path), 400)
        await tenant.ask("POST", f"/triggers/{id_}/enable")
        await until(lambda: _has_polled(tenant, id_))
        items.append("<item><guid isPermaLink='false'>2</guid></item>")
        result = await tenant.ask("POST", path)
        again = await tenant.ask("POST", path)
    _holds(result, POLL)
    assert (result["code"], len(result["event_ids"])) == ("accepted", 1)
    assert (await tenant.ask("GET", f"/v1/events/{result['event_ids'][0]}"))["key"] == "2"
    assert (again["code"], again["event_ids"]) == ("empty", [])


async def test_what_does_not_poll_can_not_be_polled(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_, _ = await tenant.webhook(project)
    _is_problem(await tenant.client.post(f"/v1/project-triggers/{id_}/poll"), 400)


async def test_a_triggers_secret_is_shown_once_and_its_predecessor_is_good_for_a_while(
    tenant: Tenant, anybody: httpx2.AsyncClient
) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_, first = await tenant.webhook(project)
    path = f"/v1/project-triggers/{id_}/secret"
    second = (await tenant.ask("POST", path, {"overlap_seconds": 3600}))["secret"]
    for secret in (first, second):
        await _send(anybody, id_, secret, b"{}")
    assert (await tenant.ask("POST", path, {"secret": "of the sender", "overlap_seconds": 0}))[
        "secret"
    ] == "of the sender"
    await _send(anybody, id_, "of the sender", b"{}")
    for secret in (first, second):
        answer = await anybody.post(f"/v1/webhooks/{id_}", content=b"{}", headers={"x-webhook-secret": secret})
        assert answer.status_code == 401


async def test_the_secret_of_a_trigger_that_its_provider_signs_can_not_be_set(tenant: Tenant) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    id_ = await tenant.trigger(project, "stripe", "on_customer_created", {})
    _is_problem(await tenant.client.post(f"/v1/project-triggers/{id_}/secret", json={}), 422)


# -- all routes


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
async def test_a_key_that_nobody_reads_is_refused(tenant: Tenant, method: str, path: str) -> None:
    """An unknown field is a typing error, and ignoring it would silently drop what the caller meant."""
    answer = await tenant.client.request(method, _filled(path), json={**_valid(path), "naem": "x"})
    problem = _is_problem(answer, 422)
    assert [(error["path"], error["code"]) for error in problem["errors"]] == [(["body", "naem"], "extra_forbidden")]


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
async def test_every_route_wants_credentials_of_the_right_scope(
    tenant: Tenant, anybody: httpx2.AsyncClient, method: str, path: str
) -> None:
    answer = await anybody.request(method, _filled(path), json=_valid(path))
    _is_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"
    narrow = {"authorization": f"Bearer {await tenant.key(INTEGRATION_API, ASSISTANT_API)}"}
    _is_problem(await anybody.request(method, _filled(path), json=_valid(path), headers=narrow), 403)


@pytest.mark.parametrize(
    ("method", "path"), [one for one in OPERATIONS if "{" in one[1] and "{external_user_id}" not in one[1]]
)
async def test_what_does_not_exist_is_404_and_what_is_no_id_422(tenant: Tenant, method: str, path: str) -> None:
    _is_problem(await tenant.client.request(method, _filled(path), json=_valid(path)), 404)
    is_uuid = not {"{project_id}", "{provider_id}", "{client_name}"} & set(path.split("/"))
    answer = await tenant.client.request(method, re.sub("{[^}]*}", "x", f"/v1{path}"), json=_valid(path))
    _is_problem(answer, 422 if is_uuid else 404)


async def test_errors_of_the_framework_are_problems_too(tenant: Tenant) -> None:
    _is_problem(await tenant.client.get("/v1/nothing"), 404)
    for method in ("PUT", "TRACE", "OPTIONS"):
        _is_problem(await tenant.client.request(method, "/v1/projects"), 405)


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "null", "\ufeff{}", '{"name": NaN}', '{"name": "\\ud800", "target": {"kind": "log"}}', "[" * 9999],
)
async def test_a_body_that_is_no_json_object_is_422(tenant: Tenant, body: str) -> None:
    answer = await tenant.client.post("/v1/projects", content=body, headers={"content-type": "application/json"})
    problem = _is_problem(answer, 422)
    assert problem["errors"][0]["path"][0] == "body"


@pytest.mark.parametrize("unstorable", [r"\u0000", r"\ud800"])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/connections", '{"provider_id": "webhook", "secrets": {}, "name": "%s"}'),
        ("/v1/replays", '{"project_id": "%s"}'),
        (
            "/projects/{}/triggers",
            '{"provider_id": "webhook", "trigger_id": "on_request", "trigger_config_params": {"prefix": "%s"}}',
        ),
    ],
)
async def test_text_that_no_database_holds_is_422(tenant: Tenant, path: str, body: str, unstorable: str) -> None:
    project = (await tenant.ask("POST", "/v1/projects", {"name": "Project", "target": LOG}, status=201))["id"]
    answer = await tenant.client.post(
        path.format(project), content=body % unstorable, headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("path", ["/v1/projects", "/projects/proj_none/triggers", "/token"])
async def test_a_body_that_is_too_large_is_413(tenant: Tenant, path: str) -> None:
    body = b"&".join([b"name=" + b"x" * 500_000] * 6)

    async def in_pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 65_536):
            yield body[start : start + 65_536]

    kind = "application/x-www-form-urlencoded" if path == "/token" else "application/json"
    for content in (body, in_pieces()):
        answer = await tenant.client.post(path, content=content, headers={"content-type": kind})
        assert answer.status_code == 413


@pytest.mark.parametrize("part", [b"[],", b'{"":0},'])
async def test_json_of_very_many_parts_is_413(tenant: Tenant, part: bytes) -> None:
    """Such a body is no larger than others, but takes many times as long to read."""
    body = b'{"name": [' + part * 200_000 + b"[]]}"
    for path in ("/v1/projects", "/projects/proj_none/triggers"):
        answer = await tenant.client.post(path, content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 413
        assert "more than 50000" in answer.text


async def test_a_login_is_short(anybody: httpx2.AsyncClient) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert (await anybody.post("/token", content=b"&" * 20_000, headers=form)).status_code == 413
    multipart = {"content-type": "multipart/form-data; boundary=x" + ";" * 2000}
    assert (await anybody.post("/token", content=b"--x--", headers=multipart)).status_code == 415


async def test_no_answer_invites_a_browser_of_another_site(tenant: Tenant, anybody: httpx2.AsyncClient) -> None:
    page = {"origin": "https://evil.example", "access-control-request-method": "POST", "sec-fetch-site": "cross-site"}
    for client in (tenant.client, anybody):
        for path in ("/v1/projects", "/triggers", "/token", "/integrations/v1/get", f"/v1/webhooks/{UUID(int=1)}"):
            for method in ("OPTIONS", "GET", "POST"):
                answer = await client.request(method, path, headers=page)
                assert not [name for name in answer.headers if name.startswith("access-control-")]


async def test_an_answer_names_no_software(tenant: Tenant) -> None:
    for path in ("/v1/projects", "/triggers", "/nothing", "/livez"):
        headers = (await tenant.client.get(path)).headers
        assert "server" not in headers
        assert "x-powered-by" not in headers


async def test_health_is_open_to_anybody(anybody: httpx2.AsyncClient) -> None:
    for path in ("/livez", "/readyz"):
        answer = await anybody.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/openapi.json", projects_document),
        ("/integrations/v1/openapi.json", integrations_document),
        ("/v1/openapi.json", own_document),
    ],
)
async def test_each_api_serves_its_document(
    anybody: httpx2.AsyncClient, path: str, document: Callable[[], str]
) -> None:
    assert (await anybody.get(path)).json()["paths"] == json.loads(document())["paths"]


async def test_no_secret_can_be_read_in_the_database(service: Application, tenant: Tenant) -> None:
    project = await tenant.ask(
        "POST", "/v1/projects", {"name": "Project", "target": LOG, "api_key": "key of the agent"}, status=201
    )
    _, of_trigger = await tenant.webhook(project["id"])
    of_connection = {"provider_id": "stripe", "secrets": {"api_key": "key of the connection"}}
    await tenant.ask("POST", "/v1/connections", of_connection, status=201)
    headers = {"idempotency-key": "once"}
    made = await tenant.client.post("/v1/api-keys", json={"name": "Key", "scopes": [TRIGGER_API]}, headers=headers)
    secrets = [
        project["signing_secret"],
        of_trigger,
        made.json()["key"],
        PASSWORD,
        "key of the agent",
        "key of the connection",
    ]
    stored = await _dump(service)
    assert project["id"] in stored
    for secret in secrets:
        for spelling in (secret, secret.encode().hex(), json.dumps(secret)[1:-1]):
            assert spelling not in stored


async def _dump(service: Application) -> str:
    """Return every row of every table as text, with bytes in hexadecimal digits."""
    tables = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
    async with service.store.transaction() as tx:
        names = [f'"{schema}"."{table}"' for schema, table in await tx.connection.execute(text(tables))]
        rows = [(await tx.connection.execute(text(f"SELECT t::text FROM {name} AS t"))).scalars() for name in names]
        return "\n".join(row for found in rows for row in found)


async def _send(client: httpx2.AsyncClient, id_: str, secret: str, body: bytes) -> str:
    """Send a request, and return the id of the event that it became."""
    answer = await client.post(f"/v1/webhooks/{id_}", content=body, headers={"x-webhook-secret": secret})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["events"][0])


def _as(client: httpx2.AsyncClient, key: str, path: str) -> Awaitable[httpx2.Response]:
    return client.get(path, headers={"authorization": f"Bearer {key}"})


async def _has_polled(tenant: Tenant, trigger_id: str) -> bool:
    """Return whether the trigger's first poll, which is due at once, has ended."""
    return (await tenant.ask("GET", f"/v1/project-triggers/{trigger_id}"))["last_at"] is not None


def _filled(path: str) -> str:
    """Fill the path's parameters with an id that does not exist."""
    return "/v1" + re.sub("{.*?}", str(UUID(int=1)), path)


def _valid(path: str) -> dict[str, Any]:
    bodies: dict[str, dict[str, Any]] = {
        "/organizations": {"name": "Acme", "email": "somebody@example.com", "password": PASSWORD},
        "/api-keys": {"name": "Key", "scopes": [TRIGGER_API]},
        "/projects": {"name": "Project", "target": LOG},
        "/connections": {"provider_id": "rss", "secrets": {}},
        "/alert-channels": {"name": "Chat", "kind": "slack", "url": "https://hooks.example.com/1"},
        "/authorizations": {"provider_id": "github"},
        "/oauth-clients/{client_name}": {"client_id": "mine"},
        "/connect-links": {"provider_id": "stripe"},
    }
    return bodies.get(path, {})


def _holds(found: Mapping[str, Any], fields: Mapping[str, Any]) -> None:
    assert list(found) == list(fields)
    wrong = {name: found[name] for name, type_ in fields.items() if not isinstance(found[name], type_)}
    assert not wrong


def _is_problem(answer: httpx2.Response, status: int) -> Any:
    """Check that an answer is a problem document (RFC 9457), and return it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    errors = {"errors": list} if "errors" in problem else {}
    _holds(problem, {"type": str, "title": str, "status": int, "detail": str, **errors})
    assert problem["status"] == status
    assert problem["detail"]
    for error in problem.get("errors", ()):
        _holds(error, {"path": list, "message": str, "code": str})
    return problem
