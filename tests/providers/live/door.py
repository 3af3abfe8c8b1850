"""A transport from `kit.http` to servers of other projects, which stand at addresses of this machine."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

import httpx2

from hairtrigger.conformance.asking import nothing_known, parsed_here
from hairtrigger.kit.http import Api
from hairtrigger.kit.trigger import Cursor, Page, Question
from tests.providers.asking import NOW, provider, trigger
from tests.support.internet import Reply


@dataclass
class Door:
    """The egress of the tests. `places` are the addresses to which those of the providers lead, by their beginnings.

    `ours` are answers to calls that the server does not know.
    """

    places: Mapping[str, str]
    ours: Mapping[str, Any] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        redirects: Literal["follow", "manual"] = "manual",
        timeout: timedelta = timedelta(seconds=60),  # noqa: ASYNC109
        max_bytes: int = 0,
    ) -> Reply:
        if url in self.ours:
            return Reply(200, (), json.dumps(self.ours[url]).encode())
        (beginning,) = (one for one in self.places if url.startswith(one))
        there = self.places[beginning] + url.removeprefix(beginning)
        async with httpx2.AsyncClient(timeout=timeout.total_seconds()) as client:
            answer = await client.request(method, there, headers=dict(headers or {}), content=body)
        self.asked.append((f"{method} {url}", answer.status_code))
        received = tuple((name.lower(), value) for name, value in answer.headers.items())
        return Reply(answer.status_code, received, answer.content)


def question(
    door: Door,
    provider_id: str,
    trigger_id: str,
    secrets: Mapping[str, str],
    config: Mapping[str, Any] | None = None,
    *,
    since: datetime = NOW,
    cursor: Cursor | None = None,
) -> Question[Any]:
    asked = provider(provider_id)
    held = tuple(secrets[name] for name in asked.fields)
    return Question(
        config=trigger(provider_id, trigger_id).config.model_validate(config or {}),
        api=Api(door, asked.address(secrets), asked.auth.carried(secrets), secrets=held),
        secrets=secrets,
        cursor=cursor,
        enabled_at=since,
        asked_at=NOW,
        parse=parsed_here,
        known=nothing_known,
    )


async def polled(
    door: Door,
    provider_id: str,
    trigger_id: str,
    secrets: Mapping[str, str],
    config: Mapping[str, Any] | None = None,
    *,
    since: datetime = NOW,
    cursor: Cursor | None = None,
) -> tuple[list[str], Cursor, int]:
    """Return the keys of the events of a poll of all pages, its cursor, and how many pages it had."""
    keys: list[str] = []
    for number in range(1, 100):
        asked = question(door, provider_id, trigger_id, secrets, config, since=since, cursor=cursor)
        page: Page = await trigger(provider_id, trigger_id).poll(asked)
        keys += [one.key for one in page.events]
        cursor = page.cursor
        if not page.more:
            return keys, cursor, number
    raise AssertionError("The poll does not end.")
