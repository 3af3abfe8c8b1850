from datetime import timedelta

import pytest

from tests.providers.asking import NOW, asking, trigger
from tests.providers.confluence.fake import Fake

pytestmark = pytest.mark.anyio


async def test_a_page_is_found_whatever_the_zone_of_a_user_who_hides_it() -> None:
    fake, poll = Fake(), trigger("confluence", "on_page_created").poll
    fake.zone = None
    key = await fake.happen("on_page_created", NOW + timedelta(seconds=1))

    page = await poll(asking("confluence", "on_page_created", fake.app, {"space": "DOCS"}, fake.secrets))

    assert [one.key for one in page.events] == [key]
