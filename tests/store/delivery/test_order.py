"""Deliveries of an order key go one after the other, in the order of their events, whatever happens to them."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.ids import new_id
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, lanes
from hairtrigger.store.delivery.deliveries import Attempt, Claimed
from hairtrigger.store.events import events
from hairtrigger.store.setup import projects
from hairtrigger.store.setup.projects import OrderBy
from tests.store import locks
from tests.store.build import a_project, an_event, an_organization
from tests.store.claims import claim
from tests.support.clock import ManualClock
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

HOLD = timedelta(seconds=30)


class Ordered:
    """A project with ordered delivery, and workers that claim and finish as a test says."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock

    async def project(self, order_by: OrderBy | None = "subject", max_inflight: int = 5) -> "Ordered":
        async with self.store.transaction() as tx:
            self.org_id = await an_organization(tx, self.clock.now())
            self.id = await a_project(tx, self.org_id, self.clock.now(), max_inflight=max_inflight)
        await self.order(order_by)
        self.triggers = {name: uuid4() for name in "AB"}
        return self

    async def order(self, order_by: OrderBy | None) -> None:
        async with self.store.transaction() as tx:
            found = await projects.get(tx, self.org_id, self.id)
            assert found
            await projects.save(tx, replace(found, order_by=order_by))

    async def append(self, *subjects: str | None, trigger: str = "A") -> list[UUID]:
        """Append events, each a microsecond after the one before, like the events of one page."""
        made = []
        for subject in subjects:
            self.clock.advance(timedelta(microseconds=1))
            event = an_event(self.org_id, self.id, self.triggers[trigger], str(uuid4()), self.clock.now())
            made.append(event._replace(subject=subject))
        async with self.store.transaction() as tx:
            await events.append(tx, made)
        return [event.id for event in made]

    async def claim(self, limit: int = 100) -> list[Claimed]:
        return (await claim(self.store, limit, HOLD))[1]

    async def ids(self) -> list[UUID]:
        return [one.message.delivery_id for one in await self.claim()]

    async def finish(self, *claimed: Claimed, fails: bool = False, dies: bool = False) -> None:
        now = self.clock.now()
        ended = Attempt(claimed[0].message, self.org_id, "delivered", 200, "", b"", None, now, now)
        if fails:
            ended = replace(ended, status="failed", retry_at=now + timedelta(minutes=5))
        if dies:
            ended = replace(ended, status="failed", dead="All attempts failed.")
        async with self.store.transaction() as tx:
            await deliveries.finish(tx, [replace(ended, message=one.message) for one in claimed])

    async def retry(self) -> None:
        self.clock.advance(timedelta(minutes=5))
        async with self.store.transaction() as tx:
            await deliveries.requeue_due(tx, self.clock.now(), 100)

    async def left(self) -> tuple[int, int, int]:
        """Count the deliveries under way by the lanes, the turns that are taken, and the deliveries that wait."""
        async with self.store.transaction() as tx:
            row = await tx.connection.execute(
                text(
                    "SELECT (SELECT sum(inflight) FROM lane), (SELECT count(*) FROM turn), "
                    "(SELECT count(*) FROM waiting)"
                )
            )
            inflight, turns, waiting = row.one()
        return inflight, turns, waiting


@pytest.fixture
def line(store: Store, clock: ManualClock) -> Ordered:
    return Ordered(store, clock)


async def test_deliveries_with_the_same_subject_go_one_after_the_other(line: Ordered) -> None:
    await line.project()
    a1, b1, a2, a3, b2 = await line.append("a", "b", "a", "a", "b")
    first = await line.claim()
    assert [one.message.delivery_id for one in first] == [a1, b1]
    assert await line.ids() == []
    await line.finish(first[0])
    [second] = await line.claim()
    assert second.message.delivery_id == a2
    await line.finish(second, first[1])
    assert await line.ids() == [a3, b2]


