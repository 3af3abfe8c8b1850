"""Computes the waits before attempts. Deliveries have the schedule that Standard Webhooks recommends, and removals of
webhooks have a schedule of their own.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from hairtrigger.domain.instants import instant

# The waits before the first attempt, the second, and so on: ten attempts in about 75 hours.
DELAYS = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
ATTEMPTS = len(DELAYS)
SPREAD = 0.2
LONGEST_RETRY_AFTER = timedelta(hours=24)
# The waits after attempt 1, 2, … if it broke inside the service before the target was called.
AFTER_OUR_FAULT = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))
# The waits after attempt 1, 2, … to remove a webhook at its provider: twelve attempts in about three days.
AFTER_A_FAILED_REMOVAL = tuple(timedelta(minutes=1 << attempt) for attempt in range(1, 12))


def delay_before(
    attempt: int, *, jitter: Callable[[], float], retry_after: timedelta | None = None
) -> timedelta | None:
    """Return how long to wait before this attempt of a delivery, or None if no attempt is left and the delivery becomes
    a dead letter.

    Attempts are counted from 1. `jitter` returns a number from 0 to 1, which moves the wait by up to a fifth either
    way, so that deliveries that failed together are not attempted together again. The wait is never shorter than
    `retry_after`, of which at most a day counts.
    """
    if attempt < 1:
        raise ValueError("Attempts are counted from 1.")
    if attempt > ATTEMPTS:
        return None
    spread = 1 + SPREAD * (2 * jitter() - 1)
    return max(DELAYS[attempt - 1] * spread, min(retry_after or timedelta(0), LONGEST_RETRY_AFTER))


def delay_after_our_fault(attempt: int) -> timedelta | None:
    """Return how long to wait after this attempt of a delivery, which broke inside the service before the target was
    called, or None if no attempt is left.

    Attempts are counted from 1. `DELAYS` does not apply to such attempts.
    """
    return AFTER_OUR_FAULT[attempt - 1] if attempt <= len(AFTER_OUR_FAULT) else None


def delay_after_failed_removal(attempt: int) -> timedelta | None:
    """Return how long to wait after this attempt to remove a webhook, counted from 1, or None if no attempt is left."""
    return AFTER_A_FAILED_REMOVAL[attempt - 1] if attempt <= len(AFTER_A_FAILED_REMOVAL) else None


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """Return the wait that the value of a `Retry-After` asks for, or None if the value is neither a number of seconds
    nor an HTTP date (RFC 9110, 10.2.3).

    A date that has passed means a wait of zero.
    """
    text = value.strip()
    if re.fullmatch("[0-9]{1,10}", text):
        return timedelta(seconds=int(text))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(instant(date) - now, timedelta(0))
