"""Converts times from outside into one calendar.

The calendar is that of the years 1 to 9999 in UTC. A message from outside is never refused because of a time in it. If
a time lies outside the calendar, the nearest end of the calendar replaces it. But a time for which a caller asks
(`run_at`, `expires_at`, `since`) is refused with a sentence if it lies outside the calendar, because an action at
another time would not be what the caller asked for.
"""

from datetime import UTC, datetime, timedelta

FIRST = datetime.min.replace(tzinfo=UTC)
LAST = datetime.max.replace(tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def instant(value: datetime) -> datetime:
    """Return this time in UTC, or the nearest end of the calendar if it lies outside the calendar. A time without an
    offset is taken as UTC.
    """
    if value.utcoffset() is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        return FIRST if value.year == FIRST.year else LAST


def shifted(at: datetime, by: timedelta) -> datetime:
    """Return `at + by`, or the nearest end of the calendar if the sum lies outside the calendar. `at` must be aware."""
    try:
        return at + by
    except OverflowError:
        return LAST if by > timedelta() else FIRST


def from_epoch(seconds: float) -> datetime:
    """Return the instant this many seconds after the start of 1970 in UTC, or the nearest end of the calendar if it
    lies outside.

    Raises `ValueError` for NaN.
    """
    try:
        return shifted(EPOCH, timedelta(seconds=seconds))
    except OverflowError:
        return LAST if seconds > 0 else FIRST


def spelled(length: timedelta) -> str:
    """Return a length of time in words, rounded to seconds. At most two units are named, the largest ones that are not
    zero, such as "1 hour 5 minutes".
    """
    seconds, words = round(length.total_seconds()), []
    for unit, size in (("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, size)
        if count:
            words.append(f"{count} {unit}{'s' * (count != 1)}")
    return " ".join(words[:2]) or "0 seconds"
