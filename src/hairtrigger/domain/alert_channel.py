"""Defines the kinds of alert channels, which addresses they take and how often they may send. Alert channels tell
people of operational events by e-mail or chat webhook.
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

MOST_AN_HOUR = 12  # messages of one channel; the last of them waits for the rest of the hour
MOST_RECIPIENTS = 10
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_LONGEST_ADDRESS, _LONGEST_LOCAL_PART = 254, 64
_TOGETHER = timedelta(seconds=10)  # between two messages: what happens meanwhile is in one of them
_HOUR = timedelta(hours=1)
_LONGEST_BACK_OFF = timedelta(hours=1)
_FIRST_BACK_OFF = timedelta(seconds=30)


class Kind(StrEnum):
    EMAIL = "email"
    SLACK = "slack"
    DISCORD = "discord"
    TEAMS = "teams"


def is_address(text: str) -> bool:
    """Return whether the text is an e-mail address that every mail server takes, which is one of RFC 5321 without
    quotes or extensions.
    """
    local_part = text.partition("@")[0]
    return (
        len(text) <= _LONGEST_ADDRESS
        and len(local_part) <= _LONGEST_LOCAL_PART
        and _ADDRESS.fullmatch(text) is not None
    )


def next_time(sent: Sequence[datetime], now: datetime) -> datetime:
    """Return when the next message of a channel may be sent. `sent` are the times of its earlier messages, of which the
    last was sent now.

    Two messages are at least ten seconds apart, and at most 12 are sent within an hour.
    """
    lately = sorted(at for at in sent if at > now - _HOUR)
    return max(now + _TOGETHER, lately[-MOST_AN_HOUR] + _HOUR) if len(lately) >= MOST_AN_HOUR else now + _TOGETHER


def lately(sent: Sequence[datetime], now: datetime) -> list[datetime]:
    """Return those of the times `sent` that are less than an hour before `now`, oldest first."""
    return sorted(at for at in sent if at > now - _HOUR)


def back_off(failures: int) -> timedelta:
    """Return the wait after `failures` failures in a row, which are at least one. It is 30 seconds after the first
    failure, and doubles with each further one up to an hour.
    """
    return min(_FIRST_BACK_OFF * (1 << min(failures - 1, 16)), _LONGEST_BACK_OFF)
