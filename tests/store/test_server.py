"""Under any settings of the operator's server, database, role or pooler, 2xx is on disk and results are right."""

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import asyncpg
import pytest
from pydantic import SecretStr
from sqlalchemy import make_url, text

from hairtrigger.domain.errors import Unavailable
from hairtrigger.main import running
from hairtrigger.platform.postgres import embedded
from hairtrigger.settings import Settings
from hairtrigger.store import partitions
from hairtrigger.store.database import DatabaseUnreachable, Store, open_store
from hairtrigger.store.events import events, request_batches
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.request_batches import Write
from hairtrigger.store.server import SESSION, DatabaseUnfit
from hairtrigger.store.statements import open_statements
from tests.store.build import a_project, a_trigger, an_event, an_organization
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

ODD = {
    "synchronous_commit": "'off'",
    "search_path": "elsewhere, public",
    "default_transaction_isolation": "'serializable'",
    "default_transaction_deferrable": "'on'",
    "statement_timeout": "'1ms'",
    "lock_timeout": "'1ms'",
    "idle_session_timeout": "'1ms'",
    "transaction_timeout": "'10s'",
    "standard_conforming_strings": "'off'",
    "DateStyle": "'SQL, DMY'",
    "IntervalStyle": "'sql_standard'",
    "TimeZone": "'Asia/Kathmandu'",
    "bytea_output": "'escape'",
    "client_encoding": "'LATIN1'",
    "extra_float_digits": "'-15'",
}
WHERE = ["ROLE hairtrigger", "DATABASE hairtrigger", "SYSTEM"]


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """Run a server for one test, and provide its address."""
    with TemporaryDirectory(prefix="hairtrigger-") as folder:
        Path(folder).chmod(0o711)
        async with embedded(Path(folder, "postgres")) as server:
            yield server.url


