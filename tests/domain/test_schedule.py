from bisect import bisect_right
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hairtrigger.domain.errors import Invalid
from hairtrigger.domain.schedule import Cron, Interval, Missed, Once, Schedule, due, notes, parse, upcoming

BERLIN = ZoneInfo("Europe/Berlin")
LORD_HOWE = ZoneInfo("Australia/Lord_Howe")  # its clocks change by half an hour
APIA = ZoneInfo("Pacific/Apia")  # 30 December 2011 did not exist there
SAO_PAULO = ZoneInfo("America/Sao_Paulo")  # 4 November 2018 began at 01:00 there
ANCHOR = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def shown(expression: str, zone: ZoneInfo, after: str, count: int) -> list[str]:
    """Return the local times of the next `count` firings after a local time."""
    start = datetime.fromisoformat(after).replace(tzinfo=zone)
    return [fire.astimezone(zone).isoformat(" ", "minutes") for fire in upcoming(Cron(expression, zone), start, count)]


def test_a_fixed_time_that_is_skipped_in_spring_fires_once_when_the_gap_ends() -> None:
    assert shown("30 2 * * *", BERLIN, "2026-03-28T12:00", 3) == [
        "2026-03-29 03:00+02:00",
        "2026-03-30 02:30+02:00",
        "2026-03-31 02:30+02:00",
    ]


def test_several_fixed_times_that_are_skipped_fire_once_together_with_what_is_due_then() -> None:
    assert shown("0,30 2,3 * * *", BERLIN, "2026-03-28T12:00", 3) == [
        "2026-03-29 03:00+02:00",
        "2026-03-29 03:30+02:00",
        "2026-03-30 02:00+02:00",
    ]


def test_a_fixed_time_that_comes_twice_in_autumn_fires_once_at_the_first() -> None:
    assert shown("30 2 * * *", BERLIN, "2026-10-24T12:00", 3) == [
        "2026-10-25 02:30+02:00",
        "2026-10-26 02:30+01:00",
        "2026-10-27 02:30+01:00",
    ]


def test_asked_between_the_two_passes_of_an_autumn_hour_a_fixed_time_does_not_fire_again() -> None:
    second_pass = datetime(2026, 10, 25, 2, 10, fold=1, tzinfo=BERLIN)

    assert Cron("30 2 * * *", BERLIN).next_after(second_pass) == datetime(2026, 10, 26, 1, 30, tzinfo=UTC)


def test_every_minute_is_every_real_minute_when_clocks_change() -> None:
    for start in (datetime(2026, 3, 29, 0, tzinfo=UTC), datetime(2026, 10, 25, 0, tzinfo=UTC)):
        fires = upcoming(Cron("* * * * *", BERLIN), start, 180)
        assert fires == [start + MINUTE * (n + 1) for n in range(180)]


def test_every_hour_is_every_real_hour_when_clocks_change_by_an_hour() -> None:
    for start in (datetime(2026, 3, 28, 22, tzinfo=UTC), datetime(2026, 10, 24, 22, tzinfo=UTC)):
        fires = upcoming(Cron("0 * * * *", BERLIN), start, 6)
        assert fires == [start + HOUR * (n + 1) for n in range(6)]


def test_a_repeated_time_with_a_star_fires_in_both_passes_of_autumn_and_not_in_the_gap() -> None:
    assert shown("*/30 2 * * *", BERLIN, "2026-10-24T12:00", 5) == [
        "2026-10-25 02:00+02:00",
        "2026-10-25 02:30+02:00",
        "2026-10-25 02:00+01:00",
        "2026-10-25 02:30+01:00",
        "2026-10-26 02:00+01:00",
    ]
    assert shown("*/30 2 * * *", BERLIN, "2026-03-28T12:00", 1) == ["2026-03-30 02:00+02:00"]


