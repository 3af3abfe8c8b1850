"""Make the partition of each day before it is needed, and drop it when its retention is over.

Neither step makes an insert wait, because partitions are attached and detached with statements that PostgreSQL runs
beside reads and writes. A default partition would forbid both statements, so there is none. Instead, the partitions of
the next days are made ahead. If a partition is missing nevertheless, because a clock jumped, the store makes it and
asks the caller to try again.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from hairtrigger.store.advisory_lock import AdvisoryLock
from hairtrigger.store.transaction import Session, Transaction

EVENT, ATTEMPT, OUTCOME = TABLES = ("event", "attempt", "outcome")
_DETACH_SECONDS = 60  # a detach waits so long for transactions that read already; others do not wait


async def make_ahead(tx: Transaction, today: date, days: int = 7) -> None:
    """Make the partitions of all days from yesterday to `days` after today, as far as they are missing.

    Requests that were received just before midnight need the partition of yesterday.
    """
    await make(tx.connection, [today + timedelta(days=offset) for offset in range(-1, days + 1)])


async def make(connection: AsyncConnection, days: Iterable[date]) -> None:
    wanted = {_name(table, day): (table, day) for day in days for table in TABLES}
    if await _missing(connection, wanted):
        await connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": AdvisoryLock.PARTITIONS})
    for name in await _missing(connection, wanted):
        table, day = wanted[name]
        await connection.execute(text(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL EXCLUDING INDEXES)"))
        bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
        await connection.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES {bounds}"))


async def _missing(connection: AsyncConnection, wanted: Iterable[str]) -> list[str]:
    """Return the names of the wanted partitions that do not exist.

    `make` asks twice, because another process may make the partitions while this one waits for the lock.
    """
    known = text("SELECT relname FROM pg_class WHERE relname = ANY(:names) AND relnamespace = 'public'::regnamespace")
    found = set((await connection.execute(known, {"names": list(wanted)})).scalars())
    return [name for name in wanted if name not in found]


async def days_of(tx: Transaction, table: str) -> list[date]:
    """Return the days that have a partition in the table, oldest first."""
    return [_day(name) for name, attached in await _of(tx, table) if attached]


async def names_of(tx: Transaction, table: str) -> list[str]:
    """Return the names of all partitions of the table, oldest first, also of those that are detached but not dropped
    yet.
    """
    return [name for name, _ in await _of(tx, table)]


async def detached(tx: Transaction, table: str) -> list[str]:
    """Return the names of the table's partitions that are detached, or being detached, but not dropped yet, oldest
    first.

    The process that was dropping them has stopped, or is still at work.
    """
    return [name for name, attached in await _of(tx, table) if not attached]


async def drop(session: Session, table: str, day: date) -> None:
    await session.execute(
        f"ALTER TABLE {table} DETACH PARTITION {_name(table, day)} CONCURRENTLY", timeout=_DETACH_SECONDS
    )
    await drop_detached(session, table, _name(table, day))


async def drop_detached(session: Session, table: str, name: str) -> None:
    """Drop a partition that is detached, or whose detaching was cut off. Raises the driver's error for a lock if a
    transaction still reads the partition.

    In the block of `Store.session`, that error becomes `Unavailable`.
    """
    if await session.fetchval("SELECT true FROM pg_inherits WHERE inhrelid = $1::text::regclass", name):
        await session.execute(f"ALTER TABLE {table} DETACH PARTITION {name} FINALIZE", timeout=_DETACH_SECONDS)
    await session.execute(f"SET lock_timeout = '1s'; DROP TABLE {name}")


async def _of(tx: Transaction, table: str) -> list[tuple[str, bool]]:
    rows = await tx.connection.execute(
        text(
            """
            SELECT relname, inhrelid IS NOT NULL AND NOT inhdetachpending AS attached
            FROM pg_class LEFT JOIN pg_inherits ON inhrelid = pg_class.oid
            WHERE relname ~ :pattern AND relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname
            """
        ),
        {"pattern": f"^{table}_[0-9]{{8}}$"},
    )
    return [(row.relname, row.attached) for row in rows]


def _name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _day(name: str) -> date:
    return datetime.strptime(name[-8:], "%Y%m%d").date()  # noqa: DTZ007 a day, no time
