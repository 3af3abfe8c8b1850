"""The first look at a provider: a baseline, which makes no events and only sets the cursor, or a count of what would
start.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.domain.event import Draft, bounded_key
from hairtrigger.domain.instants import instant
from hairtrigger.kit.trigger import Page, Polling, Question
from hairtrigger.services.provider_calls import Pages


def is_baseline(definition: Polling[Any], question: Question[Any]) -> bool:
    """Return whether this poll is the baseline of its trigger. A definition may have none, so that its first poll makes
    events.
    """
    return question.cursor is None and definition.baseline


async def baseline(
    definition: Polling[Any], question: Question[Any], within: timedelta
) -> tuple[Mapping[str, Any], int]:
    """Return the cursor at which polls start, and how many things the provider has now, which count as seen.

    All pages are read for this, because the events of a page that is not read would count as new. Raise
    `ProviderFailed` if this takes longer than `within`.
    """
    pages = Pages(definition, question, within, most=None)
    try:
        page, last = await pages.next()
        seen = len(page.events)
        while not last:
            page, last = await pages.next()
            seen += len(page.events)
    except TimeoutError as error:
        raise ProviderFailed(f"The first look at the provider took longer than {within}.") from error
    return page.cursor, seen


MOST_COUNTED = 10_000


async def count_since(
    definition: Polling[Any], question: Question[Any], since: datetime, within: timedelta
) -> tuple[int, bool]:
    """Return how many events a poll would start that begins at `since`, and whether there may be more.

    Events that are stored already are left out. Counting ends at a number of events, and after the time `within`, if
    something was counted until then. Raise `ProviderFailed` if nothing was.
    """
    pages = Pages(definition, replace(question, cursor=None, enabled_at=since), within)
    new: set[str] = set()
    counted = False
    try:
        last = False
        while not last and len(new) < MOST_COUNTED:
            page, last = await pages.next()
            keys = {bounded_key(one.key) for one in dated_since(page, since)}
            new |= keys - set(await question.known(list(keys)))
            counted = True
    except TimeoutError as error:
        if not counted:
            raise ProviderFailed(f"The first look at the provider took longer than {within}.") from error
        return len(new), True
    return len(new), not last


def dated_since(page: Page, since: datetime) -> list[Draft]:
    """Return the events of a page that are not dated before `since`."""
    return [one for one in page.events if one.occurred_at is None or instant(one.occurred_at) >= since]