def test_half_an_hour_of_daylight_saving_is_honoured() -> None:
    assert shown("0 * * * *", LORD_HOWE, "2026-10-04T00:30", 3) == [
        "2026-10-04 01:00+10:30",
        "2026-10-04 03:00+11:00",
        "2026-10-04 04:00+11:00",
    ]
    assert shown("0 * * * *", LORD_HOWE, "2026-04-05T00:30", 3) == [
        "2026-04-05 01:00+11:00",
        "2026-04-05 02:00+10:30",
        "2026-04-05 03:00+10:30",
    ]
    assert shown("15 2 * * *", LORD_HOWE, "2026-10-03T12:00", 2) == ["2026-10-04 02:30+11:00", "2026-10-05 02:15+11:00"]
    assert shown("45 1 * * *", LORD_HOWE, "2026-04-04T12:00", 2) == ["2026-04-05 01:45+11:00", "2026-04-06 01:45+10:30"]


def test_nothing_is_jumped_over_just_after_clocks_go_back_by_half_an_hour() -> None:
    assert shown("*/10 2 * * *", LORD_HOWE, "2026-04-05T00:00", 4) == [
        "2026-04-05 02:00+10:30",
        "2026-04-05 02:10+10:30",
        "2026-04-05 02:20+10:30",
        "2026-04-05 02:30+10:30",
    ]
    assert shown("30 * * * *", LORD_HOWE, "2026-04-05T01:00", 3) == [
        "2026-04-05 01:30+11:00",
        "2026-04-05 01:30+10:30",
        "2026-04-05 02:30+10:30",
    ]


def test_a_day_that_was_skipped_is_a_gap_like_any_other() -> None:
    assert shown("30 2 * * *", APIA, "2011-12-28T12:00", 3) == [
        "2011-12-29 02:30-10:00",
        "2011-12-31 00:00+14:00",
        "2011-12-31 02:30+14:00",
    ]
    assert shown("0 * * * *", APIA, "2011-12-29T22:00", 3) == [
        "2011-12-29 23:00-10:00",
        "2011-12-31 00:00+14:00",
        "2011-12-31 01:00+14:00",
    ]
    assert shown("0 * 30 12 *", APIA, "2011-12-29T12:00", 2) == ["2011-12-31 00:00+14:00", "2012-12-30 00:00+14:00"]


def test_a_midnight_that_was_skipped_fires_once_where_the_expression_names_the_day() -> None:
    assert shown("0 0 * * *", SAO_PAULO, "2018-11-03T12:00", 2) == ["2018-11-04 01:00-02:00", "2018-11-05 00:00-02:00"]
    assert shown("*/30 0 4 11 *", SAO_PAULO, "2018-11-03T12:00", 1) == ["2018-11-04 01:00-02:00"]


@pytest.mark.parametrize(
    ("alias", "expression"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_an_alias_means_its_five_fields(alias: str, expression: str) -> None:
    assert upcoming(Cron(alias, BERLIN), ANCHOR, 20) == upcoming(Cron(expression, BERLIN), ANCHOR, 20)


def test_day_of_the_month_and_day_of_the_week_are_either_or_unless_one_is_a_star() -> None:
    either = upcoming(Cron("0 0 13 * FRI", ZoneInfo("UTC")), datetime(2026, 3, 10, tzinfo=UTC), 3)

    assert [fire.day for fire in either] == [13, 20, 27]


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        ("0 9 * * MON-SUN", "0 9 * * 0-6"),
        ("0 9 * * SAT-SUN", "0 9 * * 0,6"),
        ("0 9 * * Fri-Mon", "0 9 * * 0,1,5,6"),
        ("0 9 * * 5-1", "0 9 * * 0,1,5,6"),
        ("0 9 * * 5-7", "0 9 * * 0,5,6"),
        ("0 9 * * 7-2", "0 9 * * 0-2"),
        ("0 9 * * SUN-SAT", "0 9 * * 0-6"),
        ("0 9 * * MONDAY-friday", "0 9 * * 1-5"),
        ("0 9 * * Tues,Thurs", "0 9 * * 2,4"),
        ("0 22-2 * * *", "0 0-2,22,23 * * *"),
        ("0 22-6/2 * * *", "0 0,2,4,6,22 * * *"),
        ("0 9,22-1 * * *", "0 0,1,9,22,23 * * *"),
        ("50-10 9 * * *", "0-10,50-59 9 * * *"),
        ("0 9 28-3 * *", "0 9 1-3,28-31 * *"),
        ("0 9 1 NOV-FEB *", "0 9 1 1,2,11,12 *"),
        ("0 9 1 January,September *", "0 9 1 1,9 *"),
        ("0 9 ? * MON-FRI", "0 9 * * 1-5"),
        ("0 9 1 * ?", "0 9 1 * *"),
    ],
)
def test_what_users_write_means_what_they_mean(expression: str, same: str) -> None:
    assert upcoming(Cron(expression, BERLIN), ANCHOR, 60) == upcoming(Cron(same, BERLIN), ANCHOR, 60)


