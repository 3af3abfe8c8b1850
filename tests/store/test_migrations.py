"""Migrations run while the service runs, so no migration may hold a lock for which the service must wait."""

import asyncio
import hashlib
import re
import subprocess
from collections.abc import AsyncIterator
from importlib import import_module
from io import StringIO
from pathlib import Path

import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from sqlalchemy import text

from hairtrigger.store.database import DatabaseUnreachable, Store, alembic_config, open_store
from hairtrigger.store.delivery import queue_engine

pytestmark = pytest.mark.anyio

_HOT = "event|event_key|attempt|outcome|q_dispatch"
# These rules do not apply: each migration is one transaction that is tried again, `Store.migrate` sets the time-out,
# and the indexes of small tables are small.
_NOT_ASKED = (
    *("prefer-robust-stmts", "require-lock-timeout", "require-statement-timeout", "require-timeout-settings"),
    *("require-concurrent-index-creation", "require-concurrent-index-deletion", "require-enum-value-ordering"),
    *("prefer-bigint-over-int", "prefer-bigint-over-smallint", "prefer-identity", "require-table-schema"),
    "adding-foreign-key-constraint",  # on tables that the migration makes itself
)


def scripts() -> dict[str, str]:
    """Return the SQL of each migration after the first, by its name."""
    found = {}
    for script in ScriptDirectory.from_config(alembic_config()).walk_revisions():
        if script.down_revision:
            path = Path(script.path)
            beside = path.with_suffix(".sql")
            found[path.stem] = beside.read_text() if beside.exists() else _rendered(path.stem)
    return found


def _rendered(name: str) -> str:
    module = import_module(f"hairtrigger.store.migrations.versions.{name}")
    written = StringIO()
    options = {"as_sql": True, "output_buffer": written, "literal_binds": True}
    with Operations.context(MigrationContext.configure(dialect_name="postgresql", opts=options)):
        module.upgrade()
    return written.getvalue()


@pytest.mark.parametrize(("name", "sql"), scripts().items(), ids=scripts())
def test_a_migration_is_safe_on_a_live_table(name: str, sql: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.sql"
    file.write_text(sql)

    command = ["squawk", "--assume-in-transaction", f"--exclude={','.join(_NOT_ASKED)}", "--reporter=gcc", str(file)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)

    assert found.returncode == 0, found.stdout + found.stderr
    assert not re.findall(
        rf"CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)\S+ ON (?:ONLY )?(?:{_HOT})\b", sql, re.IGNORECASE
    )


def test_the_check_knows_what_is_not_safe(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        test_a_migration_is_safe_on_a_live_table("bad", "ALTER TABLE event ALTER COLUMN key SET NOT NULL;", tmp_path)
    with pytest.raises(AssertionError):
        test_a_migration_is_safe_on_a_live_table("bad", "CREATE INDEX slow ON event (type);", tmp_path)


def test_another_version_of_the_queue_engine_comes_with_a_migration() -> None:
    """The migration calls `rebuild` of `store/delivery/queue_engine.py`; afterwards the new digest goes in here."""
    assert hashlib.sha256(queue_engine.engine().encode()).hexdigest()[:16] == "bf7e66c75ed771df"


@pytest.fixture
async def unmigrated(database_url: str) -> AsyncIterator[Store]:
    async with open_store(database_url, connections=1) as admin, admin.session() as session:
        await session.execute("DROP DATABASE IF EXISTS unmigrated WITH (FORCE)")
        await session.execute("CREATE DATABASE unmigrated")
    async with open_store(database_url.replace("/hairtrigger?", "/unmigrated?")) as store:
        yield store


@pytest.mark.parametrize("table", ["poll", "lane", "waiting", "retry", "event_key_7", "pgmq.q_dispatch"])
async def test_what_churns_is_vacuumed_early(store: Store, table: str) -> None:
    async with store.transaction() as tx:
        options = await tx.connection.execute(
            text("SELECT reloptions FROM pg_class WHERE oid = to_regclass(:table)"), {"table": table}
        )
        assert "autovacuum_vacuum_scale_factor=0.02" in options.scalar_one()


async def test_processes_that_start_at_once_migrate_once(unmigrated: Store) -> None:
    await asyncio.gather(*(unmigrated.migrate() for _ in range(3)))

    async with unmigrated.transaction() as tx:
        assert (await tx.connection.execute(text("SELECT count(*) FROM alembic_version"))).scalar_one() == 1


async def test_a_process_of_the_version_before_starts_on_a_newer_schema(unmigrated: Store) -> None:
    await unmigrated.migrate()
    async with unmigrated.transaction() as tx:
        await tx.connection.execute(text("UPDATE alembic_version SET version_num = 'of the next version'"))

    await unmigrated.migrate()

    async with unmigrated.transaction() as tx:
        version = await tx.connection.execute(text("SELECT version_num FROM alembic_version"))
        assert version.scalar_one() == "of the next version"


async def test_a_migration_that_does_not_get_a_lock_lets_others_pass_and_tries_again(unmigrated: Store) -> None:
    async with unmigrated.transaction() as tx:  # the database before the last migration
        await tx.connection.execute(text("CREATE TABLE alembic_version (version_num TEXT PRIMARY KEY)"))
        await tx.connection.execute(text("LOCK TABLE alembic_version"))
        migrating = asyncio.create_task(unmigrated.migrate())
        while not await _waits_for_a_lock(unmigrated):
            await asyncio.sleep(0.01)
        while await _waits_for_a_lock(unmigrated):  # until it gives up by itself
            await asyncio.sleep(0.01)
        assert not migrating.done()
    await migrating


async def _waits_for_a_lock(store: Store) -> bool:
    async with store.transaction() as tx:
        waiting = await tx.connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        return bool(waiting.scalar_one())


async def test_a_database_that_is_not_there_is_named_at_the_start(database_url: str) -> None:
    async with open_store(database_url.replace("host=", "host=/nowhere")) as store:
        with pytest.raises(DatabaseUnreachable, match=r"can't be brought up to date: .*No such file"):
            await store.migrate()
