"""Computes schedules, which fire at times of the calendar, at an interval, or once. All instants are aware, and those
that are returned are in UTC.

A cron expression has this meaning when clocks change:
- With fixed times (neither the minute nor the hour begins with `*`) it fires once for each time on the clock. A time
  that comes twice in autumn fires the first time only. Times that the clocks skip in spring fire together, once, at the
  end of the gap: `30 2 * * *` in Berlin fires at 03:00. A day that is left out (Apia, 2011-12-30) is such a gap.
- With `*` it fires whenever the clock shows a matching time. `*/30 2 * * *` in Berlin does not fire on the night of the
  change in spring, and fires four times on the night of the change in autumn; `* * * * *` fires every real minute. If
  the expression names the day and a gap at midnight skips matching times, it fires once, at the end of the gap.
An interval does not depend on clocks, and its days have 24 hours. Only an interval of whole days with a start keeps the
time on the clock. A recurrence rule behaves like fixed times (`domain.recurrence`).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from functools import cache, lru_cache
from itertools import islice, takewhile
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from hairtrigger.domain.cron_fields import fields_of, surprises
from hairtrigger.domain.errors import Invalid, Issue
from hairtrigger.domain.recurrence import Recurrence, Rule, rule_in, start_in

SHORTEST = timedelta(seconds=1)
_KINDS = ("cron", "interval", "rrule", "run_at")
_LONGEST_STEP = 10_000  # days
LONGEST_EXPRESSION = 200

_FIELDS = {
    "Bad minute": "minute",
    "Bad hour": "hour",
    "Bad day-of-month": "day of the month",
    "Bad month": "month",
    "Bad day-of-week": "day of the week",
}
_ALIASES = {
    "@hourly": ["0", "*", "*", "*", "*"],
    "@daily": ["0", "0", "*", "*", "*"],
    "@midnight": ["0", "0", "*", "*", "*"],
    "@weekly": ["0", "0", "*", "*", "0"],
    "@monthly": ["0", "0", "1", "*", "*"],
    "@yearly": ["0", "0", "1", "1", "*"],
    "@annually": ["0", "0", "1", "1", "*"],
}
_EVERY = "@every "
_UNITS = {
    **dict.fromkeys(("", "s", "sec", "secs", "second", "seconds"), "seconds"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "minutes"),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), "hours"),
    **dict.fromkeys(("d", "day", "days"), "days"),
    **dict.fromkeys(("w", "week", "weeks"), "weeks"),
}
_AMOUNT = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
_AMOUNTS = re.compile(rf"{_AMOUNT} ?([a-z]*)")
_LENGTH = re.compile(rf"{_AMOUNT} ?[a-z]*(?: ?{_AMOUNT} ?[a-z]+){{0,4}}")
_ISO_LENGTH = re.compile(
    rf"P(?:{_AMOUNT}W)?(?:{_AMOUNT}D)?(?:T(?:{_AMOUNT}H)?(?:{_AMOUNT}M)?(?:{_AMOUNT}S)?)?(?<![PT])"
)
_ISO_UNITS = ("weeks", "days", "hours", "minutes", "seconds")


@dataclass(frozen=True)
class Cron:
    """A cron expression, and the time zone of its clocks.

    The expression has five fields, from minute to day of the week, or is an alias such as `@daily`. Making one raises
    `Invalid` for another expression, and for an expression that never fires.
    """

    expression: str
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if len(self.expression) > LONGEST_EXPRESSION:
            raise _invalid("cron", f"A cron expression has at most {LONGEST_EXPRESSION} characters.")
        if len(self.fields) != len(_FIELDS):
            raise _invalid("cron", "A cron expression has five fields: minute, hour, day, month, day of the week.")
        try:
            first = self.next_after(datetime(2000, 1, 1, tzinfo=UTC))
        except CronSimError as error:
            field = _FIELDS.get(str(error), "expression")
            raise _invalid("cron", f"The {field} of the cron expression '{self.expression}' is not valid.") from None
        if first is None:
            raise _invalid("cron", f"The cron expression '{self.expression}' never fires.")

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first firing after `instant`, in UTC, or None if there is none before the year 10000."""
        try:
            return _next_after(self, instant.astimezone(UTC))
        except OverflowError:  # beyond the end of the calendar
            return None

    def reckoned(self, instant: datetime) -> datetime | None:
        """Compute the first firing after `instant`, in UTC, which takes far longer than `next_after`, because it uses
        no cache. Raises `OverflowError` at the end of the calendar.
        """
        fire = self._first_after(instant)
        return fire if fire is None or self._fires_at_fixed_times else self._or_earlier(fire, instant)

    def _first_after(self, instant: datetime) -> datetime | None:
        # In the second pass of a repeated autumn hour, cronsim may return a fixed time of the first pass.
        fires = (moment.astimezone(UTC) for moment in self._from(instant.astimezone(self.zone)))
        return next((fire for fire in fires if fire > instant), None)

    def _or_earlier(self, fire: datetime, instant: datetime) -> datetime:
        """Return the first matching time that cronsim jumped over between `instant` and `fire`, or `fire` if there is
        none.

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
        return CronSim(" ".join(self.fields), start)

    @property
    def fields(self) -> list[str]:
        return _ALIASES.get(self.expression, fields_of(self.expression))

    @property
    def _fires_at_fixed_times(self) -> bool:
        minute, hour, *_ = self.fields
        return not minute.startswith("*") and not hour.startswith("*")


@lru_cache(maxsize=20_000)
def _next_after(cron: Cron, instant: datetime) -> datetime | None:
    """Return the first firing after `instant` from a cache, because many schedules are equal and are asked at the same
    time.
    """
    return cron.reckoned(instant)


_cron = lru_cache(maxsize=20_000)(Cron)  # each expression is checked only once


@dataclass(frozen=True)
class Interval:
    """A schedule that fires at `anchor` and at every multiple of `every` after it. A firing that is made late does not
    move later ones.

    Making one raises `Invalid` if the interval is shorter than a second.
    """

    every: timedelta
    anchor: datetime

    def __post_init__(self) -> None:
        if self.every < SHORTEST:
            raise _invalid("interval", "An interval is at least one second.")

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first firing after `instant`, in UTC, or None if there is none before the year 10000. Before
        `anchor`, the first firing is at `anchor`.
        """
        # In UTC, because Python subtracts two times of one zone as its clocks show them and ignores clock changes.
        anchor = self.anchor.astimezone(UTC)
        passed = max((instant.astimezone(UTC) - anchor) // self.every + 1, 0)
        try:
            return anchor + passed * self.every
        except OverflowError:
            return None


@dataclass(frozen=True)
class Once:
    """A schedule that fires once."""

    at: datetime

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the one firing, in UTC, if it is after `instant`, or None otherwise."""
        at = self.at.astimezone(UTC)
        return at if instant.astimezone(UTC) < at else None


Schedule = Cron | Interval | Once | Recurrence


def parse(config: Mapping[str, Any], *, anchor: datetime) -> Schedule:
    """Return the schedule of a configuration that has exactly one of `cron`, `interval`, `rrule` and `run_at`.

    `timezone` is the IANA name of the zone of the clocks. Without it, clocks are in UTC and `run_at` needs an offset.
    An interval is a number of seconds, or a text such as `"5m"`, `"1h30m"`, `"2w"` or `"PT5M"`, and counts from
    `start`, or else from `anchor`. `rrule` is a recurrence rule of iCalendar, and may have a `start`. `start` and
    `run_at` are ISO 8601 with an offset, or times on the clocks of `timezone`.

    Raises `Invalid`, which names the keys at fault.
    """
    given = {key: config[key] for key in _KINDS if config.get(key) is not None}
    if len(given) != 1:
        surplus = _KINDS if not given else tuple(given)
        message = f"Give exactly one of {', '.join(_KINDS)}; there {'is none' if not given else f'are {len(given)}'}."
        raise Invalid(message, *(Issue((key,), message) for key in surplus))
    zone, start = _zone(config.get("timezone")), config.get("start")
    if start is not None and not isinstance(start, str):
        raise _invalid("start", "start must be a text.")
    if start is not None and not given.keys() & {"interval", "rrule"}:
        raise _invalid("start", "A start belongs to an interval or a rule.")
    match given:
        case {"cron": str(expression)} if expression.startswith(_EVERY):
            return Interval(_length(expression.removeprefix(_EVERY).strip(), "cron"), anchor)
        case {"cron": str(expression)}:
            return _cron(expression, zone or ZoneInfo("UTC"))
        case {"interval": interval}:
            return _interval(_length(interval), start, zone or ZoneInfo("UTC"), anchor)
        case {"rrule": str(text)}:
            return _recurrence(text, start, zone or ZoneInfo("UTC"), anchor)
        case {"run_at": str(text)}:
            return Once(_moment(text, zone))
        case _:
            (key,) = given
            raise _invalid(key, f"{key} must be a text.")


def notes(schedule: Schedule, after: datetime) -> list[str]:
    """Return sentences about what in a cron expression may surprise its user, and then one with its next five times
    after `after`.

    The list is empty if nothing may surprise, and for every schedule that is not a cron expression.
    """
    match schedule:
        case Cron():
            found = list(surprises(schedule.fields))
            zone = schedule.zone
        case _:
            return []
    times = ", ".join(f"{at.astimezone(zone):%a %Y-%m-%d %H:%M}" for at in upcoming(schedule, after, 5))
    return [*found, f"The next times are {times} ({zone.key})."] if found else []


def upcoming(schedule: Schedule, after: datetime, count: int) -> list[datetime]:
    """Return the first `count` firings after `after`, or fewer if the schedule ends."""
    return list(islice(_fires(schedule, after), count))


class Missed(StrEnum):
    """The policy for missed firings, which says which of them are made late. A firing is missed if its time passed
    before it could be made.
    """

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
    """Return the times of the firings that are to be made now, oldest first and at most `limit`.

    They are later than `previous`, which is the time of the last firing or of the enabling, and not later than `now`.
    `SKIP` returns those of less than `grace` ago, `LATEST` only the newest one, and `ALL` all of them. If there are
    more than `limit`, the oldest ones are returned, and the rest is due at the next call.
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
    """Return the newest firing that is later than `after` and not later than `until`, or None if there is none.

    It is found by bisection, which takes some fifty steps for a year of missed minutes.
    """
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


def _interval(every: timedelta, start: str | None, zone: ZoneInfo, anchor: datetime) -> Schedule:
    """Return the schedule of an interval, which counts from `start`, or else from `anchor`. An interval of whole days
    with a start becomes a rule, which keeps the time on the clock. Raises `Invalid` if that has more than 10,000 days.
    """
    if start is None:
        return Interval(every, anchor)
    moment = _moment(start, zone, "start")
    days = every / timedelta(days=1)
    if not days.is_integer() or days < 1:
        return Interval(every, moment)
    if days > _LONGEST_STEP:
        raise _invalid("interval", f"An interval with a start is at most {_LONGEST_STEP} days.")
    return Recurrence(Rule("DAILY", int(days)), zone, moment.astimezone(zone).replace(tzinfo=None))


def _recurrence(text: str, start: str | None, zone: ZoneInfo, anchor: datetime) -> Schedule:
    """Return the schedule of a recurrence rule. Raises `Invalid` for a rule without a time of the day, and for a rule
    that never fires.

    The rule counts from `start`, or else from the start that is written before it in `text`. Either gives the time of
    the day as well. Without both, the rule must have hours, and counts from `anchor`.
    """
    rule = rule_in(text)
    written, its_zone = start_in(text)
    if its_zone and zone.key == "UTC":
        zone = _zone(its_zone) or zone
    if start or written:
        begin = _moment(start or written or "", zone, "start").astimezone(zone)
    elif rule.hours:
        begin = anchor.astimezone(zone)
        rule = replace(rule, minutes=rule.minutes or (0,), seconds=rule.seconds or (0,))
    else:
        raise _invalid("rrule", "The rule names no time of the day. Add BYHOUR, such as BYHOUR=9, or give a start.")
    recurrence = Recurrence(rule, zone, begin.replace(tzinfo=None, microsecond=0))
    try:
        first = next(recurrence.times(begin.date()), None)
    except (OverflowError, ValueError):
        first = None
    if first is None:
        raise _invalid("rrule", "The rule never fires.")
    return recurrence


def _length(value: object, key: str = "interval") -> timedelta:
    match value:
        case bool():
            pass
        case int() | float():
            return _timedelta({"seconds": value}, key)
        case str():
            if parts := _parts(value.strip()):
                return _timedelta(parts, key)
            if re.fullmatch("P[0-9]+[YM].*", value.strip()):
                raise _invalid(key, "Months and years have no fixed length: give cron or a rule (rrule) instead.")
    raise _invalid(key, "interval must be seconds, or a length such as 5m, 1h30m, 2w or PT5M.")


def _parts(text: str) -> dict[str, float] | None:
    """Return the amount of each unit in a text such as `1h30m` or `PT5M`, or None if the text is no length of time."""
    if iso := _ISO_LENGTH.fullmatch(text):
        return {unit: float(amount) for unit, amount in zip(_ISO_UNITS, iso.groups(), strict=True) if amount}
    found = _LENGTH.fullmatch(text)
    if not found:
        return None
    pairs = [(amount, unit) for amount, unit in _AMOUNTS.findall(text)]
    units = [_UNITS.get(unit) for _, unit in pairs]
    if len(pairs) > 1 and "" in (unit for _, unit in pairs):
        return None
    parts = {unit: float(amount) for (amount, _), unit in zip(pairs, units, strict=True) if unit}
    return parts if len(parts) == len(pairs) else None


def _timedelta(parts: Mapping[str, float], key: str) -> timedelta:
    try:
        return timedelta(**parts)
    except (ValueError, OverflowError):
        raise _invalid(key, "interval is not a number, or too long.") from None


def _moment(text: str, zone: ZoneInfo | None, key: str = "run_at") -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None and zone is None:
            raise _invalid(key, f"{key} needs an offset, such as 2026-05-01T09:00:00+02:00, or a timezone.")
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        raise _invalid(key, "There is no such time in UTC, whose calendar has the years 1 to 9999.") from None
    except ValueError:
        raise _invalid(key, f"{key} must be a date and time in ISO 8601.") from None


def _invalid(key: str, message: str) -> Invalid:
    return Invalid(None, Issue((key,), message))
