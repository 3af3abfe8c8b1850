"""First starts that are killed, or that happen at once. `tests/api` interrupts each step of a first start."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import httpx2
import pytest

from hairtrigger.platform.vault import Vault
from hairtrigger.store.database import open_store
from tests.e2e.process import EndedEarly, Service
from tests.support.postgres import Server as Database
from tests.support.postgres import server as database
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.anyio


@pytest.fixture
async def folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="hairtrigger-e2e-") as made:
        folder = Path(made)
        folder.chmod(0o711)
        Vault.open(folder / "vault.json")
        yield folder


def service(folder: Path, database: Database, name: str) -> Service:
    (folder / name).mkdir()
    environment = {
        "HAIRTRIGGER_DATABASE_URL": database.url,
        "HAIRTRIGGER_VAULT_FILE": str(folder / "vault.json"),
        "HAIRTRIGGER_SANDBOX_WORKERS": "1",
    }
    return Service(folder / name, environment)


async def test_a_first_start_that_is_killed_before_it_showed_its_login_leaves_it_to_another(folder: Path) -> None:
    async with database(folder) as running:
        async with open_store(running.url) as store:
            await store.migrate()
        killed, next_ = service(folder, running, "killed"), service(folder, running, "next")
        connection = await asyncpg.connect(running.url)
        async with connection.transaction():
            await connection.execute("LOCK TABLE project")  # the start stops at its first project
            starting = asyncio.create_task(killed.start())
            await until(lambda: has_a_user(running))
            await killed.kill()
            with pytest.raises(EndedEarly):
                await starting
        await connection.close()
        assert "Log in" not in killed.output
        await next_.start()  # as on another machine, with its own data directory
        await logs_in(next_)
        await next_.stop()


async def test_of_two_first_starts_at_once_one_shows_a_login_that_works(folder: Path) -> None:
    async with database(folder) as running:
        both = [service(folder, running, name) for name in ("one", "other")]
        await asyncio.gather(*(each.start() for each in both))
        [shown] = [each for each in both if "Log in" in each.output]
        await logs_in(shown)
        for each in both:
            await each.stop()


async def has_a_user(running: Database) -> bool:
    connection = await asyncpg.connect(running.url)
    try:
        return bool(await connection.fetchval("SELECT count(*) FROM app_user"))
    except asyncpg.UndefinedTableError:
        return False
    finally:
        await connection.close()


async def logs_in(service: Service) -> None:
    email, password = service.login
    async with httpx2.AsyncClient(base_url=service.url, trust_env=False, timeout=PATIENCE) as client:
        answer = await client.post("/token", data={"username": email, "password": password})
        assert answer.status_code == 200, answer.text
        answer = await client.get("/v1/projects", headers={"authorization": f"Bearer {service.api_key}"})
        assert [project["name"] for project in answer.json()["data"]] == ["First steps"]
