"""Rules of iCalendar are read as another implementation reads them, and keep the promises about clocks that change."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from hairtrigger.domain.errors import Invalid
from hairtrigger.domain.recurrence import Recurrence, rule_in
from hairtrigger.domain.schedule import parse, upcoming

BERLIN = ZoneInfo("Europe/Berlin")
ANCHOR = datetime(2026, 1, 1, tzinfo=UTC)


def local(rule: str, start: str, count: int, *, zone: ZoneInfo = BERLIN) -> list[str]:
    schedule = parse({"rrule": rule, "start": start, "timezone": zone.key}, anchor=ANCHOR)
    after = datetime.fromisoformat(start).replace(tzinfo=zone) - timedelta(seconds=1)
    return [f"{at.astimezone(zone):%Y-%m-%d %H:%M}" for at in upcoming(schedule, after, count)]


numbers = st.integers
days = st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"])


def listed(values: st.SearchStrategy[object], most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(values, min_size=1, max_size=most, unique=True).map(lambda few: ",".join(map(str, few)))


@st.composite
def rules(draw: st.DrawFn) -> str:
    frequency = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]))
    # The other implementation asks for both where a list has days with and without numbers; the standard adds them up.
    which = st.sampled_from(draw(st.sampled_from([["", ""], ["1", "2", "-1", "-2"]])))
    numbered = st.tuples(which, days).map("".join)
    optional = {
        "INTERVAL": numbers(1, 5).map(str),
        "BYMONTH": listed(numbers(1, 12)),
        "BYMONTHDAY": listed(numbers(-28, 28).filter(bool)),
        "BYDAY": listed(numbered if frequency in {"MONTHLY", "YEARLY"} else days),
        "BYHOUR": listed(numbers(0, 23)),
        "BYMINUTE": listed(numbers(0, 59)),
        "WKST": days,
        "COUNT": numbers(1, 30).map(str),
    }
    if frequency in {"MONTHLY", "YEARLY"}:
        optional["BYSETPOS"] = listed(numbers(-3, 3).filter(bool))
    if frequency == "YEARLY":
        optional["BYYEARDAY"] = listed(numbers(-365, 365).filter(bool))
    chosen = draw(st.lists(st.sampled_from(sorted(optional)), max_size=4, unique=True))
    return ";".join([f"FREQ={frequency}", *(f"{name}={draw(optional[name])}" for name in chosen)])


@settings(max_examples=40)
@given(rules(), st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), numbers(0, 1000))
def test_a_rule_has_the_times_that_another_implementation_finds(rule: str, start: datetime, skipped: int) -> None:
    start = start.replace(microsecond=0)
    theirs = rrulestr(f"{rule};UNTIL=20450101T000000" if "COUNT" not in rule else rule, dtstart=start)
    after = start + timedelta(days=skipped)
    expected = list(islice((at for at in theirs if at >= after), 4))

    ours = Recurrence(rule_in(rule), ZoneInfo("UTC"), start)
    found = upcoming(ours, after.replace(tzinfo=UTC) - timedelta(seconds=1), 4)

    assert [at.replace(tzinfo=None) for at in found if at.year < 2045] == [at for at in expected if at.year < 2045]


@pytest.mark.parametrize(
    ("rule", "times"),
    [
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO", ["2026-10-12 09:00", "2026-10-26 09:00", "2026-11-09 09:00"]),
        ("FREQ=MONTHLY;BYDAY=1MO", ["2026-11-02 09:00", "2026-12-07 09:00", "2027-01-04 09:00"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-10-30 09:00", "2026-11-27 09:00", "2026-12-25 09:00"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-10-30 09:00", "2026-11-30 09:00", "2026-12-31 09:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=-1", ["2026-10-31 09:00", "2026-11-30 09:00", "2026-12-31 09:00"]),
        ("FREQ=MONTHLY;INTERVAL=3", ["2026-10-12 09:00", "2027-01-12 09:00", "2027-04-12 09:00"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29 09:00", "2032-02-29 09:00", "2036-02-29 09:00"]),
        ("RRULE:FREQ=DAILY;COUNT=2", ["2026-10-12 09:00", "2026-10-13 09:00"]),
        ("FREQ=DAILY;UNTIL=20261013", ["2026-10-12 09:00", "2026-10-13 09:00"]),
        ("FREQ=DAILY;UNTIL=20261013T065900Z", ["2026-10-12 09:00"]),
    ],
)
def test_a_rule_is_read_on_the_clocks_of_its_zone(rule: str, times: list[str]) -> None:
    assert local(rule, "2026-10-12T09:00", 3) == times


def test_a_time_that_is_skipped_fires_when_the_gap_ends_and_one_that_comes_twice_fires_first() -> None:
    spring = local("FREQ=DAILY;BYHOUR=2;BYMINUTE=15,30", "2026-03-28T00:00", 4)
    schedule = parse(
        {"rrule": "FREQ=DAILY;BYHOUR=2", "start": "2026-10-24T02:30", "timezone": "Europe/Berlin"}, anchor=ANCHOR
    )

    assert spring == ["2026-03-28 02:15", "2026-03-28 02:30", "2026-03-29 03:00", "2026-03-30 02:15"]
    assert upcoming(schedule, datetime(2026, 10, 24, 12, tzinfo=UTC), 2) == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 26, 1, 30, tzinfo=UTC),
    ]


def test_an_interval_of_days_with_a_start_keeps_the_time_on_the_clock() -> None:
    schedule = parse({"interval": "14d", "start": "2026-10-12T09:00", "timezone": "Europe/Berlin"}, anchor=ANCHOR)

    assert upcoming(schedule, datetime(2026, 10, 12, 7, tzinfo=UTC), 1) == [datetime(2026, 10, 26, 8, tzinfo=UTC)]


def test_a_start_may_stand_before_the_rule_as_a_calendar_writes_it() -> None:
    text = "DTSTART;TZID=Europe/Berlin:20261012T090000\nRRULE:FREQ=WEEKLY;BYDAY=MO"

    assert upcoming(parse({"rrule": text}, anchor=ANCHOR), ANCHOR, 1) == [datetime(2026, 10, 12, 7, tzinfo=UTC)]


def test_without_a_start_a_rule_with_an_hour_counts_from_when_it_was_enabled() -> None:
    schedule = parse({"rrule": "FREQ=DAILY;BYHOUR=9"}, anchor=datetime(2026, 5, 1, 12, 34, 56, tzinfo=UTC))

    assert upcoming(schedule, datetime(2026, 5, 1, 12, 34, 56, tzinfo=UTC), 1) == [datetime(2026, 5, 2, 9, tzinfo=UTC)]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("", "Give one rule"),
        ("nonsense", "not known here"),
        ("FREQ=HOURLY", "give an interval"),
        ("FREQ=DAILY", "names no time"),
        ("FREQ=DAILY;BYHOUR=24", "from 0 to 23"),
        ("FREQ=DAILY;BYHOUR=9;BYHOUR=10", "twice"),
        ("FREQ=DAILY;INTERVAL=0;BYHOUR=9", "INTERVAL"),
        ("FREQ=WEEKLY;BYDAY=1MO;BYHOUR=9", "needs FREQ=MONTHLY"),
        ("FREQ=WEEKLY;BYDAY=XX;BYHOUR=9", "no day of the week"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYHOUR=9", "BYWEEKNO"),
        ("FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30;BYHOUR=9", "never fires"),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;BYHOUR=9", "never fires"),
        ("FREQ=DAILY;COUNT=9;UNTIL=20300101;BYHOUR=9", "not both"),
        ("FREQ=DAILY;UNTIL=soon;BYHOUR=9", "UNTIL"),
        ("FREQ=DAILY;BYHOUR=9\nEXDATE:20260101T090000", "Other lines"),
        ("FREQ=DAILY;BYHOUR=0,1,2,3;BYMINUTE=" + ",".join(map(str, range(30))), "times a day"),
        ("FREQ=DAILY;BYHOUR=" + "9" * 600, "500 characters"),
    ],
)
def test_a_rule_that_cannot_be_kept_is_refused_with_the_way_out(rule: str, reason: str) -> None:
    with pytest.raises(Invalid, match=reason) as refused:
        parse({"rrule": rule}, anchor=ANCHOR)
    assert [issue.path for issue in refused.value.issues] == [("rrule",)]


@given(st.text("FREQ=DAILYWKMONTHBYSUP;,:0123456789-+ \n", max_size=60))
def test_any_text_is_a_rule_or_is_refused(text: str) -> None:
    try:
        schedule = parse({"rrule": text, "start": "2026-01-01T09:00"}, anchor=ANCHOR)
    except Invalid:
        return
    assert schedule.next_after(ANCHOR) is None or isinstance(schedule, Recurrence)
