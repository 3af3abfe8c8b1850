"""The Integrations API as the service mounts it, on a real database, with a client for each of two organisations.

The application is made once. Each test has its own organisations, and the clock that all tests share only goes
forward.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount

from hairtrigger.api.odeus.app import odeus_app
from hairtrigger.domain.caller import INTEGRATION_API, SCOPES, Caller
from hairtrigger.domain.errors import Invalid, Issue
from hairtrigger.platform.vault import Vault
from hairtrigger.services.accounts import Accounts
from hairtrigger.services.setup.integrations import Integrations
from hairtrigger.store import accounts as rows
from hairtrigger.store.accounts import Organization
from hairtrigger.store.database import Store
from tests.support.clock import ManualClock

BASE = "http://hairtrigger.test/integrations/v1"


async def balanced(_: UUID, code: str) -> None:
    """Refuse code whose braces are not balanced, in place of the JavaScript parser."""
    if code.count("{") != code.count("}"):
        raise Invalid(None, Issue(("polling_code",), "Unexpected end of input (line 1, column 8)", "syntax"))


def mounted(api: FastAPI) -> Starlette:
    return Starlette(routes=[Mount("/integrations/v1", api), Mount("/api/public/integrations/v1", api)])


@asynccontextmanager
async def client_of(app: Starlette, key: str | None) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=headers) as client:
        yield client


async def an_owner(store: Store, clock: ManualClock) -> Caller:
    """Make an organisation, and return a caller with all scopes in it."""
    organization = Organization(uuid4(), "Org", clock.now())
    async with store.transaction() as tx:
        await rows.add_organization(tx, organization)
    return Caller(organization.id, uuid4(), frozenset(SCOPES))


@pytest.fixture(scope="session")
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture(scope="session")
def store(migrated: Store) -> Store:
    return migrated


@pytest.fixture(scope="session")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Vault:
    return Vault.open(Path(tmp_path_factory.mktemp("vault")) / "keys.json")


@pytest.fixture(scope="session")
def accounts(store: Store, clock: ManualClock) -> Accounts:
    return Accounts(store=store, clock=clock, token_key=b"a key for access tokens, 32 byte")


@pytest.fixture(scope="session")
def integrations(store: Store, clock: ManualClock, vault: Vault) -> Integrations:
    return Integrations(store=store, clock=clock, vault=vault, syntax=balanced)


@pytest.fixture(scope="session")
def app(integrations: Integrations, accounts: Accounts) -> Starlette:
    return mounted(odeus_app(integrations, accounts))


@pytest.fixture
async def owner(store: Store, clock: ManualClock) -> Caller:
    return await an_owner(store, clock)


@pytest.fixture
async def acme(app: Starlette, accounts: Accounts, owner: Caller) -> AsyncIterator[httpx2.AsyncClient]:
    _, key = await accounts.create_key(owner, "Key", [INTEGRATION_API])
    async with client_of(app, key) as client:
        yield client


@pytest.fixture
async def rival(
    app: Starlette, accounts: Accounts, store: Store, clock: ManualClock
) -> AsyncIterator[httpx2.AsyncClient]:
    """Provide a client of another organisation than `acme`'s."""
    _, key = await accounts.create_key(await an_owner(store, clock), "Key", [INTEGRATION_API])
    async with client_of(app, key) as client:
        yield client


@pytest.fixture
async def tracker(acme: httpx2.AsyncClient) -> str:
    """Make an integration of `acme`, and return its id."""
    made = await acme.post("/create", json={"name": "Tracker"})
    assert made.status_code == 201, made.text
    return str(made.json()["integration"]["id"])
