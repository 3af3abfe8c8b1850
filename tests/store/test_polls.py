from datetime import timedelta
from uuid import UUID

import pytest

from hairtrigger.store import polls, triggers
from hairtrigger.store.database import Store
from tests.store.build import a_project, a_trigger, an_organization
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

HOLD = timedelta(seconds=90)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def trigger_id(store: Store, clock: ManualClock) -> UUID:
    async with store.transaction() as tx:
        org_id = await an_organization(tx, clock.now())
        project_id = await a_project(tx, org_id, clock.now())
        trigger = await a_trigger(tx, org_id, project_id, clock.now())
        await polls.start(tx, trigger.id, "poll", clock.now(), MINUTE)
        return trigger.id


async def _claim(store: Store, clock: ManualClock) -> list[polls.Poll]:
    async with store.transaction() as tx:
        return await polls.claim(tx, clock.now(), HOLD, 10)


async def test_a_due_poll_is_claimed_once_and_its_next_time_is_set_before_the_work(
    store: Store, clock: ManualClock, trigger_id: UUID
) -> None:
    [claimed] = await _claim(store, clock)
    assert claimed.next_at == clock.now() + MINUTE
    assert await _claim(store, clock) == []
    clock.advance(MINUTE)
    assert await _claim(store, clock) == [], "it is due again, but the first is still running"


async def test_a_poll_whose_worker_died_is_claimed_again(store: Store, clock: ManualClock, trigger_id: UUID) -> None:
    [first] = await _claim(store, clock)
    clock.advance(HOLD)
    [second] = await _claim(store, clock)
    async with store.transaction() as tx:
        assert not await polls.finish(tx, _lease(first), {"seen": 1}, clock.now())
        assert await polls.finish(tx, _lease(second), {"seen": 2}, clock.now())
        found = await polls.get(tx, trigger_id)
    assert found
    assert found.cursor == {"seen": 2}


async def test_a_failure_keeps_the_cursor(store: Store, clock: ManualClock, trigger_id: UUID) -> None:
    [first] = await _claim(store, clock)
    async with store.transaction() as tx:
        await polls.finish(tx, _lease(first), {"seen": 1}, clock.now())
    clock.advance(MINUTE)
    [second] = await _claim(store, clock)
    async with store.transaction() as tx:
        assert await polls.fail(tx, _lease(second), clock.now() + timedelta(minutes=5))
        found = await polls.get(tx, trigger_id)
    assert found
    assert (found.cursor, found.failures, found.next_at) == ({"seen": 1}, 1, clock.now() + timedelta(minutes=5))


@pytest.mark.parametrize("again", [False, True], ids=["disabled", "disabled and enabled again"])
async def test_a_poll_begun_before_its_trigger_was_disabled_stores_nothing(
    store: Store, clock: ManualClock, trigger_id: UUID, *, again: bool
) -> None:
    [claimed] = await _claim(store, clock)
    async with store.transaction() as tx:
        await polls.stop(tx, trigger_id)
        if again:
            await polls.start(tx, trigger_id, "poll", clock.now(), MINUTE)
    async with store.transaction() as tx:
        assert not await polls.finish(tx, _lease(claimed), {"seen": 1}, clock.now())
        assert not await polls.fail(tx, _lease(claimed), clock.now())


async def test_enabling_again_keeps_the_cursor(store: Store, clock: ManualClock, trigger_id: UUID) -> None:
    async with store.transaction() as tx:
        await polls.set_cursor(tx, trigger_id, {"seen": 1})
        await polls.stop(tx, trigger_id)
        await polls.start(tx, trigger_id, "poll", clock.now(), MINUTE)
        found = await polls.get(tx, trigger_id)
    assert found
    assert found.cursor == {"seen": 1}


async def test_a_claim_takes_no_more_than_its_limit_and_the_most_overdue_first(
    store: Store, clock: ManualClock, trigger_id: UUID
) -> None:
    async with store.transaction() as tx:
        known = (await triggers.by_ids(tx, [trigger_id]))[trigger_id]
        for late in range(1, 6):
            other = await a_trigger(tx, known.org_id, known.project_id, clock.now())
            await polls.start(tx, other.id, "poll", clock.now() - late * MINUTE, MINUTE)
    async with store.transaction() as tx:
        claimed = await polls.claim(tx, clock.now(), HOLD, 3)
    assert len(claimed) == 3
    assert trigger_id not in {one.project_trigger_id for one in claimed}


async def test_schedules_are_not_claimed_as_polls(store: Store, clock: ManualClock, trigger_id: UUID) -> None:
    async with store.transaction() as tx:
        await polls.start(tx, trigger_id, "schedule", clock.now())
    assert await _claim(store, clock) == []
    async with store.transaction() as tx:
        assert [one.project_trigger_id for one in await polls.due_schedules(tx, clock.now(), 10)] == [trigger_id]


def _lease(claimed: polls.Poll) -> UUID:
    assert claimed.lease
    return claimed.lease
