"""Ids are UUIDs of version 7: they sort by time to the microsecond, and the day in an id names its row's partition."""

import secrets
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_VERSION = 7 << 76
_VARIANT = 0b10 << 62


def new_id(at: datetime) -> UUID:
    """Return a UUID of version 7 (RFC 9562, 5.7) for this time.

    The next 12 bits hold the fraction of the millisecond (6.2, method 3), which no library does: events of one page are
    a microsecond apart and must keep their order.
    """
    return UUID(int=_lowest(at) | secrets.randbits(62))


def new_lease(holder: UUID) -> UUID:
    """Return the id of a new lease, which names its process too: the first half of the process's random id."""
    return UUID(int=holder.int >> 64 << 64 | secrets.randbits(64))


def leases_of(holder: UUID) -> tuple[UUID, UUID]:
    """Return the first and the last id that a lease of this process can have."""
    first = holder.int >> 64 << 64
    return UUID(int=first), UUID(int=first | (1 << 64) - 1)


def parsed_id(text: str) -> UUID | None:
    """Return the id that a text from outside spells, or None if it spells none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def first_id(at: datetime) -> UUID:
    """Return the lowest possible id of this microsecond. Events since then have this id or a higher one."""
    return UUID(int=_lowest(at))


def _lowest(at: datetime) -> int:
    milliseconds, microseconds = divmod(max(0, (at - _EPOCH) // _MICROSECOND), 1000)
    fraction = microseconds * 4096 // 1000
    return milliseconds << 80 | _VERSION | fraction << 64 | _VARIANT


def first_of(day: date) -> UUID:
    """Return an id that is not greater than any id of this day or of a later day."""
    return UUID(int=(datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH) // _MICROSECOND // 1000 << 80)


def day_of(id_: UUID) -> date:
    """Return the day in an id. An id that isn't ours gives a day, too, but nothing is found on it."""
    try:
        return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC).date()
    except (OverflowError, ValueError):
        return date.max
