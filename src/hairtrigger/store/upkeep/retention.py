"""Delete old rows of tables without daily partitions, in small batches, so that each can be a short transaction."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text

from hairtrigger.domain.ids import first_of
from hairtrigger.store.transaction import Transaction

BATCH = 1000
KEY_TABLES = tuple(f"event_key_{number}" for number in range(8))
KEY_PAGES = 256  # pages of 8 KB that one call reads

_UNDELIVERED = """
    SELECT DISTINCT CAST(message->>'day' AS date) AS day FROM (
        SELECT message FROM pgmq.q_dispatch UNION ALL SELECT message FROM retry UNION ALL SELECT message FROM waiting
    ) AS on_the_way
"""


async def undelivered_days(tx: Transaction) -> set[date]:
    """Return the days of the events with deliveries that are on the queue or waiting, or that have a planned retry."""
    return set((await tx.connection.execute(text(_UNDELIVERED))).scalars())


async def forget_deliveries(tx: Transaction, oldest: date) -> int:
    """Delete a batch of the dead letters and replays of events from before `oldest`, the oldest day that is kept.

    Return how many rows were deleted from the table that lost more.
    """
    before = {"oldest": oldest, "id": first_of(oldest), "batch": BATCH}
    dead = await tx.connection.execute(
        text(
            """
            DELETE FROM dead WHERE delivery_id IN (
                SELECT delivery_id FROM dead WHERE delivery_id < :id
                UNION ALL SELECT replay.delivery_id FROM replay JOIN dead USING (delivery_id) WHERE event_day < :oldest
                LIMIT :batch)
            """
        ),
        before,
    )
    replays = await tx.connection.execute(
        text(
            """
            DELETE FROM replay WHERE delivery_id IN (
                SELECT delivery_id FROM replay WHERE event_day < :oldest
                AND NOT EXISTS (SELECT FROM dead WHERE dead.delivery_id = replay.delivery_id) LIMIT :batch)
            """
        ),
        before,
    )
    return max(dead.rowcount, replays.rowcount)


async def forget_replay_jobs(tx: Transaction, before: datetime) -> int:
    """Delete a batch of the replay jobs that ended before this time, and return how many. Their replays stay."""
    done = await tx.connection.execute(
        text(
            """
            DELETE FROM replay_job WHERE id IN (
                SELECT id FROM replay_job WHERE next_at IS NULL AND ended_at < :before LIMIT :batch)
            """
        ),
        {"before": before, "batch": BATCH},
    )
    return done.rowcount


async def forget_answers(tx: Transaction, before: datetime) -> int:
    """Delete a batch of the kept answers to API requests from before this time, and return how many were deleted."""
    done = await tx.connection.execute(
        text(
            """
            DELETE FROM idempotency WHERE (org_id, key) IN (
                SELECT org_id, key FROM idempotency WHERE created_at < :before LIMIT :batch)
            """
        ),
        {"before": before, "batch": BATCH},
    )
    return done.rowcount


async def forget_keys(tx: Transaction, table: str, page: int, before: date) -> bool:
    """Delete event keys that were last seen before a day, in `KEY_PAGES` pages of a table from the page `page` on.

    Return whether there are more pages. The caller reads the table in the order of its pages on disk, once a day,
    because an index by day would make every event more expensive.
    """
    end = (await tx.connection.execute(text(f"SELECT pg_relation_size('{table}') / 8192"))).scalar_one()
    rows = f"ctid >= CAST('({page},0)' AS tid) AND ctid < CAST('({page + KEY_PAGES},0)' AS tid)"
    await tx.connection.execute(text(f"DELETE FROM {table} WHERE {rows} AND day < :before"), {"before": before})  # noqa: S608
    return bool(page + KEY_PAGES < end)


async def remember_keys(tx: Transaction, seen: Sequence[tuple[UUID, str]], today: date) -> None:
    """Restart the retention of these event keys today, because a poll has seen them again.

    Otherwise a forgotten key in an old feed would make a new event.
    """
    if seen:
        triggers, keys = zip(*seen, strict=True)
        await tx.connection.execute(_REMEMBER, {"trigger": list(triggers), "key": list(keys), "today": today})


_REMEMBER = text(
    """
    UPDATE event_key SET day = CAST(:today AS date)
    FROM unnest(CAST(:trigger AS uuid[]), CAST(:key AS text[])) AS seen (project_trigger_id, key)
    WHERE event_key.project_trigger_id = seen.project_trigger_id AND event_key.key = seen.key
      AND day < CAST(:today AS date) - 1
    """
)


async def clock_difference(tx: Transaction, now: datetime) -> float:
    """Return the seconds by which the database's clock is ahead of `now`, or a negative number if it is behind."""
    theirs: datetime = (await tx.connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    return (theirs - now).total_seconds()
