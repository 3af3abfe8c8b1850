"""The width of a lane follows its target, and rate limits hold back what is over them until their time has come."""

import itertools
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text

from hairtrigger.domain.lane import START, RateLimits
from hairtrigger.domain.outcome import Failure
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, history
from hairtrigger.store.delivery.claims import Look
from hairtrigger.store.delivery.deliveries import Attempt, Claimed
from hairtrigger.store.delivery.history import Delivery
from hairtrigger.store.events import events
from hairtrigger.store.setup import projects
from tests.store.build import a_project, an_event, an_organization
from tests.store.claims import claim
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

QUICK = timedelta(milliseconds=10)


class Target:
    """A project, and its target as a test describes it."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = store
        self.clock = clock
        self.look: Look | None = None

    async def project(self, ceiling: int = 1000, limits: RateLimits | None = None) -> "Target":
        async with self.store.transaction() as tx:
            self.org_id = await an_organization(tx, self.clock.now())
            self.id = await a_project(tx, self.org_id, self.clock.now(), max_inflight=ceiling)
            if limits:
                found = await projects.existing(tx, self.org_id, self.id)
                await projects.save(tx, replace(found, **vars(limits)))
        return self

    async def append(self, count: int) -> None:
        async with self.store.transaction() as tx:
            now = self.clock.now()
            made = [an_event(self.org_id, self.id, uuid4(), str(uuid4()), now) for _ in range(count)]
            await events.append(tx, made)

    async def claim(self, limit: int = 1000) -> list[Claimed]:
        self.look, claimed = await claim(self.store, limit, timedelta(seconds=30), now=self.clock.now())
        return claimed

    async def answer(
        self, claimed: list[Claimed], status: int | None = 200, took: timedelta = QUICK, failure: Failure | None = None
    ) -> None:
        started = self.clock.now()
        self.clock.advance(took)
        now = self.clock.now()
        delivered = status == 200
        attempt = Attempt(
            claimed[0].message, self.org_id, "delivered" if delivered else "failed", status, "", b"", None, started, now
        )
        if not delivered:
            attempt = replace(attempt, failure=failure or Failure.STATUS, dead="It failed.")
        async with self.store.transaction() as tx:
            await deliveries.finish(tx, [replace(attempt, message=one.message) for one in claimed])

    async def round(self, status: int | None = 200, took: timedelta = QUICK) -> int:
        """Send as many deliveries as the lane has room for, and return how many."""
        await self.append(1000)
        self.clock.advance(QUICK)
        claimed = await self.claim()
        await self.answer(claimed, status, took)
        async with self.store.transaction() as tx:
            await tx.connection.execute(text("DELETE FROM pgmq.q_dispatch"))
        return len(claimed)

    async def listed(self) -> list[Delivery]:
        async with self.store.transaction() as tx:
            return await history.deliveries(tx, self.org_id, limit=1000, now=self.clock.now())

    async def statuses(self) -> Counter[str]:
        return Counter(one.status for one in await self.listed())


@pytest.fixture
def target(store: Store, clock: ManualClock) -> Target:
    return Target(store, clock)


# -- widths


async def test_a_lane_begins_narrow_and_grows_to_its_ceiling_while_its_target_answers_as_quickly(
    target: Target,
) -> None:
    await target.project(ceiling=40)
    widths = [await target.round() for _ in range(20)]
    assert widths[0] == START
    assert widths == sorted(widths)
    assert widths[:4] == [START, 2 * START, 4 * START, 4 * START]


async def test_a_lane_that_was_narrowed_grows_step_by_step(target: Target) -> None:
    await target.project(ceiling=40)
    for _ in range(3):
        await target.round()
    await target.round(503)
    widths = [await target.round() for _ in range(10)]
    assert (widths[0], widths[-1]) == (20, 40)
    assert max(later - earlier for earlier, later in itertools.pairwise(widths)) <= 4


async def test_a_lane_does_not_grow_while_its_target_answers_more_slowly_than_before(target: Target) -> None:
    await target.project()
    await target.round()
    before = await target.round()
    slower = [await target.round(took=timedelta(seconds=1)) for _ in range(5)]
    assert len({before, *slower}) <= 2  # the round before still widened it
    assert await target.round() == slower[-1]
    assert await target.round() > slower[-1]


async def test_a_lane_is_halved_once_for_all_attempts_that_fail_together(target: Target) -> None:
    await target.project(ceiling=40)
    wide = [await target.round() for _ in range(20)][-1]
    await target.append(100)
    claimed = await target.claim()
    started = target.clock.now()
    for one in claimed:
        await target.answer([one], 503, took=timedelta())
        assert target.clock.now() == started
    async with target.store.transaction() as tx:
        width = (await tx.connection.execute(text("SELECT floor(width) FROM lane"))).scalar_one()
    assert (wide, width) == (40, 20)


@pytest.mark.parametrize(
    ("status", "failure", "narrows"),
    [
        (500, Failure.STATUS, True),
        (429, Failure.STATUS, True),
        (None, Failure.TIMEOUT, True),
        (None, Failure.CONNECT, True),
        (400, Failure.STATUS, False),
        (None, Failure.BROKEN, False),
        (None, Failure.UNSENDABLE, False),
    ],
)
async def test_only_errors_of_a_target_that_is_too_busy_narrow_its_lane(
    target: Target, status: int | None, failure: Failure, narrows: bool
) -> None:
    await target.project()
    await target.append(100)
    await target.answer(await target.claim(), status, failure=failure)
    after = len(await target.claim())
    assert after == START // 2 if narrows else after >= START


async def test_a_lane_of_a_target_that_always_fails_still_tries_one_at_a_time_and_recovers(target: Target) -> None:
    await target.project()
    failing = [await target.round(503) for _ in range(6)]
    assert failing == [10, 5, 2, 1, 1, 1]
    assert [await target.round() for _ in range(4)] == [1, 2, 4, 8]


async def test_a_lane_of_an_earlier_version_has_the_width_of_its_ceiling(target: Target) -> None:
    await target.project(ceiling=300)
    async with target.store.transaction() as tx:
        await tx.connection.execute(text("UPDATE lane SET width = NULL"))
    assert await target.round() == 300


async def test_a_lane_that_is_not_full_does_not_grow(target: Target) -> None:
    await target.project()
    for _ in range(20):
        await target.append(1)
        await target.answer(await target.claim())
    await target.append(100)
    assert len(await target.claim()) == START


# -- full lanes cost nothing


async def test_a_delivery_of_a_full_lane_is_not_touched(target: Target) -> None:
    await target.project(ceiling=2)
    await target.append(10)
    await target.claim()
    assert (await target.statuses()) == {"pending": 2, "waiting": 8}
    async with target.store.transaction() as tx:
        before = (await tx.connection.execute(text("SELECT xmin FROM pgmq.q_dispatch ORDER BY msg_id"))).scalars().all()
    assert await target.claim() == []
    async with target.store.transaction() as tx:
        after = (await tx.connection.execute(text("SELECT xmin FROM pgmq.q_dispatch ORDER BY msg_id"))).scalars().all()
        assert (await tx.connection.execute(text("SELECT count(*) FROM waiting"))).scalar_one() == 0
    assert before == after
    assert target.look
    assert (target.look.read, target.look.more, target.look.full) == (0, False, frozenset({target.id}))


async def test_the_deliveries_that_wait_are_found_by_their_status(target: Target) -> None:
    await target.project(ceiling=2)
    await target.append(5)
    under_way = {one.message.delivery_id for one in await target.claim()}
    async with target.store.transaction() as tx:
        waiting = await history.deliveries(tx, target.org_id, limit=10, status="waiting")
    assert len(waiting) == 3
    assert not {one.id for one in waiting} & under_way


async def test_more_lanes_than_one_claim_looks_at_are_all_reached(target: Target, store: Store) -> None:
    await target.project()
    now = target.clock.now()
    async with store.transaction() as tx:
        others = [await a_project(tx, target.org_id, now, max_inflight=1) for _ in range(600)]
        await events.append(tx, [an_event(target.org_id, one, uuid4(), one, now) for one in others])
    reached: list[str] = []
    after = ""
    for _ in range(3):
        look, claimed = await claim(store, 1000, timedelta(seconds=30), after=after)
        reached += [one.message.project_id for one in claimed]
        after = look.after
    assert (sorted(reached), after) == (sorted(others), "")


# -- rate limits


async def test_what_is_over_a_rate_limit_waits_until_its_time_and_all_of_it_goes(target: Target) -> None:
    now = target.clock.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    target.clock.advance(midnight + timedelta(hours=22, minutes=59, seconds=58, milliseconds=500) - now)
    await target.project(limits=RateLimits(per_second=3, per_hour=5, per_day=7))
    await target.append(12)
    sent: list[tuple[str, int]] = []
    while await target.statuses() != {"delivered": 12}:
        claimed = await target.claim()
        if claimed:
            sent.append((f"{target.clock.now() - midnight}", len(claimed)))
            await target.answer(claimed, took=timedelta())
        else:
            assert target.look
            assert target.look.next_at
            target.clock.advance(target.look.next_at - target.clock.now())
    assert sent == [
        ("22:59:58.500000", 3),
        ("22:59:59", 2),
        ("23:00:00", 2),
        ("1 day, 0:00:00", 3),
        ("1 day, 0:00:01", 2),
    ]


async def test_what_a_rate_limit_holds_says_when_it_goes(target: Target) -> None:
    hour = target.clock.now().replace(minute=0, second=0, microsecond=0)
    target.clock.advance(hour + timedelta(minutes=30) - target.clock.now())
    await target.project(limits=RateLimits(per_hour=2))
    await target.append(3)
    await target.answer(await target.claim(), took=timedelta())
    [held] = [one for one in await target.listed() if one.status != "delivered"]
    assert (held.status, held.next_attempt_at) == ("waiting", hour + timedelta(hours=1))


async def test_a_retry_counts_and_a_limit_that_is_changed_counts_at_once(target: Target) -> None:
    await target.project(limits=RateLimits(per_day=1))
    await target.append(2)
    [only] = await target.claim()
    now = target.clock.now()
    failed = Attempt(only.message, target.org_id, "failed", 503, "", b"", None, now, now, retry_at=now)
    async with target.store.transaction() as tx:
        await deliveries.finish(tx, [failed])
        await deliveries.requeue_due(tx, now, 10)
    assert await target.claim() == []
    async with target.store.transaction() as tx:
        found = await projects.existing(tx, target.org_id, target.id)
        await projects.save(tx, replace(found, per_day=2))
    assert len(await target.claim()) == 1
    assert await target.claim() == []


async def test_a_rate_limit_holds_for_deliveries_in_order_too(target: Target) -> None:
    await target.project(limits=RateLimits(per_day=2))
    async with target.store.transaction() as tx:
        found = await projects.existing(tx, target.org_id, target.id)
        await projects.save(tx, replace(found, order_by="subject"))
    await target.append(5)
    first = await target.claim()
    await target.answer(first, took=timedelta())
    assert (len(first), await target.claim()) == (2, [])
    target.clock.advance(timedelta(days=1))
    assert len(await target.claim()) == 2
