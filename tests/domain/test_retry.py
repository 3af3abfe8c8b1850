from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hairtrigger.domain.retry import ATTEMPTS, DELAYS, delay_after_failed_removal, delay_before, parse_retry_after

NOW = datetime(1994, 11, 6, 8, 49, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def steady() -> float:
    return 0.5


def test_without_jitter_the_delays_are_the_recommended_ones() -> None:
    assert tuple(delay_before(attempt, jitter=steady) for attempt in range(1, ATTEMPTS + 1)) == DELAYS
    assert sum(DELAYS, timedelta()) == timedelta(hours=75, minutes=35, seconds=5)


def test_after_the_tenth_attempt_a_delivery_is_a_dead_letter_whatever_the_receiver_asked() -> None:
    assert ATTEMPTS == 10
    assert delay_before(11, jitter=steady) is None
    assert delay_before(11, jitter=steady, retry_after=DAY) is None


def test_attempts_are_counted_from_one() -> None:
    with pytest.raises(ValueError):
        delay_before(0, jitter=steady)


def test_waits_only_grow() -> None:
    assert all(early < late for early, late in pairwise(DELAYS))


@given(attempt=st.integers(1, ATTEMPTS), jitter=st.floats(0, 1))
def test_jitter_moves_a_wait_by_a_fifth_at_most(attempt: int, jitter: float) -> None:
    delay, planned = delay_before(attempt, jitter=lambda: jitter), DELAYS[attempt - 1]

    assert delay is not None
    assert planned * 0.8 <= delay <= planned * 1.2


def test_the_waits_between_twelve_attempts_to_remove_a_webhook_double() -> None:
    waits = [delay_after_failed_removal(attempt) for attempt in range(1, 13)]
    assert waits == [
        *(timedelta(minutes=minutes) for minutes in (2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048)),
        None,
    ]


def test_jitter_reaches_both_ends() -> None:
    assert delay_before(5, jitter=lambda: 0.0) == timedelta(minutes=96)
    assert delay_before(5, jitter=lambda: 1.0) == timedelta(minutes=144)


@given(
    attempt=st.integers(1, ATTEMPTS),
    jitter=st.floats(0, 1),
    retry_after=st.timedeltas(timedelta(days=-2), timedelta(days=10)),
)
def test_a_wait_is_never_shorter_than_retry_after_up_to_a_day(
    attempt: int, jitter: float, retry_after: timedelta
) -> None:
    delay = delay_before(attempt, jitter=lambda: jitter, retry_after=retry_after)

    assert delay is not None
    assert delay >= min(retry_after, DAY)
    assert delay in (min(retry_after, DAY), delay_before(attempt, jitter=lambda: jitter))


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("0", timedelta(0)),
        ("120", timedelta(minutes=2)),
        (" 120 ", timedelta(minutes=2)),
        ("9999999999", timedelta(seconds=9999999999)),
        ("Sun, 06 Nov 1994 08:49:37 GMT", timedelta(seconds=7)),
        ("Sunday, 06-Nov-94 08:49:37 GMT", timedelta(seconds=7)),
        ("Sun Nov  6 08:49:37 1994", timedelta(seconds=7)),
        ("Sun, 06 Nov 1994 08:49:37 -0000", timedelta(seconds=7)),
        ("Sat, 05 Nov 1994 08:49:37 GMT", timedelta(0)),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, wait: timedelta) -> None:
    assert parse_retry_after(value, NOW) == wait


@pytest.mark.parametrize(
    "value",
    [
        "",
        "soon",
        "-1",
        "1.5",
        "1e3",
        "٣",
        "1_0",
        "9" * 11,
        "9" * 5000,
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 99999999999 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +99999999999999",
    ],
)
def test_garbage_is_no_wait(value: str) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.timedeltas(timedelta(0), timedelta(days=1000)), st.integers(-12, 14))
def test_any_date_is_read_to_the_second(ahead: timedelta, hours: int) -> None:
    ahead -= timedelta(microseconds=ahead.microseconds)
    date = (NOW + ahead).astimezone(timezone(timedelta(hours=hours)))

    assert parse_retry_after(format_datetime(date), NOW) == ahead


DATE_TEXT = st.text("0123456789 :,-+.GMTSunNovJan/", max_size=40)


@given(
    st.text(st.characters(codec=None)) | DATE_TEXT | DATE_TEXT.map(lambda text: f"Sun, 06 Nov {text} 08:49:37 {text}")
)
def test_any_text_is_a_wait_or_nothing(value: str) -> None:
    wait = parse_retry_after(value, NOW)

    assert wait is None or wait >= timedelta(0)
