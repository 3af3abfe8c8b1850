"""How far a poll has come, where a provider has nothing better than lists and dates.

A date is no cursor: two things may have the same, and some appear later than they are dated. So a poll looks back, and
what it has seen before it knows by its marks; a key that was stored is not stored twice in any case.
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
    """What of a key is kept in a cursor."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


def still_seen(listed: Sequence[str], seen: Collection[str]) -> list[str]:
    """The marks of what is listed now, and, because things come back, of what went lately: the latest first.

    It never gets shorter, so that a list which is empty for once does not make everything new again.
    """
    known = list(dict.fromkeys([*listed, *seen]))
    return known[: max(2 * len(listed) + 500, len(seen))]


@dataclass(frozen=True)
class LookBack:
    """For providers that list what is dated since a moment. A provider file says how late things may appear, and

        look = LATE.look(question)
        answer = await question.api.get("things", {"since": look.since.isoformat(), "page": look.token})
        return look.page([...], answer["next_page"])

    `late` also covers by how much the provider's clock may be behind ours. Use it with `baseline`, as is the default.
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
    """One question, over all its pages: ask for what is dated `since` then or later, going on from `token`."""

    since: datetime
    token: Any
    newest: datetime
    seen: Mapping[str, str]  # marks of what is dated since then, with their dates
    late: timedelta
    begun: datetime

    def page(self, things: Sequence[Draft], following: Any = None) -> Page:
        """Things have a date (`occurred_at`) each; `following` leads to the next page of this look."""
        new = [one for one in things if mark(one.key) not in self.seen]
        seen = dict(self.seen) | {mark(one.key): _text(_dated(one)) for one in things}
        # Where we have read already, something may have appeared since we began; and what is dated tomorrow must not
        # make us miss what comes today.
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
    """In one form, which sorts."""
    return instant(moment).isoformat(timespec="microseconds")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
