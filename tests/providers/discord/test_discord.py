from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.providers.asking import NOW, asking, trigger
from tests.providers.discord.fake import Fake

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("config", "events"), [({}, 1), ({"include_bots": True}, 2)])
async def test_messages_of_bots_are_left_out_unless_they_are_wanted(config: dict[str, Any], events: int) -> None:
    fake, poll = Fake(), trigger("discord", "on_message").poll
    for number in range(2):
        await fake.happen("on_message", NOW + timedelta(seconds=number))
    fake.things[0] = replace(fake.things[0], shown={**fake.things[0].shown, "author": {"id": "1", "bot": True}})
    wanted = {**fake.configs["on_message"], **config}
    first = await poll(asking("discord", "on_message", fake.app, wanted, fake.secrets))

    page = await poll(asking("discord", "on_message", fake.app, wanted, fake.secrets, cursor=first.cursor))

    assert (len(first.events), page.events, page.more) == (events, [], False)
