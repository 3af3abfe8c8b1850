"""The loops of due work as they really run: several on one database, and one in a process that is killed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

import pytest

from hairtrigger.domain.errors import Unavailable
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.auth import Bearer
from hairtrigger.kit.trigger import Page, Polling, PollingConfig, Provider, Question
from hairtrigger.platform.shares import Shares
from hairtrigger.platform.vault import Vault
from hairtrigger.platform.wake import Wake
from hairtrigger.providers import schedule
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.services.delivery.replays import Replays
from hairtrigger.services.polling.poll_results import PollStep, StoredPoll
from hairtrigger.services.upkeep.due_work import DueWork
from hairtrigger.store.database import Store, open_store
from hairtrigger.store.polling import connection_limits, polls
from tests.services.world import World, a_world
from tests.support.clock import ManualClock
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

MANY = 40
MINUTE = timedelta(minutes=1)


class Feed(PollingConfig):
    number: int


@dataclass
class Feeds:
    asked: list[int] = field(default_factory=list)
    enough: asyncio.Event = field(default_factory=asyncio.Event)

    async def poll(self, question: Question[Feed]) -> Page:
        self.asked.append(question.config.number)
        return Page((), {"asked": len(self.asked)})

    def provider(self) -> Provider:
        poll = Polling(id="on_item", name="", description="", config=Feed, poll=self.poll, baseline=False)
        return Provider(id="feeds", name="", triggers=(poll,))


@asynccontextmanager
async def due_work(
    world: World, url: str, settle: Callable[[PollStep], Awaitable[StoredPoll]] | None = None
) -> AsyncIterator[None]:
    """Run the loops of another process, which has its own database connections."""
    async with open_store(url, connections=4) as store:
        schedules = replace(world.schedules, store=store)
        webhook_removals = replace(world.webhook_removals, store=store)
        work = Wake()
        pauses, replays = (
            Pauses(store=store, clock=world.clock, work=work),
            Replays(store=store, clock=world.clock, work=work),
        )
        poller = world.poller_on(store)
        poller = replace(poller, settle=settle or poller.settle)
        loops = DueWork(
            store=store,
            clock=world.clock,
            poller=poller,
            schedules=schedules,
            webhook_removals=webhook_removals,
            subscriptions=replace(world.subscriptions, store=store),
            pauses=pauses,
            replays=replays,
            work=work,
            places=Shares.beyond(5),
        )
        running = asyncio.create_task(loops.run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_loops_that_race_on_one_database_poll_and_fire_each_trigger_once_a_minute(
    store: Store, clock: ManualClock, vault: Vault, database_url: str
) -> None:
    feeds = Feeds()
    world = await a_world(store, clock, vault, feeds.provider(), schedule.provider)
    polled = [await world.enabled("feeds", "on_item", {"number": number}) for number in range(MANY)]
    scheduled = [await world.enabled("schedule", "on_schedule", {"interval": "1m"}) for _ in range(MANY)]

    async def all_done(rounds: int) -> bool:
        async with world.store.transaction() as tx:
            found = [await polls.get(tx, id_) for id_ in (*polled, *scheduled)]
        idle = all(one and one.next_at and one.next_at > world.clock.now() and not one.lease for one in found)
        return idle and len(feeds.asked) >= rounds * MANY

    async with due_work(world, database_url), due_work(world, database_url), due_work(world, database_url):
        for rounds in range(1, 4):
            await until(lambda rounds=rounds: all_done(rounds))  # type: ignore[misc]
            clock.advance(MINUTE)
        await until(lambda: all_done(4))

    assert sorted(feeds.asked) == sorted(list(range(MANY)) * 4)
    for id_ in polled:
        assert await world.codes(id_, Kind.POLL) == [Code.EMPTY] * 4
    for id_ in scheduled:
        keys = await world.keys(id_)
        assert len(keys) == len(set(keys)) == 3
        assert await world.codes(id_, Kind.SCHEDULE) == [Code.ACCEPTED] * 3


async def test_what_a_stopped_process_was_polling_is_due_at_once(
    store: Store, clock: ManualClock, vault: Vault, database_url: str
) -> None:
    feeds = Feeds()
    never = asyncio.Event()

    async def hang(question: Question[Feed]) -> Page:
        feeds.asked.append(question.config.number)
        await never.wait()
        raise AssertionError

    trigger = Polling(id="on_item", name="", description="", config=Feed, poll=hang, baseline=False)
    world = await a_world(store, clock, vault, Provider(id="feeds", name="", auth=Bearer("token"), triggers=(trigger,)))
    connection = await world.connections.create(world.caller, "feeds", "C", {"token": "t"})
    id_ = await world.create("feeds", "on_item", {"number": 7, "polling_frequency": 86_400}, connection.id)
    await world.triggers.enable(world.caller, id_)

    async def asked() -> bool:
        return bool(feeds.asked)

    async with due_work(world, database_url):
        await until(asked)

    found = await world.clockwork(id_)
    assert (found.lease, found.next_at, found.failures) == (None, clock.now(), 0)
    assert await world.codes(id_, Kind.POLL) == [Code.CUT_OFF]
    async with store.transaction() as tx:
        [pace] = (await connection_limits.locked(tx, [connection.id])).values()
    assert pace.running == {}


async def test_a_poll_whose_result_met_no_database_is_due_at_once_when_it_is_back(
    store: Store, clock: ManualClock, vault: Vault, database_url: str
) -> None:
    feeds = Feeds()
    world = await a_world(store, clock, vault, feeds.provider())
    id_ = await world.enabled("feeds", "on_item", {"number": 7, "polling_frequency": 86_400})

    async def settle(step: PollStep) -> StoredPoll:
        if len(feeds.asked) == 1:
            raise Unavailable
        return await world.poller.settle(step)

    async def told() -> bool:
        return len(await world.codes(id_, Kind.POLL)) > 1

    async with due_work(world, database_url, settle):
        await until(told)

    assert feeds.asked == [7, 7]
    assert sorted(await world.codes(id_, Kind.POLL)) == [Code.CUT_OFF, Code.EMPTY]  # both at one time: the clock stands


VICTIM = """
import asyncio, sys
from datetime import datetime, timedelta
from hairtrigger.services.catalogue import catalogue_of
from hairtrigger.services.polling.poll_leases import PollLeases as Claiming
from hairtrigger.store.database import open_store
from tests.services.world import no_integrations
from tests.support.clock import ManualClock