@pytest.mark.parametrize(
    ("expression", "note"),
    [
        ("0 9 1-7 * 1", "cron takes the two as alternatives"),
        ("0 0 13 * FRI", "cron takes the two as alternatives"),
        ("*/90 * * * *", "'*/90' fires only at minute 0 of each hour"),
        ("*/60 * * * *", "'*/60' fires only at minute 0 of each hour"),
        ("5/90 * * * *", "'5/90' fires only at minute 5 of each hour"),
        ("0 */36 * * *", "'*/36' fires only at hour 0 of each day"),
        ("*/45 * * * *", "'*/45' begins anew with each hour"),
        ("0 */5 * * *", "give an interval, such as 5h"),
        ("* 9 * * *", "every minute of the hours 9"),
        ("0 9 31 * *", "months that have no day 31"),
    ],
)
def test_what_may_surprise_gets_a_note_with_the_next_times(expression: str, note: str) -> None:
    first, *_, times = notes(Cron(expression, BERLIN), datetime(2026, 5, 1, 12, tzinfo=UTC))

    assert note in first
    assert times.startswith("The next times are ")
    assert times.endswith("(Europe/Berlin).")


def test_a_note_names_times_on_the_clocks_of_the_schedule() -> None:
    *_, times = notes(Cron("*/90 * * * *", BERLIN), datetime(2026, 5, 1, 12, 30, tzinfo=UTC))

    assert "Fri 2026-05-01 15:00, Fri 2026-05-01 16:00" in times


@pytest.mark.parametrize(
    "expression", ["0 9 * * 1-5", "*/15 * * * *", "0 */6 * * *", "0 9-17/2 * * *", "* * * * *", "0 9 L * *", "@daily"]
)
def test_what_is_plain_gets_no_note(expression: str) -> None:
    assert notes(Cron(expression, BERLIN), ANCHOR) == []


@pytest.mark.parametrize(
    ("expression", "named"),
    [
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 32 * *", "day of the month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day of the week"),
        ("*/0 * * * *", "minute"),
        ("5-61 * * * *", "minute"),
        ("² * * * *", "minute"),
        ("0 0 30 2 *", "day of the month"),
        ("0 0 */29 2 MON#5", "never fires"),
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("0 * * * * *", "five fields"),
        ("@reboot", "five fields"),
        ("9" * 5000 + " * * * *", "200 characters"),
    ],
)
def test_a_wrong_expression_is_refused_by_the_name_of_its_field(expression: str, named: str) -> None:
    with pytest.raises(Invalid, match=named) as refused:
        Cron(expression, BERLIN)
    assert [issue.path for issue in refused.value.issues] == [("cron",)]


FIELD_TEXT = st.text("0123456789*/,-#LWlwMONjul@ ", max_size=12)


@given(st.text() | st.lists(FIELD_TEXT, min_size=5, max_size=5).map(" ".join))
def test_any_text_is_a_schedule_or_is_refused(expression: str) -> None:
    try:
        schedule = Cron(expression, BERLIN)
    except Invalid:
        return
    fire = schedule.next_after(ANCHOR)
    assert fire is not None
    assert fire > ANCHOR


ZONES = sorted(available_timezones())


