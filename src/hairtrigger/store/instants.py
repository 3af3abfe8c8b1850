"""Instants are written to the database and read from it here, so that each comes back equal and aware.

By itself the driver stores the first and the last microsecond of Python's calendar as `-infinity` and `infinity`, reads
those as times without an offset, takes a time without an offset for one of this machine's zone, and fails at rows that
lie beyond the calendar.
"""

from datetime import UTC, datetime, timedelta

from hairtrigger.domain.instants import FIRST, LAST
from hairtrigger.store.transaction import Session

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL's
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (FIRST - _EPOCH) // _MICROSECOND
_LAST = (LAST - _EPOCH) // _MICROSECOND


async def read_instants(session: Session) -> None:
    """Make the session write and read `timestamptz` by the two functions below, alone, in arrays and in rows."""
    await session.set_type_codec("timestamptz", schema="pg_catalog", format="tuple", encoder=encoded, decoder=decoded)


def encoded(value: datetime) -> tuple[int]:
    """Return the microseconds since 2000. A time without an offset is UTC's; the calendar's ends stand for the rest."""
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return (_within((aware - _EPOCH) // _MICROSECOND),)


def decoded(stored: tuple[int]) -> datetime:
    """Return the instant. Rows of earlier versions hold the infinities for the calendar's ends."""
    return _EPOCH + timedelta(0, 0, _within(stored[0]))


def _within(microseconds: int) -> int:
    if _FIRST <= microseconds <= _LAST:
        return microseconds
    return _FIRST if microseconds < _FIRST else _LAST
