"""Measure the work that is left to do in the whole service, by one query of limited cost, however much is left."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import DateTime, bindparam, text

from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.transaction import Transaction

_QUEUE = f"pgmq.q_{DISPATCH}"
_MOST = 50_000  # rows that are counted of a kind


@dataclass(frozen=True)
class Backlog:
    """The numbers of rows, each counted up to 50,000, and the times since when work of each kind has been due.

    A time is that of the oldest work, or None if no work of the kind is due.
    """

    queued: int
    under_way: int
    waiting: int
    retrying: int
    dead: int
    stalled: int
    refused: int
    failing: int
    deliveries: datetime | None
    retries: datetime | None
    polls: datetime | None
    schedules: datetime | None
    removals: datetime | None


def _count(source: str) -> str:
    return f"(SELECT count(*) FROM (SELECT FROM {source} LIMIT {_MOST}) AS counted)"  # noqa: S608 our own text


# A message that was never read is looked for by its number: those before it are the few that are leased.
_BACKLOG = text(
    f"""
    SELECT {_count(f"{_QUEUE} WHERE read_ct = 0")} AS queued,
           {_count(f"{_QUEUE} WHERE read_ct > 0")} AS under_way,
           {_count("waiting")} AS waiting,
           {_count("retry")} AS retrying,
           {_count("dead")} AS dead,
           {_count("stall")} AS stalled,
           {_count("streak WHERE side = 'requests'")} AS refused,
           {_count("streak WHERE side = 'deliveries'")} AS failing,
           (SELECT enqueued_at FROM {_QUEUE} WHERE read_ct = 0 ORDER BY msg_id LIMIT 1) AS deliveries,
           (SELECT min(run_at) FROM retry WHERE run_at <= :now) AS retries,
           (SELECT min(next_at) FROM poll
            WHERE kind = 'poll' AND next_at <= :now AND (leased_until IS NULL OR leased_until <= :now)) AS polls,
           (SELECT min(next_at) FROM poll WHERE kind = 'schedule' AND next_at <= :now) AS schedules,
           (SELECT min(run_at) FROM removal
            WHERE run_at <= :now AND (leased_until IS NULL OR leased_until <= :now)) AS removals
    """  # noqa: S608 all of it our own text
).bindparams(bindparam("now", type_=DateTime(timezone=True)))
_ALIVE = text(
    """
    SELECT role, count(DISTINCT id) AS number FROM process WHERE NOT ended AND seen_at > :since GROUP BY role
    """
).bindparams(bindparam("since", type_=DateTime(timezone=True)))


async def backlog(tx: Transaction, now: datetime) -> Backlog:
    await tx.connection.execute(text("SELECT set_config('statement_timeout', '3s', true)"))
    return Backlog(*(await tx.connection.execute(_BACKLOG, {"now": now})).one())


async def alive(tx: Transaction, since: datetime) -> dict[str, int]:
    """Return how many processes of each role have given a sign of life after `since` and have not ended.

    A role without such a process is left out.
    """
    return {row.role: row.number for row in await tx.connection.execute(_ALIVE, {"since": since})}
