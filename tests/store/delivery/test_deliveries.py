import json
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.privacy import Privacy
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, history, lanes, replays
from hairtrigger.store.delivery.deliveries import Attempt, Claimed, EndedAtOnce
from hairtrigger.store.delivery.queue import DeliveryQueue
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event
from hairtrigger.store.explain import streaks
from hairtrigger.store.explain.streaks import Failures
from hairtrigger.store.setup import projects
from tests.store.build import a_project, a_trigger, an_event, an_organization
from tests.store.claims import claim
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
        return (await claim(self.store, limit, HOLD))[1]

    async def finish(self, *attempts: Attempt) -> list[Attempt]:
        async with self.store.transaction() as tx:
            return (await deliveries.finish(tx, attempts))[0]

    async def finish_at_once(self, *attempts: Attempt) -> EndedAtOnce:
        with closing(DeliveryQueue(self.store)) as queue:
            return await deliveries.finish_at_once(queue, attempts)

    async def deliver(self, limit: int = 100) -> list[str]:
        """Run one round of a worker whose deliveries all succeed; return the keys in the order of the claim."""
        claimed = await self.claim(limit)
        await self.finish(*(self.delivered(one) for one in claimed))
        return [one.event.key for one in claimed if one.event]

    def delivered(self, claimed: Claimed) -> Attempt:
        now = self.clock.now()
        made = Attempt(claimed.message, self.org_id, "delivered", 200, "", b"", None, now, now)
        trigger = claimed.event and claimed.event.project_trigger_id
        return replace(made, project_trigger_id=trigger, source_id=trigger)

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


async def test_attempts_of_triggers_that_keep_no_bodies_are_left_by_the_statement_that_ends_the_others(
    line: Line, store: Store
) -> None:
    project = await line.project()
    async with store.transaction() as tx:
        keeping, private = [await a_trigger(tx, line.org_id, project, line.clock.now()) for _ in range(2)]
        made = [
            an_event(line.org_id, project, one.id, key, line.clock.now())
            for one in (keeping, private)
            for key in ("a", "b")
        ]
        await events.append(tx, made)
    claimed = await line.claim()
    attempts = [line.delivered(one) for one in claimed]
    await _keeps_no_bodies(store, private.id)  # only after the claim
    await _fails(store, line.clock.now(), keeping.id, private.id)

    ended = await line.finish_at_once(*attempts)

    keys = {one.message.msg_id: (one.event.project_trigger_id, one.event.key) for one in claimed if one.event}
    assert [keys[one.message.msg_id] for one in ended.counted] == [(keeping.id, "a"), (keeping.id, "b")]
    assert [keys[one.message.msg_id] for one in ended.left] == [(private.id, "a"), (private.id, "b")]
    assert ended.streaks == {keeping.id: 1}
    assert sorted(await line.statuses()) == ["delivered", "delivered", "pending", "pending"]
    assert await _under_way(store) == 2
    assert len(await line.finish(*ended.left)) == 2
    assert (await line.statuses(), await _under_way(store)) == (["delivered"] * 4, 0)


async def test_an_attempt_that_another_worker_has_ended_changes_nothing_at_once_either(
    line: Line, store: Store
) -> None:
    project = await line.project()
    async with store.transaction() as tx:
        trigger = await a_trigger(tx, line.org_id, project, line.clock.now())
        await events.append(tx, [an_event(line.org_id, project, trigger.id, "a", line.clock.now())])
    [claimed] = await line.claim()
    ended = await line.finish_at_once(line.delivered(claimed))
    assert (len(ended.counted), ended.left) == (1, [])
    await _fails(store, line.clock.now(), trigger.id)

    late = await line.finish_at_once(line.delivered(claimed))

    assert (late.counted, late.left, late.others_may_go, late.streaks) == ([], [], False, {})
    async with store.transaction() as tx:
        failing = await tx.connection.execute(
            text("SELECT count FROM streak UNION ALL SELECT count FROM target_streak")
        )
        assert list(failing.scalars()) == [1, 1]


async def _keeps_no_bodies(store: Store, trigger: UUID) -> None:
    changed = text("UPDATE project_trigger SET privacy = CAST(:privacy AS jsonb) WHERE id = :id")
    async with store.transaction() as tx:
        await tx.connection.execute(changed, {"id": trigger, "privacy": json.dumps(Privacy(keep_body=False).stored())})


async def _fails(store: Store, now: datetime, *failing: UUID) -> None:
    async with store.transaction() as tx:
        await streaks.note(tx, "deliveries", {id_: Failures(1, now, now, "503") for id_ in failing})


async def _under_way(store: Store) -> int:
    async with store.transaction() as tx:
        return int((await tx.connection.execute(text("SELECT inflight FROM lane"))).scalar_one())


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
