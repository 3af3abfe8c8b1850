"""Quotas through the API: each is shown with its use, and a refusal says which quota it was, its limit and its use."""

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr

from hairtrigger.domain.quotas import Limits, Quota
from hairtrigger.main import Application, running
from hairtrigger.settings import Settings
from tests.api.conftest import Tenant, _named, _tenant

pytestmark = pytest.mark.anyio

LOG = {"kind": "log"}


@pytest.fixture(scope="module")
async def narrow(database_url: str, folder: Path) -> AsyncIterator[Application]:
    """Run a service whose organisations may have little."""
    connection = await asyncpg.connect(database_url.replace("postgresql+asyncpg", "postgresql"))
    await connection.execute("CREATE DATABASE narrow")
    await connection.close()
    settings = Settings(
        database_url=SecretStr(_named(database_url, "narrow")),
        data_dir=folder,
        quota_projects=1,
        quota_api_keys=1,
        quota_idempotency_keys=1,
        quota_events_a_day=1,
        shutdown_seconds=0,
    )
    async with running(settings) as app:
        yield app


@pytest.fixture
async def poor(narrow: Application) -> AsyncIterator[Tenant]:
    async with _tenant(narrow) as made:
        yield made


async def test_every_quota_is_shown_with_its_limit_and_its_use(tenant: Tenant) -> None:
    project = await tenant.project("https://example.com")
    await tenant.trigger(project["id"], "webhook", "on_request", {})

    shown = {one["quota"]: one for one in (await tenant.ask("GET", "/v1/usage"))["data"]}

    assert {name: one["limit"] for name, one in shown.items()} == {name: Limits().of(name) for name in Quota}
    assert (shown["projects"]["used"], shown["project_triggers"]["used"], shown["connections"]["used"]) == (1, 1, 0)
    assert shown["stored_bytes"]["used"] > 0
    assert shown["events_a_day"]["resets_at"].endswith("T00:00:00Z")
    assert all(one["counted"] for one in shown.values())


async def test_the_use_of_an_organisation_is_its_own(tenant: Tenant, stranger: Tenant) -> None:
    await tenant.project("https://example.com")
    shown = {one["quota"]: one["used"] for one in (await stranger.ask("GET", "/v1/usage"))["data"]}
    assert shown["projects"] == 0


async def test_a_full_quota_is_a_conflict_that_says_which(poor: Tenant) -> None:
    await poor.project("https://example.com")
    problem = await poor.ask("POST", "/v1/projects", {"name": "Second", "target": LOG}, status=409)
    assert problem["quota"] == {"name": "projects", "limit": 1, "used": 1}
    assert problem["detail"] == (
        "The quota 'projects' allows 1 projects; 1 are used. Delete one that is not used any more."
    )


async def test_more_events_than_on_a_day_are_answered_429_and_counted_once(poor: Tenant) -> None:
    project = await poor.project("https://example.com")
    id_, secret = await poor.webhook(project["id"])
    answers = [
        await poor.client.post(
            f"/v1/webhooks/{id_}", json={}, headers={"x-webhook-secret": secret, "idempotency-key": str(number)}
        )
        for number in range(3)
    ]

    assert [one.status_code for one in answers] == [200, 429, 429]
    assert 0 < int(answers[1].headers["retry-after"]) <= 86_400
    assert "'events_a_day' allows 1 " in answers[1].json()["detail"]
    shown = {one["quota"]: one["used"] for one in (await poor.ask("GET", "/v1/usage"))["data"]}
    assert shown["events_a_day"] == 1
    told = await poor.ask("GET", f"/v1/project-triggers/{id_}/explain")
    assert "events_a_day" in told["health"]["reason"]


async def test_answers_to_requests_with_a_key_have_a_quota(poor: Tenant) -> None:
    await poor.ask("GET", "/v1/projects")
    body = {"name": "Key", "scopes": ["TRIGGER_API"]}
    first, second = [
        await poor.client.post("/v1/api-keys", json=body, headers={"Idempotency-Key": key}) for key in "ab"
    ]
    assert (first.status_code, second.status_code) == (201, 429)
    assert second.json()["quota"]["name"] == "idempotency_keys"
    again = await poor.client.post("/v1/api-keys", json=body, headers={"Idempotency-Key": "a"})
    assert (again.status_code, again.json()) == (201, first.json())
    without = await poor.client.post("/v1/api-keys", json=body)
    assert (without.status_code, without.json()["quota"]["name"]) == (409, "api_keys")
