"""Computes the due times of polls from a fixed rate, a phase for each trigger, and longer waits after failures.

A beat is a multiple of the interval since 1970, plus the trigger's phase. The phase is a share of the interval that
follows from the trigger's id, so triggers that were enabled together are spread over the interval. Beats do not drift,
however late a poll begins or ends.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

LONGEST_BACK_OFF = timedelta(hours=1)
# A user must renew refused credentials. The trigger is then polled at once, whatever is left of this wait.
AFTER_A_REFUSAL = timedelta(hours=1)
AFTER_A_LOSS = timedelta(minutes=5)  # of two sandbox workers: each loss makes the other polls of that worker run again
LONGEST_WAIT = timedelta(days=1)  # the longest that a provider may ask for

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHARES = 1 << 32


def next_beat(trigger_id: UUID, every: timedelta, after: datetime) -> datetime:
    """Return the trigger's first beat that is later than `after`. `every` is the interval between its beats."""
    return _EPOCH + (_last_beat(trigger_id, every, after) + 1) * every + _phase(trigger_id, every)


def beats_between(trigger_id: UUID, every: timedelta, begin: datetime, end: datetime) -> int:
    """Return how many beats of the trigger are later than `begin` and not later than `end`. `every` is the interval
    between its beats.
    """
    return max(0, _last_beat(trigger_id, every, end) - _last_beat(trigger_id, every, begin))


def back_off(every: timedelta, failures: int) -> timedelta:
    """Return the wait after a failed poll that follows `failures` other failed polls in a row.

    The wait begins with the interval `every` and doubles with each failure, up to an hour, or up to the interval if
    that is longer.
    """
    return min(every * (1 << min(failures, 16)), longest_back_off(every))


def longest_back_off(every: timedelta) -> timedelta:
    return max(every, LONGEST_BACK_OFF)


def _last_beat(trigger_id: UUID, every: timedelta, at: datetime) -> int:
    """Return the number of the trigger's last beat that is not later than `at`. Beats are numbered from 1970."""
    return (at - _EPOCH - _phase(trigger_id, every)) // every


def _phase(trigger_id: UUID, every: timedelta) -> timedelta:
    """Return the trigger's phase as a length of time, made from the random bits at the end of its id."""
    return _MICROSECOND * ((every // _MICROSECOND) * (trigger_id.int % _SHARES) // _SHARES)
