"""Open the database, run transactions in it, and bring its schema up to date."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib.resources import files

import asyncpg
import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from asyncpg.connect_utils import SessionAttribute
from sqlalchemy import Connection, ExceptionContext, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool

from hairtrigger.domain.errors import HairtriggerError, Invalid, Unavailable
from hairtrigger.store import partitions, server
from hairtrigger.store.advisory_lock import AdvisoryLock
from hairtrigger.store.instants import read_instants
from hairtrigger.store.server import BY_INDEX, SESSION, SINGLE_STATEMENTS, DatabaseUnfit
from hairtrigger.store.transaction import Session, Transaction

log = structlog.get_logger()

_MIGRATION_TRIES = 20  # a busy table's lock may not be free at the first try
_CONNECT_SECONDS = 3  # for each host of the address, because the next one may answer
_PATIENCE = timedelta(seconds=30)  # a database that stops answering must not hold a request for ever
_UNSTORABLE = "A value can't be stored: text holds no NUL and no half surrogates, and numbers are finite and not huge."
_TOO_LARGE = "A value can't be stored: it is too long for an index, or too deeply nested."
_NO_PARTITION = re.compile(r"\(day\) = \((\d{4}-\d\d-\d\d)\)")  # the same in every language of the server
_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # too few connections, too little memory or disk
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,  # a newer version has changed the schema
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # the session was ended, or no host can be written to
)


_WRITABLE = text(
    "SELECT pg_is_in_recovery() AS standby, current_setting('fsync')::bool AS fsync, "
    "current_setting('full_page_writes')::bool AS full_page_writes"
)
_REFUSED = (
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
)


class DatabaseUnreachable(HairtriggerError):
    """The database can't be reached. Check HAIRTRIGGER_DATABASE_URL."""


class _MissingPartition(Exception):
    def __init__(self, day: date) -> None:
        super().__init__(day)
        self.day = day


class Complaints:
    """Logs why nothing can be stored in the database, but only if the reason differs from the one logged last.

    Every use of the database fails for the same reason, so it would otherwise be logged again and again.
    """

    def __init__(self) -> None:
        self._last = ""

    def tell(self, reason: str) -> None:
        if reason != self._last:
            log.error("nothing is stored in this database", reason=reason)
        self._last = reason


@dataclass(frozen=True)
class Store:
    engine: AsyncEngine
    connect: Callable[[Mapping[str, str]], Awaitable[Session]]
    """Open a database connection outside the pool, with these session settings besides `SESSION`. The caller closes it.
    """
    without: tuple[str, ...] = ()
    """The names of the safeguards (`SAFEGUARDS` in `store/server.py`) that the operator allows to be off."""
    complaints: Complaints = field(default_factory=Complaints)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Yield a transaction, which is committed at the end of the block, or rolled back if the block raises.

        Raises `Invalid` for a value that can't be stored, and `Unavailable` if the database can't be reached or written
        to, or has no room. Nothing was stored then, unless the database was lost during the commit itself.
        """
        async with self.translated_errors(), self.engine.begin() as connection:
            yield Transaction(connection)

    @asynccontextmanager
    async def translated_errors(self) -> AsyncIterator[None]:
        """Raise `Unavailable` if an error of the driver in the block means that the database can't be used now, and
        `Invalid` if it means that a value can't be stored. Other errors pass.

        If the partition of a day was missing, it is made, and `Unavailable` is raised, so that the caller tries again.
        """
        try:
            with _translated_errors():
                yield
        except DatabaseUnfit as unfit:
            self.complaints.tell(unfit.reason)
            raise
        except _MissingPartition as missing:
            async with self.engine.begin() as connection:
                await partitions.make(connection, [missing.day])
            raise Unavailable("There was no place for this day yet; now there is. Try again.") from missing

    @asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """Yield the driver's connection, for statements that can't run in a transaction. Each of them commits by
        itself.

        The driver's errors in the block become `Unavailable` or `Invalid`, as in a transaction. The connection is
        closed if the block raises, and otherwise returns to the pool.
        """
        with _translated_errors():
            async with self.engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                try:
                    yield driver
                except BaseException:
                    await connection.invalidate()  # it may still listen to notifications, or be broken
                    raise

    @property
    def connections(self) -> dict[str, int]:
        """Return how many connections of the pool are `in_use` and `idle`, and as `limit` the most that it may have."""
        pool = self.engine.pool
        assert isinstance(pool, QueuePool)
        return {"in_use": pool.checkedout(), "idle": pool.checkedin(), "limit": pool.size()}

    async def writable(self) -> bool:
        """Return whether the database accepts writes, and has all safeguards on that the operator does not allow to be
        off.

        Raises `Unavailable` if the database can't be reached.
        """
        async with self.transaction() as tx:
            row = (await tx.connection.execute(_WRITABLE)).one()
        return not row.standby and not server.lacking(
            [name for name in server.SAFEGUARDS if not getattr(row, name)], self.without
        )

    async def size(self) -> int:
        """Return how many bytes the database takes on its server's disk, without the write-ahead log."""
        async with self.transaction() as tx:
            found: int = (await tx.connection.execute(text("SELECT pg_database_size(current_database())"))).scalar_one()
        return found

    async def check(self) -> None:
        """Raise `DatabaseUnreachable`, with what to change, if the database can't be reached, would lose commits in a
        crash, or could not store every text.

        If the operator allows safeguards to be off, a warning is logged.
        """
        try:
            async with self.session() as session:
                await server.check_server(session, self.without)
            if self.without:
                log.warning("the database may lose what was accepted", without=self.without)
        except DatabaseUnfit as unfit:
            raise DatabaseUnreachable(f"The database can't be used as it is. {unfit.reason}") from unfit
        except Unavailable as away:
            raise DatabaseUnreachable(f"The database can't be used: {_explained(away.__cause__)}") from away

    async def migrate(self) -> None:
        """Bring the schema up to date. If several processes call this at the same time, one of them does the work.

        The schema of a newer version is left as it is. Raises `DatabaseUnreachable` if the schema can't be brought up
        to date.
        """
        for tries_left in reversed(range(_MIGRATION_TRIES)):
            try:
                with _translated_errors():
                    await self._migrate()
            except DatabaseUnfit as unfit:
                raise DatabaseUnreachable(f"The database can't be used as it is. {unfit.reason}") from unfit
            except Unavailable as away:
                problem = away.__cause__
                if not tries_left or not isinstance(_driver_error(problem), asyncpg.LockNotAvailableError):
                    raise DatabaseUnreachable(
                        f"The database can't be brought up to date: {_explained(problem)}"
                    ) from away
                await asyncio.sleep(1)
            except (DBAPIError, asyncpg.PostgresError) as error:
                if not isinstance(_driver_error(error), _REFUSED):
                    raise
                raise DatabaseUnreachable(
                    f"The database can't be brought up to date: {_driver_error(error)}"
                ) from error
            else:
                return

    async def _migrate(self) -> None:
        async with self.engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": AdvisoryLock.MIGRATION})
            # A statement that waits for a busy table's lock makes later ones wait, too, so it gives up early.
            await connection.execute(text("SET lock_timeout = '3s'"))
            await connection.commit()
            try:
                await connection.run_sync(_upgrade)
                await connection.commit()
            finally:
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": AdvisoryLock.MIGRATION})
                await connection.execute(text("RESET lock_timeout"))
                await connection.commit()


