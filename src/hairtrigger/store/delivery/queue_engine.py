"""Rebuild the queue engine, PGMQ, from the SQL of its package, also while the service is running.

PGMQ installed without its extension can't be upgraded in place. Its tables hold only deliveries that are under way, and
these are carried over: message ids, counts and leases stay as they are, so a worker with a lease keeps it.
"""

from importlib.resources import files

from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.transaction import Session

_COLUMNS = "msg_id, read_ct, enqueued_at, vt, message"  # the columns that every version has
_QUEUES = """
    SELECT substr(relname, 3) AS name FROM pg_class
    WHERE relname LIKE 'q\\_%' AND relkind = 'r' AND relnamespace = to_regnamespace('pgmq') ORDER BY relname
"""
# Messages are read by lane, and those whose leases have ended by lease. PGMQ's own index would only cost.
_INDEXES = """
    CREATE INDEX q_{0}_unread_idx ON pgmq.q_{0} ((message->>'project'), msg_id) WHERE read_ct = 0;
    CREATE INDEX q_{0}_leased_idx ON pgmq.q_{0} (vt) WHERE read_ct > 0;
    DROP INDEX pgmq.q_{0}_vt_idx
"""
_CHURNS = "fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0"


def engine() -> str:
    return files("pgmq.sql").joinpath("pgmq.sql").read_text()


async def rebuild(session: Session) -> int:
    """Replace the engine with that of the installed package, in one transaction, and return how many messages it kept.

    If the old tables are gone, no message is kept, and the reconciler finds the lost deliveries.
    """
    async with session.transaction():
        await session.execute("SET LOCAL lock_timeout = '5s'")
        queues = [row["name"] for row in await session.fetch(_QUEUES)]
        next_ids = {queue: await _set_aside(session, queue) for queue in queues}
        await session.execute(f"DROP SCHEMA IF EXISTS pgmq CASCADE; {engine()}")
        for queue in queues or [DISPATCH]:
            await session.execute("SELECT pgmq.create($1)", queue)
            await session.execute(f"ALTER TABLE pgmq.q_{queue} SET ({_CHURNS}); {_INDEXES.format(queue)}")
        return sum([await _put_back(session, queue, next_ids[queue]) for queue in queues])


async def _set_aside(session: Session, queue: str) -> int:
    """Copy the queue to a temporary table, and return the id that its next message would have had."""
    await session.execute(f"LOCK TABLE pgmq.q_{queue} IN ACCESS EXCLUSIVE MODE")
    await session.execute(
        f"CREATE TEMPORARY TABLE kept_{queue} ON COMMIT DROP AS SELECT {_COLUMNS} FROM pgmq.q_{queue}"  # noqa: S608
    )
    return int(await session.fetchval(f"SELECT last_value + 1 FROM {_sequence(queue)}"))  # noqa: S608


async def _put_back(session: Session, queue: str, next_id: int) -> int:
    """Put the messages back, and return how many. New ids begin at `next_id`, so that no id is used a second time.

    A worker identifies its lease by the id of the message.
    """
    await session.execute(f"ALTER SEQUENCE {_sequence(queue)} RESTART WITH {next_id}")
    done = await session.execute(
        f"INSERT INTO pgmq.q_{queue} ({_COLUMNS}) OVERRIDING SYSTEM VALUE SELECT {_COLUMNS} FROM kept_{queue}"  # noqa: S608
    )
    return int(done.rpartition(" ")[2])


def _sequence(queue: str) -> str:
    return f"pgmq.q_{queue}_msg_id_seq"
