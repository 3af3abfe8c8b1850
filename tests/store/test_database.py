"""Faults between the service and its database are told apart from faults of a value."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import make_url, text

from hairtrigger.domain.errors import Unavailable
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.statements import open_statements

pytestmark = pytest.mark.anyio


async def test_a_statement_that_a_newer_schema_has_overtaken_is_to_be_tried_again(
    store: Store, database_url: str
) -> None:
    async with open_store(database_url, connections=1) as old:
        async with store.transaction() as tx:
            await tx.connection.execute(text("CREATE TABLE changing (a int)"))
        try:
            async with old.transaction() as tx:
                await tx.connection.execute(text("SELECT * FROM changing"))
            async with store.transaction() as tx:
                await tx.connection.execute(text("ALTER TABLE changing ADD COLUMN b int"))
            with pytest.raises(Unavailable):
                async with old.transaction() as tx:
                    await tx.connection.execute(text("SELECT * FROM changing"))
            async with old.transaction() as tx:
                assert list((await tx.connection.execute(text("SELECT * FROM changing"))).keys()) == ["a", "b"]
        finally:
            async with store.transaction() as tx:
                await tx.connection.execute(text("DROP TABLE changing"))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
async def test_the_address_may_be_written_as_operators_have_it(database_url: str, scheme: str) -> None:
    address = database_url.replace("postgresql+asyncpg", scheme)
    async with open_store(address, connections=1) as store:
        assert await store.writable()


async def test_who_may_only_read_is_told_that_nothing_was_stored(store: Store) -> None:
    async def write() -> None:
        async with store.transaction() as tx:
            await tx.connection.execute(text("SET TRANSACTION READ ONLY"))
            await tx.connection.execute(text("DELETE FROM org"))

    with pytest.raises(Unavailable):
        await write()


async def test_what_is_left_of_a_session_that_broke_is_used_by_nobody(database_url: str) -> None:
    async with open_store(database_url, connections=1) as store:

        async def broken() -> None:
            async with store.session() as session:
                await session.execute("SET lock_timeout = '7s'")
                raise ValueError

        with pytest.raises(ValueError):
            await broken()
        async with store.session() as session:
            assert await session.fetchval("SHOW lock_timeout") == "0"


@pytest.mark.parametrize("code", ["53100", "53200", "53300", "57P01", "57P03"])
async def test_a_database_without_room_is_away_like_one_that_stops(store: Store, code: str) -> None:
    with pytest.raises(Unavailable):
        async with store.transaction() as tx:
            await tx.connection.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$"))


async def test_a_session_that_was_ended_behind_an_open_connection_is_away_and_the_next_one_is_not(
    database_url: str, store: Store
) -> None:
    """A server that stops is in this state for a moment, and a pooler before it may be for longer."""
    said, gone = asyncio.Event(), asyncio.Event()
    async with _holding_on(database_url, said, gone) as url, open_store(url, connections=1) as behind:
        async with behind.transaction() as tx:
            pid = (await tx.connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
        await _end_session(store, pid, said)
        with pytest.raises(Unavailable):
            async with behind.transaction() as tx:
                await tx.connection.execute(text("SELECT 1"))
        gone.set()
        async with behind.transaction() as tx:
            assert (await tx.connection.execute(text("SELECT 1"))).scalar_one() == 1


async def test_single_statements_find_an_ended_session_away_only_once(database_url: str, store: Store) -> None:
    said, gone = asyncio.Event(), asyncio.Event()
    async with (
        _holding_on(database_url, said, gone) as url,
        open_store(url, connections=1) as behind,
        open_statements(behind) as statements,
    ):
        pid = (await statements.row("SELECT pg_backend_pid() AS pid"))["pid"]
        await _end_session(store, pid, said)
        with pytest.raises(Unavailable):
            await statements.row("SELECT 1 AS one")
        assert (await statements.row("SELECT 1 AS one"))["one"] == 1
        gone.set()


async def _end_session(store: Store, pid: int, said: asyncio.Event) -> None:
    """End a session, and wait until the server's last words to it have come."""
    async with store.transaction() as tx:
        await tx.connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        await said.wait()
        await tx.connection.execute(text("SELECT 1"))  # meanwhile those words are read


@asynccontextmanager
async def _holding_on(url: str, said: asyncio.Event, gone: asyncio.Event) -> AsyncIterator[str]:
    """Provide another address of the database, where a client does not notice a closed connection until `gone` is set.

    `said` is set when the server has closed a connection.
    """
    given = make_url(url)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server = f"{given.query['host']}/.s.PGSQL.{given.query['port']}"
        far_reader, far_writer = await asyncio.open_unix_connection(server)
        asking = asyncio.create_task(_pass(reader, far_writer))
        await _pass(far_reader, writer)
        said.set()
        await gone.wait()
        asking.cancel()
        far_writer.close()
        writer.close()

    with TemporaryDirectory(prefix="hairtrigger-") as folder:
        async with await asyncio.start_unix_server(connected, Path(folder, ".s.PGSQL.5432")):
            changed = given.update_query_dict({"host": folder, "port": "5432"})
            yield changed.render_as_string(hide_password=False)


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65_536):
        writer.write(chunk)
