"""Convert instants for the database and back, so that each is read as it was written, with an offset.

The driver's own conversion has four faults. It stores the first and the last microsecond of Python's calendar as
`-infinity` and `infinity`. It reads these two as times without an offset. It takes a time without an offset for one of
this machine's time zone. It fails at rows whose time lies outside Python's calendar.
"""

from datetime import UTC, datetime, timedelta

from hairtrigger.domain.instants import FIRST, LAST
from hairtrigger.store.transaction import Session

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)  # PostgreSQL counts from here
_MICROSECOND = timedelta(microseconds=1)
_FIRST = (FIRST - _EPOCH) // _MICROSECOND
_LAST = (LAST - _EPOCH) // _MICROSECOND


async def read_instants(session: Session) -> None:
    """Make the session convert `timestamptz` with `encoded` and `decoded`, for single values and inside arrays and
    rows.
    """
    await session.set_type_codec("timestamptz", schema="pg_catalog", format="tuple", encoder=encoded, decoder=decoded)


def encoded(value: datetime) -> tuple[int]:
    """Return the time as a tuple of one number, which is the microseconds since 2000 in UTC.

    A time without an offset counts as UTC. A time outside the calendar becomes the nearest end of the calendar.
    """
    aware = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    return (_within((aware - _EPOCH) // _MICROSECOND),)


def decoded(stored: tuple[int]) -> datetime:
    """Return the instant as an aware datetime in UTC. One outside the calendar becomes the nearest end of the calendar.

    In rows of earlier versions, the infinities stand for these ends.
    """
    return _EPOCH + timedelta(0, 0, _within(stored[0]))


def _within(microseconds: int) -> int:
    if _FIRST <= microseconds <= _LAST:
        return microseconds
    return _FIRST if microseconds < _FIRST else _LAST
