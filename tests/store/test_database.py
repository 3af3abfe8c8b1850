"""What the database's errors mean to those who use it."""

import pytest
from sqlalchemy import text

from hairtrigger.domain.errors import Unavailable
from hairtrigger.store.database import Store, open_store

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
