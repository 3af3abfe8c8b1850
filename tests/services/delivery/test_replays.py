"""Replay jobs on the real store keep their rate, can be continued by any process, and replay each event once."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from hairtrigger.domain.errors import Conflict, NotFound
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import schedule
from hairtrigger.services.delivery.interventions import Interventions
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.services.delivery.replays import ReplayQuery, Replays
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, history
from hairtrigger.store.delivery.deliveries import Attempt, Claimed
from hairtrigger.store.delivery.history import Delivery
from hairtrigger.store.delivery.replays import Job
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event
from tests.services.world import Killed, World, a_world, at, dying, seconds
from tests.store.build import a_project, an_event
from tests.store.claims import claim
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    return await a_world(store, clock, vault, schedule.provider)


@pytest.fixture
async def trigger(world: World) -> UUID:
    return await world.enabled("schedule", "on_schedule", {"interval": "1h"})


def replays(world: World, store: Store | None = None) -> Replays:
    return Replays(store=store or world.store, clock=world.clock, work=Wake())


async def happen(world: World, trigger: UUID, count: int) -> list[Event]:
    """Make events and deliver them, and return the events."""
    made = []
    for _ in range(count):
        world.clock.advance(timedelta(milliseconds=1))
        now = world.clock.now()
        made.append(an_event(world.caller.org_id, world.project_id, trigger, str(now), now))
    async with world.store.transaction() as tx:
        await events.append(tx, made)
    await deliver(world)
    return made


async def deliver(world: World, *, dead: tuple[UUID, ...] = ()) -> list[tuple[UUID, str]]:
    """Deliver everything on the queue, and return each event with the project that it went to."""
    done: list[tuple[UUID, str]] = []
    now = world.clock.now()
    while True:
        _, claimed = await claim(world.store, 100, seconds(30))
        if not claimed:
            return done
        async with world.store.transaction() as tx:
            done += [(one.message.event_id, one.message.project_id) for one in claimed]
            await deliveries.finish(
                tx,
                [
                    Attempt(
                        message=one.message,
                        org_id=world.caller.org_id,
                        status="failed" if one.message.event_id in dead else "delivered",
                        response_status=200,
                        detail="",
                        response=b"",
                        conversation=None,
                        started_at=now,
                        finished_at=now,
                        dead="Dead." if one.message.event_id in dead else None,
                    )
                    for one in claimed
                ],
            )


async def start(world: World, per_second: int = 1000, to: str | None = None, **query: Any) -> Job:
    world.clock.advance(timedelta(milliseconds=1))
    return await replays(world).start(world.caller, ReplayQuery(**query), per_second, to)


async def finished(world: World, job: Job) -> list[UUID]:
    """Run a job to its end, and return its events in the order of their deliveries."""
    for _ in range(100):
        await replays(world).run_due()
        if (await replays(world).get(world.caller, job.id)).ended_at:
            return [event_id for event_id, _ in await deliver(world)]
        world.clock.advance(seconds(1))
    raise AssertionError("It never ends.")


async def test_a_job_replays_what_there_was_oldest_first_and_nothing_of_its_own(world: World, trigger: UUID) -> None:
    made = await happen(world, trigger, 7)
    job = await start(world)
    later = await happen(world, trigger, 1)
    assert await finished(world, job) == [event.id for event in made]
    done = await replays(world).get(world.caller, job.id)
    assert (done.replayed, done.cancelled, done.next_at) == (7, False, None)
    assert later[0].id not in {event.id for event in made}


async def test_it_keeps_to_its_rate(world: World, trigger: UUID) -> None:
    await happen(world, trigger, 30)
    job = await start(world, per_second=10)
    replayed = []
    for _ in range(16):  # a little more than three seconds, in steps of a fifth of a second
        await replays(world).run_due()
        replayed.append((await replays(world).get(world.caller, job.id)).replayed)
        world.clock.advance(seconds(0.2))
    assert replayed == [*range(2, 31, 2), 30]


async def test_a_slow_rate_is_kept_as_well(world: World, trigger: UUID) -> None:
    await happen(world, trigger, 3)
    job = await start(world, per_second=1)
    await replays(world).run_due()
    assert (await replays(world).get(world.caller, job.id)).next_at == at(world.clock, 1)
    world.clock.advance(seconds(0.9))
    await replays(world).run_due()
    assert (await replays(world).get(world.caller, job.id)).replayed == 1


async def test_after_a_long_stop_it_goes_on_at_its_rate_and_makes_up_for_nothing(world: World, trigger: UUID) -> None:
    await happen(world, trigger, 100)
    job = await start(world, per_second=10)
    world.clock.advance(timedelta(hours=1))
    await replays(world).run_due()
    assert (await replays(world).get(world.caller, job.id)).replayed <= 12


async def test_a_process_that_dies_in_the_middle_leaves_no_gap_and_no_repeat(world: World, trigger: UUID) -> None:
    made = await happen(world, trigger, 25)
    job = await start(world, per_second=25)  # five events in each portion
    for step in (1, 2, 3):
        with pytest.raises(Killed):
            await replays(world, dying(world.store, at=step)).run_due()
        world.clock.advance(seconds(0.2))
    assert sorted(await finished(world, job)) == [event.id for event in made]


async def test_processes_that_race_for_a_job_share_it(world: World, trigger: UUID) -> None:
    made = await happen(world, trigger, 40)
    job = await start(world, per_second=25)
    for _ in range(20):
        await asyncio.gather(*(replays(world).run_due() for _ in range(3)))
        world.clock.advance(seconds(0.2))
    assert sorted(await finished(world, job)) == [event.id for event in made]


async def test_only_what_matches_is_replayed(world: World, trigger: UUID) -> None:
    other = await world.enabled("schedule", "on_schedule", {"interval": "2h"})
    early = await happen(world, trigger, 2)
    between = world.clock.now() + timedelta(microseconds=500)
    late = await happen(world, other, 2)
    ids = [event.id for event in late]
    assert await finished(world, await start(world, since=between)) == ids
    assert await finished(world, await start(world, until=between)) == [event.id for event in early]
    assert await finished(world, await start(world, project_trigger_id=other, until=at(world.clock, 1))) == ids
    assert await finished(world, await start(world, event_type="no.such")) == []
    assert await finished(world, await start(world, project_id=world.project_id, status="dead")) == []


async def test_dead_letters_are_replayed_and_those_alone(world: World, trigger: UUID) -> None:
    now = world.clock.now()
    made = [an_event(world.caller.org_id, world.project_id, trigger, str(n), now) for n in range(4)]
    async with world.store.transaction() as tx:
        await events.append(tx, made)
    dead = (made[1].id, made[3].id)
    await deliver(world, dead=dead)
    assert sorted(await finished(world, await start(world, status="dead"))) == sorted(dead)
    async with world.store.transaction() as tx:
        found = await history.deliveries(tx, world.caller.org_id, limit=10, status="dead")
    assert {one.id for one in found} == set(dead), "they stay what they are: a replay is another delivery"


async def test_an_event_with_several_deliveries_is_replayed_once(world: World, trigger: UUID) -> None:
    [event] = await happen(world, trigger, 1)
    assert await finished(world, await start(world)) == [event.id]
    assert await finished(world, await start(world)) == [event.id]


async def test_it_says_how_many_events_there_were_to_replay(world: World, trigger: UUID) -> None:
    made = await happen(world, trigger, 9)
    await finished(world, await start(world, until=made[4].received_at))  # these four have two deliveries now
    queries: list[tuple[int, dict[str, Any]]] = [
        (9, {}),
        (9, {"status": "delivered"}),
        (0, {"status": "dead"}),
        (0, {"status": "pending"}),
        (4, {"since": made[2].received_at, "until": made[6].received_at}),
    ]
    for total, query in queries:
        job = await start(world, **query)
        assert job.total == total
        await finished(world, job)
        done = await replays(world).get(world.caller, job.id)
        assert (done.replayed, done.total) == (total, total)


async def test_nobody_waits_for_a_total_that_takes_long_to_count(world: World, trigger: UUID) -> None:
    made = await happen(world, trigger, 3)
    async with world.store.transaction() as tx:
        await tx.connection.execute(text("LOCK TABLE replay IN ACCESS EXCLUSIVE MODE"))
        job = await start(world)
    assert job.total is None
    assert await finished(world, job) == [event.id for event in made]


async def test_a_cancelled_job_replays_nothing_more(world: World, trigger: UUID) -> None:
    await happen(world, trigger, 10)
    job = await start(world, per_second=5)
    await replays(world).run_due()
    await replays(world).cancel(world.caller, job.id)
    cancelled = await replays(world).cancel(world.caller, job.id)
    assert (cancelled.cancelled, cancelled.replayed) == (True, 1)
    world.clock.advance(timedelta(hours=1))
    await replays(world).run_due()
    assert (await replays(world).get(world.caller, job.id)).replayed == 1
    done = await start(world, event_type="no.such")
    await finished(world, done)
    with pytest.raises(Conflict):
        await replays(world).cancel(world.caller, done.id)


async def test_events_can_be_replayed_to_another_project(world: World, trigger: UUID) -> None:
    async with world.store.transaction() as tx:
        other = await a_project(tx, world.caller.org_id, world.clock.now())
    [event] = await happen(world, trigger, 1)
    await start(world, to=other)
    await replays(world).run_due()
    assert await deliver(world) == [(event.id, other)]
    async with world.store.transaction() as tx:
        [found] = await history.deliveries(tx, world.caller.org_id, limit=10, project_id=other)
    assert (found.replay_of, found.status) == (event.id, "delivered")


async def test_what_is_not_there_can_not_be_asked_for(world: World) -> None:
    for query, to in ((ReplayQuery(project_id="proj_none"), None), (ReplayQuery(project_trigger_id=UUID(int=1)), None)):
        with pytest.raises(NotFound):
            await replays(world).start(world.caller, query, 10, to)
    with pytest.raises(NotFound):
        await replays(world).start(world.caller, ReplayQuery(), 10, "proj_none")


# What is on its way, or has arrived, is not sent twice


async def fail(world: World) -> list[UUID]:
    """Make an attempt of every delivery on the queue, all of which fail, and return the deliveries."""
    _, claimed = await claim(world.store, 100, seconds(30))
    async with world.store.transaction() as tx:
        await deliveries.finish(tx, [failed(one, world) for one in claimed])
    return [one.message.delivery_id for one in claimed]


def failed(one: Claimed, world: World) -> Attempt:
    now = world.clock.now()
    return Attempt(
        message=one.message,
        org_id=world.caller.org_id,
        status="failed",
        response_status=503,
        detail="The target answered 503.",
        response=b"",
        conversation=None,
        started_at=now,
        finished_at=now,
        retry_at=now + timedelta(hours=1),
    )


async def undelivered(world: World, trigger: UUID) -> Event:
    event = an_event(world.caller.org_id, world.project_id, trigger, "k", world.clock.now())
    async with world.store.transaction() as tx:
        await events.append(tx, [event])
    return event


async def of_event(world: World, event: Event) -> list[Delivery]:
    async with world.store.transaction() as tx:
        return await history.deliveries(tx, world.caller.org_id, limit=10, event_id=event.id)


def interventions(world: World) -> Interventions:
    return Interventions(store=world.store, clock=world.clock, work=Wake())


async def test_what_is_retried_is_tried_again_now_and_not_sent_twice(world: World, trigger: UUID) -> None:
    event = await undelivered(world, trigger)
    await fail(world)

    done = await finished(world, await start(world))

    assert done == [event.id]
    [only] = await of_event(world, event)
    assert (only.id, only.status, only.attempts) == (event.id, "delivered", 2)


async def test_what_is_on_the_queue_or_held_back_is_left_alone_by_a_job(world: World, trigger: UUID) -> None:
    event = await undelivered(world, trigger)
    pauses = Pauses(store=world.store, clock=world.clock, work=Wake())

    await start(world)
    await replays(world).run_due()
    assert [one.status for one in await of_event(world, event)] == ["pending"]

    await pauses.pause(world.caller, world.project_id)
    assert await deliver(world) == []
    await start(world)
    await replays(world).run_due()
    assert [one.status for one in await of_event(world, event)] == ["suspended"]

    await pauses.resume(world.caller, world.project_id)
    await pauses.settle()
    assert await deliver(world) == [(event.id, world.project_id)]


async def test_a_dead_letter_that_arrived_by_a_replay_is_not_sent_again(world: World, trigger: UUID) -> None:
    event = await undelivered(world, trigger)
    await deliver(world, dead=(event.id,))
    query = ReplayQuery(status="dead")
    assert await replays(world).preview(world.caller, query, None) == 1

    assert await finished(world, await start(world, status="dead")) == [event.id]

    assert await replays(world).preview(world.caller, query, None) == 0
    assert await finished(world, await start(world, status="dead")) == []


async def test_a_dead_letter_goes_to_another_project_although_it_is_on_its_way_to_its_own(
    world: World, trigger: UUID
) -> None:
    async with world.store.transaction() as tx:
        other = await a_project(tx, world.caller.org_id, world.clock.now())
    event = await undelivered(world, trigger)
    await fail(world)

    await start(world, to=other)
    await replays(world).run_due()

    assert await deliver(world) == [(event.id, other)]


async def test_a_preview_sends_nothing(world: World, trigger: UUID) -> None:
    await happen(world, trigger, 3)

    assert await replays(world).preview(world.caller, ReplayQuery(status="delivered"), None) == 3

    await replays(world).run_due()
    assert await deliver(world) == []
    with pytest.raises(NotFound):
        await replays(world).preview(world.caller, ReplayQuery(project_id="proj_none"), None)


# One delivery


async def test_a_replay_of_what_is_still_retried_is_its_next_attempt(world: World, trigger: UUID) -> None:
    event = await undelivered(world, trigger)
    await fail(world)

    assert await interventions(world).replay(world.caller, event.id) == event.id

    assert await deliver(world) == [(event.id, world.project_id)]
    assert await interventions(world).replay(world.caller, event.id) != event.id, "it has arrived: this is a second one"
    assert len(await of_event(world, event)) == 2


async def test_a_retry_is_the_next_attempt_now(world: World, trigger: UUID) -> None:
    event = await undelivered(world, trigger)
    await fail(world)
    assert await deliver(world) == [], "the next attempt is due in an hour"

    assert (await interventions(world).retry(world.caller, event.id)).status == "pending"
    assert (await interventions(world).retry(world.caller, event.id)).status == "pending", "it is not sent twice"

    assert await deliver(world) == [(event.id, world.project_id)]
    with pytest.raises(Conflict, match=f"POST /v1/events/{event.id}/replay"):
        await interventions(world).retry(world.caller, event.id)


@pytest.mark.parametrize("state", ["retrying", "pending", "suspended", "waiting"])
async def test_a_delivery_that_is_cancelled_is_a_dead_letter_and_lets_the_next_one_go(
    state: str, world: World, trigger: UUID
) -> None:
    await world.projects.update(world.caller, world.project_id, None, None, None, None, "trigger")
    pauses = Pauses(store=world.store, clock=world.clock, work=Wake())
    first, second = await undelivered(world, trigger), None
    if state == "suspended":
        await pauses.pause(world.caller, world.project_id)
        await deliver(world)
    if state == "waiting":
        await fail(world)  # the first keeps its turn, and the second waits for that
        second = an_event(world.caller.org_id, world.project_id, trigger, "k2", world.clock.now())
        async with world.store.transaction() as tx:
            await events.append(tx, [second])
        await deliver(world)
        first, second = second, first
    if state == "retrying":
        await fail(world)
    [before] = await of_event(world, first)
    assert before.status == state

    cancelled = await interventions(world).cancel(world.caller, first.id)

    assert (cancelled.status, cancelled.detail) == ("dead", f"Cancelled by {world.caller.id}.")
    assert await interventions(world).cancel(world.caller, first.id) == cancelled
    if state == "suspended":
        await pauses.resume(world.caller, world.project_id)
    third = an_event(world.caller.org_id, world.project_id, trigger, "k3", world.clock.now())
    async with world.store.transaction() as tx:
        await events.append(tx, [third])
    if second:
        await interventions(world).retry(world.caller, second.id)
    arrived = [event_id for event_id, _ in await deliver(world)]
    assert arrived == ([second.id, third.id] if second else [third.id])


async def test_an_attempt_under_way_is_not_cut_off(world: World, trigger: UUID) -> None:
    event = await undelivered(world, trigger)
    _, [claimed] = await claim(world.store, 100, seconds(30))

    with pytest.raises(Conflict, match="under way"):
        await interventions(world).cancel(world.caller, event.id)

    async with world.store.transaction() as tx:
        await deliveries.extend(tx, [claimed.message.msg_id], timedelta())  # as if the worker had died
    assert (await interventions(world).cancel(world.caller, event.id)).status == "dead"
    async with world.store.transaction() as tx:
        assert await deliveries.finish(tx, [failed(claimed, world)]) == ([], 0), "the attempt changes nothing any more"
        places = await tx.connection.execute(text("SELECT inflight FROM lane"))
        assert places.scalars().all() == [0]


async def test_another_organisation_can_neither_retry_nor_cancel(world: World, trigger: UUID) -> None:
    event = await undelivered(world, trigger)
    stranger = replace(world.caller, org_id=UUID(int=7))

    for act in (interventions(world).retry, interventions(world).cancel, interventions(world).replay):
        with pytest.raises(NotFound):
            await act(stranger, event.id)
