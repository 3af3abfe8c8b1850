"""Cursors for providers that offer nothing better than lists and dates.

A date is no cursor: two things may have the same date, and some appear later than they are dated. So a poll looks back
in time, and recognises by their marks the things it has seen before. A key is never stored twice in any case.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from hairtrigger.domain.event import Draft
from hairtrigger.domain.instants import instant, shifted
from hairtrigger.kit.trigger import Page, Question

_MOST_SEEN = 2000


def mark(key: str) -> str:
    """Return the short form of a key that a cursor keeps."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def still_seen(listed: Sequence[str], seen: Collection[str]) -> list[str]:
    """Return the marks of the things listed now, followed by the marks of things that left the list, the latest first.

    The second part is kept because things come back. The result is never shorter than `seen`, so that a list that is
    empty for once does not make everything new again.
    """
    known = list(dict.fromkeys([*listed, *seen]))
    return known[: max(2 * len(listed) + 500, len(seen))]


@dataclass(frozen=True)
class LookBack:
    """The cursor for lists of things dated since a given time. A provider file says how late things may appear:

        look = LATE.look(question)
        answer = await question.api.get("things", {"since": look.since.isoformat(), "page": look.token})
        return look.page([...], answer["next_page"])

    `late` also covers how far the provider's clock may be behind ours. Keep `baseline` on, which is the default.
    """

    late: timedelta

    def look(self, question: Question[Any]) -> "Look":
        cursor = question.cursor or {}
        newest = _moment(cursor["newest"]) if cursor else question.enabled_at
        since = _moment(cursor["since"]) if "since" in cursor else shifted(newest, -self.late)
        begun = _moment(cursor["begun"]) if "begun" in cursor else question.asked_at
        return Look(since, cursor.get("token"), newest, cursor.get("seen", {}), self.late, begun)


@dataclass(frozen=True)
class Look:
    """One poll with all its pages: ask for things dated `since` or later, and go on from `token`."""

    since: datetime
    token: Any
    newest: datetime
    seen: Mapping[str, str]  # marks of the things dated since then, with their dates
    late: timedelta
    begun: datetime

    def page(self, things: Sequence[Draft], following: Any = None) -> Page:
        """Return the page of these things. Each has a date (`occurred_at`); `following` is the next page's token."""
        new = [one for one in things if mark(one.key) not in self.seen]
        seen = dict(self.seen) | {mark(one.key): _text(_dated(one)) for one in things}
        # On pages that are already read, a thing may have appeared since the poll began. And a thing that is dated
        # tomorrow must not make later polls miss the things of today.
        newest = max([self.newest, *(min(_dated(one), self.begun) for one in things)])
        if following is not None:
            places = {"newest": _text(newest), "since": _text(self.since), "begun": _text(self.begun)}
            return Page(new, {**places, "token": following, "seen": seen}, more=True)
        latest = sorted(seen, key=lambda one: seen[one])[-_MOST_SEEN:]
        kept = {one: seen[one] for one in latest if _moment(seen[one]) >= shifted(newest, -self.late)}
        return Page(new, {"newest": _text(newest), "seen": kept})


def _dated(thing: Draft) -> datetime:
    assert thing.occurred_at
    return instant(thing.occurred_at)


def _text(moment: datetime) -> str:
    """Return the time in the one form that sorts as text."""
    return instant(moment).isoformat(timespec="microseconds")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
