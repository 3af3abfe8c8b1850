from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, history, lanes, replays
from hairtrigger.store.delivery.deliveries import Attempt, Claimed
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event
from hairtrigger.store.setup import projects
from tests.store.build import a_project, an_event, an_organization
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

HOLD = timedelta(seconds=30)


class Line:
    """An organisation with projects, on a real store."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.org_id = UUID(int=0)
        self.trigger_id = uuid4()

    async def project(self, max_inflight: int = 5) -> str:
        async with self.store.transaction() as tx:
            if not self.org_id.int:
                self.org_id = await an_organization(tx, self.clock.now())
            return await a_project(tx, self.org_id, self.clock.now(), max_inflight=max_inflight)

    async def append(self, project_id: str, *keys: str) -> list[Event]:
        made = [an_event(self.org_id, project_id, self.trigger_id, key, self.clock.now()) for key in keys]
        async with self.store.transaction() as tx:
            fresh = await events.append(tx, made)
        return [event for event in made if event.id in fresh]

    async def claim(self, limit: int = 100) -> list[Claimed]:
        async with self.store.transaction() as tx:
            return (await deliveries.claim(tx, limit, HOLD))[1]

    async def finish(self, *attempts: Attempt) -> list[Attempt]:
        async with self.store.transaction() as tx:
            return (await deliveries.finish(tx, attempts))[0]

    async def deliver(self, limit: int = 100) -> list[str]:
        """Run one round of a worker whose deliveries all succeed; return the keys in the order of the claim."""
        claimed = await self.claim(limit)
        await self.finish(*(self.delivered(one) for one in claimed))
        return [one.event.key for one in claimed if one.event]

    def delivered(self, claimed: Claimed) -> Attempt:
        now = self.clock.now()
        return Attempt(claimed.message, self.org_id, "delivered", 200, "", b"", None, now, now)

    async def statuses(self) -> list[str]:
        async with self.store.transaction() as tx:
            return [one.status for one in await history.deliveries(tx, self.org_id, limit=100)]


@pytest.fixture
def line(store: Store, clock: ManualClock) -> Line:
    return Line(store, clock)


async def test_an_event_is_stored_and_delivered_once_per_key(line: Line) -> None:
    project = await line.project()
    assert [e.key for e in await line.append(project, "a", "b", "a")] == ["a", "b"]
    assert await line.append(project, "b") == []
    assert sorted(await line.deliver()) == ["a", "b"]
    assert await line.deliver() == []
    assert await line.statuses() == ["delivered", "delivered"]


async def test_a_claimed_delivery_is_not_claimed_again(line: Line) -> None:
    project = await line.project()
    await line.append(project, "a")
    assert len(await line.claim()) == 1
    assert await line.claim() == []


async def test_a_full_lane_holds_back_only_its_own_deliveries(line: Line) -> None:
    slow, quick = await line.project(max_inflight=2), await line.project()
    await line.append(slow, *(f"slow {n}" for n in range(10)))
    await line.append(quick, "quick")

    claimed = await line.claim()

    assert sorted(one.event.key for one in claimed if one.event) == ["quick", "slow 0", "slow 1"]
    assert (await line.statuses()).count("waiting") == 8


async def test_what_waits_gets_in_as_others_finish_and_nothing_is_left(line: Line) -> None:
    project = await line.project(max_inflight=3)
    await line.append(project, *(f"{n:02}" for n in range(20)))
    done: list[str] = []
    for _ in range(30):
        round_ = await line.deliver()
        assert len(round_) <= 3
        done += round_
    assert sorted(done) == [f"{n:02}" for n in range(20)]


async def test_a_dead_workers_deliveries_keep_their_place_in_the_lane(line: Line, store: Store) -> None:
    project = await line.project(max_inflight=2)
    await line.append(project, "a", "b", "c")
    first = await line.claim()
    async with store.transaction() as tx:  # the worker dies, and its leases run out
        await deliveries.extend(tx, [one.message.msg_id for one in first], timedelta())

    again = await line.claim()
    assert sorted(one.event.key for one in again if one.event) == ["a", "b"]
    await line.finish(*(line.delivered(one) for one in again))
    assert await line.deliver() == ["c"]


async def test_a_zombies_late_finish_changes_nothing(line: Line, store: Store) -> None:
    project = await line.project()
    await line.append(project, "a")
    [claimed] = await line.claim()
    assert len(await line.finish(line.delivered(claimed))) == 1
    late = replace(line.delivered(claimed), status="failed", retry_at=line.clock.now())
    assert await line.finish(late) == []
    assert await line.statuses() == ["delivered"]


async def test_a_failed_delivery_comes_back_when_its_time_has_come(line: Line, store: Store) -> None:
    project = await line.project()
    await line.append(project, "a")
    [claimed] = await line.claim()
    later = line.clock.now() + timedelta(minutes=5)
    await line.finish(replace(line.delivered(claimed), status="failed", detail="503", retry_at=later))
    assert await line.statuses() == ["retrying"]

    async with store.transaction() as tx:
        assert await deliveries.requeue_due(tx, line.clock.now(), 10) == 0
    line.clock.advance(timedelta(minutes=5))
    async with store.transaction() as tx:
        assert await deliveries.requeue_due(tx, line.clock.now(), 10) == 1

    [again] = await line.claim()
    assert again.message.attempt == 2
    assert again.message.delivery_id == claimed.message.delivery_id


async def test_a_dead_delivery_can_be_replayed_under_a_new_id(line: Line, store: Store) -> None:
    project = await line.project()
    [event] = await line.append(project, "a")
    [claimed] = await line.claim()
    await line.finish(replace(line.delivered(claimed), status="failed", dead="All attempts failed"))
    assert await line.statuses() == ["dead"]

    async with store.transaction() as tx:
        [replayed] = await replays.add(tx, [event], "somebody", line.clock.now())
    [again] = await line.claim()
    assert again.message.delivery_id == replayed != event.id
    assert again.event == event
    await line.finish(line.delivered(again))
    assert sorted(await line.statuses()) == ["dead", "delivered"]


async def test_lanes_are_counted_again_and_left_behind_deliveries_let_in(line: Line, store: Store) -> None:
    project = await line.project(max_inflight=1)
    await line.append(project, "a", "b", "c")
    [only] = await line.claim()
    async with store.transaction() as tx:
        found = await projects.get(tx, line.org_id, project)
        assert found
        await projects.save(tx, replace(found, max_inflight=3))  # a raised limit alone lets no delivery in
        await lanes.let_in_left_behind(tx)
    assert len(await line.claim()) == 2
    await line.finish(line.delivered(only))


async def test_a_deleted_projects_deliveries_are_claimed_to_be_dropped(line: Line, store: Store) -> None:
    project = await line.project(max_inflight=1)
    await line.append(project, "a", "b")
    await line.claim()
    async with store.transaction() as tx:
        await projects.remove(tx, project)
        await lanes.let_in_left_behind(tx)
    [orphan] = await line.claim()
    assert orphan.project is None
    async with store.transaction() as tx:
        await deliveries.drop(tx, orphan.message, line.org_id, "The project was deleted.", line.clock.now())
    assert sorted(await line.statuses()) == ["dead", "pending"]


async def test_an_organisation_sees_only_its_own(line: Line, store: Store) -> None:
    project = await line.project()
    [event] = await line.append(project, "a")
    async with store.transaction() as tx:
        assert await events.get(tx, uuid4(), event.id) is None
        assert await history.deliveries(tx, uuid4(), limit=10) == []
        assert await events.get(tx, line.org_id, event.id) == event
