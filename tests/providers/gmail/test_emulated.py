"""Polls of the mailbox in npm emulate, which other people wrote. It has no profile, which the test answers."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from hairtrigger.kit.trigger import Cursor
from tests.providers.live.door import Door, polled
from tests.providers.live.emulate import emulated

pytestmark = pytest.mark.anyio

TOKEN = {"access_token": "test_token_user1"}
ME = "gmail/v1/users/me"


@pytest.fixture(scope="module")
def google() -> Iterator[str]:
    with emulated("google") as address:
        yield address


async def asked(google: str, path: str, json: Any = None) -> Any:
    headers = {"authorization": f"Bearer {TOKEN['access_token']}"}
    async with httpx2.AsyncClient() as client:
        method = "GET" if json is None else "POST"
        answer = await client.request(method, f"{google}/{ME}/{path}", headers=headers, json=json)
    assert answer.is_success, answer.text
    return answer.json()


async def begun(google: str, trigger: str) -> tuple[Door, Cursor]:
    newest = (await asked(google, "history?startHistoryId=1"))["historyId"]
    profile = {f"https://gmail.googleapis.com/{ME}/profile": {"historyId": newest}}
    door = Door({"https://gmail.googleapis.com/": f"{google}/"}, profile)
    keys, cursor, _ = await polled(door, "gmail", trigger, TOKEN)
    assert keys == []
    return door, cursor


async def mail(google: str, path: str, subject: str, labels: list[str]) -> str:
    parts = {"to": "me@example.com", "from": "ada@example.com", "subject": subject, "body_text": "Is it there?"}
    made: str = (await asked(google, path, {**parts, "labelIds": labels}))["id"]
    return made


async def test_mail_that_comes_in_is_an_event_once(google: str) -> None:
    door, cursor = await begun(google, "on_email_received")
    ids = [await mail(google, "messages/import", f"Tea {number}", ["INBOX", "UNREAD"]) for number in range(3)]
    await mail(google, "messages", "Elsewhere", ["STARRED"])

    keys, cursor, _ = await polled(door, "gmail", "on_email_received", TOKEN, cursor=cursor)
    again, _, _ = await polled(door, "gmail", "on_email_received", TOKEN, cursor=cursor)

    assert (sorted(keys), again) == (sorted(ids), [])


async def test_mail_that_is_sent_and_mail_that_gets_a_star_are_events(google: str) -> None:
    door, sent = await begun(google, "on_email_sent")
    _, starred = await begun(google, "on_email_starred")
    id_ = await mail(google, "messages/send", "Tea", [])
    await asked(google, f"messages/{id_}/modify", {"addLabelIds": ["STARRED"]})

    for trigger, cursor in (("on_email_sent", sent), ("on_email_starred", starred)):
        assert (await polled(door, "gmail", trigger, TOKEN, cursor=cursor))[0] == [id_]
