"""Rewrites cron expressions into the form that cronsim reads, and explains parts that may surprise users."""

import re
from collections.abc import Iterator, Sequence

_NAMES = ("minute", "hour", "day of the month", "month", "day of the week")
_FIRST = (0, 0, 1, 1, 0)
_LAST = (59, 23, 31, 12, 6)
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_FULL_NAMES = {
    **{name.upper(): name[:3].upper() for name in ("January", "February", "March", "April", "June", "July", "August")},
    **{name.upper(): name[:3].upper() for name in ("September", "October", "November", "December")},
    **{f"{name}DAY": name[:3] for name in ("SUN", "MON", "TUES", "WEDNES", "THURS", "FRI", "SATUR")},
    "TUES": "TUE",
    "THUR": "THU",
    "THURS": "THU",
    "SEPT": "SEP",
}
_RANGE = re.compile(r"([A-Z0-9]{1,3})-([A-Z0-9]{1,3})(?:/([0-9]{1,3}))?")
_STEP = re.compile(r"(?:\*|([0-9]{1,2})|([0-9]{1,2})-([0-9]{1,2}))/([0-9]{1,9})")


def fields_of(expression: str) -> list[str]:
    """Return the fields of a cron expression as cronsim reads them.

    A range that wraps around, such as `22-2` or `SAT-SUN`, becomes a list; the full name of a day or month becomes its
    short name; `?` becomes `*`. An expression that does not have five fields is only split at spaces. Fields that are
    not valid stay as they are, for cronsim to refuse.
    """
    fields = expression.split()
    if len(fields) != len(_NAMES):
        return fields
    return [",".join(_term(term, place) for term in field.split(",")) for place, field in enumerate(fields)]


def _term(written: str, place: int) -> str:
    if written == "?":
        return "*"
    term = re.sub("[A-Za-z]{4,9}", lambda name: _FULL_NAMES.get(name[0].upper(), name[0]), written)
    parts = _RANGE.fullmatch(term.upper())
    if not parts:
        return term
    first, last = _value(parts[1], place), _value(parts[2], place)
    if place == 4 and first == 7:  # Sunday
        first = 0
    if first is None or last is None or first > _LAST[place] or last > _LAST[place] or int(parts[3] or 1) == 0:
        return term
    if first <= last:
        return f"0-{last}" if place == 4 and parts[1] == "7" else term
    round_ = [*range(first, _LAST[place] + 1), *range(_FIRST[place], last + 1)]
    return ",".join(map(str, round_[:: int(parts[3] or 1)]))


def _value(text: str, place: int) -> int | None:
    if text.isdigit():
        return int(text)
    names = _MONTHS if place == 3 else _DAYS if place == 4 else ()
    return names.index(text) + _FIRST[place] if text in names else None


def surprises(fields: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for users about each part of a cron expression that does something else than many of them
    expect. `fields` are the five fields that `fields_of` returned.
    """
    minute, hour, day, _, weekday = fields
    if not day.startswith("*") and not weekday.startswith("*"):
        yield (
            f"It fires on the days {day} of the month, and also on every day of the week {weekday}: cron takes the two "
            "as alternatives. A rule (rrule) can ask for both, such as FREQ=MONTHLY;BYDAY=1MO."
        )
    for place, field in enumerate((minute, hour)):
        yield from _uneven(field, place)
    if minute == "*" and hour != "*":
        yield f"It fires in every minute of the hours {hour}. With 0 in place of the first * it fires once an hour."
    if day.isdigit() and int(day) > 28:
        yield f"It does not fire in months that have no day {day}. L stands for the last day of each month."


def _uneven(field: str, place: int) -> Iterator[str]:
    for term in field.split(","):
        parts = _STEP.fullmatch(term)
        if not parts:
            continue
        first, last, step = int(parts[1] or parts[2] or 0), int(parts[3] or _LAST[place]), int(parts[4])
        whole = ("hour", "day")[place]
        if step > last - first:
            yield (
                f"'{term}' fires only at {_NAMES[place]} {first} of each {whole}: a step counts within one {whole}. "
                f"For every {step} {_NAMES[place]}s give an interval, such as {step}{'mh'[place]}."
            )
        elif not parts[3] and first == 0 and (last + 1) % step:
            yield (
                f"'{term}' begins anew with each {whole}, so the last step is shorter. "
                f"For every {step} {_NAMES[place]}s give an interval, such as {step}{'mh'[place]}."
            )
