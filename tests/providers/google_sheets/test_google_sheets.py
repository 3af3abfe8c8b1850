from typing import Any

import pytest

from tests.providers.asking import NOW, asking, trigger
from tests.providers.google_sheets.fake import Fake

pytestmark = pytest.mark.anyio


async def polled(fake: Fake, trigger_id: str, cursor: Any = None, **config: Any) -> Any:
    wanted = {**fake.configs[trigger_id], **config}
    return await trigger("google_sheets", trigger_id).poll(
        asking("google_sheets", trigger_id, fake.app, wanted, fake.secrets, cursor=cursor)
    )


@pytest.mark.parametrize("trigger_id", ["on_row_added", "on_row_changed"])
async def test_sorting_and_inserting_rows_brings_only_the_new_row(trigger_id: str) -> None:
    fake = Fake()
    for _ in range(3):
        await fake.happen(trigger_id, NOW)
    first = await polled(fake, trigger_id)
    key = await fake.happen(trigger_id, NOW)
    fake.things = [fake.things[3], *fake.things[2::-1]]

    page = await polled(fake, trigger_id, first.cursor)

    assert [one.key for one in page.events] == [key]
    assert b'"row_number":3' in page.events[0].data


async def test_an_edited_row_is_changed_and_not_added() -> None:
    fake = Fake()
    await fake.happen("on_row_added", NOW)
    added, changed = await polled(fake, "on_row_added"), await polled(fake, "on_row_changed")
    fake.things[0].shown = {"row": ["A-1", "Coffee", 4]}

    assert (await polled(fake, "on_row_added", added.cursor)).events == []
    assert len((await polled(fake, "on_row_changed", changed.cursor)).events) == 1


async def test_equal_rows_are_told_apart_and_rows_without_the_key_are_left_out() -> None:
    fake = Fake()
    for _ in range(3):
        await fake.happen("on_row_changed", NOW)
    for one in fake.things:
        one.shown = {"row": ["", "Tea", 1]}

    assert len({one.key for one in (await polled(fake, "on_row_changed")).events}) == 3
    assert (await polled(fake, "on_row_added")).events == []
    assert len((await polled(fake, "on_row_added", key_column=None)).events) == 3
