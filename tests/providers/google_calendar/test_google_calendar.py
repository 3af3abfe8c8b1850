from datetime import timedelta

import pytest

from tests.providers.asking import NOW, asking, trigger
from tests.providers.google_calendar.fake import Fake

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("trigger_id", ["on_event_created", "on_event_updated"])
async def test_what_happened_since_a_token_was_forgotten_is_found_and_nothing_older(trigger_id: str) -> None:
    fake, poll = Fake(), trigger("google_calendar", trigger_id).poll
    fake.page = 2
    for days in (3, 2, 1):
        await fake.happen(trigger_id, NOW - timedelta(days=days))
    cursor = None
    found: list[str] = []

    async def polled() -> None:
        nonlocal cursor
        while True:
            page = await poll(asking("google_calendar", trigger_id, fake.app, secrets=fake.secrets, cursor=cursor))
            cursor = page.cursor
            found.extend(one.key for one in page.events)
            if not page.more:
                return

    await polled()
    found.clear()  # the baseline
    first = await fake.happen(trigger_id, NOW + timedelta(minutes=1))
    await polled()
    fake.oldest = 5
    more = [await fake.happen(trigger_id, NOW + timedelta(minutes=30 + number)) for number in range(3)]
    await polled()

    assert first in found
    assert set(found) == {first, *more}


async def test_old_cancellations_do_not_come_again_when_the_token_is_forgotten() -> None:
    fake, poll = Fake(), trigger("google_calendar", "on_event_cancelled").poll
    await fake.happen("on_event_cancelled", NOW)
    first = await poll(asking("google_calendar", "on_event_cancelled", fake.app, secrets=fake.secrets))
    fake.oldest = 2

    page = await poll(
        asking("google_calendar", "on_event_cancelled", fake.app, secrets=fake.secrets, cursor=first.cursor)
    )

    assert page.events == []