def field(lowest: int, highest: int) -> st.SearchStrategy[str]:
    number = st.integers(lowest, highest)
    return st.one_of(
        st.just("*"),
        number.map(str),
        st.tuples(number, number).map(lambda pair: "{}-{}".format(*sorted(pair))),
        st.lists(number, min_size=2, max_size=3, unique=True).map(lambda numbers: ",".join(map(str, numbers))),
        st.integers(2, 30).map(lambda step: f"*/{step}"),
    )


TIMES = st.tuples(field(0, 59), field(0, 23)).map(" ".join)
DAYS = st.sampled_from(["* * *"] * 6 + ["* * 1-5", "1 * *", "L * *", "* 3,10 *", "29 2 *", "* * SUN#1", "25-31 * SUN"])
EXPRESSIONS = st.tuples(TIMES, DAYS).map(" ".join)


@cache
def changes(zone: ZoneInfo) -> list[datetime]:
    """Return the times, to the second, at which the offset of a zone changed from 1990 to 2037."""
    found = []
    step, moment, end = timedelta(days=10), datetime(1990, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC)
    while moment < end:
        if offset(moment, zone) != offset(moment + step, zone):
            found.append(change_between(moment, moment + step, zone))
        moment += step
    return found


def change_between(early: datetime, late: datetime, zone: ZoneInfo) -> datetime:
    before = offset(early, zone)
    seconds = range(int((late - early).total_seconds()) + 1)
    index = bisect_right(seconds, 0, key=lambda second: int(offset(early + timedelta(seconds=second), zone) != before))
    return early + timedelta(seconds=index)


def offset(moment: datetime, zone: ZoneInfo) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


