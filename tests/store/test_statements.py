import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import text

from hairtrigger.domain.errors import Invalid, Unavailable
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.statements import Statements
from tests.store import locks
from tests.support.clock import pass_time
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

PATIENCE = timedelta(hours=1)
_BACKENDS = "SELECT pid FROM pg_stat_activity WHERE pid = :pid"


@pytest.fixture
async def statements(store: Store) -> AsyncIterator[Statements]:
    made = Statements(store, patience=PATIENCE)
    yield made
    made.close()


async def _backend(statements: Statements) -> int:
    return int((await statements.row("SELECT pg_backend_pid()"))[0])


async def _ended(store: Store, pid: int) -> bool:
    async with store.transaction() as tx:
        return (await tx.connection.execute(text(_BACKENDS), {"pid": pid})).first() is None


async def test_a_statement_is_on_disk_when_it_returns_and_its_connection_serves_the_next(
    store: Store, statements: Statements
) -> None:
    pid = await _backend(statements)
    await statements.row("INSERT INTO waiting VALUES ('p', gen_random_uuid(), '{}') RETURNING 1")
    async with store.transaction() as tx:
        assert (await tx.connection.execute(text("SELECT count(*) FROM waiting"))).scalar_one() == 1
    assert await _backend(statements) == pid


async def test_statements_at_once_have_a_connection_each(statements: Statements) -> None:
    first, second = await asyncio.gather(_backend(statements), _backend(statements))
    assert first != second


async def test_a_connection_that_was_ended_is_replaced_and_nobody_hears_of_it(
    store: Store, statements: Statements
) -> None:
    pid = await _backend(statements)
    async with store.transaction() as tx:
        await tx.connection.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    await until(lambda: _ended(store, pid))
    assert await _backend(statements) != pid


async def test_what_is_not_answered_in_time_is_given_up(store: Store, statements: Statements) -> None:
    pid = await _backend(statements)
    async with store.transaction() as tx:
        await tx.connection.execute(text("LOCK TABLE waiting"))
        insert = "INSERT INTO waiting VALUES ('p', gen_random_uuid(), '{}') RETURNING 1"
        asking = asyncio.create_task(statements.row(insert))
        await until(partial(locks.waiting, store))
        pass_time(PATIENCE)
        with pytest.raises(Unavailable):
            await asking
    await until(lambda: _ended(store, pid))
    async with store.transaction() as tx:
        assert (await tx.connection.execute(text("SELECT count(*) FROM waiting"))).scalar_one() == 0
    assert await _backend(statements) != pid


async def test_what_the_database_or_its_driver_cannot_store_is_refused_and_costs_no_connection(
    statements: Statements,
) -> None:
    pid = await _backend(statements)
    for value in ("nul \0", "half \ud800"):
        with pytest.raises(Invalid):
            await statements.row("SELECT $1::text", value)
    with pytest.raises(Invalid):
        await statements.row("SELECT $1::text::int", "no number")
    assert await _backend(statements) == pid


async def test_a_database_that_is_away_is_unavailable() -> None:
    async with open_store("postgresql://nobody@127.0.0.1:1/none") as nowhere:
        with pytest.raises(Unavailable):
            await Statements(nowhere).row("SELECT 1")
