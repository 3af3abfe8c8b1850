"""Instants: the one calendar into which every time from outside is brought first.

The calendar runs from the first to the last microsecond of the years 1 to 9999 in UTC. A time in a message
from outside never makes us refuse the message: where UTC's calendar lacks it, its nearest end stands for it. A time
that a caller asks of us (`run_at`, `expires_at`, `since`) is refused with a sentence there, because doing something at
another time would not be what was asked.
"""

from datetime import UTC, datetime, timedelta

FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(value: datetime) -> datetime:
    """Return the instant in UTC, or the end of the calendar that is nearest to it. Without an offset it is UTC's."""
    if value.utcoffset() is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return FIRST if value.year == FIRST.year else LAST


def shifted(at: datetime, by: timedelta) -> datetime:
    """Return `at + by`, or the end of the calendar where that lies beyond it. `at` is aware."""
    try:
        return at + by
    except OverflowError:
        return LAST if by > timedelta() else FIRST


def from_epoch(seconds: float) -> datetime:
    """Return the instant so many seconds after 1970, or the nearest end of the calendar.

    Raises `ValueError` for NaN.
    """
    try:
        return shifted(EPOCH, timedelta(seconds=seconds))
    except OverflowError:
        return LAST if seconds > 0 else FIRST
