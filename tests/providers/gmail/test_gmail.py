from datetime import timedelta

import pytest

from tests.providers.asking import NOW, asking, trigger
from tests.providers.gmail.fake import Fake

pytestmark = pytest.mark.anyio

RECEIVED = trigger("gmail", "on_email_received")


class Mailbox:
    def __init__(self) -> None:
        self.fake = Fake()
        self.cursor = None
        self.found: list[str] = []

    async def polled(self) -> None:
        while True:
            question = asking(
                "gmail", "on_email_received", self.fake.app, secrets=self.fake.secrets, cursor=self.cursor
            )
            page = await RECEIVED.poll(question)
            self.cursor = page.cursor
            self.found += [one.key for one in page.events]
            if not page.more:
                return


async def test_messages_are_found_when_the_history_is_forgotten() -> None:
    mailbox = Mailbox()
    fake = mailbox.fake
    await fake.happen("on_email_received", NOW - timedelta(days=1))
    await mailbox.polled()
    first = await fake.happen("on_email_received", NOW + timedelta(minutes=1))
    await mailbox.polled()
    fake.oldest, fake.page = 5100, 2
    more = [await fake.happen("on_email_received", NOW + timedelta(hours=number)) for number in range(1, 6)]
    await mailbox.polled()
    fake.oldest = 5000
    last = await fake.happen("on_email_received", NOW + timedelta(hours=7))
    await mailbox.polled()

    assert set(mailbox.found) == {first, *more, last}


@pytest.mark.parametrize("labels", [["DRAFT", "INBOX"], ["TRASH"]])
async def test_a_draft_and_a_message_that_was_moved_away_are_no_mail(labels: list[str]) -> None:
    mailbox = Mailbox()
    await mailbox.polled()
    await mailbox.fake.happen("on_email_received", NOW)
    mailbox.fake.things[0].shown = {**mailbox.fake.things[0].shown, "labelIds": labels}

    await mailbox.polled()

    assert mailbox.found == []


async def test_a_message_that_was_deleted_meanwhile_is_left_out() -> None:
    mailbox = Mailbox()
    await mailbox.polled()
    keys = [await mailbox.fake.happen("on_email_received", NOW + timedelta(seconds=number)) for number in range(2)]
    mailbox.fake.fail(404, skip=1)

    await mailbox.polled()

    assert mailbox.found == keys[1:]
