"""Ask for the next due time of each kind of work in one cheap query."""

from datetime import datetime

from sqlalchemy import text

from hairtrigger.store.transaction import Transaction

_NEXT = text(
    """
    SELECT (SELECT min(next_at) FROM poll WHERE kind = 'poll') AS polls,
           (SELECT min(next_at) FROM poll WHERE kind = 'schedule') AS schedules,
           (SELECT min(run_at) FROM retry) AS retries,
           (SELECT min(run_at) FROM removal) AS removals,
           (SELECT min(next_at) FROM subscription) AS subscriptions,
           (SELECT min(next_at) FROM replay_job) AS replays
    """
)
KINDS = ("polls", "schedules", "retries", "removals", "subscriptions", "replays")


async def next_times(tx: Transaction) -> dict[str, datetime | None]:
    return dict((await tx.connection.execute(_NEXT)).one()._mapping)
