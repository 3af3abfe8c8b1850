"""Ids are uuid v7: they sort by time to the microsecond, and the day inside them names their partition."""

import secrets
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_VERSION = 7 << 76
_VARIANT = 0b10 << 62


def new_id(at: datetime) -> UUID:
    """RFC 9562, 5.7, with the fraction of the millisecond in the next 12 bits (6.2, method 3), which no library does:
    events of one page are a microsecond apart and must keep their order."""
    return UUID(int=_lowest(at) | secrets.randbits(62))


def parsed_id(text: str) -> UUID | None:
    """Return the id that a text from outside spells, or None if it spells none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def first_id(at: datetime) -> UUID:
    """The lowest there can be of this microsecond: what happened since then has this id or a higher one."""
    return UUID(int=_lowest(at))


def _lowest(at: datetime) -> int:
    milliseconds, microseconds = divmod(max(0, (at - _EPOCH) // _MICROSECOND), 1000)
    fraction = microseconds * 4096 // 1000
    return milliseconds << 80 | _VERSION | fraction << 64 | _VARIANT


def first_of(day: date) -> UUID:
    """No id of the day, or of any later one, is less."""
    return UUID(int=(datetime(day.year, day.month, day.day, tzinfo=UTC) - _EPOCH) // _MICROSECOND // 1000 << 80)


def day_of(id_: UUID) -> date:
    """Of an id that isn't ours some day comes out too: one on which nothing is found."""
    try:
        return datetime.fromtimestamp((id_.int >> 80) / 1000, UTC).date()
    except (OverflowError, ValueError):
        return date.max
