"""Record the times in which the processes of the service ran, and which of the processes have ended.

A row is a stretch, which is a time in which a process ran without a break. A process that loses its database or stands
still begins another stretch, so that the gap is on record.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import delete, insert, select, text, update

from hairtrigger.store.tables import process
from hairtrigger.store.transaction import Transaction

After = Literal["start", "database", "standstill"]


@dataclass(frozen=True)
class Stretch:
    id: UUID  # of the process
    started_at: datetime
    seen_at: datetime  # its last sign of life
    ended: bool  # the process is gone, and whatever it held is free
    role: str
    after: After  # what came before it: no process, no database, or a process that stood still
    kernel: str | None = None  # with `lock_file`: the lock that proves whether the process is dead
    lock_file: str | None = None


_COLUMNS = tuple(process.c[name] for name in Stretch.__dataclass_fields__)
_NEAR = text(
    """
    SELECT id, started_at, seen_at, ended, role, after, kernel, lock_file FROM process
    WHERE seen_at >= coalesce((SELECT max(seen_at) FROM process WHERE seen_at < :since AND role = ANY(:roles)), :since)
    AND started_at <= coalesce((SELECT min(started_at) FROM process WHERE started_at > :until AND role = ANY(:roles)),
                               :until)
    ORDER BY started_at LIMIT :limit
    """
).columns(*_COLUMNS)


async def begin(tx: Transaction, stretch: Stretch) -> None:
    await tx.connection.execute(insert(process).values(vars(stretch)))


async def see(tx: Transaction, id_: UUID, started_at: datetime, now: datetime) -> None:
    """Store a sign of life of the stretch that this process began at `started_at`.

    The commit need not wait for the disk, as the next sign comes soon.
    """
    await tx.connection.execute(text("SELECT set_config('synchronous_commit', 'off', true)"))
    mine = (process.c.id == id_) & (process.c.started_at == started_at)
    await tx.connection.execute(update(process).where(mine).values(seen_at=now))


async def end(tx: Transaction, ids: Collection[UUID]) -> None:
    await tx.connection.execute(update(process).where(process.c.id.in_(ids)).values(ended=True))


async def unended(
    tx: Transaction, *, but: UUID, since: datetime | None = None, silent_since: datetime | None = None
) -> list[Stretch]:
    """Return a stretch of each process that has not ended, except the process `but`: its last one that matches.

    A stretch matches if its last sign of life is not before `since` and not after `silent_since`, if these are given.
    """
    statement = select(*_COLUMNS).where(~process.c.ended, process.c.id != but)
    if since is not None:
        statement = statement.where(process.c.seen_at >= since)
    if silent_since is not None:
        statement = statement.where(process.c.seen_at <= silent_since)
    rows = await tx.connection.execute(statement.order_by(process.c.started_at))
    return list({row.id: Stretch(*row) for row in rows}.values())


async def near(
    tx: Transaction, since: datetime, until: datetime, roles: Collection[str], limit: int
) -> Sequence[Stretch]:
    """Return the first `limit` stretches that overlap the time from `since` to `until`, oldest first.

    The nearest stretches of these roles before and after that time are among them.
    """
    parameters = {"since": since, "until": until, "roles": list(roles), "limit": limit}
    return [Stretch(*row) for row in await tx.connection.execute(_NEAR, parameters)]


async def forget(tx: Transaction, before: datetime) -> None:
    await tx.connection.execute(delete(process).where(process.c.seen_at < before))
