"""Deliveries that get lost from the queue are sent again, and no others."""

import asyncio
from datetime import timedelta
from functools import partial
from typing import Literal
from uuid import UUID

import pytest
from sqlalchemy import text

from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import schedule
from hairtrigger.services.delivery.lost_deliveries import LostDeliveries
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, queue_engine, replays
from hairtrigger.store.delivery import lost_deliveries as reconciliation
from hairtrigger.store.delivery.deliveries import Attempt, Claimed
from hairtrigger.store.delivery.lost_deliveries import Walk
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event
from hairtrigger.store.upkeep import periodic_tasks
from tests.services.world import Meddled, World, a_world
from tests.store import claims
from tests.store.build import an_event
from tests.support.clock import ManualClock
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LATER = timedelta(minutes=10)


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    return await a_world(store, clock, vault, schedule.provider)


@pytest.fixture
async def trigger(world: World) -> UUID:
    return await world.enabled("schedule", "on_schedule", {"interval": "1h"})


async def happen(world: World, trigger: UUID, *keys: str) -> list[Event]:
    made = []
    for key in keys:
        world.clock.advance(timedelta(milliseconds=1))
        made.append(an_event(world.caller.org_id, world.project_id, trigger, key, world.clock.now()))
    async with world.store.transaction() as tx:
        await events.append(tx, made)
    return made


async def queued(world: World) -> list[tuple[str, int]]:
    """Return the delivery and the attempt of each message on the queue."""
    async with world.store.transaction() as tx:
        rows = await tx.connection.execute(
            text("SELECT message->>'delivery' AS id, (message->>'attempt')::int AS n FROM pgmq.q_dispatch ORDER BY 1")
        )
        return [(row.id, row.n) for row in rows]


async def lose_the_queue(world: World) -> None:
    async with world.store.transaction() as tx:
        await tx.connection.execute(text("TRUNCATE pgmq.q_dispatch"))


async def claim(world: World, limit: int) -> list[Claimed]:
    _, claimed = await claims.claim(world.store, limit, timedelta(seconds=30))
    return claimed


async def end(world: World, claimed: Claimed, *, retry_after: timedelta | None = None, dead: str | None = None) -> None:
    now = world.clock.now()
    status: Literal["failed", "delivered"] = "failed" if retry_after or dead else "delivered"
    again = now + retry_after if retry_after else None
    attempt = Attempt(
        claimed.message, world.caller.org_id, status, None, "", b"", None, now, now, retry_at=again, dead=dead
    )
    async with world.store.transaction() as tx:
        await deliveries.finish(tx, [attempt])


def lost_deliveries(world: World) -> LostDeliveries:
    """Advance the clock by a moment, and return the finder of lost deliveries."""
    world.clock.advance(timedelta(milliseconds=1))
    return LostDeliveries(store=world.store, clock=world.clock, work=Wake())


async def test_only_what_is_nowhere_is_sent_again(world: World, trigger: UUID) -> None:
    delivered, failed, dead, _, lost = await happen(world, trigger, "delivered", "failed", "dead", "leased", "lost")
    one, two, three, _ = await claim(world, 4)
    await end(world, one)
    await end(world, two, retry_after=timedelta(hours=1))
    await end(world, three, dead="No more attempts.")
    async with world.store.transaction() as tx:
        await tx.connection.execute(
            text("DELETE FROM pgmq.q_dispatch WHERE message->>'delivery' = :id"), {"id": str(lost.id)}
        )
    before = await queued(world)

    assert [c.message.delivery_id for c in (one, two, three)] == [delivered.id, failed.id, dead.id]
    assert await lost_deliveries(world).lap() == 1
    assert await queued(world) == sorted([*before, (str(lost.id), 1)])
    assert await lost_deliveries(world).lap() == 0


async def test_a_lost_queue_is_filled_again_with_what_was_on_it(world: World, trigger: UUID) -> None:
    delivered, tried, fresh = await happen(world, trigger, "delivered", "tried", "fresh")
    one, two = await claim(world, 2)
    await end(world, one)
    await end(world, two, retry_after=timedelta(hours=1))
    world.clock.advance(LATER)
    async with world.store.transaction() as tx:
        assert await deliveries.requeue_due(tx, world.clock.now() + LATER * 10, 10) == 1
        [replay] = await replays.add(tx, [delivered], "a test", world.clock.now())
    before = await queued(world)

    await lose_the_queue(world)
    await lost_deliveries(world).lap()

    assert await queued(world) == before == [(str(tried.id), 2), (str(fresh.id), 1), (str(replay), 1)]


