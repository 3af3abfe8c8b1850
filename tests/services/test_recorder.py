"""One commit stores the events and outcomes of many requests, and each request gets its own result."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
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
from hairtrigger.services.recorder import Recorder, event_from
from hairtrigger.store.database import Store
from hairtrigger.store.events import events, outcomes, request_batches
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.events.request_batches import Write
from hairtrigger.store.setup import triggers
from hairtrigger.store.statements import Statements
from tests.services.world import World, a_world, seconds
from tests.store.build import an_event
from tests.store.claims import claim
from tests.support.clock import ManualClock
from tests.support.waiting import until

pytestmark = pytest.mark.anyio


class Counted(Statements):
    """Statements that count their commits, to a database that may be away."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.commits = 0
        self.away = False

    async def row(self, statement: str, *arguments: Any) -> Any:
        if self.away:
            raise Unavailable
        row = await super().row(statement, *arguments)
        self.commits += 1
        return row


class Desk:
    """A recorder, and triggers whose events it stores."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.versions: dict[UUID, int] = {}
        self.statements = Counted(world.store)
        self.work = Wake()
        self.recorder = Recorder(
            self.statements, world.clock, self.work, max_waiting=10_000, max_waiting_bytes=1024 * 1024
        )

    async def trigger(self) -> UUID:
        id_ = await self.world.create("schedule", "on_schedule", {"interval": "1m"})
        async with self.world.store.transaction() as tx:
            self.versions[id_] = (await triggers.by_ids(tx, [id_]))[id_].version
        return id_

    def event(self, trigger: UUID, key: str, body: bytes = b"{}") -> Event:
        return an_event(self.world.caller.org_id, self.world.project_id, trigger, key, self.world.clock.now(), body)

    async def write(self, *events: Event) -> Sequence[Event] | None:
        """Store events, with the versions that the triggers had when they were made."""
        return await self.recorder.write(Write(events, [self.versions[one.project_trigger_id] for one in events]))

    async def queued(self) -> int:
        return (await claim(self.world.store, 100, seconds(30)))[0].read


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
    desk.statements.close()


async def test_what_is_answered_is_on_disk_and_on_the_queue(world: World, desk: Desk) -> None:
    trigger = await desk.trigger()
    event = desk.event(trigger, "a")
    assert await desk.write(event) == (event,)
    assert await world.events(trigger) == [event]
    assert await desk.queued() == 1


async def test_many_requests_at_once_share_few_commits(world: World, desk: Desk) -> None:
    trigger = await desk.trigger()
    given = [desk.event(trigger, f"{n}") for n in range(200)]
    answers = await asyncio.gather(*(desk.write(event) for event in given))
    assert answers == [(event,) for event in given]
    assert sorted(await world.keys(trigger)) == sorted(event.key for event in given)
    assert desk.statements.commits <= 2


async def test_a_repeat_is_told_once_to_its_trigger_and_stored_no_second_time(world: World, desk: Desk) -> None:
    trigger, other = await desk.trigger(), await desk.trigger()
    await desk.write(desk.event(trigger, "a"))
    again = (desk.event(trigger, "a"), desk.event(trigger, "a"), desk.event(other, "a"))

    assert await desk.write(*again) == [again[2]]

    assert (await world.keys(trigger), await world.keys(other)) == (["a"], ["a"])
    assert await world.codes(trigger, Kind.WEBHOOK) == [Code.DUPLICATE]
    assert await world.codes(other, Kind.WEBHOOK) == []


async def test_one_new_event_among_repeats_is_no_repeat(world: World, desk: Desk) -> None:
    trigger = await desk.trigger()
    await desk.write(desk.event(trigger, "a"))
    await desk.write(desk.event(trigger, "a"), desk.event(trigger, "b"))
    assert await world.codes(trigger, Kind.WEBHOOK) == []
    assert sorted(await world.keys(trigger)) == ["a", "b"]


async def test_the_same_key_in_two_requests_at_once_is_new_for_one_of_them(world: World, desk: Desk) -> None:
    trigger = await desk.trigger()
    answers = await asyncio.gather(*(desk.write(desk.event(trigger, "a")) for _ in range(20)))
    assert sorted(len(fresh) for fresh in answers if fresh is not None) == [0] * 19 + [1]
    assert await world.codes(trigger, Kind.WEBHOOK) == [Code.DUPLICATE] * 19
    assert await desk.queued() == 1


async def test_outcomes_are_written_with_no_events_at_all(world: World, desk: Desk) -> None:
    trigger = await desk.trigger()
    said = Outcome(Kind.WEBHOOK, Code.REJECTED, world.clock.now(), world.caller.org_id, trigger, "half \ud800\0 sense")
    assert await desk.recorder.write(Write(outcomes=(said,))) == ()
    [outcome] = await world.outcomes(trigger, Kind.WEBHOOK)
    assert (outcome.code, outcome.detail) == (Code.REJECTED, "half ? sense")


async def test_a_request_that_cannot_be_stored_fails_alone(world: World, desk: Desk) -> None:
    trigger = await desk.trigger()
    keys = ("a", "nul \0", "b", "half \ud800", "c")
    answers = await asyncio.gather(*(desk.write(desk.event(trigger, key)) for key in keys), return_exceptions=True)
    assert [type(answer) for answer in answers] == [tuple, Invalid, tuple, Invalid, tuple]
    assert sorted(await world.keys(trigger)) == ["a", "b", "c"]


async def test_what_was_made_of_a_trigger_that_has_changed_since_is_not_stored_and_disturbs_no_other(
    world: World, desk: Desk
) -> None:
    trigger, other, gone = [await desk.trigger() for _ in range(3)]
    await world.triggers.enable(world.caller, trigger)
    await world.triggers.delete(world.caller, gone)
    changed, unchanged, both, none = await asyncio.gather(
        desk.write(desk.event(trigger, "a")),
        desk.write(desk.event(other, "a")),
        desk.write(desk.event(other, "b"), desk.event(trigger, "b")),
        desk.write(desk.event(gone, "a")),
    )
    assert (changed, both, none) == (None, None, None)
    assert unchanged is not None
    assert [event.key for event in unchanged] == ["a"]
    assert (await world.keys(trigger), await world.keys(other), await world.keys(gone)) == ([], ["a"], [])
    assert await desk.queued() == 1
    assert await world.codes(trigger, Kind.WEBHOOK) == []


async def test_two_statements_with_the_same_keys_never_wait_for_each_other(
    store: Store, world: World, desk: Desk
) -> None:
    """Two processes may write the same keys. Both wait for a third here, and may hold no lock that the other needs."""
    trigger = await desk.trigger()

    def writing(*keys: str) -> "asyncio.Task[Any]":
        writes = [Write([desk.event(trigger, key)], [desk.versions[trigger]]) for key in keys]
        return asyncio.create_task(request_batches.write(desk.statements, writes, world.clock.now()))

    async def both_wait() -> bool:
        async with store.transaction() as tx:
            waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return bool((await tx.connection.execute(waiting)).scalar_one() == 2)

    async with store.transaction() as third:
        await events.append(third, [desk.event(trigger, "m")])
        first, second = writing("a", "m", "b"), writing("b", "m", "a")
        await until(both_wait)
    await asyncio.gather(first, second)
    assert sorted(await world.keys(trigger)) == ["a", "b", "m"]


async def test_while_the_database_is_away_nothing_is_accepted(world: World, desk: Desk) -> None:
    trigger = await desk.trigger()
    desk.statements.away = True
    answers = await asyncio.gather(*(desk.write(desk.event(trigger, key)) for key in "abc"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unavailable] * 3
    desk.statements.away = False
    assert await desk.write(desk.event(trigger, "a"))
    assert await world.keys(trigger) == ["a"]


async def test_what_is_stored_wakes_the_workers_and_a_repeat_does_not(world: World, desk: Desk) -> None:
    trigger = await desk.trigger()
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
    """The text of the error ends in a log."""
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
