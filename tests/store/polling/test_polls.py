from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from hairtrigger.store.database import Store
from hairtrigger.store.polling import polls
from hairtrigger.store.polling.polls import Due, Progress
from hairtrigger.store.setup import triggers
from hairtrigger.store.transaction import Transaction
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


async def _claim(store: Store, clock: ManualClock, limit: int = 10) -> list[Due]:
    """Claim the due polls as one worker does, and make them due again in a minute."""
    now = clock.now()
    async with store.transaction() as tx:
        rows = await polls.due(tx, now, limit)
        claimed = [Due(row.project_trigger_id, now + MINUTE, uuid4(), now + HOLD) for row in rows]
        await polls.set_due(tx, claimed)
    return claimed


async def _end(tx: Transaction, claimed: Due, clock: ManualClock, cursor: dict[str, Any] | None = None) -> bool:
    assert claimed.lease
    again = clock.now() + MINUTE
    ended = Progress(claimed.project_trigger_id, claimed.lease, cursor, ended=True, next_at=again)
    return await polls.progress(tx, [ended]) == {claimed.lease}


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
        assert not await _end(tx, first, clock, {"seen": 1})
        assert await _end(tx, second, clock, {"seen": 2})
        found = await polls.get(tx, trigger_id)
    assert found
    assert found.cursor == {"seen": 2}


async def test_a_poll_that_ends_without_a_cursor_keeps_its_own_and_why_it_failed(
    store: Store, clock: ManualClock, trigger_id: UUID
) -> None:
    [first] = await _claim(store, clock)
    async with store.transaction() as tx:
        assert await _end(tx, first, clock, {"seen": 1})
    clock.advance(MINUTE)
    [second] = await _claim(store, clock)
    assert second.lease
    later = clock.now() + timedelta(minutes=5)
    failed = Progress(
        trigger_id, second.lease, None, ended=True, next_at=later, failures=1, error="500\0", failing_since=clock.now()
    )
    async with store.transaction() as tx:
        assert await polls.progress(tx, [failed]) == {second.lease}
        found = await polls.get(tx, trigger_id)
    assert found
    assert (found.cursor, found.failures, found.next_at, found.lease) == ({"seen": 1}, 1, later, None)
    assert (found.error, found.failing_since) == ("500", clock.now())


async def test_a_page_moves_the_cursor_only(store: Store, clock: ManualClock, trigger_id: UUID) -> None:
    [claimed] = await _claim(store, clock)
    assert claimed.lease
    async with store.transaction() as tx:
        before = await polls.get(tx, trigger_id)
        await polls.progress(tx, [Progress(trigger_id, claimed.lease, {"page": 1})])
        after = await polls.get(tx, trigger_id)
    assert before
    assert after == replace(before, cursor={"page": 1})


@pytest.mark.parametrize("again", [False, True], ids=["disabled", "disabled and enabled again"])
async def test_a_poll_begun_before_its_trigger_was_disabled_stores_nothing(
    store: Store, clock: ManualClock, trigger_id: UUID, *, again: bool
) -> None:
    [claimed] = await _claim(store, clock)
    async with store.transaction() as tx:
        await polls.stop(tx, [trigger_id])
        if again:
            await polls.start(tx, trigger_id, "poll", clock.now(), MINUTE)
    async with store.transaction() as tx:
        assert not await _end(tx, claimed, clock, {"seen": 1})


async def test_enabling_again_keeps_the_cursor(store: Store, clock: ManualClock, trigger_id: UUID) -> None:
    async with store.transaction() as tx:
        await polls.set_cursor(tx, trigger_id, {"seen": 1})
        await polls.stop(tx, [trigger_id])
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
    claimed = await _claim(store, clock, 3)
    assert len(claimed) == 3
    assert trigger_id not in {one.project_trigger_id for one in claimed}


async def test_schedules_are_not_claimed_as_polls(store: Store, clock: ManualClock, trigger_id: UUID) -> None:
    async with store.transaction() as tx:
        await polls.start(tx, trigger_id, "schedule", clock.now())
    assert await _claim(store, clock) == []
    async with store.transaction() as tx:
        assert [one.project_trigger_id for one in await polls.due_schedules(tx, clock.now(), 10)] == [trigger_id]
