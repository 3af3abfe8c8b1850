"""Schedules: times by the calendar, at an interval, or once. Instants are aware; answers are in UTC.

A cron expression has this meaning when clocks change:
- With fixed times (neither the minute nor the hour begins with `*`) it fires once for each time on the clock. A time
  that comes twice in autumn fires the first time only. Times that are skipped in spring fire together, once, at the
  end of the gap: `30 2 * * *` in Berlin fires at 03:00. A skipped day (Apia, 2011-12-30) is such a gap.
- With `*` it fires whenever the clock shows a matching time. `*/30 2 * * *` in Berlin does not fire on the night of the
  change in spring, and fires four times on the night of the change in autumn; `* * * * *` fires every real minute. If
  the expression names the day and a gap at midnight skips matching times, it fires once, at the end of the gap.
An interval does not depend on clocks: its day is 24 hours.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from functools import cache, lru_cache
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from hairtrigger.domain.errors import Invalid, Issue

SHORTEST = timedelta(seconds=1)
LONGEST_EXPRESSION = 200

_FIELDS = {
    "Bad minute": "minute",
    "Bad hour": "hour",
    "Bad day-of-month": "day of the month",
    "Bad month": "month",
    "Bad day-of-week": "day of the week",
}
_ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_UNITS = {"": "seconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True)
class Cron:
    """Five fields, from minute to day of the week, or an alias such as `@daily`; and the time zone of the clocks."""

    expression: str
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if len(self.expression) > LONGEST_EXPRESSION:
            raise _invalid("cron", f"A cron expression has at most {LONGEST_EXPRESSION} characters.")
        if len(self._fields) != len(_FIELDS):
            raise _invalid("cron", "A cron expression has five fields: minute, hour, day, month, day of the week.")
        try:
            first = self.next_after(datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            field = _FIELDS.get(str(error), "expression")
            raise _invalid("cron", f"The {field} of the cron expression '{self.expression}' is not valid.") from None
        if first is None:
            raise _invalid("cron", f"The cron expression '{self.expression}' never fires.")

    def next_after(self, instant: datetime) -> datetime | None:
        try:
            return _next_after(self, instant.astimezone(UTC))
        except OverflowError:  # beyond the end of the calendar
            return None

    def reckoned(self, instant: datetime) -> datetime | None:
        """Compute `next_after`, which takes a hundred times as long as reading it from the cache."""
        fire = self._first_after(instant)
        return fire if fire is None or self._fires_at_fixed_times else self._or_earlier(fire, instant)

    def _first_after(self, instant: datetime) -> datetime | None:
        # In the second pass of a repeated autumn hour, cronsim may return a fixed time of the first pass.
        fires = (moment.astimezone(UTC) for moment in self._from(instant.astimezone(self.zone)))
        return next((fire for fire in fires if fire > instant), None)

    def _or_earlier(self, fire: datetime, instant: datetime) -> datetime:
        """Return an earlier matching time that cronsim jumped over, or `fire`.

        If clocks go back by less than an hour, cronsim jumps over matching times just after the change. With one fixed
        offset it does not, so the times are computed again with the offset that is valid at `fire`.
        """
        offset = fire.astimezone(self.zone).utcoffset() or timedelta()
        for moment in self._from(instant.astimezone(timezone(offset))):
            if moment >= fire:
                break
            if moment.astimezone(self.zone).utcoffset() == offset:
                return moment.astimezone(UTC)
        return fire

    def _from(self, start: datetime) -> CronSim:
        return CronSim(" ".join(self._fields), start)

    @property
    def _fields(self) -> list[str]:
        return _ALIASES.get(self.expression, self.expression).split()

    @property
    def _fires_at_fixed_times(self) -> bool:
        minute, hour, *_ = self._fields
        return not minute.startswith("*") and not hour.startswith("*")


@lru_cache(maxsize=20_000)
def _next_after(cron: Cron, instant: datetime) -> datetime | None:
    """Cache the result, because very many schedules are equal and are evaluated together."""
    return cron.reckoned(instant)


_cron = lru_cache(maxsize=20_000)(Cron)  # each expression is checked only once


@dataclass(frozen=True)
class Interval:
    """The anchor, and every multiple of `every` after it. Late work does not move a later firing."""

    every: timedelta
    anchor: datetime

    def __post_init__(self) -> None:
        if self.every < SHORTEST:
            raise _invalid("interval", "An interval is at least one second.")

    def next_after(self, instant: datetime) -> datetime | None:
        # In UTC, because Python subtracts two times of one zone as its clocks show them and ignores clock changes.
        anchor = self.anchor.astimezone(UTC)
        passed = max((instant.astimezone(UTC) - anchor) // self.every + 1, 0)
        try:
            return anchor + passed * self.every
        except OverflowError:
            return None


@dataclass(frozen=True)
class Once:
    at: datetime

    def next_after(self, instant: datetime) -> datetime | None:
        at = self.at.astimezone(UTC)
        return at if instant.astimezone(UTC) < at else None


Schedule = Cron | Interval | Once


def parse(config: Mapping[str, Any], *, anchor: datetime) -> Schedule:
    """Return the schedule of `{cron, timezone}`, `{interval}` or `{run_at}`. Raises `Invalid`, which names the key.

    The zone is an IANA name; without one, cron is in UTC. An interval is seconds, or `"30s"`, `"5m"`, `"1h"`, `"1d"`,
    and counts from `anchor`. `run_at` is ISO 8601 with an offset, or a time on the clocks of `timezone`.
    """
    given = {key: config[key] for key in ("cron", "interval", "run_at") if config.get(key) is not None}
    if len(given) != 1:
        surplus = ("cron", "interval", "run_at") if not given else tuple(given)
        message = (
            f"Give exactly one of cron, interval and run_at; there {'is none' if not given else f'are {len(given)}'}."
        )
        raise Invalid(message, *(Issue((key,), message) for key in surplus))
    zone = _zone(config.get("timezone"))
    match given:
        case {"cron": str(expression)}:
            return _cron(expression, zone or ZoneInfo("UTC"))
        case {"interval": interval}:
            return Interval(_length(interval), anchor)
        case {"run_at": str(text)}:
            return Once(_moment(text, zone))
        case _:
            (key,) = given
            raise _invalid(key, f"{key} must be a text.")


def upcoming(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    return list(islice(_fires(schedule, after), count))


class Missed(StrEnum):
    """The choice of which missed firings are made late: times that passed while no process could see them."""

    SKIP = "skip"
    LATEST = "latest"
    ALL = "all"


def due(
    schedule: Schedule,
    previous: datetime,
    now: datetime,
    missed: Missed,
    limit: int,
    *,
    grace: timedelta = timedelta(minutes=1),
) -> list[datetime]:
    """Return the planned times that fire now, oldest first. `previous` is the last one that fired, or when enabled.

    `SKIP` fires the times planned less than `grace` ago, `LATEST` the newest time, `ALL` every time. If there are more
    than `limit`, the oldest ones are returned, and the rest is due at the next call.
    """
    previous, now = previous.astimezone(UTC), now.astimezone(UTC)
    match missed:
        case Missed.SKIP:
            return _between(schedule, max(previous, now - grace), now, limit)
        case Missed.LATEST:
            newest = _newest(schedule, previous, now)
            return [newest] if newest else []
        case Missed.ALL:
            return _between(schedule, previous, now, limit)


def _between(schedule: Schedule, after: datetime, until: datetime, limit: int) -> list[datetime]:
    return list(islice(takewhile(lambda fire: fire <= until, _fires(schedule, after)), limit))


def _fires(schedule: Schedule, after: datetime) -> Iterator[datetime]:
    while fire := schedule.next_after(after):
        yield fire
        after = fire


def _newest(schedule: Schedule, after: datetime, until: datetime) -> datetime | None:
    """Return the newest planned time up to `until`. Bisection takes some fifty steps for a year of missed minutes."""
    newest: datetime | None = None
    early, late = after, until
    while (fire := schedule.next_after(early)) and fire <= until:
        newest = early = fire
        following = schedule.next_after(early)
        if following is None or following > until:
            break
        halfway = early + (late - early) / 2
        fire = schedule.next_after(halfway)
        if fire and fire <= until:
            newest = early = fire
        else:
            late = halfway
    return newest


def _zone(name: object) -> ZoneInfo | None:
    if name is None:
        return None
    if not isinstance(name, str) or name not in _zones():
        raise _invalid("timezone", "timezone must be an IANA name such as Europe/Berlin.")
    return ZoneInfo(name)


@cache
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime"})


def _length(value: object) -> timedelta:
    match value:
        case bool():
            pass
        case int() | float():
            return _timedelta("seconds", value)
        case str() if parts := re.fullmatch("([0-9]{1,9})([smhd]?)", value):
            return _timedelta(_UNITS[parts[2]], int(parts[1]))
    raise _invalid("interval", "interval must be seconds, or a number with s, m, h or d, such as 5m.")


def _timedelta(unit: str, amount: float) -> timedelta:
    try:
        return timedelta(**{unit: amount})
    except (ValueError, OverflowError):
        raise _invalid("interval", "interval is not a number, or too long.") from None


def _moment(text: str, zone: ZoneInfo | None) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and zone is None:
            raise _invalid("run_at", "run_at needs an offset, such as 2026-05-01T09:00:00+02:00, or a timezone.")
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise _invalid("run_at", "There is no such time in UTC, whose calendar has the years 1 to 9999.") from None
    except ValueError:
        raise _invalid("run_at", "run_at must be a date and time in ISO 8601.") from None


def _invalid(key: str, message: str) -> Invalid:
    return Invalid(None, Issue((key,), message))
