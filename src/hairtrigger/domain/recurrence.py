"""Reads recurrence rules of iCalendar, such as "every second Monday at nine", and computes their times.

https://www.rfc-editor.org/rfc/rfc5545#section-3.3.10

A rule is read on the clocks of a time zone. When the clocks change, the times of a rule behave like the fixed times of
a cron expression. A time that the clocks show twice fires the first time only. Times that the clocks skip fire
together, once, at the end of the gap.
"""

import re
from calendar import monthrange
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import islice, product
from typing import Literal
from zoneinfo import ZoneInfo

from hairtrigger.domain.errors import Invalid, Issue

Frequency = Literal["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]

LONGEST_RULE = 500
_MOST_TIMES = 100  # of a day
_MOST_COUNT = 1000
_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
# So many periods are searched for the next time. A rule that has no day in them, like the 30th of February, is refused.
_HORIZON: Mapping[Frequency, int] = {"DAILY": 15_000, "WEEKLY": 2_200, "MONTHLY": 500, "YEARLY": 60}
_BOUNDS = {
    "BYMONTH": range(1, 13),
    "BYMONTHDAY": (*range(-31, 0), *range(1, 32)),
    "BYYEARDAY": (*range(-366, 0), *range(1, 367)),
    "BYSETPOS": (*range(-366, 0), *range(1, 367)),
    "BYHOUR": range(24),
    "BYMINUTE": range(60),
    "BYSECOND": range(60),
}
_KNOWN = {*_BOUNDS, "FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST"}
_START = re.compile(r"DTSTART(?:;VALUE=DATE(?:-TIME)?)?(?:;TZID=(?P<zone>[^:;]+))?:(?P<moment>\d{8}(?:T\d{6}Z?)?)")


@dataclass(frozen=True)
class Rule:
    """A recurrence rule without its start. An empty tuple is a part that the rule does not state."""

    frequency: Frequency
    interval: int = 1
    months: tuple[int, ...] = ()
    month_days: tuple[int, ...] = ()
    year_days: tuple[int, ...] = ()
    days: tuple[tuple[int, int], ...] = ()  # which one of the month or year, or 0 for each; the day of the week
    hours: tuple[int, ...] = ()
    minutes: tuple[int, ...] = ()
    seconds: tuple[int, ...] = ()
    positions: tuple[int, ...] = ()
    week_start: int = 0
    count: int | None = None
    until: datetime | None = None  # aware, or on the clocks of the zone

    def from_start(self, start: datetime) -> "Rule":
        """Return the rule with its days and its time of the day, each taken from `start` where the rule does not state
        it.
        """
        rule = self
        if not (self.month_days or self.year_days or self.days):
            match self.frequency:
                case "YEARLY":
                    rule = replace(rule, months=self.months or (start.month,), month_days=(start.day,))
                case "MONTHLY":
                    rule = replace(rule, month_days=(start.day,))
                case "WEEKLY":
                    rule = replace(rule, days=((0, start.weekday()),))
                case "DAILY":
                    pass
        return replace(
            rule,
            hours=self.hours or (start.hour,),
            minutes=self.minutes or (start.minute,),
            seconds=self.seconds or (start.second,),
        )

    def period_of(self, day: date, start: date) -> int:
        """Return the number of the last period that begins on or before `day`.

        A period is `interval` days, weeks, months or years. The period that holds `start` has the number 0, and so has
        any day before `start`.
        """
        return max(self._passed(day, start) // self.interval, 0)

    def _passed(self, day: date, start: date) -> int:
        match self.frequency:
            case "DAILY":
                return (day - start).days
            case "WEEKLY":
                return (day - self._week(start)).days // 7
            case "MONTHLY":
                return (day.year - start.year) * 12 + day.month - start.month
            case "YEARLY":
                return day.year - start.year

    def times_of(self, period: int, start: date) -> list[datetime]:
        """Return the times of a period on the clocks, naive and in order, also those before `start`. The rule must
        state the hours, minutes and seconds, as rules from `from_start` do.
        """
        days = list(self._days(period * self.interval, start))
        times = sorted(time(*parts) for parts in product(self.hours, self.minutes, self.seconds)) if days else []
        found = [datetime.combine(day, at) for day in days for at in times]
        if not self.positions:
            return found
        places = {place - 1 if place > 0 else len(found) + place for place in self.positions}
        return [at for place, at in enumerate(found) if place in places]

    def _days(self, passed: int, start: date) -> Iterator[date]:
        return filter(self._fits, self._all_days(passed, start))

    def _all_days(self, passed: int, start: date) -> list[date]:
        match self.frequency:
            case "DAILY":
                return [start + timedelta(days=passed)]
            case "WEEKLY":
                return [self._week(start) + timedelta(days=7 * passed + n) for n in range(7)]
            case "MONTHLY":
                year, month = divmod(start.year * 12 + start.month - 1 + passed, 12)
                return self._month(year, month + 1)
            case "YEARLY":
                months = sorted(self.months) or range(1, 13)
                return [day for month in months for day in self._month(start.year + passed, month)]

    def _month(self, year: int, month: int) -> list[date]:
        if self.months and month not in self.months:
            return []
        return [date(year, month, day + 1) for day in range(monthrange(year, month)[1])]

    def _week(self, day: date) -> date:
        return day - timedelta(days=(day.weekday() - self.week_start) % 7)

    def _fits(self, day: date) -> bool:
        return (
            (not self.months or day.month in self.months)
            and (not self.month_days or not {day.day, day.day - _length_of_month(day) - 1}.isdisjoint(self.month_days))
            and (not self.year_days or not {_nth(day), _nth(day) - _length_of_year(day) - 1}.isdisjoint(self.year_days))
            and (not self.days or any(self._is_on(day, which, weekday) for which, weekday in self.days))
        )

    def _is_on(self, day: date, which: int, weekday: int) -> bool:
        if day.weekday() != weekday or not which:
            return day.weekday() == weekday
        in_month = self.frequency == "MONTHLY" or bool(self.months)
        place, length = (day.day, _length_of_month(day)) if in_month else (_nth(day), _length_of_year(day))
        return which in {(place - 1) // 7 + 1, -((length - place) // 7 + 1)}


@dataclass(frozen=True)
class Recurrence:
    """A rule with the time zone of its clocks, and with the start from which it counts, as a naive time on these
    clocks.
    """

    rule: Rule
    zone: ZoneInfo
    start: datetime

    def next_after(self, instant: datetime) -> datetime | None:
        """Return the first firing after `instant`, in UTC, or None if there is none."""
        try:
            return _next_after(self, instant.astimezone(UTC))
        except (OverflowError, ValueError):  # beyond the end of the calendar
            return None

    def times(self, after: date) -> Iterator[datetime]:
        """Yield the rule's times on the clocks, naive and in order. They begin with the period in which the day `after`
        lies, and are never before the start.

        COUNT and UNTIL do not end them. They end when no time is found within the horizon.
        """
        rule, start = self.rule.from_start(self.start), self.start.date()
        period = rule.period_of(after, start)
        horizon = period + _HORIZON[rule.frequency]
        while period < horizon:
            for at in rule.times_of(period, start):
                if at >= self.start:
                    yield at
                    horizon = period + _HORIZON[rule.frequency]
            period += 1

    def is_over(self, at: datetime, instant: datetime) -> bool:
        """Return whether UNTIL or COUNT excludes the time `at` on the clocks, which is the instant `instant`."""
        until = self.rule.until
        if until and (instant if until.tzinfo else at) > until:
            return True
        return self.rule.count is not None and at > _last_of_count(self)


@lru_cache(maxsize=20_000)
def _next_after(recurrence: Recurrence, instant: datetime) -> datetime | None:
    before = instant.astimezone(recurrence.zone).date() - timedelta(days=2)
    for at in recurrence.times(before):
        if (fire := _instant(at, recurrence.zone)) > instant:
            return None if recurrence.is_over(at, fire) else fire
    return None


@lru_cache(maxsize=20_000)
def _last_of_count(recurrence: Recurrence) -> datetime:
    assert recurrence.rule.count
    times = list(islice(recurrence.times(recurrence.start.date()), recurrence.rule.count))
    return times[-1] if times else recurrence.start


def _instant(at: datetime, zone: ZoneInfo) -> datetime:
    """Return the first instant, in UTC, at which the clocks of the zone show this time, or the end of the gap in which
    they skip it.
    """
    first = at.replace(tzinfo=zone).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == at:
        return first
    before, after = at.replace(tzinfo=zone, fold=1).astimezone(UTC), first
    offset = after.astimezone(zone).utcoffset()
    while (seconds := (after - before) // timedelta(seconds=1)) > 1:
        middle = before + timedelta(seconds=seconds // 2)
        before, after = (before, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, after)
    return after


def _nth(day: date) -> int:
    return day.timetuple().tm_yday


def _length_of_month(day: date) -> int:
    return monthrange(day.year, day.month)[1]


def _length_of_year(day: date) -> int:
    return date(day.year, 12, 31).timetuple().tm_yday


# -- reading


def start_in(text: str) -> tuple[str | None, str | None]:
    """Return the start that calendar programs write before a rule (DTSTART), in ISO 8601, and then the name of its time
    zone.

    Each of the two is None if the text does not have it.
    """
    found = _START.search(text)
    if not found:
        return None, None
    moment = found["moment"]
    clock = moment[8:] or "T000000"
    written = f"{moment[:4]}-{moment[4:6]}-{moment[6:8]}T{clock[1:3]}:{clock[3:5]}:{clock[5:7]}"
    return (f"{written}+00:00" if clock.endswith("Z") else written), found["zone"]


@lru_cache(maxsize=20_000)
def rule_in(text: str) -> Rule:
    """Return the one recurrence rule in the text, without its start. Raises `Invalid` if the text does not hold exactly
    one rule, or holds anything that is not supported.
    """
    if len(text) > LONGEST_RULE:
        raise _invalid(f"A rule has at most {LONGEST_RULE} characters.")
    rest = _START.sub("", text).split()
    if len(rest) != 1:
        raise _invalid("Give one rule, such as FREQ=WEEKLY;INTERVAL=2;BYDAY=MO;BYHOUR=9. Other lines are not read.")
    pairs = [part.partition("=") for part in rest[0].upper().removeprefix("RRULE:").strip(";").split(";")]
    parts = {name: value for name, _, value in pairs}
    if len(parts) < len(pairs):
        raise _invalid("The rule names a part twice.")
    if unknown := [name for name in parts if name not in _KNOWN]:
        raise _invalid(
            f"The rule has a part that is not known here: {unknown[0]}. Known are {', '.join(sorted(_KNOWN))}."
        )
    numbers = {name: _numbers(parts, name) for name in _BOUNDS}
    frequency = _frequency(parts.get("FREQ"))
    rule = Rule(
        frequency=frequency,
        interval=_number(parts, "INTERVAL", 10_000) or 1,
        months=numbers["BYMONTH"],
        month_days=numbers["BYMONTHDAY"],
        year_days=numbers["BYYEARDAY"],
        days=_days(parts.get("BYDAY"), frequency),
        hours=numbers["BYHOUR"],
        minutes=numbers["BYMINUTE"],
        seconds=numbers["BYSECOND"],
        positions=numbers["BYSETPOS"],
        week_start=_weekday(parts.get("WKST", "MO")),
        count=_number(parts, "COUNT", _MOST_COUNT),
        until=_until(parts.get("UNTIL")),
    )
    if rule.count and rule.until:
        raise _invalid("Give COUNT or UNTIL, not both.")
    if max(len(rule.hours), 1) * max(len(rule.minutes), 1) * max(len(rule.seconds), 1) > _MOST_TIMES:
        raise _invalid(f"A rule has at most {_MOST_TIMES} times a day. Cron or an interval can say more.")
    return rule


def _frequency(text: str | None) -> Frequency:
    match text:
        case "DAILY" | "WEEKLY" | "MONTHLY" | "YEARLY":
            return text
        case "HOURLY" | "MINUTELY" | "SECONDLY":
            raise _invalid(f"FREQ={text} is not read here: give an interval, such as 2h, or cron in its place.")
        case _:
            raise _invalid("A rule begins with FREQ=DAILY, WEEKLY, MONTHLY or YEARLY.")


def _number(parts: Mapping[str, str], name: str, most: int) -> int | None:
    if name not in parts:
        return None
    if not re.fullmatch("[0-9]{1,9}", parts[name]) or not 1 <= int(parts[name]) <= most:
        raise _invalid(f"{name} is a number from 1 to {most}.")
    return int(parts[name])


def _numbers(parts: Mapping[str, str], name: str) -> tuple[int, ...]:
    if name not in parts:
        return ()
    texts = parts[name].split(",")
    values = tuple(sorted({int(text) for text in texts if re.fullmatch("[+-]?[0-9]{1,3}", text)}))
    if any(not re.fullmatch("[+-]?[0-9]{1,3}", text) for text in texts) or not set(values) <= set(_BOUNDS[name]):
        raise _invalid(f"{name} is a list of numbers from {min(_BOUNDS[name])} to {max(_BOUNDS[name])}.")
    return values


def _days(text: str | None, frequency: Frequency) -> tuple[tuple[int, int], ...]:
    if text is None:
        return ()
    days = []
    for one in text.split(","):
        parts = re.fullmatch("([+-]?[0-9]{1,2})?([A-Z]{2})", one)
        if not parts or (which := int(parts[1] or 0)) not in range(-53, 54) or (parts[1] and not which):
            raise _invalid("BYDAY is a list of days such as MO, 2TU (the second Tuesday) or -1FR (the last Friday).")
        if which and frequency in {"DAILY", "WEEKLY"}:
            raise _invalid(f"BYDAY={one} needs FREQ=MONTHLY or YEARLY.")
        days.append((which, _weekday(parts[2])))
    return tuple(days)


def _weekday(text: str) -> int:
    if text not in _DAYS:
        raise _invalid(f"'{text}' is no day of the week: {', '.join(_DAYS)}.")
    return _DAYS.index(text)


def _until(text: str | None) -> datetime | None:
    if text is None:
        return None
    parts = re.fullmatch(r"(\d{8})(?:T(\d{6})(Z?))?", text)
    try:
        assert parts
        until = datetime.strptime(parts[1] + (parts[2] or "235959"), "%Y%m%d%H%M%S")  # noqa: DTZ007
    except (AssertionError, ValueError):
        raise _invalid("UNTIL is a date or time such as 20261231 or 20261231T235959Z.") from None
    return until.replace(tzinfo=UTC) if parts[3] else until


def _invalid(message: str) -> Invalid:
    return Invalid(None, Issue(("rrule",), message))