async def test_events_without_a_subject_keep_no_order(line: Ordered) -> None:
    await line.project()
    assert await line.append(None, None, None) == await line.ids()


async def test_order_by_trigger_is_of_each_trigger(line: Ordered) -> None:
    await line.project("trigger")
    [a1, _] = await line.append("x", "y", trigger="A")
    [b1, _] = await line.append("x", "y", trigger="B")
    assert await line.ids() == [a1, b1]


async def test_a_batch_that_was_mixed_up_on_its_way_to_the_queue_is_sorted_again(line: Ordered) -> None:
    await line.project()
    first, second = (
        an_event(line.org_id, line.id, uuid4(), key, line.clock.now())._replace(subject="s") for key in "ab"
    )
    first = first._replace(id=new_id(line.clock.now() - timedelta(seconds=1)))
    async with line.store.transaction() as tx:
        await events.append(tx, [second, first])
    assert await line.ids() == [first.id]


async def test_a_delivery_that_fails_holds_those_behind_it_until_it_is_delivered(line: Ordered) -> None:
    await line.project()
    a1, a2, b1 = await line.append("a", "a", "b")
    failing, other = await line.claim()
    await line.finish(failing, fails=True)
    await line.finish(other)
    assert (other.message.delivery_id, await line.ids()) == (b1, [])
    await line.retry()
    [again] = await line.claim()
    assert (again.message.delivery_id, again.message.attempt) == (a1, 2)
    await line.finish(again)
    assert await line.ids() == [a2]


async def test_a_dead_delivery_lets_the_next_one_go(line: Ordered) -> None:
    await line.project()
    _, a2 = await line.append("a", "a")
    [failing] = await line.claim()
    await line.finish(failing, dies=True)
    assert await line.ids() == [a2]


async def test_what_comes_while_its_key_is_retried_waits_too(line: Ordered) -> None:
    await line.project()
    await line.append("a")
    await line.finish(*await line.claim(), fails=True)
    [a2] = await line.append("a")
    assert await line.ids() == []
    await line.retry()
    await line.finish(*await line.claim())
    assert await line.ids() == [a2]


async def test_a_line_that_is_blocked_takes_no_room_from_others(line: Ordered) -> None:
    await line.project(max_inflight=2)
    await line.append(*["blocked"] * 20)
    await line.finish(*await line.claim(), fails=True)
    free = await line.append("b", "c")
    assert await line.ids() == free


async def test_a_dead_workers_delivery_keeps_its_turn(line: Ordered) -> None:
    await line.project()
    a1, a2 = await line.append("a", "a")
    [lost] = await line.claim()
    async with line.store.transaction() as tx:
        await deliveries.extend(tx, [lost.message.msg_id], timedelta())
    [again] = await line.claim()
    assert again.message.delivery_id == a1
    await line.finish(again)
    assert await line.ids() == [a2]


async def test_a_change_of_the_order_neither_stops_nor_doubles_anything(line: Ordered) -> None:
    await line.project("subject", max_inflight=3)
    sent = await line.append("a", "a", "b", "a", "b")
    done: list[UUID] = []
    for order_by in (None, "trigger", "subject", "trigger", None, "subject", "trigger", None):
        await line.order(order_by)
        claimed = await line.claim()
        done += [one.message.delivery_id for one in claimed]
        sent += await line.append("a", "b")
        if claimed:
            await line.finish(*claimed)
    while claimed := await line.claim():
        done += [one.message.delivery_id for one in claimed]
        await line.finish(*claimed)
    assert sorted(done) == sorted(sent)
    assert await line.left() == (0, 0, 0)


async def test_without_an_order_nothing_asks_whose_a_delivery_is(line: Ordered) -> None:
    await line.project(None)
    await line.append("a", "a")
    assert len(await line.claim()) == 2
    assert (await line.left())[1:] == (0, 0)


# -- any number of workers, each of which may die at any time


