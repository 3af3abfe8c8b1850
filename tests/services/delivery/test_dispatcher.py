"""Deliveries on the real store and queue, to targets that fail, hang and answer anything."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.errors import Unavailable
from hairtrigger.domain.outcome import Code, Failure, Kind
from hairtrigger.domain.quotas import Quota, QuotaSpent, Use
from hairtrigger.domain.retry import AFTER_OUR_FAULT, ATTEMPTS, DELAYS
from hairtrigger.domain.target import Outgoing, Sent, Target
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import schedule
from hairtrigger.services.delivery.dispatcher import Dispatcher
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, history
from hairtrigger.store.delivery.history import AttemptRecord, Delivery
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event
from hairtrigger.store.setup.projects import Project
from tests.services.world import Meddled, World, a_world
from tests.store.build import a_project, an_event, an_organization
from tests.support.clock import ManualClock, pass_time
from tests.support.waiting import until, until_true

pytestmark = pytest.mark.anyio

DELIVERED = Sent("delivered", 200, "Accepted.")
FAILED = Sent("failed", 503, "The target answered 503.")
LONG = timedelta(hours=1)


@dataclass
class Endpoint:
    """A target that gives the answers of a test in turn, and then repeats the last one."""

    answers: list[Sent | Exception] = field(default_factory=lambda: [DELIVERED])
    received: list[Outgoing] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    called: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, outgoing: Outgoing) -> Sent:
        self.received.append(outgoing)
        self.called.set()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        await self.released.wait()
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def target() -> Endpoint:
    endpoint = Endpoint()
    endpoint.released.set()
    return endpoint


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    return await a_world(store, clock, vault, schedule.provider)


@pytest.fixture
async def trigger(world: World) -> UUID:
    return await world.enabled("schedule", "on_schedule", {"interval": "1h"})


async def happen(world: World, trigger: UUID, *keys: str, project: str | None = None) -> list[Event]:
    project_id = project or world.project_id
    made = [an_event(world.caller.org_id, project_id, trigger, key, world.clock.now(), b'{"n": 1.0}') for key in keys]
    async with world.store.transaction() as tx:
        await events.append(tx, made)
    return made


def a_dispatcher(
    world: World, target: Target | Callable[[Project], Target], store: Store | None = None, slots: int = 20
) -> Dispatcher:
    """Return a dispatcher whose waits have no random part."""
    target_of = target if callable(target) else lambda _: target
    return Dispatcher(
        store=store or world.store,
        clock=world.clock,
        work=Wake(),
        target_of=target_of,
        triggers=world.triggers,
        slots=slots,
        jitter=lambda: 0.5,
    )


@asynccontextmanager
async def running(dispatcher: Dispatcher) -> AsyncIterator[Dispatcher]:
    """Run a worker; at the end it dies with all its work under way."""
    loop = asyncio.create_task(dispatcher.run())
    try:
        yield dispatcher
    finally:
        while not loop.done():
            loop.cancel()
            await asyncio.wait([loop], timeout=0.1)  # a part that is just ending can miss the cancellation


async def work(world: World, target: Endpoint) -> None:
    """Run a worker until it has done all its work, and at least one delivery."""
    target.called.clear()
    async with running(a_dispatcher(world, target)) as dispatcher:
        await target.called.wait()
        await dispatcher.drain(LONG)


async def delivery(world: World, event: Event) -> Delivery:
    async with world.store.transaction() as tx:
        [found] = await history.deliveries(tx, world.caller.org_id, limit=2, id=event.id)
    return found


async def attempts(world: World, event: Event) -> list[AttemptRecord]:
    async with world.store.transaction() as tx:
        return await history.attempts(tx, world.caller.org_id, event.id)


async def requeue(world: World) -> int:
    async with world.store.transaction() as tx:
        return await deliveries.requeue_due(tx, world.clock.now(), 100)


async def end_leases(world: World) -> None:
    """End all leases now, as if their time had passed."""
    async with world.store.transaction() as tx:
        ids = [row.msg_id for row in await tx.connection.execute(text("SELECT msg_id FROM pgmq.q_dispatch"))]
        await deliveries.extend(tx, ids, timedelta())


async def inflight(world: World) -> int:
    async with world.store.transaction() as tx:
        found: int = (
            await tx.connection.execute(
                text("SELECT inflight FROM lane WHERE project_id = :id"), {"id": world.project_id}
            )
        ).scalar_one()
    return found


async def test_an_event_is_sent_as_it_came_and_its_attempt_recorded(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")
    target.answers = [Sent("delivered", 202, "Accepted.", response=b"thanks")]

    await work(world, target)

    [sent] = target.received
    assert (sent.delivery_id, sent.event_id, sent.attempt, sent.replay_of) == (event.id, event.id, 1, None)
    assert (sent.body, sent.content_type, sent.event_key) == (event.body, "application/json", "a")
    assert (sent.source, sent.type) == (f"/project-triggers/{trigger}", "test.happened")
    [attempt] = await attempts(world, event)
    assert (attempt.number, attempt.status, attempt.response_status, attempt.response) == (
        1,
        "delivered",
        202,
        b"thanks",
    )
    assert (await delivery(world, event)).status == "delivered"
    assert await inflight(world) == 0


async def test_a_delivery_that_always_fails_is_tried_as_standard_webhooks_says_and_then_dead(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")
    target.answers = [FAILED]
    waits = [timedelta()]
    while True:
        await work(world, target)
        found = await delivery(world, event)
        if found.next_attempt_at is None:
            break
        assert found.status == "retrying"
        waits.append(found.next_attempt_at - world.clock.now())
        world.clock.advance(waits[-1] - timedelta(seconds=1))
        assert await requeue(world) == 0
        world.clock.advance(timedelta(seconds=1))
        assert await requeue(world) == 1

    assert waits == list(DELAYS)
    assert (found.status, found.detail) == ("dead", f"All {ATTEMPTS} attempts failed: {FAILED.detail}")
    assert [one.number for one in await attempts(world, event)] == list(range(1, ATTEMPTS + 1))
    assert {sent.delivery_id for sent in target.received} == {event.id}
    assert await inflight(world) == 0


async def test_a_delivery_that_succeeds_at_last_is_delivered(world: World, trigger: UUID, target: Endpoint) -> None:
    [event] = await happen(world, trigger, "a")
    target.answers = [FAILED, FAILED, DELIVERED]
    for _ in range(2):
        await work(world, target)
        world.clock.advance(timedelta(hours=1))
        await requeue(world)
    await work(world, target)
    assert [one.status for one in await attempts(world, event)] == ["failed", "failed", "delivered"]
    assert (await delivery(world, event)).status == "delivered"


@pytest.mark.parametrize(
    ("asked", "waits"),
    [
        (timedelta(hours=3), timedelta(hours=3)),
        (timedelta(days=30), timedelta(days=1)),
        (timedelta(seconds=1), DELAYS[1]),
    ],
)
async def test_a_target_is_left_alone_as_long_as_it_asks(
    world: World, trigger: UUID, target: Endpoint, asked: timedelta, waits: timedelta
) -> None:
    [event] = await happen(world, trigger, "a")
    target.answers = [Sent("failed", 429, "Slower.", retry_after=asked)]
    await work(world, target)
    assert (await delivery(world, event)).next_attempt_at == world.clock.now() + waits


async def test_a_target_that_is_gone_gets_nothing_more(world: World, trigger: UUID, target: Endpoint) -> None:
    [event] = await happen(world, trigger, "a")
    target.answers = [Sent("gone", 410, "Gone.")]
    await work(world, target)
    found = await delivery(world, event)
    assert found.status == "dead"
    assert "410" in (found.detail or "")
    assert not (await world.trigger(trigger)).enabled
    assert await world.codes(trigger, Kind.TARGET) == [Code.TARGET_GONE]
    world.clock.advance(timedelta(hours=2))
    assert await world.schedules.run_due() == 0


async def test_a_fault_of_ours_during_a_call_is_told_as_ours_and_the_target_is_not_called_again(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    """The target may have taken the event. A replay can deliver it, and the next delivery of the key is not held up."""
    await world.projects.update(world.caller, world.project_id, None, None, 5, None, "trigger")
    [event] = await happen(world, trigger, "a")
    world.clock.advance(timedelta(seconds=1))
    [following] = await happen(world, trigger, "b")
    target.answers = [KeyError("not for the user"), DELIVERED]
    async with running(a_dispatcher(world, target)):
        await until(lambda: _all(world, [following], "delivered"))

    [attempt] = await attempts(world, event)
    found = await delivery(world, event)
    assert (attempt.status, attempt.failure, attempt.response_status) == ("failed", Failure.BROKEN, None)
    assert "not the target's" in attempt.detail
    assert "not for the user" not in attempt.detail
    assert (found.status, found.detail, found.next_attempt_at) == ("dead", attempt.detail, None)
    world.clock.advance(timedelta(days=30))
    assert await requeue(world) == 0
    assert len(target.received) == 2
    assert await inflight(world) == 0


async def test_a_fault_of_ours_before_the_call_is_tried_again_by_a_schedule_of_its_own(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")

    def broken(_: Project) -> Target:
        target.called.set()
        raise KeyError("not for the user")

    waits = []
    while True:
        target.called.clear()
        async with running(a_dispatcher(world, broken)) as dispatcher:
            await asyncio.wait_for(target.called.wait(), 30)
            await dispatcher.drain(LONG)
        found = await delivery(world, event)
        if found.next_attempt_at is None:
            break
        waits.append(found.next_attempt_at - world.clock.now())
        world.clock.advance(waits[-1])
        assert await requeue(world) == 1

    assert waits == list(AFTER_OUR_FAULT)
    assert found.status == "dead"
    assert "before the target was called" in (found.detail or "")
    assert {one.failure for one in await attempts(world, event)} == {Failure.BROKEN}
    assert target.received == []


async def test_what_broke_before_the_call_is_delivered_when_the_fault_is_mended(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")
    faults = [KeyError("of the process before")]

    def mended(_: Project) -> Target:
        if faults:
            target.called.set()
            raise faults.pop()
        return target

    for _ in range(2):
        target.called.clear()
        async with running(a_dispatcher(world, mended)) as dispatcher:
            await asyncio.wait_for(target.called.wait(), 30)
            await dispatcher.drain(LONG)
        world.clock.advance(AFTER_OUR_FAULT[0])
        await requeue(world)
    assert [one.status for one in await attempts(world, event)] == ["failed", "delivered"]


async def test_a_project_whose_target_cannot_be_made_fails_its_deliveries_and_no_others(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    async with world.store.transaction() as tx:
        broken = await a_project(tx, world.caller.org_id, world.clock.now())
    [bad] = await happen(world, trigger, "a", project=broken)
    [good] = await happen(world, trigger, "b")

    def target_of(project: Project) -> Target:
        return {world.project_id: target}[project.id]

    async with running(a_dispatcher(world, target_of)):
        await until(lambda: attempts(world, bad))
        await until(lambda: attempts(world, good))
    assert (await delivery(world, bad)).status == "retrying"
    assert (await delivery(world, good)).status == "delivered"


@pytest.mark.parametrize("odd", ["nul \0", "half \ud800"])
async def test_an_answer_of_odd_text_is_recorded_all_the_same(
    world: World, trigger: UUID, target: Endpoint, odd: str
) -> None:
    [event] = await happen(world, trigger, "a")
    said: list[dict[str, Any]] = [{"role": "assistant", "content": odd}, {odd: [odd, 1, None]}]
    target.answers = [Sent("delivered", 200, odd, response=odd.encode(errors="replace"), conversation=said)]
    await work(world, target)
    [attempt] = await attempts(world, event)
    assert attempt.status == "delivered"
    assert attempt.conversation
    assert attempt.conversation[0]["content"] == odd.replace("\0", "").replace("\ud800", "?")


@pytest.mark.parametrize("odd", [float("nan"), float("-inf"), 10**4000, ["\0", {"\0": "\ud800"}]])
async def test_odd_values_in_a_conversation_are_recorded_all_the_same(
    world: World, trigger: UUID, target: Endpoint, odd: object
) -> None:
    [event] = await happen(world, trigger, "a")
    target.answers = [Sent("delivered", 200, "ok", conversation=[{"role": "assistant", "content": "x", "odd": odd}])]
    await work(world, target)
    [attempt] = await attempts(world, event)
    assert (attempt.status, attempt.detail) == ("delivered", "ok")
    assert attempt.conversation
    assert attempt.conversation[0]["content"] == "x"


async def test_a_target_is_not_called_again_because_its_answer_can_not_be_stored(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    """No target of this service gives such an answer, but a fault of the service must not count as the target's."""
    [bad, good] = await happen(world, trigger, "a", "b")
    unstorable = Sent("delivered", 200, "ok", response=b"x", conversation=[{"role": "assistant", "content": 10**5000}])
    target.answers = [unstorable, DELIVERED]
    await work(world, target)

    answers = [(await attempts(world, event))[0] for event in (bad, good)]
    assert {one.status for one in answers} == {"delivered"}
    assert {one.detail for one in answers} == {
        "The target's answer can't be stored, so nothing of it is kept.",
        "Accepted.",
    }
    assert len(target.received) == 2
    assert await requeue(world) == 0


