"""What requests leave behind: one commit for many of them, and a word about each."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from hairtrigger.domain.errors import Invalid, Unavailable
from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import schedule
from hairtrigger.services.recording import Recorder, Write, event_from
from hairtrigger.store import deliveries, outcomes
from hairtrigger.store.database import Store
from hairtrigger.store.events import Event
from hairtrigger.store.outcomes import Outcome
from tests.services.world import Meddled, World, a_world, seconds
from tests.store.build import an_event
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


class Desk:
    """A recorder at work on a store that counts its transactions and may be away."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.commits = 0
        self.away = False
        self.work = Wake()
        self.recorder = Recorder(
            Meddled(world.store.engine, before_begin=self._begin, before_commit=self._commit), world.clock, self.work
        )

    async def _begin(self, _: int) -> None:
        if self.away:
            raise Unavailable

    async def _commit(self, _: int) -> None:
        self.commits += 1

    def event(self, trigger: UUID, key: str, body: bytes = b"{}") -> Event:
        return an_event(self.world.caller.org_id, self.world.project_id, trigger, key, self.world.clock.now(), body)

    async def write(self, *events: Event) -> frozenset[UUID]:
        return await self.recorder.write(Write(Kind.WEBHOOK, events))

    async def queued(self) -> int:
        async with self.world.store.transaction() as tx:
            return len(await deliveries.claim(tx, 100, seconds(30)))


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    return await a_world(store, clock, vault, schedule.provider)


@pytest.fixture
async def desk(world: World) -> AsyncIterator[Desk]:
    desk = Desk(world)
    running = asyncio.create_task(desk.recorder.run())
    yield desk
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_answered_is_on_disk_and_on_the_queue(world: World, desk: Desk) -> None:
    trigger = uuid4()
    event = desk.event(trigger, "a")
    assert await desk.write(event) == {event.id}
    assert await world.events(trigger) == [event]
    assert await desk.queued() == 1


async def test_many_requests_at_once_share_few_commits(world: World, desk: Desk) -> None:
    trigger = uuid4()
    events = [desk.event(trigger, f"{n}") for n in range(200)]
    answers = await asyncio.gather(*(desk.write(event) for event in events))
    assert answers == [{event.id} for event in events]
    assert sorted(await world.keys(trigger)) == sorted(event.key for event in events)
    assert desk.commits <= 2


async def test_a_repeat_is_told_once_to_its_trigger_and_stored_no_second_time(world: World, desk: Desk) -> None:
    trigger, other = uuid4(), uuid4()
    await desk.write(desk.event(trigger, "a"))
    again = (desk.event(trigger, "a"), desk.event(trigger, "a"), desk.event(other, "a"))

    assert await desk.write(*again) == {again[2].id}

    assert (await world.keys(trigger), await world.keys(other)) == (["a"], ["a"])
    assert await world.codes(trigger, Kind.WEBHOOK) == [Code.DUPLICATE]
    assert await world.codes(other, Kind.WEBHOOK) == []


async def test_one_new_event_among_repeats_is_no_repeat(world: World, desk: Desk) -> None:
    trigger = uuid4()
    await desk.write(desk.event(trigger, "a"))
    await desk.write(desk.event(trigger, "a"), desk.event(trigger, "b"))
    assert await world.codes(trigger, Kind.WEBHOOK) == []
    assert sorted(await world.keys(trigger)) == ["a", "b"]


async def test_the_same_key_in_two_requests_at_once_is_new_for_one_of_them(world: World, desk: Desk) -> None:
    trigger = uuid4()
    answers = await asyncio.gather(*(desk.write(desk.event(trigger, "a")) for _ in range(20)))
    assert sorted(map(len, answers)) == [0] * 19 + [1]
    assert await world.codes(trigger, Kind.WEBHOOK) == [Code.DUPLICATE] * 19
    assert await desk.queued() == 1


async def test_outcomes_are_written_with_no_events_at_all(world: World, desk: Desk) -> None:
    trigger = uuid4()
    said = Outcome(Kind.WEBHOOK, Code.REJECTED, world.clock.now(), world.caller.org_id, trigger, "half \ud800\0 sense")
    assert await desk.recorder.write(Write(Kind.WEBHOOK, outcomes=(said,))) == frozenset()
    [outcome] = await world.outcomes(trigger, Kind.WEBHOOK)
    assert (outcome.code, outcome.detail) == (Code.REJECTED, "half ? sense")


async def test_a_request_that_cannot_be_stored_fails_alone(world: World, desk: Desk) -> None:
    trigger = uuid4()
    good, bad, other = (desk.event(trigger, key) for key in ("a", "nul \0", "b"))
    answers = await asyncio.gather(*map(desk.write, (good, bad, other)), return_exceptions=True)
    assert isinstance(answers[1], Invalid)
    assert [answers[0], answers[2]] == [frozenset({good.id}), frozenset({other.id})]
    assert sorted(await world.keys(trigger)) == ["a", "b"]


async def test_while_the_database_is_away_nothing_is_accepted(world: World, desk: Desk) -> None:
    trigger = uuid4()
    desk.away = True
    answers = await asyncio.gather(*(desk.write(desk.event(trigger, key)) for key in "abc"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    desk.away = False
    assert len(await desk.write(desk.event(trigger, "a"))) == 1
    assert await world.keys(trigger) == ["a"]


async def test_what_is_stored_wakes_the_workers_and_a_repeat_does_not(world: World, desk: Desk) -> None:
    trigger = uuid4()
    await desk.write(desk.event(trigger, "a"))
    assert desk.work._event.is_set()
    desk.work._event.clear()
    await desk.write(desk.event(trigger, "a"))
    assert not desk.work._event.is_set()


async def test_events_keep_the_order_of_their_page(world: World) -> None:
    trigger = await world.trigger(await world.create("schedule", "on_schedule", {"interval": "1m"}))
    now = world.clock.now()
    made = [event_from(trigger, Draft(key=str(n), data=b""), now + seconds(n / 1e6)) for n in range(1000)]
    assert [event.id for event in made] == sorted(event.id for event in made)


async def test_an_error_of_the_database_shows_nothing_of_what_was_to_be_stored(store: Store) -> None:
    """It ends in a log."""
    with pytest.raises(DBAPIError) as refused:
        async with store.transaction() as tx:
            await tx.connection.execute(
                text("SELECT no_such_column WHERE :body <> ''"), {"body": "a customer's secret"}
            )
    assert "secret" not in str(refused.value)


async def test_outcomes_of_a_trigger_are_its_newest(world: World) -> None:
    trigger = uuid4()
    async with world.store.transaction() as tx:
        for number in range(60):
            at = world.clock.now() + seconds(number)
            await outcomes.record(tx, Outcome(Kind.POLL, Code.EMPTY, at, world.caller.org_id, trigger, str(number)))
        found = await outcomes.of_trigger(tx, trigger)
    assert [one.detail for one in found] == [str(number) for number in range(59, 9, -1)]
