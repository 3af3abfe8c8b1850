"""Beats are spread over the interval, stay fixed and do not drift."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.ids import new_id
from hairtrigger.domain.rhythm import LONGEST_BACK_OFF, back_off, beats_between, next_beat

MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)

ids = st.uuids()
intervals = st.integers(1, 365 * 86_400).map(lambda seconds: timedelta(seconds=seconds))
moments = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


def test_a_hundred_thousand_triggers_of_one_moment_spread_evenly_over_their_minute() -> None:
    made = [new_id(NOW) for _ in range(100_000)]
    by_second = Counter((next_beat(id_, MINUTE, NOW) - NOW) // timedelta(seconds=1) for id_ in made)
    assert set(by_second) <= set(range(61))
    full = [by_second[second] for second in range(60)]
    assert min(full) > 0.85 * 100_000 / 60
    assert max(full) < 1.15 * 100_000 / 60


@given(ids, intervals, moments)
def test_the_next_beat_comes_within_one_interval(id_: UUID, every: timedelta, now: datetime) -> None:
    beat = next_beat(id_, every, now)
    assert now < beat <= now + every


@given(ids, intervals, moments, st.floats(0, 0.999))
def test_however_late_one_looks_the_beats_are_the_same(id_: UUID, every: timedelta, now: datetime, late: float) -> None:
    beat = next_beat(id_, every, now)
    assert next_beat(id_, every, beat + late * every) == beat + every


@given(ids, intervals, moments, st.integers(0, 1000))
def test_beats_are_counted(id_: UUID, every: timedelta, now: datetime, count: int) -> None:
    assert beats_between(id_, every, now, now + count * every) == count


def test_a_clock_that_went_back_has_skipped_nothing() -> None:
    assert beats_between(uuid4(), MINUTE, NOW, NOW - timedelta(days=1)) == 0


@given(intervals, st.integers(0, 10_000))
def test_a_wait_grows_with_the_failures_and_has_an_end(every: timedelta, failures: int) -> None:
    wait = back_off(every, failures)
    assert every <= wait <= max(every, LONGEST_BACK_OFF)
    assert back_off(every, failures + 1) >= wait
