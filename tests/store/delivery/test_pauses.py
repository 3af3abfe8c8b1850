"""Pauses on the real store: deliveries are suspended, released and discarded, also after a crash."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from hairtrigger.domain.outcome import DeliveryStatus
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, history, lanes, pauses
from hairtrigger.store.delivery.deliveries import Attempt, Claimed
from hairtrigger.store.delivery.history import Delivery
from hairtrigger.store.delivery.pauses import Paused
from hairtrigger.store.events import events
from hairtrigger.store.setup import projects, triggers
from hairtrigger.store.transaction import Transaction
from tests.store.build import a_project, a_trigger, an_event, an_organization
from tests.store.claims import claim
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio


class Held:
    """A project with two triggers."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock

    async def project(self, max_inflight: int = 5) -> "Held":
        async with self.store.transaction() as tx:
            self.org_id = await an_organization(tx, self.clock.now())
            self.id = await a_project(tx, self.org_id, self.clock.now(), max_inflight=max_inflight)
            made = [await a_trigger(tx, self.org_id, self.id, self.clock.now()) for _ in range(2)]
        self.a, self.b = (trigger.id for trigger in made)
        self.whole, self.only_a, self.only_b = Paused(self.id), Paused(self.id, self.a), Paused(self.id, self.b)
        return self

    async def append(self, trigger_id: UUID, count: int = 1) -> list[UUID]:
        made = []
        for _ in range(count):
            self.clock.advance(timedelta(microseconds=1))
            made.append(an_event(self.org_id, self.id, trigger_id, str(uuid4()), self.clock.now()))
        async with self.store.transaction() as tx:
            await events.append(tx, made)
        return [event.id for event in made]

    async def claim(self) -> list[Claimed]:
        return (await claim(self.store, 1000, timedelta(seconds=30)))[1]

    async def finish(self, claimed: list[Claimed]) -> list[UUID]:
        now = self.clock.now()
        async with self.store.transaction() as tx:
            await deliveries.finish(
                tx, [Attempt(one.message, self.org_id, "delivered", 200, "", b"", None, now, now) for one in claimed]
            )
        return [one.message.delivery_id for one in claimed]

    async def deliver_all(self) -> list[UUID]:
        done: list[UUID] = []
        while claimed := await self.claim():
            done += await self.finish(claimed)
        return done

    async def pause(self, what: Paused) -> None:
        async with self.store.transaction() as tx:
            await pauses.pause(tx, what, "a user", self.clock.now())

    async def resume(self, what: Paused) -> None:
        async with self.store.transaction() as tx:
            await pauses.resume(tx, what)

    async def settle(self) -> int:
        async with self.store.transaction() as tx:
            return await pauses.settle(tx, self.clock.now())

    async def release(self, what: Paused, limit: int = 1000, ids: list[UUID] | None = None) -> int:
        async with self.store.transaction() as tx:
            return await pauses.release(tx, what, limit, ids)

    async def discard(self, what: Paused, limit: int = 1000, ids: list[UUID] | None = None) -> int:
        async with self.store.transaction() as tx:
            return await pauses.discard(tx, what, limit, ids, self.org_id, "Discarded.", self.clock.now())

    async def of_status(self, status: DeliveryStatus) -> list[Delivery]:
        """Return the deliveries of a status, oldest first."""
        async with self.store.transaction() as tx:
            return (await history.deliveries(tx, self.org_id, limit=5000, status=status))[::-1]

    async def suspended(self) -> list[UUID]:
        return [one.id for one in await self.of_status("suspended")]


@pytest.fixture
async def held(store: Store, clock: ManualClock) -> Held:
    return await Held(store, clock).project()


async def test_while_a_project_is_paused_its_deliveries_are_suspended_and_then_go_in_order(held: Held) -> None:
    await held.pause(held.whole)
    made = [*await held.append(held.a, 8), *await held.append(held.b, 4)]
    assert await held.claim() == []
    assert await held.suspended() == made
    await held.resume(held.whole)
    assert await held.deliver_all() == made
    assert await held.suspended() == []


async def test_a_paused_trigger_holds_only_its_own(held: Held) -> None:
    await held.pause(held.only_a)
    of_a, of_b = await held.append(held.a, 3), await held.append(held.b, 3)
    assert await held.deliver_all() == of_b
    assert await held.suspended() == of_a
    await held.resume(held.only_a)
    assert await held.deliver_all() == of_a


async def test_what_is_under_way_when_the_pause_comes_finishes_and_takes_nothing_with_it(held: Held) -> None:
    first = await held.append(held.a, 5)
    claimed = await held.claim()
    behind = await held.append(held.a, 5)
    assert await held.claim() == []
    await held.pause(held.whole)
    assert await held.suspended() == behind, "what waits for room is suspended at once"
    assert await held.finish(claimed) == first
    assert await held.deliver_all() == []
    assert await held.suspended() == behind


async def test_what_waited_for_room_when_its_trigger_was_paused_is_suspended(held: Held) -> None:
    await held.append(held.a, 5)
    claimed = await held.claim()
    of_a, of_b = await held.append(held.a, 2), await held.append(held.b, 2)
    assert await held.claim() == []
    await held.pause(held.only_a)
    assert await held.suspended() == of_a
    await held.finish(claimed)
    assert await held.deliver_all() == of_b


