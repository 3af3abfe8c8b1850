"""Schedules on the real store: each due time is one event, at whatever time any number of tickers look for it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event

from hairtrigger.domain.errors import NotFound, NotReady
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.schedule import Missed, Schedule
from hairtrigger.kit.trigger import Provider, Scheduled
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import rss, schedule
from hairtrigger.providers.schedule import Recurring
from hairtrigger.store.database import Store
from hairtrigger.store.setup import triggers
from tests.services.world import Killed, Meddled, World, a_world, at, dying, seconds
from tests.store import locks
from tests.support.clock import ManualClock
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    return await a_world(store, clock, vault, schedule.provider, rss.provider)


async def every_minute(world: World, missed: str = "latest") -> UUID:
    return await world.enabled("schedule", "on_schedule", {"interval": "1m", "missed": missed})


async def once(world: World, after: timedelta) -> UUID:
    run_at = (world.clock.now() + after).isoformat()
    return await world.enabled("schedule", "on_schedule_once", {"run_at": run_at})


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """Record the statements that the database gets meanwhile."""
    made: list[str] = []

    def seen(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        made.append(statement)

    event.listen(store.engine.sync_engine, "before_cursor_execute", seen)
    yield made
    event.remove(store.engine.sync_engine, "before_cursor_execute", seen)


async def planned(world: World, id_: UUID) -> list[datetime]:
    return [datetime.fromisoformat(body["scheduled_for"]) for body in await world.bodies(id_)]


async def test_a_due_time_becomes_one_event_with_that_time_as_its_key(world: World) -> None:
    id_ = await every_minute(world)
    due = at(world.clock, 60)
    assert await world.schedules.run_due() == 0
    world.clock.advance(MINUTE + seconds(0.7))

    assert await world.schedules.run_due() == 1

    [event] = await world.events(id_)
    assert (event.key, event.occurred_at, event.type) == (due.isoformat(), due, "schedule.on_schedule")
    assert await planned(world, id_) == [due]
    [outcome] = await world.outcomes(id_, Kind.SCHEDULE)
    assert (outcome.code, outcome.events) == (Code.ACCEPTED, 1)
    assert (await world.clockwork(id_)).next_at == due + MINUTE
    assert await world.schedules.run_due() == 0


async def test_late_ticks_move_no_later_time(world: World) -> None:
    id_ = await every_minute(world)
    enabled_at = world.clock.now()
    for late in (0.2, 30, 59, 0, 13):
        world.clock.advance(enabled_at + MINUTE * (len(await world.keys(id_)) + 1) + seconds(late) - world.clock.now())
        assert await world.schedules.run_due() == 1
    assert await planned(world, id_) == [enabled_at + MINUTE * n for n in range(1, 6)]


async def test_the_calendar_is_read_on_the_clocks_of_its_zone(world: World) -> None:
    id_ = await world.enabled("schedule", "on_schedule", {"cron": "0 9 * * *", "timezone": "Asia/Kathmandu"})
    world.clock.advance(timedelta(days=1))
    await world.schedules.run_due()
    [at_nine] = await planned(world, id_)
    assert (at_nine.astimezone(UTC).hour, at_nine.minute) == (3, 15)


async def test_tickers_that_race_fire_each_due_time_once(world: World) -> None:
    ids = [await every_minute(world) for _ in range(15)]
    for _ in range(3):
        world.clock.advance(MINUTE)
        fired = await asyncio.gather(*(world.schedules.run_due(limit=4) for _ in range(6)))
        while left := await world.schedules.run_due(limit=4):
            fired.append(left)
        assert sum(fired) == 15
    for id_ in ids:
        assert len(await world.keys(id_)) == 3


async def test_however_many_fire_together_it_takes_the_same_few_statements(world: World) -> None:
    counts = []
    for many in (2, 30):
        ids = [await every_minute(world) for _ in range(many)] + [await once(world, MINUTE)]
        world.clock.advance(MINUTE)
        with statements(world.store) as made:
            await world.schedules.run_due()
        counts.append(len(made))
        for id_ in ids:
            assert len(await world.keys(id_)) == 1
    assert counts[0] == counts[1] <= 9


async def test_what_one_ticker_fires_now_another_leaves_alone(world: World) -> None:
    ids = [await every_minute(world), await once(world, MINUTE)]
    world.clock.advance(MINUTE)
    counts = []

    async def meanwhile(_: int) -> None:
        counts.append(await world.schedules.run_due())

    slow = Meddled(world.store.engine, world.store.connect, before_commit=meanwhile)
    counts.append(await replace(world.schedules, store=slow).run_due())

    assert counts == [0, 2]
    assert [len(await world.keys(id_)) for id_ in ids] == [1, 1]


async def test_a_ticker_that_dies_with_the_commit_leaves_everything_to_the_next(world: World) -> None:
    ids = [await every_minute(world), await once(world, MINUTE)]
    world.clock.advance(MINUTE)
    before = [await world.clockwork(id_) for id_ in ids]
    with pytest.raises(Killed):
        await replace(world.schedules, store=dying(world.store, at=1)).run_due()
    assert [await world.clockwork(id_) for id_ in ids] == before
    assert [await world.keys(id_) for id_ in ids] == [[], []]

    world.clock.advance(seconds(3))
    assert await world.schedules.run_due() == 2

    assert [await planned(world, id_) for id_ in ids] == [[at(world.clock, -3)]] * 2


@pytest.mark.parametrize(
    ("missed", "made"),
    [("skip", [5]), ("latest", [5]), ("all", [1, 2, 3, 4, 5])],
)
async def test_missed_times_are_treated_as_the_trigger_says(world: World, missed: str, made: list[int]) -> None:
    id_ = await every_minute(world, missed)
    enabled_at = world.clock.now()
    world.clock.advance(MINUTE * 5 + seconds(10))

    await world.schedules.run_due()

    assert await planned(world, id_) == [enabled_at + MINUTE * n for n in made]
    assert (await world.clockwork(id_)).next_at == enabled_at + MINUTE * 6


async def test_a_time_that_is_skipped_is_told(world: World) -> None:
    id_ = await world.enabled("schedule", "on_schedule", {"interval": "1h", "missed": "skip"})
    world.clock.advance(timedelta(hours=1, minutes=2))
    assert await world.schedules.run_due() == 1
    assert await world.keys(id_) == []
    [missed] = await world.outcomes(id_, Kind.SCHEDULE)
    assert (missed.code, missed.detail) == (
        Code.MISSED,
        f"Its times from {at(world.clock, -120):%Y-%m-%d %H:%M:%S} UTC on passed while no process fired them.",
    )
    assert (await world.clockwork(id_)).next_at == at(world.clock, 58 * 60)


async def test_more_missed_times_than_one_go_makes_are_all_made_in_their_order(world: World) -> None:
    id_ = await every_minute(world, "all")
    enabled_at = world.clock.now()
    world.clock.advance(MINUTE * 250 + seconds(30))
    goes = []
    while await world.schedules.run_due():
        goes.append(len(await world.keys(id_)))
        world.clock.advance(seconds(1))
    assert goes == [100, 200, 250]
    assert await planned(world, id_) == [enabled_at + MINUTE * n for n in range(1, 251)]


async def test_nothing_fires_for_the_time_a_trigger_was_disabled(world: World) -> None:
    id_ = await every_minute(world, "all")
    world.clock.advance(MINUTE)
    await world.schedules.run_due()
    await world.triggers.disable(world.caller, id_)
    world.clock.advance(MINUTE * 10 + seconds(20))
    assert await world.schedules.run_due() == 0

    await world.triggers.enable(world.caller, id_)
    world.clock.advance(MINUTE)
    await world.schedules.run_due()

    assert (await planned(world, id_))[1:] == [world.clock.now()], "an interval counts from when it was enabled"


async def test_a_one_off_fires_and_disables_itself(world: World) -> None:
    id_ = await once(world, MINUTE)
    world.clock.advance(MINUTE)
    await world.schedules.run_due()
    found = await world.trigger(id_)
    assert (len(await world.keys(id_)), found.enabled, found.enabled_at) == (1, False, at(world.clock, -60))
    assert (await world.clockwork(id_)).next_at is None
    world.clock.advance(timedelta(days=1))
    assert await world.schedules.run_due() == 0


async def test_a_one_off_missed_by_hours_still_fires(world: World) -> None:
    id_ = await once(world, MINUTE)
    world.clock.advance(timedelta(hours=5))
    await world.schedules.run_due()
    assert await planned(world, id_) == [at(world.clock, 60 - 5 * 3600)]


async def test_a_one_off_can_be_disabled_while_it_fires(world: World) -> None:
    """The two do not wait for each other in a circle: the firing comes first, and then the trigger is disabled."""
    id_ = await once(world, MINUTE)
    world.clock.advance(MINUTE)
    disabling: list[asyncio.Task[Any]] = []

    async def disable_meanwhile(number: int) -> None:
        if number == 1:
            disabling.append(asyncio.create_task(world.triggers.disable(world.caller, id_)))
            await until(partial(locks.waiting, world.store))

    meddled = Meddled(world.store.engine, world.store.connect, before_commit=disable_meanwhile)
    await replace(world.schedules, store=meddled).run_due()
    await asyncio.gather(*disabling)

    assert not (await world.trigger(id_)).enabled
    assert len(await world.keys(id_)) == 1


async def test_a_trigger_somebody_is_disabling_is_not_waited_for(world: World) -> None:
    """A ticker that waited would hold all due triggers, and the poll of this one, which the disabling needs next."""
    id_, other = await once(world, MINUTE), await every_minute(world)
    world.clock.advance(MINUTE)
    async with world.store.transaction() as tx:
        found = await triggers.get(tx, world.caller.org_id, id_, for_update=True)
        assert found
        assert await world.schedules.run_due() == 1
        await world.triggers.switch_off(tx, found, None)

    assert [len(await world.keys(one)) for one in (id_, other)] == [0, 1]
    assert await world.schedules.run_due() == 0


@pytest.mark.parametrize(
    "stored",
    [{"cron": "every now and then"}, {"interval": "1m", "timezone": "Nowhere/Atlantis"}, {}, {"interval": -5}],
)
async def test_a_trigger_whose_stored_schedule_makes_no_sense_says_so_and_stops_nobody(
    world: World, stored: dict[str, Any]
) -> None:
    good, bad, other = [await every_minute(world) for _ in range(3)]
    await world.set_config(bad, stored)
    world.clock.advance(MINUTE)

    assert await world.schedules.run_due() == 3

    assert [len(await world.keys(id_)) for id_ in (good, bad, other)] == [1, 0, 1]
    [outcome] = await world.outcomes(bad, Kind.SCHEDULE)
    assert outcome.code == Code.FAILED
    assert outcome.detail
    found = await world.trigger(bad)
    assert (found.enabled, (await world.clockwork(bad)).next_at) == (False, None)


@dataclass
class Broken:
    """A provider whose schedule has a fault of this service once it is armed."""

    armed: list[bool] = field(default_factory=list)
    missed: Missed = Missed.ALL

    def provider(self) -> Provider:
        def made(config: Recurring, anchor: datetime) -> Schedule:
            if self.armed:
                raise ZeroDivisionError
            return config.schedule(anchor)

        trigger = Scheduled(
            id="on_time", name="", description="", config=Recurring, schedule=made, missed=lambda _: self.missed
        )
        return Provider(id="broken", name="Broken", triggers=(trigger,))


async def test_a_fault_in_one_schedule_stops_nobody_else(store: Store, clock: ManualClock, vault: Vault) -> None:
    broken = Broken()
    world = await a_world(store, clock, vault, broken.provider(), schedule.provider)
    bad, good = await world.enabled("broken", "on_time", {"interval": "1m"}), await every_minute(world)
    broken.armed.append(True)
    clock.advance(MINUTE)
    await world.schedules.run_due()
    assert [len(await world.keys(id_)) for id_ in (bad, good)] == [0, 1]
    assert await world.codes(bad, Kind.SCHEDULE) == [Code.BROKEN]

    broken.armed.clear()
    clock.advance(MINUTE)
    await world.schedules.run_due()
    assert await planned(world, bad) == [at(clock, -60), clock.now()], "what was due meanwhile is made up for"


async def test_times_that_passed_after_a_fault_are_told_as_such(store: Store, clock: ManualClock, vault: Vault) -> None:
    broken = Broken(missed=Missed.LATEST)
    world = await a_world(store, clock, vault, broken.provider())
    id_ = await world.enabled("broken", "on_time", {"interval": "1m"})
    broken.armed.append(True)
    clock.advance(MINUTE)
    await world.schedules.run_due()
    assert (await world.clockwork(id_)).error == "The schedule broke inside the service; see its log."

    broken.armed.clear()
    clock.advance(2 * MINUTE)
    await world.schedules.run_due()

    assert [one.detail for one in await world.outcomes(id_, Kind.SCHEDULE)][-1] == (
        f"Its times from {at(clock, -120):%Y-%m-%d %H:%M:%S} UTC on passed before they could be fired. "
        "The schedule broke inside the service; see its log. Its policy does not make them up."
    )


async def test_a_trigger_fired_by_hand_keeps_its_schedule(world: World) -> None:
    id_ = await every_minute(world)
    before = await world.clockwork(id_)
    world.clock.advance(seconds(20))
    event_id = await world.schedules.fire_now(world.caller, id_)
    assert [event.id for event in await world.events(id_)] == [event_id]
    assert await world.clockwork(id_) == before
    world.clock.advance(seconds(40))
    await world.schedules.run_due()
    assert len(await world.keys(id_)) == 2


async def test_only_an_enabled_schedule_of_ones_own_is_fired_by_hand(world: World) -> None:
    id_ = await every_minute(world)
    feed = await world.create("rss", "on_item_published", {"url": "https://blog.example.com/feed"})
    with pytest.raises(NotFound):
        await world.schedules.fire_now(replace(world.caller, org_id=uuid4()), id_)
    with pytest.raises(NotReady, match="no schedule"):
        await world.schedules.fire_now(world.caller, feed)
    await world.triggers.disable(world.caller, id_)
    with pytest.raises(NotReady, match="disabled"):
        await world.schedules.fire_now(world.caller, id_)


async def test_the_next_times_are_those_at_which_it_fires(world: World) -> None:
    id_ = await every_minute(world)
    found = await world.trigger(id_)
    foreseen = world.schedules.upcoming(found, 3)
    assert foreseen == [at(world.clock, 60 * n) for n in (1, 2, 3)]
    for _ in range(3):
        world.clock.advance(MINUTE)
        await world.schedules.run_due()
    assert await planned(world, id_) == foreseen
    await world.triggers.disable(world.caller, id_)
    assert world.schedules.upcoming(await world.trigger(id_), 3) == []
