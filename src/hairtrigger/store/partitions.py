"""Partitions by day, made ahead of need. An insert without its partition would fail, so there are always spare ones."""

from datetime import date, timedelta

from sqlalchemy import text

from hairtrigger.store.database import Transaction

_BY_DAY = ("event", "attempt", "outcome")


async def make_ahead(tx: Transaction, today: date, days: int = 7) -> None:
    """From yesterday, for what was received just before midnight, to `days` from now."""
    for offset in range(-1, days + 1):
        day = today + timedelta(days=offset)
        for table in _BY_DAY:
            await tx.connection.execute(
                text(
                    f"CREATE TABLE IF NOT EXISTS {table}_{day:%Y%m%d} PARTITION OF {table} "
                    f"FOR VALUES FROM ('{day}') TO ('{day + timedelta(days=1)}')"
                )
            )