async def test_a_retry_that_comes_due_meanwhile_is_suspended_too(held: Held) -> None:
    [id_] = await held.append(held.a)
    [claimed] = await held.claim()
    now = held.clock.now()
    failed = Attempt(claimed.message, held.org_id, "failed", 503, "", b"", None, now, now, retry_at=now)
    async with held.store.transaction() as tx:
        await deliveries.finish(tx, [failed])
    await held.pause(held.whole)
    async with held.store.transaction() as tx:
        assert await deliveries.requeue_due(tx, now, 10) == 1
    assert await held.claim() == []
    assert await held.suspended() == [id_]
    await held.resume(held.whole)
    [again] = await held.claim()
    assert again.message.attempt == 2


async def test_some_are_released_while_the_pause_goes_on(held: Held) -> None:
    await held.pause(held.whole)
    made = await held.append(held.a, 5)
    assert await held.claim() == []
    assert await held.release(held.whole, limit=2) == 2
    assert await held.release(held.whole, ids=[made[4], uuid4()]) == 1
    assert await held.deliver_all() == [made[0], made[1], made[4]]
    assert await held.suspended() == made[2:4]


async def test_what_is_released_from_a_full_lane_goes_when_there_is_room(held: Held) -> None:
    await held.append(held.a, 5)
    claimed = await held.claim()
    await held.pause(held.whole)
    [id_] = await held.append(held.a)
    assert await held.claim() == []
    assert await held.release(held.whole) == 1
    assert await held.claim() == []
    await held.finish(claimed)
    assert await held.deliver_all() == [id_]


async def test_discarded_deliveries_are_dead_with_a_reason(held: Held) -> None:
    await held.pause(held.whole)
    of_a, of_b = await held.append(held.a, 3), await held.append(held.b, 1)
    assert await held.claim() == []
    assert await held.discard(held.only_a, limit=2) == 2
    assert [(one.id, one.detail) for one in await held.of_status("dead")] == [(id_, "Discarded.") for id_ in of_a[:2]]
    await held.resume(held.whole)
    assert await held.deliver_all() == [of_a[2], *of_b]


async def test_a_discarded_delivery_gives_its_turn_to_the_next(held: Held) -> None:
    async with held.store.transaction() as tx:
        found = await projects.get(tx, held.org_id, held.id)
        assert found
        await projects.save(tx, replace(found, order_by="trigger"))
    await held.pause(held.only_a)
    made = await held.append(held.a, 3)
    assert await held.claim() == []
    assert await held.suspended() == made, "those behind another are suspended as well"
    assert await held.discard(held.only_a, ids=[made[0]]) == 1
    await held.resume(held.only_a)
    assert await held.deliver_all() == made[1:]


async def test_a_project_and_its_trigger_can_both_be_paused(held: Held) -> None:
    await held.pause(held.whole)
    await held.pause(held.only_a)
    of_a, of_b = await held.append(held.a, 2), await held.append(held.b, 2)
    assert await held.claim() == []
    await held.resume(held.whole)
    assert await held.deliver_all() == of_b
    assert await held.suspended() == of_a


async def test_pausing_twice_is_pausing_once(held: Held) -> None:
    await held.pause(held.only_a)
    await held.pause(held.only_a)
    made = await held.append(held.a)
    assert await held.claim() == []
    await held.resume(held.only_a)
    assert await held.deliver_all() == made


async def test_what_is_too_much_for_one_transaction_is_freed_by_the_clock(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash between portions leaves the same state: nothing else remembers that the project was resumed."""
    monkeypatch.setattr(pauses, "PORTION", 3)
    await held.pause(held.whole)
    made = await held.append(held.a, 10)
    assert await held.claim() == []
    assert await held.settle() == 0, "nothing of what is still paused"
    await held.resume(held.whole)
    assert len(await held.suspended()) == 7
    assert [await held.settle() for _ in range(4)] == [3, 3, 1, 0]
    assert await held.deliver_all() == made


async def test_what_a_deleted_trigger_held_is_dead_and_not_set_off(held: Held) -> None:
    await held.pause(held.only_a)
    made = await held.append(held.a, 2)
    assert await held.claim() == []
    async with held.store.transaction() as tx:
        await triggers.remove(tx, held.a)
    assert await held.settle() == 2
    dead = await held.of_status("dead")
    assert [(one.id, one.detail) for one in dead] == [
        (id_, "The trigger was deleted while it was paused.") for id_ in made
    ]


async def test_what_a_deleted_project_held_is_claimed_to_be_dropped(held: Held) -> None:
    await held.pause(held.whole)
    await held.append(held.a, 2)
    assert await held.claim() == []
    async with held.store.transaction() as tx:
        await projects.remove(tx, held.id)
        assert await pauses.settle(tx, held.clock.now()) == 0
        await lanes.let_in_left_behind(tx)
    assert [one.project for one in await held.claim()] == [None, None]


async def test_a_pause_whose_transaction_breaks_holds_nothing(held: Held) -> None:
    async with held.store.engine.connect() as connection:
        await pauses.pause(Transaction(connection), held.whole, "a user", held.clock.now())  # this is never committed
    made = await held.append(held.a)
    assert await held.deliver_all() == made
