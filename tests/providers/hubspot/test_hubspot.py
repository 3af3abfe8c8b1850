from datetime import timedelta

import pytest

from tests.providers.asking import NOW, asking, trigger
from tests.providers.hubspot.fake import Fake

pytestmark = pytest.mark.anyio


async def test_a_search_with_more_results_than_hubspot_shows_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the limit small, of ours and of the fake: with 10,000 records the test would take seconds."""
    monkeypatch.setattr("hairtrigger.providers.hubspot._MOST", 6)
    fake, poll = Fake(), trigger("hubspot", "on_deal_created").poll
    fake.page, fake.most = 3, 206
    keys = [await fake.happen("on_deal_created", NOW + timedelta(seconds=number // 2)) for number in range(20)]

    cursor, found, pages = None, [], 0
    while cursor is None or "token" in cursor:
        page = await poll(asking("hubspot", "on_deal_created", fake.app, secrets=fake.secrets, cursor=cursor))
        cursor, pages = page.cursor, pages + 1
        found += [one.key for one in page.events]
        assert pages < 20

    assert sorted(found, key=int) == keys
