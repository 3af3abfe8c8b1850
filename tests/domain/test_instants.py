from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from email.utils import format_datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from hairtrigger.domain.errors import Invalid
from hairtrigger.domain.event import bounded_key
from hairtrigger.domain.instants import EPOCH, FIRST, LAST, from_epoch, instant, shifted
from hairtrigger.domain.rate_limits import wait
from hairtrigger.domain.retry import parse_retry_after
from hairtrigger.domain.schedule import parse, upcoming
from hairtrigger.kit.config import EpochSeconds, Instant

offsets = st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59)).map(timezone)
zones = st.one_of(st.none(), st.just(UTC), offsets, st.timezones())
anything = st.datetimes(timezones=zones, allow_imaginary=True)
aware = st.datetimes(timezones=st.one_of(st.just(UTC), offsets))
in_utc = st.datetimes(timezones=st.just(UTC))
lengths = st.timedeltas()


def near(value: datetime) -> list[datetime]:
    """Return a time, such as an end of the calendar, as the local time of several zones."""
    return [value.replace(tzinfo=zone) for zone in _ZONES]


_ZONES: list[tzinfo | None] = [
    *(None, UTC, ZoneInfo("Pacific/Kiritimati"), ZoneInfo("America/Los_Angeles")),
    *(timezone(timedelta(hours=hours)) for hours in (-23, -5, 2, 23)),
]


def with_the_ends(test: Callable[[datetime], None]) -> Callable[[datetime], None]:
    for value in (*near(FIRST), *near(LAST)):
        test = example(value)(test)
    return test


@given(anything)
@with_the_ends
def test_every_time_is_brought_into_the_calendar(value: datetime) -> None:
    found = instant(value)

    assert found.tzinfo is UTC
    assert FIRST <= found <= LAST
    try:
        expected = (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError:  # beyond an end of the calendar, by less than a day
        assert found == (FIRST if value.year == 1 else LAST)
    else:
        assert found == expected


@given(st.lists(aware))
@example(near(LAST)[1:])
@example(near(FIRST)[1:])
def test_no_two_times_change_places(values: list[datetime]) -> None:
    ordered = sorted(values)
    assert [instant(one) for one in ordered] == sorted(instant(one) for one in ordered)


@given(in_utc, lengths)
@example(LAST, timedelta(microseconds=1))
@example(FIRST, timedelta(microseconds=-1))
@example(LAST, timedelta.min)
def test_arithmetic_stops_at_the_ends_of_the_calendar(at: datetime, by: timedelta) -> None:
    found = shifted(at, by)
    exact = (at - EPOCH) // timedelta(microseconds=1) + by // timedelta(microseconds=1)
    first, last = ((end - EPOCH) // timedelta(microseconds=1) for end in (FIRST, LAST))
    assert (found - EPOCH) // timedelta(microseconds=1) == min(max(exact, first), last)


@given(st.one_of(st.integers(), st.floats(allow_nan=False)))
@example(10**400)
@example(-(10**400))
@example(float("inf"))
@example(float("-inf"))
@example(253_402_300_800)
def test_any_number_of_seconds_is_some_instant(seconds: float) -> None:
    found = from_epoch(seconds)
    assert FIRST <= found <= LAST
    if -60_000_000_000 < seconds < 250_000_000_000:
        assert abs(found.timestamp() - seconds) < 0.001


def test_what_is_no_number_is_no_time() -> None:
    with pytest.raises(ValueError, match="NaN"):
        from_epoch(float("nan"))


@given(anything.filter(lambda value: value.tzinfo is not None))
def test_a_provider_s_time_is_read_as_it_was_written(value: datetime) -> None:
    assert TypeAdapter(Instant).validate_python(value) == instant(value)


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+02:00", "0001-01-01T00:00:00Z"])
def test_a_provider_s_time_before_the_calendar_is_its_beginning(text: str) -> None:
    assert TypeAdapter(Instant).validate_python(text) == FIRST


def test_seconds_are_never_taken_for_milliseconds() -> None:
    assert TypeAdapter(EpochSeconds).validate_python(20_000_000_001) == EPOCH + timedelta(seconds=20_000_000_001)


@given(in_utc, st.one_of(st.from_regex("[0-9]{1,120}", fullmatch=True), aware.map(format_datetime), st.text()))
@example(LAST, "Mon, 01 Jan 0001 00:00:00 +0200")
@example(FIRST, "Fri, 31 Dec 9999 23:59:59 -2300")
@example(LAST, "9" * 100)
def test_any_retry_after_is_a_wait_or_nothing(now: datetime, value: str) -> None:
    found = parse_retry_after(value, now)
    assert found is None or found >= timedelta()


def test_a_wait_beyond_all_measure_is_long_and_not_none() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "9" * 16}
    found = wait(429, headers, now)
    assert found is not None
    assert found > timedelta(days=30)


schedules = st.one_of(
    st.builds(
        lambda cron, zone: {"cron": cron, "timezone": zone},
        st.sampled_from(["* * * * *", "*/7 3 * * 1", "30 2 29 2 *", "0 0 1 1 *", "59 23 31 12 *", "@daily"]),
        st.sampled_from(["UTC", "Europe/Berlin", "Pacific/Kiritimati", "America/Los_Angeles"]),
    ),
    st.builds(lambda seconds: {"interval": seconds}, st.one_of(st.integers(1), st.floats(1))),
    st.builds(lambda at: {"run_at": at.isoformat()}, aware),
    st.builds(lambda at, zone: {"run_at": at.isoformat(), "timezone": zone}, st.datetimes(), st.just("Asia/Tokyo")),
)


@given(schedules, in_utc, in_utc)
@example({"run_at": "9999-12-31T23:59:59Z"}, EPOCH, EPOCH)
@example({"run_at": "9999-12-31T23:59:59.999999Z"}, EPOCH, LAST)
@example({"cron": "59 23 31 12 *", "timezone": "America/Los_Angeles"}, EPOCH, LAST - timedelta(hours=1))
@example({"cron": "* * * * *", "timezone": "Pacific/Kiritimati"}, EPOCH, LAST - timedelta(hours=1))
@example({"interval": 86_400 * 999_999_999}, EPOCH, EPOCH)
def test_a_schedule_near_the_end_of_the_calendar_has_times_or_none(
    config: dict[str, object], anchor: datetime, now: datetime
) -> None:
    try:
        schedule = parse(config, anchor=anchor)
    except Invalid:
        return
    fires = upcoming(schedule, now, 3)
    assert fires == sorted(fires)
    assert all(now < one <= LAST for one in fires)


def test_a_time_that_utc_lacks_is_refused_with_the_reason() -> None:
    with pytest.raises(Invalid, match="no such time in UTC"):
        parse({"run_at": "9999-12-31T23:59:59-05:00"}, anchor=EPOCH)


@given(st.text(st.characters(), max_size=600))
@example("\ud800")
@example("a\0")
@example("é" * 256)
@example("é" * 257)
def test_every_key_can_be_stored_and_a_valid_one_is_kept(key: str) -> None:
    stored = bounded_key(key)
    assert len(stored.encode()) <= 512
    assert "\0" not in stored
    assert stored == key or stored.startswith("sha256:") or len(key.encode(errors="surrogatepass")) > 512
