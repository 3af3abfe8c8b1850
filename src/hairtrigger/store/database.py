"""The database: one engine, one unit of work, one way to bring the schema up to date."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from hairtrigger.domain.errors import Invalid, Unavailable

_MIGRATION_LOCK = 7_420_317  # any number, as long as every process uses the same
_UNSTORABLE = "A value can't be stored: text holds no NUL and no half surrogates, and numbers are finite."
_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # connections, memory, room on the disk
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a session that the server has ended without closing the connection yet
)


@dataclass(frozen=True)
class Transaction:
    """What a function of this package needs to ask or write something."""

    connection: AsyncConnection


@dataclass(frozen=True)
class Store:
    engine: AsyncEngine

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end of the block, or not at all.

        Raises `Unavailable` when the database can't be reached or has no room: nothing was stored.
        """
        try:
            async with self.engine.begin() as connection:
                yield Transaction(connection)
        except (OSError, PoolTimeout) as error:
            raise Unavailable from error
        except DBAPIError as error:
            cause = error.orig.__cause__ if error.orig else None
            if isinstance(cause, asyncpg.DataError):
                raise Invalid(_UNSTORABLE) from error
            if isinstance(error, OperationalError | InterfaceError) or isinstance(cause, _AWAY):
                raise Unavailable from error
            raise

    async def writable(self) -> bool:
        """False on a standby. Raises `Unavailable` when the database can't be reached."""
        async with self.transaction() as tx:
            return not (await tx.connection.execute(text("SELECT pg_is_in_recovery()"))).scalar_one()

    async def migrate(self) -> None:
        """Brings the schema up to date. Safe to call from several processes at once: one does the work."""
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            await connection.commit()
            try:
                await connection.run_sync(_upgrade)
                await connection.commit()
            finally:
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _MIGRATION_LOCK})
                await connection.commit()


@asynccontextmanager
async def open_store(url: str, *, connections: int = 20) -> AsyncIterator[Store]:
    engine = create_async_engine(
        _with_asyncpg(url),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=False,
        hide_parameters=True,  # in messages of errors, and so in logs: they are others' data
        connect_args={"timeout": 5, "server_settings": {"application_name": "hairtrigger", "jit": "off"}},
    )
    try:
        yield Store(engine)
    finally:
        await engine.dispose()


def _with_asyncpg(url: str) -> Any:
    """Operators paste `postgres://…` addresses; we have one driver."""
    parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    return parsed.set(drivername="postgresql+asyncpg")


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("hairtrigger.store").joinpath("migrations")))
    return config


def _upgrade(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
