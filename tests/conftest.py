"""Fixtures for every test: a real, migrated, empty database, and a clock that moves when it is told to."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from hairtrigger.platform.postgres import embedded
from hairtrigger.sandbox.service import spawn
from hairtrigger.store import partitions
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.tables import metadata
from tests.support.clock import ManualClock
from tests.support.speed import SPEED, scaled

_TABLES = (*(table.name for table in reversed(metadata.sorted_tables)), "pgmq.q_dispatch")
_EMPTY = "; ".join(f"DELETE FROM {table}" for table in _TABLES)

# The time of an example depends on the machine, so there is no deadline. A store that examples share is emptied by the
# tests that need it empty.
_UNHURRIED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
settings.register_profile("unhurried", deadline=None, suppress_health_check=_UNHURRIED)
settings.load_profile("unhurried")


@pytest.fixture(scope="session", autouse=True)
def speed() -> Iterator[None]:
    """Set the speed of the machine that `./dev poe any-machine` imitates."""
    with pytest.MonkeyPatch.context() as patch:
        if SPEED != 1:
            patch.setattr(spawn, "PROGRAM", scaled(spawn.PROGRAM, SPEED))
        yield


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Make a folder for a database, which the database's own user may enter, unlike pytest's `tmp_path`."""
    with tempfile.TemporaryDirectory(prefix="hairtrigger-") as made:
        path = Path(made)
        path.chmod(0o711)
        yield path


@pytest.fixture(scope="session")
async def database_url(folder: Path) -> AsyncIterator[str]:
    async with embedded(folder / "postgres") as server:
        yield server.url


@pytest.fixture(scope="session")
async def migrated(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url) as store:
        await store.migrate()
        async with store.transaction() as tx:
            await partitions.make_ahead(tx, datetime.now(UTC).date())
        yield store


@pytest.fixture
async def store(migrated: Store) -> Store:
    return await emptied(migrated)


async def emptied(store: Store) -> Store:
    """Delete all rows, in one round trip: it is most of what many tests cost. Other work can lock the same rows."""
    while True:
        with suppress(asyncpg.DeadlockDetectedError):
            async with store.transaction() as tx:
                connection = await tx.connection.get_raw_connection()
                assert connection.driver_connection
                await connection.driver_connection.execute(_EMPTY)
            return store


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC).replace(microsecond=0))
