"""Results of polls are stored in groups: one transaction for all, and a bad result harms no other."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic_core import to_json

from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.batching import Batcher
from hairtrigger.platform.vault import Vault
from hairtrigger.services.polling.poll_results import PollResults, PollStep, StoredPoll
from hairtrigger.services.polling.poller import Poller
from hairtrigger.store.database import Store
from tests.services.world import Meddled, World, a_world
from tests.support.clock import ManualClock

pytestmark = pytest.mark.anyio

MANY = 30


class Named(PollingConfig):
    name: str


async def poll(question: Question[Named]) -> Page:
    """Return one draft for each trigger. The trigger "bad" has a cursor that cannot be stored."""
    name: Any = question.config.name
    return Page([Draft(key=name, data=to_json({"name": name}))], {"name": 10**5000 if name == "bad" else name})


@pytest.fixture
async def world(store: Store, clock: ManualClock, vault: Vault) -> World:
    trigger = Polling(id="on_thing", name="", description="", config=Named, poll=poll, baseline=False)
    return await a_world(store, clock, vault, Provider(id="things", name="", triggers=(trigger,)))


async def enabled(world: World, *names: str) -> dict[str, UUID]:
    return {name: await world.enabled("things", "on_thing", {"name": name}) for name in names}


async def polled_together(world: World, poller: Poller, poll_results: PollResults) -> list[Code]:
    """Run all due polls at once and store their results as they come, as the service does; return the outcome codes."""
    sizes: list[int] = []

    async def flush(steps: Sequence[PollStep]) -> Sequence[StoredPoll]:
        sizes.append(len(steps))
        return await poll_results.settle(steps)

    batches: Batcher[PollStep, StoredPoll] = Batcher(flush, concurrency=1)
    claims = await poller.claim(100)
    together = Poller(**{**vars(poller), "settle": batches.submit})
    flushing = asyncio.create_task(batches.run())
    results = await asyncio.gather(*(together.run(claimed) for claimed in claims.mine))
    flushing.cancel()
    await asyncio.gather(flushing, return_exceptions=True)
    assert max(sizes) > 1
    return [result.code for result in results]


async def test_many_polls_that_end_together_are_claimed_and_stored_by_a_few_transactions(world: World) -> None:
    ids = await enabled(world, *(f"n{number}" for number in range(MANY)))
    transactions: list[int] = []

    async def counted(number: int) -> None:
        transactions.append(number)

    store = Meddled(world.store.engine, world.store.connect, before_begin=counted)
    codes = await polled_together(world, world.poller_on(store), PollResults(store))

    assert codes == [Code.ACCEPTED] * MANY
    assert len(transactions) <= 3
    for name, id_ in ids.items():
        assert await world.keys(id_) == [name]
        assert (await world.clockwork(id_)).cursor == {"name": name}
        assert await world.codes(id_, Kind.POLL) == [Code.ACCEPTED]


async def test_a_result_that_cannot_be_stored_fails_no_other_result(world: World) -> None:
    ids = await enabled(world, "a", "bad", "b")

    codes = await polled_together(world, world.poller, PollResults(world.store))

    assert sorted(codes) == [Code.ACCEPTED, Code.ACCEPTED, Code.BROKEN]
    assert [await world.keys(ids[name]) for name in ("a", "bad", "b")] == [["a"], [], ["b"]]
    assert await world.codes(ids["bad"], Kind.POLL) == [Code.BROKEN]
    assert (await world.clockwork(ids["bad"])).cursor is None
    assert (await world.clockwork(ids["bad"])).lease is None


async def test_a_stale_result_fails_no_other_result(world: World) -> None:
    ids = await enabled(world, "a", "stale", "b")
    claims = await world.poller.claim(100)
    await world.triggers.disable(world.caller, ids["stale"])
    steps = []

    async def collected(step: PollStep) -> StoredPoll:
        steps.append(step)
        return StoredPoll(mine=True)

    collecting = Poller(**{**vars(world.poller), "settle": collected})
    for claimed in claims.mine:
        await collecting.run(claimed)
    stored = await PollResults(world.store).settle(steps)

    assert sorted(one.mine for one in stored) == [False, True, True]
    assert [await world.keys(ids[name]) for name in ("a", "stale", "b")] == [["a"], [], ["b"]]
    assert await world.codes(ids["stale"], Kind.POLL) == [Code.STALE]


async def test_an_interval_of_a_year_is_no_reason_to_hold_a_place_longer(world: World) -> None:
    await world.enabled("things", "on_thing", {"name": "rare", "polling_frequency": 365 * 86_400})
    [claimed] = (await world.poller.claim(1)).mine
    found = await world.clockwork(claimed.trigger.id)
    assert found.leased_until == world.clock.now() + world.poller.leases.hold
    assert world.poller.leases.hold < timedelta(minutes=2)
