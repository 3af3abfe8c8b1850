"""Triggers that start from an earlier time, and the guard against floods of events."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from hairtrigger.domain.errors import Conflict, Invalid
from hairtrigger.domain.event import Draft
from hairtrigger.domain.operational import OperationalType
from hairtrigger.domain.outcome import Kind
from hairtrigger.domain.start import EVERYTHING, NOW, Start, StartPreview
from hairtrigger.kit.config import Empty
from hairtrigger.kit.cursor import LookBack, mark, still_seen
from hairtrigger.kit.trigger import Page, Polling, Provider, Question
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import schedule, webhook
from hairtrigger.store.database import Store
from tests.services.world import World, a_world
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
LOOK_BACK = LookBack(late=timedelta(minutes=1))


@dataclass
class Shop:
    """A provider that lists its orders in two ways: by date and in pages of 2, and as a feed that is always whole."""

    clock: ManualClock
    orders: list[tuple[str, datetime]] = field(default_factory=list)

    def order(self, *keys: str, ago: timedelta = timedelta()) -> None:
        self.orders += [(key, self.clock.now() - ago) for key in keys]

    async def dated(self, question: Question[Empty]) -> Page:
        look = LOOK_BACK.look(question)
        found = [one for one in sorted(self.orders, key=lambda one: one[1]) if one[1] >= look.since]
        begin = look.token or 0
        drafts = [Draft(key, b"{}", occurred_at=at) for key, at in found[begin : begin + 2]]
        return look.page(drafts, begin + 2 if begin + 2 < len(found) else None)

    async def feed(self, question: Question[Empty]) -> Page:
        seen = (question.cursor or {}).get("seen", [])
        new = [one for one in self.orders if mark(one[0]) not in seen]
        drafts = [Draft(key, b"{}", occurred_at=at) for key, at in new]
        return Page(drafts, {"seen": still_seen([mark(key) for key, _ in self.orders], seen)})

    def provider(self) -> Provider:
        kinds = (("dated", self.dated, True), ("feed", self.feed, True), ("told", self.dated, False))
        triggers = [
            Polling(id=id_, name=id_, description="", config=Empty, poll=poll, baseline=baseline)
            for id_, poll, baseline in kinds
        ]
        return Provider(id="shop", name="Shop", triggers=tuple(triggers))


@pytest.fixture
def shop(clock: ManualClock) -> Shop:
    found = Shop(clock)
    for hours in range(5, 0, -1):
        found.order(f"{hours} h", ago=hours * HOUR)
    return found


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault, shop: Shop) -> World:
    return await a_world(store, clock, vault, shop.provider(), schedule.provider, webhook.provider)


KINDS = pytest.mark.parametrize("kind", ["dated", "feed", "told"])


async def polled(world: World, times: int = 3) -> None:
    for _ in range(times):
        world.clock.advance(timedelta(minutes=2))
        await world.poll_due()


@KINDS
async def test_what_happened_since_a_time_starts_once_and_then_what_is_new(world: World, shop: Shop, kind: str) -> None:
    id_ = await world.create("shop", kind)
    since = Start(world.clock.now() - 3 * HOUR)
    assert await world.triggers.preview(world.caller, id_, since) == StartPreview(3, 500)

    await world.triggers.enable(world.caller, id_, start=since)
    await polled(world)
    assert sorted(await world.keys(id_)) == ["1 h", "2 h", "3 h"]

    shop.order("new")
    shop.order("dated back", ago=timedelta(minutes=1))
    await polled(world)
    assert sorted(await world.keys(id_)) == ["1 h", "2 h", "3 h", "dated back", "new"]


@KINDS
async def test_everything_may_start(world: World, kind: str) -> None:
    id_ = await world.create("shop", kind)
    assert (await world.triggers.preview(world.caller, id_, EVERYTHING)).events == 5
    await world.triggers.enable(world.caller, id_, start=EVERYTHING)
    await polled(world)
    assert sorted(await world.keys(id_)) == ["1 h", "2 h", "3 h", "4 h", "5 h"]


@KINDS
async def test_a_trigger_that_stopped_goes_on_unless_it_is_to_start_from_now(
    world: World, shop: Shop, kind: str
) -> None:
    id_, other = await world.create("shop", kind), await world.create("shop", kind)
    for one in (id_, other):
        await world.triggers.enable(world.caller, one)
    await polled(world, 1)
    for one in (id_, other):
        await world.triggers.disable(world.caller, one)
    shop.order("meanwhile")
    world.clock.advance(HOUR)

    await world.triggers.enable(world.caller, id_)
    await world.triggers.enable(world.caller, other, start=NOW)
    await polled(world)

    assert (await world.keys(id_), await world.keys(other)) == (["meanwhile"], [])


@KINDS
async def test_what_is_stored_already_is_neither_counted_nor_started_again(world: World, shop: Shop, kind: str) -> None:
    id_ = await world.create("shop", kind)
    await world.triggers.enable(world.caller, id_, start=Start(world.clock.now() - 2 * HOUR))
    await polled(world)
    await world.triggers.disable(world.caller, id_)
    assert (await world.triggers.preview(world.caller, id_, EVERYTHING)).events == 3
    await world.triggers.enable(world.caller, id_, start=EVERYTHING)
    await polled(world)
    assert sorted(await world.keys(id_)) == ["1 h", "2 h", "3 h", "4 h", "5 h"]


async def test_a_flood_needs_a_confirmation(world: World, shop: Shop) -> None:
    shop.order(*(f"{number}" for number in range(600)), ago=HOUR)
    id_ = await world.create("shop", "feed")

    with pytest.raises(Conflict, match=r"This would start at least 601 events|This would start 605 events"):
        await world.triggers.enable(world.caller, id_, start=EVERYTHING)
    assert not (await world.trigger(id_)).enabled

    await world.triggers.enable(world.caller, id_, start=EVERYTHING, confirmed=True)
    await polled(world)
    assert len(await world.keys(id_)) == 605
    assert await world.noticed() == [], "the user asked for it"


async def test_a_poll_that_brings_very_many_events_loses_none_and_says_so(world: World, shop: Shop) -> None:
    id_ = await world.enabled("shop", "feed")
    shop.order(*(f"{number}" for number in range(600)))
    await polled(world)

    assert len(await world.keys(id_)) == 600
    [told] = await world.noticed()
    assert (told.type, told.number) == (OperationalType.TRIGGER_FLOODED, 600)
    assert any("It brought 600 events at once." in one.detail for one in await world.outcomes(id_, Kind.POLL))


async def test_a_start_that_can_t_be_is_refused(world: World) -> None:
    pushed, planned = (
        await world.create("webhook", "on_request"),
        await world.create("schedule", "on_schedule", {"interval": "1m"}),
    )
    await world.triggers.rotate_secret(world.caller, pushed)
    for id_ in (pushed, planned):
        with pytest.raises(Invalid, match="can only start from now"):
            await world.triggers.enable(world.caller, id_, start=EVERYTHING)
        await world.triggers.enable(world.caller, id_, start=NOW)
    id_ = await world.create("shop", "feed")
    with pytest.raises(Invalid, match="future"):
        await world.triggers.enable(world.caller, id_, start=Start(world.clock.now() + HOUR))
    await world.triggers.enable(world.caller, id_)
    with pytest.raises(Conflict, match="Disable it first"):
        await world.triggers.enable(world.caller, id_, start=EVERYTHING)