@st.composite
def zoned_instants(draw: st.DrawFn) -> tuple[ZoneInfo, datetime]:
    """Draw any zone, and an instant that is often near a change of the zone's clocks."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES) | st.sampled_from([BERLIN.key, LORD_HOWE.key, APIA.key])))
    anywhere = st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))
    if not (known := changes(zone)):
        return zone, draw(anywhere)
    near = st.tuples(st.sampled_from(known), st.integers(-8 * 3600, 8 * 3600))
    return zone, draw(near.map(lambda pair: pair[0] + timedelta(seconds=pair[1])) | anywhere)


@given(zoned_instants(), EXPRESSIONS, st.timedeltas(timedelta(0), timedelta(days=2)))
def test_the_next_fire_is_later_and_never_moves_back_as_time_goes_on(
    zoned: tuple[ZoneInfo, datetime], expression: str, later: timedelta
) -> None:
    zone, instant = zoned
    schedule = Cron(expression, zone)

    fire, later_fire = schedule.next_after(instant), schedule.next_after(instant + later)

    assert fire is not None
    assert later_fire is not None
    assert fire > instant
    assert fire.tzinfo is UTC
    assert fire <= later_fire
    assert later_fire == fire or fire <= instant + later


@given(zoned_instants(), EXPRESSIONS)
def test_upcoming_is_next_after_again_and_again_and_never_the_same_instant_twice(
    zoned: tuple[ZoneInfo, datetime], expression: str
) -> None:
    zone, instant = zoned
    schedule = Cron(expression, zone)

    fires = upcoming(schedule, instant, 8)

    assert len(fires) == 8
    assert all(early < late for early, late in pairwise(fires))
    assert fires == [schedule.next_after(previous) for previous in [instant, *fires[:-1]]]


@given(zoned_instants(), TIMES)
def test_the_next_fire_is_what_reading_the_clocks_minute_by_minute_finds(
    zoned: tuple[ZoneInfo, datetime], times: str
) -> None:
    zone, instant = zoned
    minute, hour = times.split()
    minutes, hours = numbers(minute, 60), numbers(hour, 24)
    if minute.startswith("*") or hour.startswith("*"):
        expected = first_shown(instant, zone, minutes, hours)
    else:
        expected = min(fire for fire in fixed_times(instant, zone, minutes, hours) if fire > instant)
    assume(expected is not None)

    assert Cron(f"{times} * * *", zone).next_after(instant) == expected


def numbers(text: str, end: int) -> set[int]:
    """Return the numbers of a cron field, without the code under test."""
    if text.startswith("*"):
        return set(range(0, end, int(text[2:] or 1)))
    if "-" in text:
        first, last = map(int, text.split("-"))
        return set(range(first, last + 1))
    return {int(number) for number in text.split(",")}


def first_shown(instant: datetime, zone: ZoneInfo, minutes: set[int], hours: set[int]) -> datetime | None:
    moment = instant.replace(second=0, microsecond=0) + MINUTE
    for _ in range(30 * 60):
        clock = moment.astimezone(zone)
        if clock.minute in minutes and clock.hour in hours:
            return moment
        moment += MINUTE
    return None


def fixed_times(instant: datetime, zone: ZoneInfo, minutes: set[int], hours: set[int]) -> set[datetime]:
    today = instant.astimezone(zone).date()
    days = [today + DAY * n for n in (-1, 0, 1, 2)]
    return {fixed_time(day, time(hour, minute), zone) for day in days for hour in hours for minute in minutes}


def fixed_time(day: date, at: time, zone: ZoneInfo) -> datetime:
    wanted = datetime.combine(day, at, zone)
    moment = wanted.astimezone(UTC)
    if moment.astimezone(zone).replace(tzinfo=None) == wanted.replace(tzinfo=None):
        return moment
    return change_between(wanted.replace(fold=1).astimezone(UTC) - MINUTE, moment, zone)


@given(
    every=st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
    anchor=st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.sampled_from([UTC, BERLIN, APIA])),
    instant=st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1), timezones=st.sampled_from([UTC, BERLIN, APIA])),
)
def test_an_interval_never_drifts_from_its_anchor(every: timedelta, anchor: datetime, instant: datetime) -> None:
    fire = Interval(every, anchor).next_after(instant)

    anchor, instant = anchor.astimezone(UTC), instant.astimezone(UTC)
    assert fire is not None
    assert fire > instant
    assert fire >= anchor
    assert (fire - anchor) % every == timedelta(0)
    assert fire - every <= instant or fire == anchor
    assert fire.tzinfo is UTC


def test_an_interval_starts_at_its_anchor_and_late_work_moves_no_later_fire() -> None:
    schedule = Interval(timedelta(seconds=20), ANCHOR)

    assert schedule.next_after(ANCHOR - DAY) == ANCHOR
    assert schedule.next_after(ANCHOR) == ANCHOR + timedelta(seconds=20)
    assert schedule.next_after(ANCHOR + timedelta(seconds=59)) == ANCHOR + timedelta(seconds=60)


def test_an_interval_counts_real_time_when_clocks_change() -> None:
    anchor = datetime(2026, 3, 28, 12, tzinfo=BERLIN)

    assert Interval(HOUR, anchor).next_after(datetime(2026, 3, 29, 3, 30, tzinfo=BERLIN)) == datetime(
        2026, 3, 29, 2, tzinfo=UTC
    )
    assert Interval(DAY, anchor).next_after(anchor) == datetime(2026, 3, 29, 13, tzinfo=BERLIN).astimezone(UTC)


def test_once_is_once() -> None:
    assert Once(ANCHOR).next_after(ANCHOR - MINUTE) == ANCHOR
    assert Once(ANCHOR).next_after(ANCHOR) is None
    assert upcoming(Once(ANCHOR), ANCHOR - DAY, 5) == [ANCHOR]


def test_at_the_end_of_the_calendar_nothing_more_fires() -> None:
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

    for schedule in (Cron("0 0 * * *", BERLIN), Cron("* * * * *", APIA), Interval(DAY, ANCHOR), Once(ANCHOR)):
        assert schedule.next_after(end) is None


PARSED: list[tuple[Mapping[str, Any], Schedule]] = [
    ({"cron": "0 9 * * 1-5", "timezone": "Europe/Berlin"}, Cron("0 9 * * 1-5", BERLIN)),
    ({"cron": "@daily"}, Cron("@daily", ZoneInfo("UTC"))),
    ({"cron": "@daily", "timezone": None, "interval": None}, Cron("@daily", ZoneInfo("UTC"))),
    ({"interval": 90}, Interval(timedelta(seconds=90), ANCHOR)),
    ({"interval": 1.5}, Interval(timedelta(seconds=1.5), ANCHOR)),
    ({"interval": "90"}, Interval(timedelta(seconds=90), ANCHOR)),
    ({"interval": "30s"}, Interval(timedelta(seconds=30), ANCHOR)),
    ({"interval": "5m"}, Interval(timedelta(minutes=5), ANCHOR)),
    ({"interval": "1h"}, Interval(timedelta(hours=1), ANCHOR)),
    ({"interval": "1d", "timezone": "Europe/Berlin"}, Interval(timedelta(days=1), ANCHOR)),
    ({"interval": "1w"}, Interval(timedelta(weeks=1), ANCHOR)),
    ({"interval": "1h30m"}, Interval(timedelta(minutes=90), ANCHOR)),
    ({"interval": "1h 30m"}, Interval(timedelta(minutes=90), ANCHOR)),
    ({"interval": "1.5h"}, Interval(timedelta(minutes=90), ANCHOR)),
    ({"interval": "5 minutes"}, Interval(timedelta(minutes=5), ANCHOR)),
    ({"interval": "1 day 2 hours"}, Interval(timedelta(hours=26), ANCHOR)),
    ({"interval": "PT5M"}, Interval(timedelta(minutes=5), ANCHOR)),
    ({"interval": "P1DT12H"}, Interval(timedelta(hours=36), ANCHOR)),
    ({"interval": "P2W"}, Interval(timedelta(weeks=2), ANCHOR)),
    ({"interval": "PT1.5S"}, Interval(timedelta(seconds=1.5), ANCHOR)),
    ({"cron": "@every 5m"}, Interval(timedelta(minutes=5), ANCHOR)),
    ({"cron": "@every 1h30m", "timezone": "Europe/Berlin"}, Interval(timedelta(minutes=90), ANCHOR)),
    (
        {"interval": "2h", "start": "2026-05-01T09:00", "timezone": "Europe/Berlin"},
        Interval(timedelta(hours=2), datetime(2026, 5, 1, 7, tzinfo=UTC)),
    ),
    ({"run_at": "2026-05-01T09:00:00+02:00"}, Once(datetime(2026, 5, 1, 7, tzinfo=UTC))),
    ({"run_at": "2026-05-01T07:00:00Z", "timezone": "Europe/Berlin"}, Once(datetime(2026, 5, 1, 7, tzinfo=UTC))),
    ({"run_at": "2026-05-01T09:00", "timezone": "Europe/Berlin"}, Once(datetime(2026, 5, 1, 7, tzinfo=UTC))),
    ({"run_at": "2026-10-25T02:30", "timezone": "Europe/Berlin"}, Once(datetime(2026, 10, 25, 0, 30, tzinfo=UTC))),
    ({"run_at": "2026-03-29T02:30", "timezone": "Europe/Berlin"}, Once(datetime(2026, 3, 29, 1, 30, tzinfo=UTC))),
]


@pytest.mark.parametrize(("config", "schedule"), PARSED, ids=str)
def test_a_schedule_is_read_from_its_config(config: Mapping[str, Any], schedule: Schedule) -> None:
    assert parse(config, anchor=ANCHOR) == schedule


REFUSED: list[tuple[Mapping[str, Any], set[str]]] = [
    ({}, {"cron", "interval", "rrule", "run_at"}),
    ({"timezone": "UTC"}, {"cron", "interval", "rrule", "run_at"}),
    ({"cron": "@daily", "interval": 60}, {"cron", "interval"}),
    ({"cron": 5}, {"cron"}),
    ({"cron": "nonsense"}, {"cron"}),
    ({"cron": "@daily", "timezone": "Mars/Olympus"}, {"timezone"}),
    ({"cron": "@daily", "timezone": "America"}, {"timezone"}),
    ({"cron": "@daily", "timezone": "../../etc/passwd"}, {"timezone"}),
    ({"cron": "@daily", "timezone": "localtime"}, {"timezone"}),
    ({"cron": "@daily", "timezone": ""}, {"timezone"}),
    ({"cron": "@daily", "timezone": 1}, {"timezone"}),
    ({"interval": 0}, {"interval"}),
    ({"interval": 0.5}, {"interval"}),
    ({"interval": -60}, {"interval"}),
    ({"interval": True}, {"interval"}),
    ({"interval": float("nan")}, {"interval"}),
    ({"interval": float("inf")}, {"interval"}),
    ({"interval": 10**30}, {"interval"}),
    ({"interval": "5 lightyears"}, {"interval"}),
    ({"interval": "5m 5m"}, {"interval"}),
    ({"interval": "5 5m"}, {"interval"}),
    ({"interval": "5M"}, {"interval"}),
    ({"interval": "P"}, {"interval"}),
    ({"interval": "PT"}, {"interval"}),
    ({"interval": "P1M"}, {"interval"}),
    ({"interval": "500ms"}, {"interval"}),
    ({"interval": "1d", "start": "soon"}, {"start"}),
    ({"interval": "1d", "start": 5}, {"start"}),
    ({"cron": "@daily", "start": "2026-05-01T09:00:00Z"}, {"start"}),
    ({"cron": "@every often"}, {"cron"}),
    ({"cron": "@every 0s"}, {"interval"}),
    ({"interval": "٥m"}, {"interval"}),
    ({"interval": "-5m"}, {"interval"}),
    ({"interval": [5]}, {"interval"}),
    ({"run_at": "tomorrow"}, {"run_at"}),
    ({"run_at": "2026-05-01T09:00:00"}, {"run_at"}),
    ({"run_at": "9999-12-31T23:59:59-12:00"}, {"run_at"}),
    ({"run_at": 1767323045}, {"run_at"}),
]


@pytest.mark.parametrize(("config", "named"), REFUSED)
def test_a_config_that_is_no_schedule_is_refused_by_the_name_of_its_key(
    config: Mapping[str, Any], named: set[str]
) -> None:
    with pytest.raises(Invalid) as refused:
        parse(config, anchor=ANCHOR)
    assert {issue.path for issue in refused.value.issues} == {(key,) for key in named}


JSON = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(st.dictionaries(st.sampled_from(["cron", "interval", "rrule", "run_at", "start", "timezone"]), JSON))
def test_any_config_is_a_schedule_or_is_refused(config: dict[str, Any]) -> None:
    try:
        schedule = parse(config, anchor=ANCHOR)
    except Invalid:
        return
    assert isinstance(schedule, Schedule)


EVERY_MINUTE = Cron("* * * * *", ZoneInfo("UTC"))


def test_on_time_every_policy_makes_the_one_planned_fire() -> None:
    for missed in Missed:
        fires = due(EVERY_MINUTE, ANCHOR, ANCHOR + MINUTE + timedelta(seconds=2), missed, 10)
        assert fires == [ANCHOR + MINUTE]
        assert due(EVERY_MINUTE, ANCHOR, ANCHOR + timedelta(seconds=59), missed, 10) == []


def test_a_fire_is_due_at_its_very_instant() -> None:
    for missed in Missed:
        assert due(EVERY_MINUTE, ANCHOR, ANCHOR + MINUTE, missed, 10) == [ANCHOR + MINUTE]


def test_after_an_outage_skip_makes_only_what_was_due_within_the_grace() -> None:
    now = ANCHOR + HOUR + timedelta(seconds=30)

    assert due(EVERY_MINUTE, ANCHOR, now, Missed.SKIP, 10) == [ANCHOR + HOUR]
    assert due(EVERY_MINUTE, ANCHOR, now, Missed.SKIP, 10, grace=timedelta(seconds=10)) == []
    assert due(EVERY_MINUTE, ANCHOR, now, Missed.SKIP, 10, grace=2 * MINUTE) == [ANCHOR + HOUR - MINUTE, ANCHOR + HOUR]
    assert due(EVERY_MINUTE, ANCHOR + HOUR, now, Missed.SKIP, 10, grace=DAY) == []


def test_after_an_outage_latest_makes_the_newest_and_all_makes_every_one_in_turn() -> None:
    now = ANCHOR + HOUR + timedelta(seconds=30)

    assert due(EVERY_MINUTE, ANCHOR, now, Missed.LATEST, 10) == [ANCHOR + HOUR]
    fires = due(EVERY_MINUTE, ANCHOR, now, Missed.ALL, 40)
    fires += due(EVERY_MINUTE, fires[-1], now, Missed.ALL, 40)
    assert fires == [ANCHOR + MINUTE * (n + 1) for n in range(60)]


def test_a_missed_single_run_is_made_late_or_skipped() -> None:
    now = ANCHOR + DAY

    assert due(Once(ANCHOR), ANCHOR - DAY, now, Missed.LATEST, 10) == [ANCHOR]
    assert due(Once(ANCHOR), ANCHOR - DAY, now, Missed.ALL, 10) == [ANCHOR]
    assert due(Once(ANCHOR), ANCHOR - DAY, now, Missed.SKIP, 10) == []
    assert due(Once(ANCHOR), ANCHOR, now, Missed.ALL, 10) == []


SCHEDULES = st.one_of(
    st.builds(Interval, st.timedeltas(timedelta(minutes=7), DAY), st.just(ANCHOR)),
    st.builds(Once, st.timedeltas(-3 * DAY, 3 * DAY).map(lambda delta: ANCHOR + delta)),
    st.builds(Cron, TIMES.map(lambda times: f"{times} * * *"), st.sampled_from([BERLIN, LORD_HOWE])),
)


@given(SCHEDULES, st.timedeltas(timedelta(0), 2 * DAY), st.sampled_from([ANCHOR, *changes(LORD_HOWE)]))
def test_the_newest_missed_fire_is_the_last_of_all_missed_ones(
    schedule: Schedule, outage: timedelta, previous: datetime
) -> None:
    everything = due(schedule, previous - DAY, previous + outage, Missed.ALL, 5000)

    assert due(schedule, previous - DAY, previous + outage, Missed.LATEST, 1) == everything[-1:]


@given(SCHEDULES, st.lists(st.timedeltas(timedelta(0), DAY), max_size=5), st.integers(1, 5))
def test_ticking_at_any_times_with_any_limit_makes_every_fire_once(
    schedule: Schedule, pauses: list[timedelta], limit: int
) -> None:
    start = now = previous = ANCHOR
    made: list[datetime] = []

    for pause in pauses:
        now += pause
        while fires := due(schedule, previous, now, Missed.ALL, limit):
            assert len(fires) <= limit
            made += fires
            previous = fires[-1]

    assert made == due(schedule, start, now, Missed.ALL, 100_000)


def test_times_of_other_zones_are_understood() -> None:
    tokyo = timezone(timedelta(hours=9))

    assert EVERY_MINUTE.next_after(ANCHOR.astimezone(tokyo)) == ANCHOR + MINUTE
    assert Once(ANCHOR.astimezone(tokyo)).next_after(ANCHOR - MINUTE) == ANCHOR


def test_times_of_one_zone_are_compared_as_instants_and_not_as_its_clocks_show_them() -> None:
    first_pass = datetime(2026, 10, 25, 2, 50, tzinfo=BERLIN)
    second_pass = datetime(2026, 10, 25, 2, 20, fold=1, tzinfo=BERLIN)  # half an hour after `first_pass`

    assert Once(second_pass).next_after(first_pass) == second_pass.astimezone(UTC)
    assert len(due(EVERY_MINUTE, first_pass, second_pass, Missed.ALL, 100)) == 30
    assert len(due(EVERY_MINUTE, first_pass, second_pass, Missed.SKIP, 100, grace=HOUR)) == 30
    assert len(due(EVERY_MINUTE, first_pass, second_pass, Missed.SKIP, 100, grace=10 * MINUTE)) == 10
    assert due(EVERY_MINUTE, first_pass, second_pass, Missed.LATEST, 100) == [second_pass.astimezone(UTC)]
