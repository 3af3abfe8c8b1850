"""Single statements, each a transaction of its own and one round trip, over connections kept for them.

A unit of work costs a round trip more for its begin and one for its commit, and more of Python than what it asks. Where
thousands of requests a second wait for one statement, that is most of the time.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg

from hairtrigger.domain.errors import Invalid
from hairtrigger.store.database import Store
from hairtrigger.store.transaction import Session

PATIENCE = timedelta(seconds=4)
_SETTINGS = {"plan_cache_mode": "force_generic_plan"}  # arrays of a batch are planned for once, not each time


class Statements:
    """Keeps as many connections as were ever in use at once; broken ones are replaced when they are needed.

    `patience` is for one statement, and for the connection it may have to make.
    """

    def __init__(self, store: Store, patience: timedelta = PATIENCE) -> None:
        self._patience = patience.total_seconds()
        self._store = store
        self.without = store.without
        self.complaints = store.complaints
        self._idle: list[Session] = []

    async def row(self, statement: str, *arguments: Any) -> asyncpg.Record:
        """The one row that the statement returns. It is prepared at its first use.

        Raises `Invalid` for a value that can't be stored, and `Unavailable` when the database can't be reached or does
        not answer in time: then nothing was stored, or nobody knows.
        """
        try:
            async with (
                self._store.translated_errors(),
                asyncio.timeout(self._patience),
                self._connection() as connection,
            ):
                row = await connection.fetchrow(statement, *arguments)
        except ValueError as error:  # the driver's word for a value
            raise Invalid("A value can't be stored: text holds no NUL and no half surrogates.") from error
        assert row is not None
        return row

    def close(self) -> None:
        while self._idle:
            self._idle.pop().terminate()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Session]:
        connection = self._kept() or await self._store.connect(_SETTINGS)
        try:
            yield connection
        except asyncpg.ReadOnlySQLTransactionError:
            connection.terminate()  # its server has become a standby
            raise
        except (asyncpg.PostgresError, ValueError):
            raise  # it was understood, and refused: the connection is as good as before
        except BaseException:
            connection.terminate()  # what it was asked may still be under way
            raise
        finally:
            if not connection.is_closed():
                self._idle.append(connection)

    def _kept(self) -> "Session | None":
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
        return None


@asynccontextmanager
async def open_statements(store: Store, patience: timedelta = PATIENCE) -> AsyncIterator[Statements]:
    """To the store's database. The first connection is made for the first statement."""
    statements = Statements(store, patience)
    try:
        yield statements
    finally:
        statements.close()
