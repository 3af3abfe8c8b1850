"""The baseline is the first poll of a trigger, which makes no events and only sets the cursor."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hairtrigger.domain.errors import ProviderFailed
from hairtrigger.kit.trigger import Polling, Question
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
