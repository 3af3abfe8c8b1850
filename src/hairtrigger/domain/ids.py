"""Makes and reads the ids of rows and of leases.

Ids of rows are UUIDs of version 7. They sort by time to the microsecond, and the UTC day in an id names the partition
of its row. The first half of a lease's id is that of the id of the process that holds it, and the rest is random.
"""

import secrets
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_VERSION = 7 << 76
_VARIANT = 0b10 << 62


def new_id(at: datetime) -> UUID:
    """Return a new UUID of version 7 (RFC 9562, 5.7) for this time.

    The 12 bits after the version hold the fraction of the millisecond (6.2, method 3), because the events of one page
    are a microsecond apart and must keep their order. The last 62 bits are random.
    """
    return UUID(int=_lowest(at) | secrets.randbits(62))


def new_lease(holder: UUID) -> UUID:
    """Return the id of a new lease. Its first half is that of `holder`, the random id of the process that holds the
    lease; the rest is random.
    """
    return UUID(int=holder.int >> 64 << 64 | secrets.randbits(64))


def leases_of(holder: UUID) -> tuple[UUID, UUID]:
    """Return the lowest and the highest id that a lease of the process `holder` can have."""
    first = holder.int >> 64 << 64
    return UUID(int=first), UUID(int=first | (1 << 64) - 1)


def parsed_id(text: str) -> UUID | None:
    """Return the UUID that a text from outside spells, or None if the text is not a UUID."""
    try:
        return UUID(text)
    except ValueError:
        return None


def first_id(at: datetime) -> UUID:
    """Return the lowest id that a row made in the microsecond `at` can have. Rows of earlier times have lower ids."""
    return UUID(int=_lowest(at))


def _lowest(at: datetime) -> int:
    milliseconds, microseconds = divmod(max(0, (at - _EPOCH) // _MICROSECOND), 1000)
    fraction = microseconds * 4096 // 1000
    return milliseconds << 80 | _VERSION | fraction << 64 | _VARIANT


def first_of(day: date) -> UUID:
    """Return an id that is not greater than the id of any row of this UTC day or of a later day. It is no row's id."""
    return UUID(int=(datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH) // _MICROSECOND // 1000 << 80)


def time_of(id_: UUID) -> float:
    """Return the time in a row's id, in seconds since 1970, cut to the millisecond."""
    return (id_.int >> 80) / 1000


def day_of(id_: UUID) -> date:
    """Return the UTC day in an id, or `date.max` if the id holds no time in the calendar.

    For an id that `new_id` did not make, the day says nothing. A search for the id's row on that day finds none.
    """
    try:
        return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC).date()
    except (OverflowError, ValueError):
        return date.max
