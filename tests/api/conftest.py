"""The whole service runs with its loops on its own database, and each test has its own organisation."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import httpx2
import pytest
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from pydantic import SecretStr

from hairtrigger.domain.caller import SCOPES, Caller
from hairtrigger.main import Application, running
from hairtrigger.settings import Settings
from tests.support.servers import Server, answering, serving

GITHUB_SECRET = "github app secret"
SLACK_SECRET = "slack signing secret"
NOWHERE = "http://127.0.0.1:1/"
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Tenant:
    """An organisation, and a client that sends requests in its name."""

    org_id: str
    email: str
    caller: Caller
    client: httpx2.AsyncClient
    app: Application

    async def ask(self, method: str, path: str, body: Any = None, *, status: int = 200) -> Any:
        answer = await self.client.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def project(self, url: str, **more: Any) -> dict[str, Any]:
        target = {"kind": "workflow", "url": url}
        made: dict[str, Any] = await self.ask(
            "POST", "/v1/projects", {"name": "Project", "target": target, **more}, status=201
        )
        return made

    async def trigger(
        self, project_id: str, provider: str, trigger: str, params: dict[str, Any], connection: str | None = None
    ) -> str:
        body = {"provider_id": provider, "trigger_id": trigger, "trigger_config_params": params}
        made = await self.ask(
            "POST", f"/projects/{project_id}/triggers", {**body, "connection_id": connection}, status=201
        )
        return str(made["project_trigger_id"])

    async def webhook(self, project_id: str, params: dict[str, Any] | None = None) -> tuple[str, str]:
        """Make and enable a generic webhook trigger; return its id and its secret."""
        id_ = await self.trigger(project_id, "webhook", "on_request", params or {})
        secret = (await self.ask("POST", f"/v1/project-triggers/{id_}/secret", {}))["secret"]
        await self.ask("POST", f"/triggers/{id_}/enable")
        return id_, secret

    async def key(self, *scopes: str) -> str:
        made = await self.ask("POST", "/v1/api-keys", {"name": "Key", "scopes": scopes or SCOPES}, status=201)
        return str(made["key"])

    async def deliveries(self, **params: Any) -> list[dict[str, Any]]:
        answer = await self.client.get("/v1/deliveries", params={"limit": 200, **params})
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = answer.json()["data"]
        return found


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hash passwords cheaply, because each test makes users and a strong hash takes a fifth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        hasher = Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr("hairtrigger.services.accounts._passwords", PasswordHash((hasher,)))
        yield


@pytest.fixture(scope="session")
async def service(database_url: str, folder: Path) -> AsyncIterator[Application]:
    plain = database_url.replace("postgresql+asyncpg", "postgresql")
    connection = await asyncpg.connect(plain)
    await connection.execute("CREATE DATABASE service")
    await connection.close()
    settings = Settings(
        database_url=SecretStr(_named(database_url, "service")),
        data_dir=folder,
        public_url="http://hairtrigger.test",
        egress_allow=["127.0.0.0/8"],
        least_polling_seconds=1,
        provider_urls=dict.fromkeys(("github", "slack", "stripe", "typeform"), NOWHERE),
        sandbox_workers=1,
        app_secrets={"github": [SecretStr(GITHUB_SECRET)], "slack": [SecretStr(SLACK_SECRET)]},
        integration_requests_per_minute=100_000,
        max_body_bytes=100_000,
        shutdown_seconds=0,
    )
    async with running(settings) as app:
        yield app


@pytest.fixture
async def tenant(service: Application) -> AsyncIterator[Tenant]:
    async with _tenant(service) as made:
        yield made


@pytest.fixture
async def stranger(service: Application) -> AsyncIterator[Tenant]:
    """Make a second organisation, which owns nothing of `tenant`."""
    async with _tenant(service) as made:
        yield made


@pytest.fixture
async def target() -> AsyncIterator[Server]:
    async with serving(answering()) as server:
        yield server


@pytest.fixture
async def anybody(service: Application) -> AsyncIterator[httpx2.AsyncClient]:
    """Provide a client without credentials."""
    async with _client(service) as client:
        yield client


def _client(app: Application) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app.asgi, raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://hairtrigger.test")


def another_organisation(app: Application) -> AbstractAsyncContextManager[Tenant]:
    """Return an organisation that does not operate the service, as `tenant` and `stranger` do."""
    return _tenant(app, operator=False)


@asynccontextmanager
async def _tenant(app: Application, *, operator: bool = True) -> AsyncIterator[Tenant]:
    email = f"{uuid4()}@example.com"
    organization, user = await app.accounts.create_organization("Org", email, PASSWORD, operator=operator)
    caller = Caller(organization.id, user.id, frozenset(SCOPES), operator=operator)
    async with _client(app) as client:
        token = await client.post("/token", data={"username": email, "password": PASSWORD})
        client.headers["authorization"] = f"Bearer {token.json()['access_token']}"
        yield Tenant(str(organization.id), email, caller, client, app)


def _named(url: str, database: str) -> str:
    head, _, query = url.partition("?")
    return f"{head.rpartition('/')[0]}/{database}?{query}"
