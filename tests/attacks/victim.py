"""An organisation that does ordinary things all the time: webhooks, polls, a feed, a schedule, deliveries.

The victim records what it sends and receives and what its servers offered, so that `Victim.wrongs` can report failures
and events that never arrived. Its outside world never fails, so the service causes every failure.
"""

import asyncio
import hashlib
import hmac
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from tests.attacks.organisation import Organisation
from tests.support.servers import Seen, response, serving

POLLING_CODE = """
const response = await fetch(inputs.address);
if (!response.ok) throw new Error('Refused: ' + response.status);
return await response.json();
"""
_SECRET = "the victim's webhook secret"
_PAUSE = 0.05  # seconds between two webhooks
_SHOWN = 30  # the newest items, which every poll is shown
_HOLD = 5.0  # seconds; a fetch may take ten
_PATIENCE = timedelta(seconds=90)  # for the delivery of a published item, on a slow machine
_GOOD = {"accepted", "duplicate", "empty", "baseline", "enabled", "registered", "changed", "recovered", "stalled"}


@dataclass
class World:
    """The world outside the victim. Each answer to a poll of the service has one new item."""

    items: list[str] = field(default_factory=list)
    entries: list[str] = field(default_factory=list)
    received: Counter[tuple[str, str]] = field(default_factory=Counter)
    """The number of deliveries of each event, by trigger and key."""
    held: asyncio.Event = field(default_factory=asyncio.Event)
    let_go: asyncio.Event | None = None

    async def answer_poll(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        if (let_go := self.let_go) is not None:
            self.held.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(_HOLD):
                    await let_go.wait()
        self.items.append(f"item-{len(self.items) + 1}")
        shown = [{"id": item} for item in self.items[-_SHOWN:]]
        writer.write(response(200, json.dumps(shown).encode(), ("Content-Type", "application/json")))

    async def answer_feed(self, _: Seen, writer: asyncio.StreamWriter) -> None:
        self.entries.append(f"entry-{len(self.entries) + 1}")
        shown = "".join(
            f'<item><guid isPermaLink="false">{guid}</guid><title>{guid}</title></item>'
            for guid in reversed(self.entries[-_SHOWN:])
        )
        feed = f'<rss version="2.0"><channel><title>Site</title>{shown}</channel></rss>'
        writer.write(response(200, feed.encode(), ("Content-Type", "application/rss+xml")))

    async def take(self, seen: Seen, writer: asyncio.StreamWriter) -> None:
        event = json.loads(seen.body)
        self.received[event["projecttriggerid"], event["eventkey"]] += 1
        writer.write(response())


@dataclass
class Victim:
    organisation: Organisation
    world: World
    webhook: str = ""
    polling: str = ""
    feed: str = ""
    schedule: str = ""
    sent: list[str] = field(default_factory=list)
    """The keys of the webhooks that were acknowledged."""
    failed: list[str] = field(default_factory=list)
    """One sentence for each failure."""
    _outcomes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _judged: set[tuple[str, str]] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def work(self) -> None:
        """Send webhooks and read outcomes until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._send())
            tasks.create_task(self._look())

    @asynccontextmanager
    async def polled(self) -> AsyncIterator[None]:
        """Keep a poll of the victim under way in the sandbox while the body runs, but for at most five seconds.

        The outcome of the poll has been read when the context ends.
        """
        self.world.held.clear()
        let_go = self.world.let_go = asyncio.Event()
        try:
            async with asyncio.timeout(_PATIENCE.total_seconds()):
                await self.world.held.wait()
            began = datetime.now(UTC)
            yield
        finally:
            self.world.let_go = None
            let_go.set()
        async with asyncio.timeout(_PATIENCE.total_seconds()):
            while not self._polled_since(began):
                await asyncio.sleep(0.05)
                await self._read_outcomes()

    def _polled_since(self, began: datetime) -> bool:
        return any(
            trigger == self.polling and one["kind"] == "poll" and datetime.fromisoformat(one["at"]) > began
            for (trigger, _), one in self._outcomes.items()
        )

    async def is_served(self, *, thoroughly: bool) -> None:
        """Return when a webhook that is sent now is delivered; add to `failed` what does not arrive.

        If `thoroughly` is true, wait also for a poll, an entry of the feed and a firing that begin after the call.
        """
        webhook = await self._post()
        item, entry = len(self.world.items), len(self.world.entries)
        now = datetime.now(UTC)
        wanted: dict[str, Callable[[], bool]] = {
            "a webhook": lambda: self._came(self.webhook, webhook),
            "a poll": lambda: any(self._came(self.polling, key) for key in self.world.items[item + 1 :]),
            "a feed": lambda: any(self._came(self.feed, key) for key in self.world.entries[entry + 1 :]),
            "a schedule": lambda: any(
                trigger == self.schedule and datetime.fromisoformat(key) > now for trigger, key in self.world.received
            ),
        }
        for what, came in list(wanted.items())[: None if thoroughly else 1]:
            if not await _within(_PATIENCE, came):
                self.failed.append(f"{what} of afterwards did not arrive")

    async def wrongs(self, *, thoroughly: bool) -> list[str]:
        """Return what went wrong since the last call: failures, bad ends of polls and firings, events delivered twice.

        If `thoroughly` is true, wait for events that have not arrived yet, and report those that never arrive.
        """
        missing = await self._missing() if thoroughly else []
        await self._read_outcomes()
        wrongs, self.failed = self.failed, []
        wrongs += [f"a {one['kind']} ended as {one['code']}: {one['detail']}" for one in self._new_outcomes()]
        twice = [key for key, count in self.world.received.items() if count > 1]
        for key in twice:
            self.world.received[key] = 1  # each is reported once
        return wrongs + missing + [f"delivered twice: {trigger} {key}" for trigger, key in twice]

    async def _missing(self) -> list[str]:
        expected = [
            *((self.webhook, key) for key in list(self.sent)),
            *((self.polling, key) for key in self.world.items[:-2]),  # the last poll may be under way
            *((self.feed, key) for key in self.world.entries[1:-2]),  # the baseline makes no event
        ]
        await _within(_PATIENCE, lambda: all(map(self.world.received.__contains__, expected)))
        missing = [(trigger, key) for trigger, key in expected if not self._came(trigger, key)]
        for key in missing:
            self.world.received[key] = 0
        return [f"never delivered: {trigger} {key}" for trigger, key in missing]

    def _new_outcomes(self) -> list[dict[str, Any]]:
        new = [one for at, one in self._outcomes.items() if at not in self._judged]
        self._judged.update(self._outcomes)
        return [one for one in new if one["code"] not in _GOOD]

    def _came(self, trigger: str, key: str) -> bool:
        return (trigger, key) in self.world.received

    async def _send(self) -> None:
        while True:
            await self._post()
            await asyncio.sleep(_PAUSE)

    async def _post(self) -> str:
        key = f"webhook-{next(self._numbers)}"
        body = json.dumps({"id": key}).encode()
        signature = hmac.new(_SECRET.encode(), body, hashlib.sha256).hexdigest()
        headers = {"content-type": "application/json", "x-signature": signature}
        began = time.monotonic()
        try:
            answer = await self.organisation.client.post_raw(f"/v1/webhooks/{self.webhook}", body, headers)
        except httpx2.HTTPError as error:
            self.failed.append(f"a webhook got no answer in {time.monotonic() - began:.1f} s: {error!r}")
        else:
            if answer.is_success:
                self.sent.append(key)
            else:
                self.failed.append(f"a webhook was answered with {answer.status_code}: {answer.text[:200]}")
        return key

    async def _look(self) -> None:
        """Fetch the outcomes every five seconds, because the service shows only the newest ones."""
        while True:
            await asyncio.sleep(5)
            await self._read_outcomes()

    async def _read_outcomes(self) -> None:
        for trigger in (self.webhook, self.polling, self.feed, self.schedule):
            try:
                shown = await self.organisation.client.ask("GET", f"/v1/project-triggers/{trigger}")
            except (httpx2.HTTPError, AssertionError) as error:
                self.failed.append(f"a question was not answered: {error!r:.300}")
                return
            for one in shown["outcomes"]:
                self._outcomes.setdefault((trigger, f"{one['at']} {one['code']}"), one)

    async def set_up(self, polled: str, feed: str, target: str) -> None:
        mine = self.organisation
        await mine.create_project({"kind": "workflow", "url": target})
        integration, slug = await mine.create_integration(POLLING_CODE, "Address")
        signed = {"scheme": "hmac", "header": "X-Signature", "event_id": "/id"}
        self.webhook = await mine.create_trigger("webhook", "on_request", signed, secret=_SECRET)
        self.polling = await mine.create_trigger(integration, slug, {"address": polled, "polling_frequency": 1})
        self.feed = await mine.create_trigger("rss", "on_item_published", {"url": feed, "polling_frequency": 1})
        self.schedule = await mine.create_trigger("schedule", "on_schedule", {"interval": 1, "missed": "all"})


@asynccontextmanager
async def working(organisation: Organisation) -> AsyncIterator[Victim]:
    """Run a victim at work while the body runs."""
    world = World()
    async with AsyncExitStack() as stack:
        answers = (world.answer_poll, world.answer_feed, world.take)
        servers = [await stack.enter_async_context(serving(answer)) for answer in answers]
        victim = Victim(organisation, world)
        await victim.set_up(*(server.url for server in servers))
        work = asyncio.create_task(victim.work())
        try:
            yield victim
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


async def _within(patience: timedelta, true: Callable[[], bool]) -> bool:
    """Return whether the condition becomes true in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(patience.total_seconds()):
            while not true():
                await asyncio.sleep(0.02)
    return true()
