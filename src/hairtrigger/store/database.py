"""The database: one engine, one unit of work, one way to bring the schema up to date."""

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

from hairtrigger.domain.errors import HairtriggerError, Invalid, Unavailable
from hairtrigger.store import partitions, server
from hairtrigger.store.instants import read_instants
from hairtrigger.store.server import SESSION, DatabaseUnfit
from hairtrigger.store.transaction import Session, Transaction

log = structlog.get_logger()

_MIGRATION_TRIES = 20  # for the locks of busy tables
_MIGRATION_LOCK = 7_420_317  # any number, as long as every process uses the same
_CONNECT_SECONDS = 3  # of each host of the address: the next one may be the one that lives
_PATIENCE = timedelta(seconds=30)  # a database that has gone without a word must not hold a request for ever
_UNSTORABLE = "A value can't be stored: text holds no NUL and no half surrogates, and numbers are finite and not huge."
_TOO_LARGE = "A value can't be stored: it is too long for an index, or too deeply nested."
_NO_PARTITION = re.compile(r"\(day\) = \((\d{4}-\d\d-\d\d)\)")  # in whatever language the server speaks
_AWAY = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,  # connections, memory, room on the disk
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,  # a newer version has changed the schema
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a session that was ended, or none of the address's hosts can be written to
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
    """Says each reason once in a row: whatever needs the database meets it again and again."""

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
    """A connection of one's own, with these settings besides."""
    without: tuple[str, ...] = ()
    """The safeguards of the server that the operator does without: see `store/server.py`."""
    complaints: Complaints = field(default_factory=Complaints)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end of the block, or not at all.

        Raises `Unavailable` when the database can't be reached or written, or has no room: nothing was stored.
        """
        async with self.translated_errors(), self.engine.begin() as connection:
            yield Transaction(connection)

    @asynccontextmanager
    async def translated_errors(self) -> AsyncIterator[None]:
        """What the driver raises, as what it means: `Unavailable` or `Invalid`."""
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
        """The driver's own connection, for what can't be part of a transaction. Each statement commits by itself."""
        with _translated_errors():
            async with self.engine.connect() as connection:
                driver = (await connection.get_raw_connection()).driver_connection
                assert driver is not None
                try:
                    yield driver
                except BaseException:
                    await connection.invalidate()  # it may be listening, or be broken
                    raise

    async def writable(self) -> bool:
        """Return whether a commit would be on disk. Raises `Unavailable` when the database can't be reached."""
        async with self.transaction() as tx:
            row = (await tx.connection.execute(_WRITABLE)).one()
        return not row.standby and not server.lacking(
            [name for name in server.SAFEGUARDS if not getattr(row, name)], self.without
        )

    async def check(self) -> None:
        """Raises `DatabaseUnreachable` with what has to be changed when the database can't keep what is promised."""
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
        """Brings the schema up to date. Safe to call from several processes at once: one does the work."""
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
            await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            # Whoever waits for the lock of a busy table makes all behind it wait: give up early and try again.
            await connection.execute(text("SET lock_timeout = '3s'"))
            await connection.commit()
            try:
                await connection.run_sync(_upgrade)
                await connection.commit()
            finally:
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _MIGRATION_LOCK})
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
    """What went wrong at the start, with the way out where the driver's words don't name it."""
    match _driver_error(problem):
        case asyncpg.TargetServerAttributeNotMatched():
            return "it can only be read: it is a standby, or default_transaction_read_only is on."
        case asyncpg.ProtocolViolationError() as refused if "startup parameter" in str(refused):
            return f"{refused}. A pooler must let these pass: ignore_startup_parameters = {','.join(SESSION)}"
        case _:
            return str(problem)


def is_cancelled(error: DBAPIError) -> bool:
    """Whether the statement took longer than it was allowed to."""
    return isinstance(_driver_error(error), asyncpg.QueryCanceledError)


def _driver_error(error: BaseException | None) -> BaseException | None:
    """SQLAlchemy wraps the driver's errors in its own, twice."""
    if isinstance(error, asyncpg.PostgresError | OSError):
        return error
    wrapped = error.orig if isinstance(error, DBAPIError) else error
    return wrapped.__cause__ if wrapped and wrapped.__cause__ else wrapped


@asynccontextmanager
async def open_store(
    url: str, *, connections: int = 20, patience: timedelta | None = _PATIENCE, without: Collection[str] = ()
) -> AsyncIterator[Store]:
    """`url` is libpq's, and may name several hosts: whichever can be written to is used.

    `without` names the safeguards of the server that the operator does without: see `store/server.py`.

    A statement that takes longer than `patience` fails. None is for migrations.
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
        hide_parameters=True,  # in messages of errors, and so in logs: they are others' data
    )
    event.listen(engine.sync_engine, "handle_error", _leave_a_standby)
    try:
        yield Store(engine, connect, tuple(without))
    finally:
        await engine.dispose()


def _leave_a_standby(context: ExceptionContext) -> None:
    """A server that can't be written to any more is as good as gone: the next connection looks for the one that can."""
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
    if current is None or current in known:  # else a newer version is being rolled out, whose schema serves us, too
        command.upgrade(config, "head")