async def test_two_reconcilers_at_once_send_each_once(world: World, trigger: UUID) -> None:
    made = await happen(world, trigger, *map(str, range(50)))
    await lose_the_queue(world)

    sent = await asyncio.gather(*(lost_deliveries(world).lap() for _ in range(4)))

    assert sum(sent) == len(made)
    assert [id_ for id_, _ in await queued(world)] == [str(one.id) for one in made]


async def test_a_reconciler_waits_for_another_that_has_not_committed(world: World, trigger: UUID) -> None:
    made = await happen(world, trigger, "a", "b")
    await lose_the_queue(world)
    reached, released = asyncio.Event(), asyncio.Event()

    async def hold(_: int) -> None:
        reached.set()
        await released.wait()

    slow = LostDeliveries(
        store=Meddled(world.store.engine, world.store.connect, before_commit=hold), clock=world.clock, work=Wake()
    )
    world.clock.advance(timedelta(milliseconds=1))
    first = asyncio.create_task(slow.lap())
    await reached.wait()
    second = asyncio.create_task(lost_deliveries(world).lap())
    await until(partial(_waits_or_is_done, world, second))
    released.set()

    assert (await first, await second) == (2, 0)
    assert [id_ for id_, _ in await queued(world)] == [str(one.id) for one in made]


async def _waits_or_is_done(world: World, task: asyncio.Task[int]) -> bool:
    async with world.store.transaction() as tx:
        waiting = await tx.connection.execute(text("SELECT count(*) FROM pg_locks WHERE NOT granted"))
        return task.done() or bool(waiting.scalar_one())


async def test_the_walk_looks_at_what_is_not_fresh_in_steps_and_then_only_at_what_had_not_ended(
    world: World, trigger: UUID
) -> None:
    made = await happen(world, trigger, *map(str, range(5)))
    until = made[4].id
    async with world.store.transaction() as tx:
        one = await reconciliation.step(tx, Walk(), until, 3)
        two = await reconciliation.step(tx, one.walk, until, 3)
    assert (one.over, one.walk.position) == (False, made[2].id)
    assert (two.over, two.sent) == (True, 0)
    assert two.walk.floor < made[0].id

    for claimed in await claim(world, 4):
        await end(world, claimed)
    async with world.store.transaction() as tx:
        three = await reconciliation.step(tx, two.walk, until, 10)
    assert made[3].id < three.walk.floor < made[4].id


async def test_a_walk_under_way_is_stored_and_nobody_else_takes_a_step_before_its_time(
    world: World, trigger: UUID
) -> None:
    await happen(world, trigger, "a")
    await lose_the_queue(world)
    await lost_deliveries(world)._walk()
    assert await queued(world) == []  # the lost delivery is too fresh for the walk

    world.clock.advance(LATER)
    await lost_deliveries(world)._walk()
    assert len(await queued(world)) == 1

    await lose_the_queue(world)
    await lost_deliveries(world)._walk()
    assert await queued(world) == []  # the next lap is not due yet


async def test_the_queue_is_rebuilt_under_leases_that_stay_good(world: World, trigger: UUID) -> None:
    first, second, third = await happen(world, trigger, "a", "b", "c")
    leased, other = await claim(world, 2)
    before = await queued(world)

    async with world.store.session() as session:
        assert await queue_engine.rebuild(session) == 3
    [fourth] = await happen(world, trigger, "d")

    assert await queued(world) == [*before, (str(fourth.id), 1)]
    await end(world, leased)
    assert [id_ for id_, _ in await queued(world)] == [str(one.id) for one in (second, third, fourth)]
    again = await claim(world, 10)
    assert [one.message.delivery_id for one in again] == [third.id, fourth.id]
    assert len({one.message.msg_id for one in (leased, other, *again)}) == 4
    assert first.id == leased.message.delivery_id


async def test_a_queue_whose_schema_is_gone_is_rebuilt_from_the_history(world: World, trigger: UUID) -> None:
    made = await happen(world, trigger, "a", "b")
    async with world.store.transaction() as tx:
        await tx.connection.execute(text("DROP SCHEMA pgmq CASCADE"))

    async with world.store.session() as session:
        assert await queue_engine.rebuild(session) == 0
    assert await lost_deliveries(world).lap() == 2

    assert [id_ for id_, _ in await queued(world)] == [str(one.id) for one in made]


async def test_a_task_is_given_to_one_process_each_time_it_is_due(store: Store, clock: ManualClock) -> None:
    async def claimed() -> bool:
        async with store.transaction() as tx:
            return await periodic_tasks.claim(tx, "task", clock.now(), LATER) is not None

    assert sorted(await asyncio.gather(*(claimed() for _ in range(5)))) == [False, False, False, False, True]
    clock.advance(LATER)
    assert sorted(await asyncio.gather(*(claimed() for _ in range(5)))) == [False, False, False, False, True]
