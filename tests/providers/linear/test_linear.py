"""Webhooks of Linear, made at and sent by the imitation of Linear in npm emulate, which other people wrote."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from hairtrigger.conformance.asking import NOW
from hairtrigger.domain.errors import Rejected
from hairtrigger.kit.incoming import Headers, Request
from hairtrigger.kit.trigger import Question
from tests.providers.asking import events, trigger
from tests.providers.linear.fake import Fake
from tests.providers.live.door import Door, question
from tests.providers.live.emulate import emulated
from tests.support.servers import Seen, response, serving

pytestmark = pytest.mark.anyio

KEY = {"api_key": "lin_test_admin"}


@pytest.fixture(scope="module")
def linear() -> Iterator[str]:
    with emulated("linear") as address:
        yield address


@dataclass
class Receiver:
    url: str
    came: "asyncio.Queue[Seen]"

    async def next(self) -> Request:
        """Wait for the next request, and return it."""
        seen = await self.came.get()
        return Request("POST", self.url, Headers(seen.headers), seen.body, datetime.now(UTC))


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    came: asyncio.Queue[Seen] = asyncio.Queue()

    async def answer(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(200))
        came.put_nowait(seen)

    async with serving(answer) as server:
        yield Receiver(server.url, came)


def asked(linear: str, trigger_id: str = "on_issue_created", **config: str) -> Question[Any]:
    return question(Door({"https://api.linear.app/": f"{linear}/"}), "linear", trigger_id, KEY, config)


async def told(linear: str, query: str, **variables: Any) -> Any:
    async with httpx2.AsyncClient() as client:
        answer = await client.post(
            f"{linear}/graphql",
            json={"query": query, "variables": variables},
            headers={"authorization": KEY["api_key"]},
        )
    assert "errors" not in answer.json(), answer.text
    return answer.json()["data"]


async def hooks(linear: str) -> list[str]:
    return [one["url"] for one in (await told(linear, "{ webhooks { nodes { url } } }"))["webhooks"]["nodes"]]


async def issue(linear: str, title: str) -> Any:
    team = (await told(linear, "{ teams { nodes { id } } }"))["teams"]["nodes"][0]["id"]
    query = "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { issue { id } } }"
    return (await told(linear, query, input={"teamId": team, "title": title}))["issueCreate"]["issue"]["id"]


async def test_a_webhook_is_made_once_signed_and_removed_alone(linear: str, receiver: Receiver) -> None:
    created, url = trigger("linear", "on_issue_created"), f"{receiver.url}/ours"
    await created.subscription.create(asked(linear), f"{receiver.url}/other", "other")
    await created.subscription.create(asked(linear), url, "first")
    made = await created.subscription.create(asked(linear), url, "second")
    assert sorted(await hooks(linear)) == sorted([url, f"{receiver.url}/other"])
    await created.subscription.remove(asked(linear), f"{receiver.url}/other")

    id_ = await issue(linear, "The teapot leaks")
    request = await receiver.next()

    created.verifier(created.config())(request, [made.secret])
    with pytest.raises(Rejected):
        created.verifier(created.config())(request, ["first"])
    assert [one.key for one in events(created, request)] == [id_]
    assert events(trigger("linear", "on_comment_created"), request) == []

    await told(
        linear, 'mutation($id: String!) { issueUpdate(id: $id, input: {title: "It leaks"}) { success } }', id=id_
    )
    request = await receiver.next()
    (changed,) = events(trigger("linear", "on_issue_updated"), request)
    assert changed.key == f"{id_}:{json.loads(request.body)['data']['updatedAt']}"

    for _ in range(2):
        await created.subscription.remove(asked(linear), url)
    assert await hooks(linear) == []


async def test_comments_are_heard_too(linear: str, receiver: Receiver) -> None:
    commented = trigger("linear", "on_comment_created")
    made = await commented.subscription.create(asked(linear, "on_comment_created"), receiver.url, "secret")
    query = "mutation($input: CommentCreateInput!) { commentCreate(input: $input) { comment { id } } }"

    id_ = await issue(linear, "The teapot leaks")
    comment = (await told(linear, query, input={"issueId": id_, "body": "On it."}))["commentCreate"]["comment"]["id"]
    request = await receiver.next()

    commented.verifier(commented.config())(request, [made.secret])
    assert [one.key for one in events(commented, request)] == [comment]
    await commented.subscription.remove(asked(linear, "on_comment_created"), receiver.url)


def test_a_delivery_that_is_repeated_hours_later_is_taken() -> None:
    definition, body = trigger("linear", "on_issue_created"), json.dumps({"webhookTimestamp": 1777636800000}).encode()
    headers = Headers(Fake().signed(body, "secret", NOW).items())

    for late, taken in ((timedelta(hours=8), True), (timedelta(hours=25), False)):
        request = Request("POST", "https://hooks.example.com/1", headers, body, NOW + late)
        try:
            definition.verifier(definition.config())(request, ["secret"])
        except Rejected:
            assert not taken
        else:
            assert taken