async def tell(url: str, *statements: str) -> None:
    """Run statements as the operator of the server would."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""), server_settings={"transaction_timeout": "0"})
    try:
        for statement in statements:
            await connection.execute(statement)
        if any("SYSTEM" in statement for statement in statements):
            await connection.execute("SELECT pg_reload_conf()")
    finally:
        await connection.close()


async def migrate(url: str) -> None:
    async with open_store(url, connections=1, patience=None) as store:
        await store.migrate()


async def offered(store: Store) -> tuple[Event, Write]:
    """Return the event of a request, and the write of it with the version of its trigger."""
    now = datetime.now(UTC)
    async with store.transaction() as tx:
        await partitions.make_ahead(tx, now.date())
        org = await an_organization(tx, now)
        project = await a_project(tx, org, now)
        trigger = await a_trigger(tx, org, project, now)
        row = await tx.connection.execute(
            text("SELECT CAST(CAST(xmin AS text) AS bigint) FROM project_trigger WHERE id = :id"), {"id": trigger.id}
        )
        event = an_event(org, project, trigger.id, "süß", now, b"\\x00\xff\\")
        return event, Write([event], [row.scalar_one()])


@pytest.mark.parametrize("where", WHERE)
async def test_what_the_operator_has_set_changes_neither_what_is_stored_nor_when(url: str, where: str) -> None:
    await tell(
        url,
        "CREATE SCHEMA elsewhere",
        "CREATE TABLE elsewhere.event (other int)",
        *(f"ALTER {where} SET {name} = {value}" for name, value in ODD.items()),
    )
    await migrate(url)
    async with open_store(url) as store, open_statements(store) as statements:
        await store.check()
        async with store.transaction() as tx:
            for name, value in {
                "synchronous_commit": "on",
                "search_path": "public",
                "transaction_isolation": "read committed",
                "statement_timeout": "0",
                "lock_timeout": "0",
                "idle_session_timeout": "0",
                "transaction_timeout": "0",
            }.items():
                assert (await tx.connection.execute(text(f"SHOW {name}"))).scalar_one() == value
            assert (await tx.connection.execute(text(r"SELECT '\\'"))).scalar_one() == r"\\"
        first, write = await offered(store)
        second = first._replace(id=first.id.__class__(int=first.id.int + 1), key="other")
        async with store.transaction() as tx:
            assert await events.append(tx, [second]) == {second.id}
        assert await request_batches.write(statements, [write], first.received_at) == [[first]]
        async with store.transaction() as tx:
            assert await events.page(tx, first.org_id, limit=9) == [second, first]
        assert await store.writable()


async def test_a_day_without_a_partition_is_found_however_the_server_writes_dates(url: str) -> None:
    await tell(url, *(f"ALTER SYSTEM SET {name} = {value}" for name, value in ODD.items() if "timeout" not in name))
    await migrate(url)
    async with open_store(url) as store:
        event, _ = await offered(store)
        async with store.transaction() as tx:
            await partitions_dropped(tx.connection)
        with pytest.raises(Unavailable):
            await append(store, event)
        assert await append(store, event) == {event.id}


async def partitions_dropped(connection: object) -> None:
    rows = await connection.execute(  # type: ignore[attr-defined]
        text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event'::regclass")
    )
    for name in rows.scalars().all():
        await connection.execute(text(f"DROP TABLE {name}"))  # type: ignore[attr-defined]


async def append(store: Store, event: Event) -> set[object]:
    async with store.transaction() as tx:
        return set(await events.append(tx, [event]))


# -- on disk


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_a_server_that_does_not_write_to_disk_is_refused_unless_the_operator_says_so(
    url: str, setting: str
) -> None:
    await migrate(url)
    await tell(url, f"ALTER SYSTEM SET {setting} = off")
    async with open_store(url, connections=1) as store:
        with pytest.raises(DatabaseUnreachable, match=f"{setting} off.*HAIRTRIGGER_DATABASE_WITHOUT"):
            await store.check()
        assert not await store.writable()
    async with open_store(url, connections=1, without=[setting]) as store, open_statements(store) as statements:
        await store.check()
        assert await store.writable()
        event, write = await offered(store)
        assert await request_batches.write(statements, [write], event.received_at) == [[event]]


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_nothing_is_acknowledged_from_the_moment_that_the_server_stops_to_write_to_disk(
    url: str, setting: str
) -> None:
    await migrate(url)
    async with open_store(url) as store, open_statements(store) as statements:
        event, write = await offered(store)
        assert await request_batches.write(statements, [write], event.received_at) == [[event]]
        await tell(url, f"ALTER SYSTEM SET {setting} = off")

        async def refused() -> bool:
            try:
                await request_batches.write(statements, [Write()], event.received_at)
            except DatabaseUnfit:
                return True
            return False

        await until(refused)
        other = event._replace(id=event.id.__class__(int=event.id.int + 1), key="other")
        with pytest.raises(Unavailable) as heard:
            await request_batches.write(statements, [Write([other], write.versions)], event.received_at)
        assert setting not in heard.value.message, "clients hear nothing of the server"

        await tell(url, f"ALTER SYSTEM RESET {setting}")

        async def stored() -> bool:
            try:
                return await request_batches.write(statements, [Write([other], write.versions)], event.received_at) == [
                    [other]
                ]
            except DatabaseUnfit:
                return False

        await until(stored)


async def test_the_service_does_not_start_with_a_server_that_does_not_write_to_disk(url: str, tmp_path: Path) -> None:
    await tell(url, "ALTER SYSTEM SET fsync = off")
    settings = Settings(database_url=SecretStr(url), data_dir=tmp_path, sandbox_workers=1)
    with pytest.raises(DatabaseUnreachable, match="fsync off"):
        async with running(settings):
            pytest.fail("it started")
    async with running(settings.model_copy(update={"database_without": ["fsync"]})) as service:
        assert await service.store.writable()


async def test_tables_that_a_crash_would_empty_are_refused(url: str) -> None:
    await migrate(url)
    async with open_store(url, connections=1) as store:
        await store.check()
        await offered(store)
        async with store.transaction() as tx:
            found = await tx.connection.execute(
                text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'event'::regclass LIMIT 1")
            )
            name = found.scalar_one()
        for table in (name, "pgmq.q_dispatch"):
            await tell(url, f"ALTER TABLE {table} SET UNLOGGED")
            with pytest.raises(DatabaseUnreachable, match=f"unlogged tables: {table}"):
                await store.check()
            await tell(url, f"ALTER TABLE {table} SET LOGGED")
        await store.check()


# -- poolers, which may keep the settings of a session from the server


async def test_a_pooler_that_swallows_settings_is_refused_when_they_are_needed(url: str) -> None:
    await migrate(url)
    async with swallowing(url) as pooled:
        async with open_store(pooled, connections=1) as store:
            await store.check()
        for name, value in {
            "synchronous_commit": "off",
            "default_transaction_isolation": "serializable",
            "search_path": "elsewhere",
            "session_replication_role": "replica",
        }.items():
            await tell(url, f"ALTER ROLE hairtrigger SET {name} = '{value}'")
            async with open_store(pooled, connections=1) as store:
                with pytest.raises(DatabaseUnreachable, match=f"ALTER ROLE … SET {name} = "):
                    await store.check()
                with pytest.raises(Unavailable):
                    await store.writable()
            await tell(url, f"ALTER ROLE hairtrigger RESET {name}")


async def test_events_wait_for_the_disk_when_the_server_is_told_otherwise_behind_a_pooler(url: str) -> None:
    await migrate(url)
    async with (
        swallowing(url) as pooled,
        open_store(pooled, connections=1) as store,
        open_statements(store) as statements,
    ):
        event, write = await offered(store)
        await request_batches.write(statements, [], event.received_at)
        await tell(
            url,
            "CREATE TABLE at_commit (setting text)",
            """CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO at_commit VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$""",
            """CREATE CONSTRAINT TRIGGER note AFTER INSERT ON event_key DEFERRABLE INITIALLY DEFERRED
                 FOR EACH ROW EXECUTE FUNCTION note()""",
            "ALTER SYSTEM SET synchronous_commit = off",
        )

        async def heard() -> bool:
            async with store.transaction() as tx:
                shown = await tx.connection.execute(text("SHOW synchronous_commit"))
                return bool(shown.scalar_one() == "off")

        await until(heard)
        await request_batches.write(statements, [write], event.received_at)
        await append(store, event._replace(id=event.id.__class__(int=event.id.int + 1), key="other"))
        async with store.transaction() as tx:
            noted = await tx.connection.execute(text("SELECT setting FROM at_commit"))
            assert noted.scalars().all() == ["on", "on"]


async def test_a_pooler_that_refuses_settings_is_told_which_to_let_pass(url: str) -> None:
    async with passing(url, refuse) as pooled, open_store(pooled, connections=1) as store:
        with pytest.raises(
            DatabaseUnreachable,
            match=r"ignore_startup_parameters = .*synchronous_commit.*plan_cache_mode.*enable_seqscan",
        ):
            await store.check()


# -- databases that can't be used


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
async def test_a_database_that_can_not_keep_all_text_is_refused(url: str, encoding: str) -> None:
    await tell(url, f"CREATE DATABASE other ENCODING '{encoding}' LOCALE_PROVIDER libc LOCALE 'C' TEMPLATE template0")
    async with open_store(url.replace("/hairtrigger?", "/other?"), connections=1) as store:
        with pytest.raises(DatabaseUnreachable, match=f"encoding is {encoding}.*UTF8"):
            await store.check()


@pytest.mark.parametrize("where", WHERE)
async def test_a_database_that_can_only_be_read_says_so(url: str, where: str) -> None:
    await tell(url, f"ALTER {where} SET default_transaction_read_only = on")
    async with open_store(url, connections=1) as store:
        for start in (store.migrate, store.check):
            with pytest.raises(DatabaseUnreachable, match="default_transaction_read_only"):
                await start()


async def test_a_role_that_may_not_make_tables_is_told_so(url: str) -> None:
    await tell(url, "CREATE ROLE guest LOGIN")
    async with open_store(url.replace("hairtrigger@", "guest@"), connections=1) as store:
        with pytest.raises(DatabaseUnreachable, match="permission denied"):
            await store.migrate()


# -- a small pooler

Startup = Callable[[dict[str, str], asyncio.StreamWriter], dict[str, str] | None]


def swallow(given: dict[str, str], _: asyncio.StreamWriter) -> dict[str, str]:
    return {name: value for name, value in given.items() if name not in SESSION or name == "application_name"}


def refuse(_: dict[str, str], client: asyncio.StreamWriter) -> None:
    fields = b"SFATAL\0C08P01\0Munsupported startup parameter: synchronous_commit\0\0"
    client.write(b"E" + struct.pack("!I", 4 + len(fields)) + fields)


@asynccontextmanager
async def passing(url: str, startup: Startup) -> AsyncIterator[str]:
    """Run a proxy before the server that decides about the parameters of new sessions, and provide its address."""
    given = make_url(url)

    async def connected(client: asyncio.StreamReader, answers: asyncio.StreamWriter) -> None:
        length, protocol = struct.unpack("!II", await client.readexactly(8))
        parts = (await client.readexactly(length - 8)).decode().split("\0")
        passed = startup(dict(zip(parts[:-2:2], parts[1:-2:2], strict=False)), answers)
        if passed is None:
            answers.close()
            return
        packet = "".join(f"{name}\0{value}\0" for name, value in passed.items()).encode() + b"\0"
        reader, writer = await asyncio.open_unix_connection(f"{given.query['host']}/.s.PGSQL.{given.query['port']}")
        writer.write(struct.pack("!II", 8 + len(packet), protocol) + packet)
        async with asyncio.TaskGroup() as both:
            both.create_task(_pass(client, writer))
            both.create_task(_pass(reader, answers))

    with TemporaryDirectory(prefix="hairtrigger-") as folder:
        async with await asyncio.start_unix_server(connected, Path(folder, ".s.PGSQL.5432")):
            changed = given.update_query_dict({"host": folder, "port": "5432"})
            yield changed.render_as_string(hide_password=False)


def swallowing(url: str) -> AbstractAsyncContextManager[str]:
    return passing(url, swallow)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
    writer.close()
