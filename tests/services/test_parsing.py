"""The poll of a feed that was made to cost much ends, says so and backs off; no other organisation notices."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any, Self

import pytest
from pydantic import TypeAdapter

from hairtrigger.domain.errors import ParseKilled, ProviderFailed
from hairtrigger.domain.outcome import Code
from hairtrigger.kit.parsing import Parser
from hairtrigger.platform.parser_process import Limits
from hairtrigger.platform.parsers import Parsers
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import rss
from hairtrigger.services.parsing import Parsing
from hairtrigger.store.database import Store
from tests.platform import readers
from tests.platform.test_parsers import a_parse_runs
from tests.providers.rss.fake import Item, Site, app
from tests.providers.rss.feeds import COSTLY
from tests.services.scene import a_scene
from tests.services.world import World, a_world
from tests.support.clock import ManualClock
from tests.support.internet import Internet

pytestmark = pytest.mark.anyio

EVERY = timedelta(minutes=5)
URL = {"url": "https://feed.example.com/feed"}
PATIENT = timedelta(hours=1)  # a poll's deadline; the speed of the machine decides nothing


def of(site: Site) -> Internet:
    return Internet({"https://feed.example.com": app(site)})


def patient(world: World) -> World:
    return replace(world, poller=replace(world.poller, deadline=PATIENT))


SAID = "Reading what came as the answer takes more than 0.2 seconds of CPU time."


async def test_a_poll_whose_answer_costs_too_much_to_read_is_told_and_backs_off(
    store: Store, clock: ManualClock, vault: Vault
) -> None:
    site = Site([Item("a")])
    async with (
        Parsers(2, Limits(cpu=0.2, wall=3600)) as parsers,
        a_scene(store, clock, vault, rss.provider, http=of(site), parsers=parsers) as scene,
    ):
        world = patient(scene.world)
        id_ = await world.enabled("rss", "on_item_published", URL)
        site.raw = COSTLY["style"](1_000_000)
        clock.advance(EVERY)
        waits = []
        for _ in range(3):
            [result] = await world.poll_due()
            assert (result.code, result.detail) == (Code.PARSE_KILLED, SAID)
            next_at = (await world.clockwork(id_)).next_at
            assert next_at
            waits.append(next_at - clock.now())
            clock.advance(waits[-1])
        told = await scene.why(id_)
        site.raw, site.items = None, [Item("b"), Item("a")]
        [result] = await world.poll_due()

    assert waits == [EVERY, 2 * EVERY, 4 * EVERY]
    assert told.health.status == "failing"
    assert told.health.reason == f"The last 3 polls failed. {SAID}"
    assert f"was ended because reading the answer takes more than it may. {SAID}" in told.summary
    assert result.code == Code.ACCEPTED
    assert await world.keys(id_) == ["b"]


async def test_a_trigger_whose_feed_costs_too_much_to_read_cannot_be_enabled(
    store: Store, clock: ManualClock, vault: Vault
) -> None:
    site = Site(raw=COSTLY["style"](1_000_000))
    async with Parsers(2, Limits(cpu=0.2, wall=3600)) as parsers:
        world = await a_world(store, clock, vault, rss.provider, http=of(site), parsers=parsers)
        with pytest.raises(ParseKilled, match=SAID):
            await world.enabled("rss", "on_item_published", URL)


async def test_another_organisation_s_feed_is_read_while_one_takes_for_ever(
    store: Store, clock: ManualClock, vault: Vault
) -> None:
    async with Parsers(2, Limits(cpu=86_400, wall=86_400)) as parsers:
        costly, good = Site([Item("a")]), Site([Item("a")])
        hostile = patient(await a_world(store, clock, vault, rss.provider, http=of(costly), parsers=parsers))
        ours = patient(await a_world(store, clock, vault, rss.provider, http=of(good), parsers=parsers))
        for _ in range(5):
            await hostile.enabled("rss", "on_item_published", URL)
        id_ = await ours.enabled("rss", "on_item_published", URL)
        costly.raw, good.items = COSTLY["style"](1_000_000), [Item("b"), Item("a")]
        clock.advance(EVERY)
        due = (await ours.poller.claim(100)).mine
        endless = [asyncio.ensure_future(hostile.poller.run(one)) for one in due if one.trigger.id != id_]
        await a_parse_runs(parsers)
        [result] = [await ours.poller.run(one) for one in due if one.trigger.id == id_]

        assert result.code == Code.ACCEPTED
        assert await ours.keys(id_) == ["b"]
        assert len(endless) == 5
        assert not any(one.done() for one in endless)
        for one in endless:
            one.cancel()
        await asyncio.gather(*endless, return_exceptions=True)


class Ticks:
    """Count the turns that the event loop gives to other tasks."""

    def __init__(self) -> None:
        self.count = 0

    async def __aenter__(self) -> Self:
        self._task = asyncio.ensure_future(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _tick(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)


ANYTHING = TypeAdapter(Any)


@pytest.fixture(scope="module")
async def parse() -> AsyncIterator[Parsing]:
    async with Parsers(2, Limits(cpu=3600, wall=3600)) as parsers:
        yield Parsing(parsers, "ours")


async def test_the_loop_has_its_turn_between_records(parse: Parsing) -> None:
    """The number and the length of the records do not matter."""
    longest = since = seen = 0
    async with Ticks() as ticks:
        async for _ in parse(Parser(readers.lines, ANYTHING), b"x\n" * 10_000):
            since = since + 1 if ticks.count == seen else 0
            longest, seen = max(longest, since), ticks.count

    assert 0 < longest < 1000


async def test_a_record_of_another_shape_than_agreed_is_refused(parse: Parsing) -> None:
    """A parser's process that an attacker controls might send such a record."""
    with pytest.raises(ProviderFailed, match="could not be read"):
        async for _ in parse(Parser(readers.lines, TypeAdapter(list[int])), b"x"):
            pass


async def test_a_record_is_no_longer_than_can_be_read_at_once(parse: Parsing) -> None:
    with pytest.raises(ParseKilled, match="a part of more than 4 MB"):
        async for _ in parse(Parser(readers.lines, ANYTHING), b"x" * (4 << 20)):
            pass