@contextmanager
def _translated_errors() -> Iterator[None]:
    try:
        yield
    except (DBAPIError, PoolTimeout, asyncpg.PostgresError, *_AWAY) as error:
        cause = _driver_error(error)
        if isinstance(cause, asyncpg.DataError):
            raise Invalid(_UNSTORABLE) from error
        if isinstance(cause, asyncpg.ProgramLimitExceededError):
            raise Invalid(_TOO_LARGE) from error
        if isinstance(cause, asyncpg.CheckViolationError) and (day := _NO_PARTITION.search(cause.detail or "")):
            raise _MissingPartition(date.fromisoformat(day[1])) from error
        if isinstance(error, PoolTimeout | OperationalError | InterfaceError) or isinstance(cause, _AWAY):
            raise Unavailable from error
        raise


def _explained(problem: BaseException | None) -> str:
    """Return a text for the operator on why the database can't be used.

    It is the driver's message, or says what to change where that message does not.
    """
    match _driver_error(problem):
        case asyncpg.TargetServerAttributeNotMatched():
            return "it can only be read: it is a standby, or default_transaction_read_only is on."
        case asyncpg.ProtocolViolationError() as refused if "startup parameter" in str(refused):
            names = ",".join((*SESSION, *SINGLE_STATEMENTS, *BY_INDEX))
            return f"{refused}. A pooler must let these pass: ignore_startup_parameters = {names}"
        case _:
            return str(problem)


def is_cancelled(error: DBAPIError) -> bool:
    """Return whether the server cancelled the statement, because it took longer than its timeout allows."""
    return isinstance(_driver_error(error), asyncpg.QueryCanceledError)


def _driver_error(error: BaseException | None) -> BaseException | None:
    """Return the driver's error that an error of SQLAlchemy wraps, or the error itself if it wraps none."""
    if isinstance(error, asyncpg.PostgresError | OSError):
        return error
    wrapped = error.orig if isinstance(error, DBAPIError) else error
    return wrapped.__cause__ if wrapped and wrapped.__cause__ else wrapped


@asynccontextmanager
async def open_store(
    url: str, *, connections: int = 20, patience: timedelta | None = _PATIENCE, without: Collection[str] = ()
) -> AsyncIterator[Store]:
    """Yield the store of the database at `url`, and close its connections at the end of the block.

    `url` has libpq's form and may name several hosts, of which the first that can be written to is used. `connections`
    is the size of the pool. A statement that takes longer than `patience` fails with `Unavailable`. Migrations need
    None, which sets no limit. `without` names the safeguards (`SAFEGUARDS` in `store/server.py`) that the operator
    allows to be off.
    """
    url = re.sub(r"^postgres(ql)?(\+\w+)?://", "postgresql://", url)

    async def connect(more_settings: Mapping[str, str]) -> Session:
        session = await asyncpg.connect(
            url,
            timeout=_CONNECT_SECONDS,
            command_timeout=patience.total_seconds() if patience else None,
            server_settings={**SESSION, **more_settings},
            target_session_attrs=SessionAttribute.read_write,
        )
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await server.check_session(session)
                await read_instants(session)
        except BaseException:
            session.terminate()
            raise
        return session

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=lambda: connect({}),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=False,
        hide_parameters=True,  # parameters are users' data and must not reach error messages or logs
    )
    event.listen(engine.sync_engine, "handle_error", _leave_a_standby)
    try:
        yield Store(engine, connect, tuple(without))
    finally:
        await engine.dispose()


def _leave_a_standby(context: ExceptionContext) -> None:
    """Drop the pool's connections after an error that shows that their server has become a standby.

    The next connection looks for the server that can be written to.
    """
    if isinstance(_driver_error(context.original_exception), asyncpg.ReadOnlySQLTransactionError):
        context.is_disconnect = True


def alembic_config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(files("hairtrigger.store").joinpath("migrations")))
    return config


def _upgrade(connection: Connection) -> None:
    config = alembic_config()
    config.attributes["connection"] = connection
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None or current in known:  # otherwise a newer version is being rolled out; we can use its schema
        command.upgrade(config, "head")