async def main(url, now, seconds):
    async with open_store(url) as store:
        clock = ManualClock(datetime.fromisoformat(now))
        claiming = Claiming(
            store=store,
            clock=clock,
            catalogue=catalogue_of((), no_integrations),
            deadline=timedelta(seconds=seconds),
            places=4,
        )
        [claimed] = (await claiming.due(10)).mine
        print(claimed.trigger.id, flush=True)
        await asyncio.Event().wait()  # for a provider that never answers

asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
"""


async def test_the_poll_of_a_killed_process_is_begun_again_when_its_lease_ends(
    store: Store, clock: ManualClock, vault: Vault, database_url: str
) -> None:
    feeds = Feeds()
    world = await a_world(store, clock, vault, feeds.provider())
    id_ = await world.enabled("feeds", "on_item", {"number": 7, "polling_frequency": 86_400})
    arguments = (database_url, clock.now().isoformat(), str(world.poller.deadline.total_seconds()))
    victim = await asyncio.create_subprocess_exec(
        sys.executable, "-c", VICTIM, *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert victim.stdout
    assert UUID((await victim.stdout.readline()).decode().strip()) == id_
    victim.kill()
    await victim.wait()

    assert await world.poll_due() == []
    clock.advance(world.poller.leases.hold)
    [result] = await world.poll_due()

    assert result.code == Code.EMPTY
    assert feeds.asked == [7]
    assert await world.codes(id_, Kind.POLL) == [Code.CUT_OFF, Code.EMPTY]


async def test_polls_that_hang_keep_no_other_organisation_s_polls_waiting(
    store: Store, clock: ManualClock, vault: Vault, database_url: str
) -> None:
    feeds = Feeds()
    never = asyncio.Event()

    async def poll(question: Question[Feed]) -> Page:
        if question.config.number:
            await never.wait()
        return await feeds.poll(question)

    trigger = Polling(id="on_item", name="", description="", config=Feed, poll=poll, baseline=False)
    provider = Provider(id="feeds", name="", triggers=(trigger,))
    hostile, ours = [await a_world(store, clock, vault, provider) for _ in range(2)]
    for _ in range(40):
        await hostile.enabled("feeds", "on_item", {"number": 1})
    clock.advance(MINUTE)
    await ours.enabled("feeds", "on_item", {"number": 0})

    async def asked(times: int) -> bool:
        return len(feeds.asked) >= times

    async with due_work(hostile, database_url):
        for times in range(1, 4):
            clock.advance(MINUTE)
            await until(lambda times=times: asked(times))  # type: ignore[misc]
