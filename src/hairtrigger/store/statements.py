"""Run single statements, each as a transaction of its own in one round trip, over database connections kept for them.

A `Transaction` needs one more round trip to begin and one more to commit, and costs more time in Python than its
statement does. That is most of the time if thousands of requests a second wait for one statement each.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import asyncpg

from hairtrigger.domain.errors import Invalid
from hairtrigger.store.database import Store
from hairtrigger.store.server import SINGLE_STATEMENTS
from hairtrigger.store.transaction import Session

PATIENCE = timedelta(seconds=4)


class Statements:
    """Runs single statements over database connections that are kept for nothing else.

    As many connections are kept as were ever in use at the same time. A broken connection is replaced when a statement
    needs one. `patience` limits one statement, together with the connection that may have to be made for it.
    """

    def __init__(self, store: Store, patience: timedelta = PATIENCE, settings: Mapping[str, str] | None = None) -> None:
        """`settings` are added to the settings of the sessions, such as settings of the planner."""
        self._patience = patience.total_seconds()
        self._store = store
        self._settings = {**SINGLE_STATEMENTS, **(settings or {})}
        self.without = store.without
        self.complaints = store.complaints
        self._idle: list[Session] = []

    async def row(self, statement: str, *arguments: Any) -> asyncpg.Record:
        """Run a statement that returns exactly one row, and return the row. The statement is prepared at its first use.

        Raises `Invalid` for a value that can't be stored. Raises `Unavailable` if the database can't be reached or does
        not answer in time. Then it is unknown whether the statement was carried out.
        """
        async with self._prepared() as connection:
            row = await connection.fetchrow(statement, *arguments)
        assert row is not None
        return row

    async def rows(self, statement: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        """Run a statement and return all its rows. Raises the same errors as `row`."""
        async with self._prepared() as connection:
            return await connection.fetch(statement, *arguments)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().terminate()

    @asynccontextmanager
    async def _prepared(self) -> AsyncIterator[Session]:
        try:
            async with (
                self._store.translated_errors(),
                asyncio.timeout(self._patience),
                self._connection() as connection,
            ):
                yield connection
        except ValueError as error:  # the driver raises it for a value that it can't encode
            raise Invalid("A value can't be stored: text holds no NUL and no half surrogates.") from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Session]:
        connection = self._kept() or await self._store.connect(self._settings)
        try:
            yield connection
        except asyncpg.ReadOnlySQLTransactionError:
            connection.terminate()  # its server has become a standby
            raise
        except (asyncpg.PostgresError, ValueError):
            raise  # the server understood and refused the statement: the connection still works
        except BaseException:
            connection.terminate()  # the statement may still be under way
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
    """Yield `Statements` for the store's database, and close their connections at the end of the block.

    The first statement makes the first connection.
    """
    statements = Statements(store, patience)
    try:
        yield statements
    finally:
        statements.close()


def positional(statement: str, *names: str) -> str:
    """Return the statement with the parameters written as `:name` replaced by `$1`, `$2` and so on, in the order of
    `names`.
    """
    for number, name in enumerate(names, 1):
        statement = re.sub(rf"(?<!:):{name}\b", f"${number}", statement)
    return statement
