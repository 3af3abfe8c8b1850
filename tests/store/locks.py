"""Sessions of the database that wait for a lock."""

from sqlalchemy import text

from hairtrigger.store.database import Store

_WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def waiting(store: Store) -> int:
    """Return how many sessions wait for a lock."""
    async with store.transaction() as tx:
        return int((await tx.connection.execute(text(_WAITING))).scalar_one())
