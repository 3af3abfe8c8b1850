"""When a polling trigger is asked: at a fixed rate, each trigger out of step with the others, later after failures.

A beat is a multiple of the interval plus a share of the interval that the trigger's id decides. So triggers that were
enabled together spread over their interval and stay spread, and nothing drifts however late a poll begins or ends.
"""

from datetime import UTC, datetime, timedelta
from uuid import UUID

LONGEST_BACK_OFF = timedelta(hours=1)
AFTER_A_REFUSAL = timedelta(hours=1)  # of credentials: only a user can mend that, and then it is polled at once
AFTER_A_LOSS = timedelta(minutes=5)  # of two workers: each costs its neighbours' polls a second run
LONGEST_WAIT = timedelta(days=1)  # that a provider may ask for

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHARES = 1 << 32


def next_beat(trigger_id: UUID, every: timedelta, after: datetime) -> datetime:
    return _EPOCH + (_last_beat(trigger_id, every, after) + 1) * every + _phase(trigger_id, every)


def beats_between(trigger_id: UUID, every: timedelta, begin: datetime, end: datetime) -> int:
    """How many there are after `begin`, up to `end`."""
    return max(0, _last_beat(trigger_id, every, end) - _last_beat(trigger_id, every, begin))


def back_off(every: timedelta, failures: int) -> timedelta:
    """After so many failures in a row before this one: twice as long each time, up to an hour or the interval."""
    return min(every * (1 << min(failures, 16)), max(every, LONGEST_BACK_OFF))


def _last_beat(trigger_id: UUID, every: timedelta, at: datetime) -> int:
    """Its number, counted from 1970."""
    return (at - _EPOCH - _phase(trigger_id, every)) // every


def _phase(trigger_id: UUID, every: timedelta) -> timedelta:
    """From the end of the id, which is chance."""
    return _MICROSECOND * ((every // _MICROSECOND) * (trigger_id.int % _SHARES) // _SHARES)