async def test_what_two_workers_read_side_by_side_goes_in_order(line: Ordered) -> None:
    """The first worker has read the earlier delivery and waits for another project's lane when the second one comes."""
    await line.project()
    async with line.store.transaction() as tx:
        other = await a_project(tx, line.org_id, line.clock.now())
        line.id, other = sorted([line.id, other], reverse=True)  # lanes are locked in the order of their ids
        of_other = an_event(line.org_id, other, uuid4(), "key", line.clock.now())
        await events.append(tx, [of_other])
    await line.order("subject")
    a1, _ = await line.append("a", "a")
    async with line.store.transaction() as tx:
        await lanes.lock(tx, [other])
        first = asyncio.create_task(line.claim(2))
        await until(partial(_waiting, line, 1))
        second = asyncio.create_task(line.claim(2))
        await until(partial(_waiting, line, 2))
    claimed = {one.message.delivery_id for one in [*await first, *await second]}
    assert claimed == {of_other.id, a1}, "and not the second of a's key"


@pytest.mark.parametrize("seed", range(6))
async def test_workers_that_race_and_die_break_no_order_and_leak_no_place(line: Ordered, seed: int) -> None:
    """Each step is a transaction of one worker, or its death; a seed that fails once fails every time."""
    chance = Random(seed)
    await line.project(chance.choice(["subject", "trigger"]), max_inflight=chance.choice([1, 3, 10]))
    sent: dict[str, list[UUID]] = defaultdict(list)
    ended: dict[str, list[UUID]] = defaultdict(list)
    key_of: dict[UUID, str] = {}
    workers: list[list[Claimed]] = [[] for _ in range(3)]
    to_send, steps, ended_ids = 60, 0, set[UUID]()
    by_subject = await _is_by_subject(line)

    def end(claimed: Sequence[Claimed]) -> None:
        for one in claimed:
            id_ = one.message.delivery_id
            key = key_of[id_]
            assert sent[key][len(ended[key])] == id_, f"out of order: {key}"
            ended[key].append(id_)
            ended_ids.add(id_)

    while to_send or len(ended_ids) < len(key_of):
        steps += 1
        assert steps < 5000, "something waits for ever"
        worker = chance.choice(workers)
        match chance.choice(["send", "claim", "claim", "finish", "finish", "fail", "dead", "die", "retry", "let in"]):
            case "send" if to_send:
                subject, trigger = chance.choice("xyz"), chance.choice("AB")
                [id_] = await line.append(subject, trigger=trigger)
                key_of[id_] = key = subject if by_subject else trigger
                sent[key].append(id_)
                to_send -= 1
            case "claim":
                claimed = await line.claim(chance.choice([1, 5]))
                held = {key_of[one.message.delivery_id] for others in workers for one in others}
                keys = [key_of[one.message.delivery_id] for one in claimed]
                assert len(set(keys)) == len(keys), "two of one key at a time"
                assert not held & set(keys), "two of one key at a time"
                worker += claimed
            case "finish" if worker:
                end([worker[0]])
                await line.finish(worker.pop(0))
            case "fail" if worker:
                await line.finish(worker.pop(0), fails=True)
            case "dead" if worker:
                end([worker[0]])
                await line.finish(worker.pop(0), dies=True)
            case "die" if worker:
                async with line.store.transaction() as tx:
                    await deliveries.extend(tx, [one.message.msg_id for one in worker], timedelta())
                worker.clear()
            case "retry":
                await line.retry()
            case "let in":
                async with line.store.transaction() as tx:
                    await lanes.let_in_left_behind(tx)
                    assert await lanes.recount(tx) == 0
    assert ended == sent
    assert await line.left() == (0, 0, 0)


async def _is_by_subject(line: Ordered) -> bool:
    async with line.store.transaction() as tx:
        found = await projects.get(tx, line.org_id, line.id)
    assert found
    return found.order_by == "subject"


async def _waiting(line: Ordered, count: int) -> bool:
    return await locks.waiting(line.store) >= count
