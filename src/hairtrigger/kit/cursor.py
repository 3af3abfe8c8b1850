"""Makes cursors for providers that offer nothing better than lists and dates.

A date alone is no cursor, because several things may have the same date, and some things appear later than their date.
So each poll looks back in time, and recognises the things that it has seen before by their marks. An event whose key is
stored already is not stored again in any case.
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
    """Return the mark of a key. It is a digest of 16 characters, which a cursor keeps in place of the key."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def still_seen(listed: Sequence[str], seen: Collection[str]) -> list[str]:
    """Return the marks that the next cursor keeps: first those of the things that are listed now, then those of things
    seen earlier.

    Marks of things that have left the list are kept because things come back; the oldest marks are dropped. At least as
    many marks as in `seen` are kept, so that a list that is empty for once does not make everything new again.
    """
    known = list(dict.fromkeys([*listed, *seen]))
    return known[: max(2 * len(listed) + 500, len(seen))]


@dataclass(frozen=True)
class LookBack:
    """Makes the cursors for a list that can be asked for things dated since a given time. A provider file uses it so:

        look = LATE.look(question)
        answer = await question.api.get("things", {"since": look.since.isoformat(), "page": look.token})
        return look.page([...], answer["next_page"])

    `late` is how long after its date a thing may appear in the list. It also covers how far the provider's clock may be
    behind ours. The trigger's `baseline` must be on, as it is by default.
    """

    late: timedelta

    def look(self, question: Question[Any]) -> "Look":
        """Return the place at which the poll goes on. It comes from the question's cursor or, at the first poll, from
        the time of enabling.
        """
        cursor = question.cursor or {}
        newest = _moment(cursor["newest"]) if cursor else question.enabled_at
        since = _moment(cursor["since"]) if "since" in cursor else shifted(newest, -self.late)
        begun = _moment(cursor["begun"]) if "begun" in cursor else question.asked_at
        return Look(since, cursor.get("token"), newest, cursor.get("seen", {}), self.late, begun)


@dataclass(frozen=True)
class Look:
    """The place in a list at which a poll asks for its next page.

    The provider file asks for things dated `since` or later, from the page `token` on. `token` is None for the first
    page.
    """

    since: datetime
    token: Any
    newest: datetime
    seen: Mapping[str, str]  # the dates of things seen before, by their marks
    late: timedelta
    begun: datetime

    def page(self, things: Sequence[Draft], following: Any = None) -> Page:
        """Return a page with the things that were not seen before, and with the next cursor. Each thing must have a
        date (`occurred_at`).

        `following` is the token of the next page, or None if this page is the last one.
        """
        new = [one for one in things if mark(one.key) not in self.seen]
        seen = dict(self.seen) | {mark(one.key): _text(_dated(one)) for one in things}
        # The cursor stays at or before the beginning of the poll, because a thing may have appeared since then on a
        # page that is read already. A thing that is dated tomorrow must not make later polls miss those of today.
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
    """Return the time in UTC, always with microseconds, so that such texts sort by time."""
    return instant(moment).isoformat(timespec="microseconds")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
