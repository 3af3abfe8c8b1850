"""When a delivery that failed is tried again: the schedule Standard Webhooks recommends.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#deliverability-and-reliability
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime

from hairtrigger.domain.instants import instant

# Before the first attempt, the second, and so on: ten of them in about 75 hours.
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
# After attempt 1, 2, … that broke inside the service before the target was called.
AFTER_OUR_FAULT = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))


def delay_before(
    attempt: int, *, jitter: Callable[[], float], retry_after: timedelta | None = None
) -> timedelta | None:
    """How long to wait before attempt 1, 2, …; none when no attempt is left, and the delivery is a dead letter.

    `jitter` gives 0 to 1, which moves the wait by up to a fifth either way, so that what failed together does not come
    back together. It is never shorter than `retry_after`, of which a day at most is honoured.
    """
    if attempt < 1:
        raise ValueError("Attempts are counted from 1.")
    if attempt > ATTEMPTS:
        return None
    spread = 1 + SPREAD * (2 * jitter() - 1)
    return max(DELAYS[attempt - 1] * spread, min(retry_after or timedelta(0), LONGEST_RETRY_AFTER))


def delay_after_our_fault(attempt: int) -> timedelta | None:
    """Return how long to wait after this attempt, which broke inside the service before the target was called.

    None: no attempt is left. The target's own schedule has no part in it.
    """
    return AFTER_OUR_FAULT[attempt - 1] if attempt <= len(AFTER_OUR_FAULT) else None


def parse_retry_after(value: str, now: datetime) -> timedelta | None:
    """Seconds or an HTTP date (RFC 9110, 10.2.3), none for anything else. A date that has passed is no wait."""
    text = value.strip()
    if re.fullmatch("[0-9]{1,10}", text):
        return timedelta(seconds=int(text))
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(instant(date) - now, timedelta(0))