# -- leases


async def test_what_a_worker_ends_after_its_lease_went_to_another_changes_nothing(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")
    slow = Endpoint(answers=[FAILED])
    async with running(a_dispatcher(world, slow, slots=1)) as late:  # its place is taken, so it claims nothing more
        await slow.called.wait()
        await end_leases(world)
        await work(world, target)
        slow.released.set()
        await late.drain(LONG)

    assert [one.status for one in await attempts(world, event)] == ["delivered"]
    assert (await delivery(world, event)).status == "delivered"
    assert await requeue(world) == 0
    assert await inflight(world) == 0


async def test_what_a_dead_worker_was_at_is_given_to_another(world: World, trigger: UUID, target: Endpoint) -> None:
    [event] = await happen(world, trigger, "a")
    stuck = Endpoint()
    async with running(a_dispatcher(world, stuck)):
        await stuck.called.wait()
    assert await attempts(world, event) == []
    await end_leases(world)
    await work(world, target)
    assert [one.status for one in await attempts(world, event)] == ["delivered"]
    assert await inflight(world) == 0


async def test_an_outcome_waits_for_the_database_and_the_target_is_not_called_again(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")
    away = asyncio.Event()

    async def fail() -> None:
        if target.received and not away.is_set():
            away.set()
            raise Unavailable

    async with running(a_dispatcher(world, target, Meddled(world.store.engine, world.store.connect, before_use=fail))):
        await away.wait()
        await end_leases(world)
        await until(lambda: attempts(world, event))
    assert len(target.received) == 1
    assert (await delivery(world, event)).status == "delivered"


async def test_a_slow_target_fills_its_own_lane_only(world: World, trigger: UUID, target: Endpoint) -> None:
    slow = Endpoint()
    async with world.store.transaction() as tx:
        other = await a_project(tx, world.caller.org_id, world.clock.now(), max_inflight=2)
    await happen(world, trigger, *(f"slow {n}" for n in range(10)), project=other)
    quick = await happen(world, trigger, *(f"quick {n}" for n in range(10)))

    async with running(a_dispatcher(world, lambda project: slow if project.id == other else target)) as dispatcher:
        await until(lambda: _all(world, quick, "delivered"))
        assert len(slow.received) == 2
        slow.released.set()
        await until(lambda: _count(slow, 10))
        await dispatcher.drain(LONG)
    assert len({sent.delivery_id for sent in slow.received}) == 10


async def test_an_organisation_that_fills_all_its_places_keeps_no_other_waiting(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    slow = Endpoint()
    now = world.clock.now()
    async with world.store.transaction() as tx:
        hostile = await an_organization(tx, now)
        theirs = [await a_project(tx, hostile, now, max_inflight=10_000) for _ in range(3)]
        await events.append(tx, [an_event(hostile, one, uuid4(), str(n), now) for one in theirs for n in range(20)])

    def target_of(project: Project) -> Target:
        return slow if project.id in theirs else target

    async with running(a_dispatcher(world, target_of, slots=4)):
        await until(lambda: _count(slow, 5))  # one project may have four places, and one organisation five
        quick = await happen(world, trigger, *(f"quick {n}" for n in range(10)))
        await until(lambda: _all(world, quick, "delivered"))
        assert len(slow.received) == 5
        assert {one.project_id for one in slow.received} == set(theirs)


async def test_new_work_of_an_organisation_without_attempts_wakes_no_loop(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    spent = QuotaSpent(Use(Quota.ATTEMPTS_A_DAY, 1, 1), LONG)
    dispatcher = replace(a_dispatcher(world, target), holds=lambda _: spent)
    await happen(world, trigger, "a")
    async with running(dispatcher):
        await until_true(lambda: dispatcher.work.full == {world.project_id})
    assert not target.received


async def test_new_work_of_full_lanes_alone_wakes_no_loop() -> None:
    work = Wake()
    work.full = frozenset({"full"})
    waiting = asyncio.create_task(work.wait(LONG))
    await asyncio.sleep(0)
    work.set({"full"})
    for _ in range(5):
        await asyncio.sleep(0)
    assert not waiting.done()
    work.set({"full", "other"})
    await waiting
    for projects in (None, {"other"}):
        work.set(projects)
        await work.wait(LONG)


async def _all(world: World, made: list[Event], status: str) -> bool:
    return {(await delivery(world, event)).status for event in made} == {status}


async def _count(endpoint: Endpoint, number: int) -> bool:
    return len(endpoint.received) == number


# -- events that can't be delivered


async def test_a_deleted_projects_deliveries_are_dropped_with_a_reason(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")
    await world.triggers.disable(world.caller, trigger)
    await world.projects.delete(world.caller, world.project_id)
    async with running(a_dispatcher(world, target)):
        await until(lambda: _all(world, [event], "dead"))
    assert (await delivery(world, event)).detail == "The project was deleted."
    assert target.received == []


async def test_an_event_that_is_stored_no_longer_is_dropped(world: World, trigger: UUID, target: Endpoint) -> None:
    await happen(world, trigger, "a")
    async with world.store.transaction() as tx:
        await tx.connection.execute(text("DELETE FROM event"))

    async def reason() -> bool:
        async with world.store.transaction() as tx:
            found = (await tx.connection.execute(text("SELECT reason FROM dead"))).scalars().all()
        return found == ["The event is no longer stored."]

    async with running(a_dispatcher(world, target)):
        await until(reason)
    assert (await inflight(world), target.received) == (0, [])


# -- stopping


async def test_a_stop_waits_for_what_is_under_way_and_claims_nothing_more(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")
    target.released.clear()
    async with running(a_dispatcher(world, target)) as dispatcher:
        await target.called.wait()
        draining = asyncio.create_task(dispatcher.drain(LONG))
        await until_true(lambda: dispatcher._stopping)
        [other] = await happen(world, trigger, "b")
        dispatcher.work.set()
        pass_time(LONG / 2)  # long enough for every look that is still due
        await happen(world, trigger, "c")
        assert not draining.done()
        target.released.set()
        await draining
        assert (await delivery(world, event)).status == "delivered"
    assert (await delivery(world, other)).status == "pending"


async def test_a_stop_waits_also_for_what_is_claimed_at_that_moment(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")
    claimed, go_on = asyncio.Event(), asyncio.Event()

    async def pause(number: int) -> None:
        if number == 1:
            claimed.set()
            await go_on.wait()

    async with running(
        a_dispatcher(world, target, Meddled(world.store.engine, world.store.connect, before_commit=pause))
    ) as dispatcher:
        await claimed.wait()
        draining = asyncio.create_task(dispatcher.drain(LONG))
        await until_true(lambda: dispatcher._stopping)
        go_on.set()
        await draining
    assert (await delivery(world, event)).status == "delivered"


async def test_a_stop_waits_no_longer_than_it_may(world: World, trigger: UUID, target: Endpoint) -> None:
    [event] = await happen(world, trigger, "a")
    target.released.clear()
    async with running(a_dispatcher(world, target)) as dispatcher:
        await target.called.wait()
        await drained_no_longer_than(LONG, dispatcher)
    assert (await delivery(world, event)).status == "pending"
    await end_leases(world)
    target.released.set()
    await work(world, target)
    assert (await delivery(world, event)).status == "delivered"


async def drained_no_longer_than(at_most: timedelta, dispatcher: Dispatcher) -> None:
    """Drain, and check that the drain waits as long as it may and then ends."""
    draining = asyncio.create_task(dispatcher.drain(at_most))
    await until_true(lambda: dispatcher._stopping)
    pass_time(at_most / 2)
    await asyncio.sleep(0)
    assert not draining.done()
    pass_time(at_most / 2)
    await draining


@pytest.mark.parametrize("steps", range(4))
async def test_a_worker_told_to_stop_in_the_moment_in_which_work_comes_stops(steps: int) -> None:
    work = Wake()
    waiting = asyncio.create_task(work.wait(LONG))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    work.set()
    for _ in range(steps):
        await asyncio.sleep(0)
    if waiting.cancel():  # the wait had not ended, so it must be cancelled
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_what_a_stop_can_not_wait_for_is_given_to_another_at_once(
    world: World, trigger: UUID, target: Endpoint
) -> None:
    [event] = await happen(world, trigger, "a")
    stuck = Endpoint()
    async with running(a_dispatcher(world, stuck)) as dispatcher:
        await stuck.called.wait()
        await drained_no_longer_than(LONG, dispatcher)

    await work(world, target)

    assert [one.status for one in await attempts(world, event)] == ["delivered"]
    assert await inflight(world) == 0


# -- several workers


async def test_a_delivery_that_outlasts_its_lease_is_sent_once(world: World, trigger: UUID, target: Endpoint) -> None:
    [event] = await happen(world, trigger, "a")
    """The worker extends the lease in time, as often as needed, so that it does not end before the target answers."""
    target.released.clear()
    async with running(a_dispatcher(world, target)) as dispatcher, running(a_dispatcher(world, target)):
        await target.called.wait()
        for _ in range(3):
            before = await lease(world)
            pass_time(dispatcher.lease / 2)
            await until(partial(is_longer, world, before))
        target.released.set()
        await dispatcher.drain(LONG)
        await until(lambda: _all(world, [event], "delivered"))
    assert len(target.received) == 1


async def lease(world: World) -> datetime:
    async with world.store.transaction() as tx:
        found = (await tx.connection.execute(text("SELECT vt FROM pgmq.q_dispatch"))).scalar_one()
    assert isinstance(found, datetime)
    return found


async def is_longer(world: World, before: datetime) -> bool:
    return await lease(world) > before


async def test_workers_that_race_and_die_keep_the_order_of_each_key(world: World, trigger: UUID) -> None:
    """Two of three workers run on; the third dies with its work under way and is replaced, eight times."""
    await world.projects.update(world.caller, world.project_id, None, None, 50, None, "subject")
    received: dict[str | None, list[UUID]] = defaultdict(list)

    class Recording:
        async def send(self, outgoing: Outgoing) -> Sent:
            if outgoing.delivery_id not in received[outgoing.subject]:  # a dead worker's deliveries come again
                received[outgoing.subject].append(outgoing.delivery_id)
            await asyncio.sleep(0)
            return DELIVERED

    sent: dict[str | None, list[UUID]] = defaultdict(list)
    async with AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(running(a_dispatcher(world, Recording())))
        for _ in range(8):
            async with running(a_dispatcher(world, Recording())):
                for number in range(20):
                    world.clock.advance(timedelta(microseconds=1))
                    now = world.clock.now()
                    event = an_event(world.caller.org_id, world.project_id, trigger, str(uuid4()), now)
                    event = event._replace(subject=str(number % 4))
                    async with world.store.transaction() as tx:
                        await events.append(tx, [event])
                    sent[event.subject].append(event.id)
            await end_leases(world)
        await until(lambda: _came(received, 160))
        await until(lambda: _is_idle(world))
    assert received == sent


async def _came(received: dict[str | None, list[UUID]], count: int) -> bool:
    return sum(map(len, received.values())) == count


async def _is_idle(world: World) -> bool:
    """Return whether no place in a lane and no turn is taken, and no delivery waits."""
    async with world.store.transaction() as tx:
        query = "SELECT (SELECT sum(inflight) FROM lane) + (SELECT count(*) FROM turn) + (SELECT count(*) FROM waiting)"
        left = (await tx.connection.execute(text(query))).scalar_one()
    return bool(left == 0)


async def test_a_stop_does_not_give_up_what_is_known_to_be_delivered(world: World, trigger: UUID) -> None:
    """A target has answered 2xx but not ended its answer; the worker stops waiting for the rest."""
    [answered, silent] = await happen(world, trigger, "a", "b")
    target = Endpoint()
    read_on = {answered.id: asyncio.Event(), silent.id: asyncio.Event()}

    class Answering:
        async def send(self, outgoing: Outgoing) -> Sent:
            target.received.append(outgoing)
            await read_on[outgoing.event_id].wait()
            return DELIVERED

    dispatcher = a_dispatcher(world, Answering())
    dispatcher.hurry = read_on[answered.id].set
    async with running(dispatcher):
        await until(lambda: _two_of(target))
        draining = asyncio.create_task(dispatcher.drain(LONG))
        await until_true(lambda: dispatcher._stopping)
        pass_time(LONG)
        await read_on[answered.id].wait()
        await until(lambda: _is_delivered(world, answered))
        pass_time(LONG)
        await draining

    assert (await delivery(world, answered)).status == "delivered"
    assert (await delivery(world, silent)).status == "pending"


async def _is_delivered(world: World, event: Event) -> bool:
    return (await delivery(world, event)).status == "delivered"


async def _two_of(target: Endpoint) -> bool:
    return len(target.received) == 2
