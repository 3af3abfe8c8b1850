"""Scheduler, poller and cursor on the real store, while everything around them goes wrong as a seed decides.

Time is a number here. Each worker runs until it asks its provider. Then the seed draws what happens next: an answer, an
error, a worker's death before a commit or just after it, a lease that ends, a clock that jumps, an edit. Whatever
happens, in the end each item is one event, no planned time is missing, and no connection was asked by more polls at
once than it has places.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from hairtrigger.domain.errors import CredentialsRefused, NotReady, ProviderFailed
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.outcome import Code
from hairtrigger.domain.rhythm import LONGEST_BACK_OFF
from hairtrigger.platform.vault import Vault
from hairtrigger.providers import schedule
from hairtrigger.services.polling.poll_leases import Claimed
from hairtrigger.services.polling.poller import Result
from hairtrigger.store import partitions
from hairtrigger.store.database import Store
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.triggers import ProjectTrigger
from hairtrigger.store.transaction import Transaction
from tests.services.world import Killed, World, a_world
from tests.simulation.provider import CLOCKS, LATEST, TICK, Feeds, Item
from tests.support.clock import ManualClock

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
STEPS = 120
PLACES = 2
LONGEST_PAUSE = timedelta(minutes=5)


class Broken(AssertionError):
    """A promise that was broken, with the seed that breaks it."""


@dataclass
class Worker:
    """A poll under way in a process."""

    claimed: Claimed
    until: datetime
    task: asyncio.Task[Result]
    store: "Mortal"
    expired: bool = False


@dataclass(frozen=True)
class Mortal(Store):
    """The database as a process sees it. If `fate` says so, the process dies before its next commit or after it."""

    fate: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        fate = self.fate.pop() if self.fate else ""
        async with super().transaction() as tx:
            yield tx
            if fate == "before":
                raise Killed
        if fate == "after":
            raise Killed


class Simulation:
    def __init__(self, world: World, feeds: Feeds, seed: int) -> None:
        self.world, self.feeds, self.seed = world, feeds, seed
        self.random = random.Random(seed)
        self.workers: list[Worker] = []
        self.true_time = START
        self.polling: dict[UUID, str] = {}  # the name of each trigger's feed
        self.schedules: dict[UUID, timedelta] = {}
        self.enabled_at: dict[UUID, datetime] = {}
        self.connections: list[UUID] = []
        self.newest: dict[UUID, str] = {}  # the newest value of each cursor
        self.made = 0
        self.told: list[str] = []
        feeds.true_time = lambda: self.true_time

    async def run(self) -> None:
        try:
            await self._set_up()
            for _ in range(STEPS):
                await self._step()
                self._expire()
                await self._check_clockwork()
            await self._quiet_down()
            await self._check_everything()
        except Exception as error:
            story = "\n".join(self.told[-40:])
            raise Broken(f"{error!r}\nseed {self.seed}; the last that happened:\n{story}") from error
        finally:
            for worker in self.workers:
                worker.task.cancel()
            await asyncio.gather(*(worker.task for worker in self.workers), return_exceptions=True)

    async def _set_up(self) -> None:
        for number in range(2):
            made = await self.world.connections.create(self.world.caller, "feeds", "C", {"token": str(number)})
            self.connections.append(made.id)
        for number in range(4):
            feed = f"feed {number}"
            self.feeds.items[feed] = []
            config = {"feed": feed, "polling_frequency": self.random.choice([10, 30, 60, 600])}
            id_ = await self._add("feeds", "on_item", config, self.connections[number % 2])
            self.polling[id_] = feed
        for every in (20, 45, 60):
            id_ = await self._add("schedule", "on_schedule", {"interval": every, "missed": "all"}, None)
            self.schedules[id_] = timedelta(seconds=every)
            self.enabled_at[id_] = self.world.clock.now()

    async def _add(self, provider: str, trigger: str, config: dict[str, Any], connection: UUID | None) -> UUID:
        """Add an enabled trigger. The seed decides its id, because its beats follow from the id."""
        now, caller = self.world.clock.now(), self.world.caller
        id_ = UUID(int=new_id(now).int >> 64 << 64 | 0b10 << 62 | self.random.getrandbits(62))
        new = ProjectTrigger(
            id=id_,
            org_id=caller.org_id,
            project_id=self.world.project_id,
            connection_id=connection,
            provider_id=provider,
            trigger_id=trigger,
            config=config,
            enabled=False,
            enabled_at=None,
            generation=0,
            webhook_data=None,
            secrets=None,
            created_by=caller.id,
            created_at=now,
            updated_by=None,
            updated_at=now,
        )
        async with self.world.store.transaction() as tx:
            await triggers.add(tx, new)
        await self._enable(id_)
        return id_

    async def _step(self) -> None:
        happenings: dict[Callable[[], Awaitable[str]], int] = {
            self._time_passes: 6,
            self._clock_jumps: 1,
            self._things_appear: 5,
            self._newest_vanishes: 1,
            self._worker_claims: 6,
            self._provider_answers: 12,
            self._worker_dies: 1,
            self._ticker_fires: 4,
            self._user_meddles: 1,
        }
        [happening] = self.random.choices(list(happenings), list(happenings.values()))
        what = await happening()
        self.told.append(f"{self.world.clock.now():%H:%M:%S} {what}")

    async def _time_passes(self) -> str:
        by = timedelta(seconds=self.random.choice([0.2, 1, 5, 20, 60]))
        self._pass(by)
        return f"{by} pass"

    async def _clock_jumps(self) -> str:
        offset = self.random.uniform(-1, 1) * CLOCKS
        self.world.clock.advance(self.true_time + offset - self.world.clock.now())
        return f"the clock jumps, to be wrong by {offset}"

    async def _things_appear(self) -> str:
        feed = self.random.choice(list(self.feeds.items))
        dated = self.true_time - (self.true_time - START) % TICK
        names = []
        for _ in range(self.random.choice([1, 1, 2, 5])):
            late = self.random.choice([timedelta(), timedelta(), self.random.random() * LATEST])
            names.append(f"item {self.made}")
            self.feeds.items[feed].append(Item(names[-1], dated, self.true_time + late))
            self.made += 1
        return f"{names} appear in {feed}"

    async def _newest_vanishes(self) -> str:
        feed = self.random.choice(list(self.feeds.items))
        there = [item for item in self.feeds.items[feed] if item.appears <= self.true_time]
        if not there:
            return "nothing vanishes"
        newest = max(there, key=lambda item: (item.dated, item.name))
        self.feeds.items[feed].remove(newest)
        return f"{newest.name} vanishes"

    async def _worker_claims(self) -> str:
        fate = self.random.choice(["", "", "", "", "before", "after"])
        store = Mortal(self.world.store.engine, self.world.store.connect, fate=[fate])
        try:
            claims = await self.world.poller_on(store).claim(self.random.randint(1, 4))
        except Killed:
            return f"a worker dies {fate} its claim's commit"
        for claimed in claims.mine:
            own = Mortal(self.world.store.engine, self.world.store.connect)
            task = asyncio.create_task(self.world.poller_on(own).run(claimed))
            until = self.world.clock.now() + self.world.poller.leases.hold
            worker = Worker(claimed, until, task, own)
            self.workers.append(worker)
            await self._settled(worker)
        self._check_places()
        return f"a worker claims {[self.polling[claimed.trigger.id] for claimed in claims.mine]}"

    async def _provider_answers(self) -> str:
        if not self.workers:
            return "nobody waits for an answer"
        worker = self.random.choice(self.workers)
        feed = self.polling[worker.claimed.trigger.id]
        answer: Exception | None = self.random.choice(
            [
                *[None] * 12,
                ProviderFailed("500"),
                ProviderFailed("429", retry_after=self.random.random() * LONGEST_PAUSE),
                CredentialsRefused(),
            ]
        )
        fate = self.random.choice([*[""] * 8, "before", "after"])
        worker.store.fate[:] = [fate]
        result = await self._answered(worker, answer)
        return f"{feed} answers {answer!r}; its worker {f'dies {fate} the commit' if result is None else result}"

    async def _worker_dies(self) -> str:
        if not self.workers:
            return "nobody dies"
        worker = self.workers.pop(self.random.randrange(len(self.workers)))
        worker.task.cancel()
        await asyncio.gather(worker.task, return_exceptions=True)
        return f"the worker of {self.polling[worker.claimed.trigger.id]} dies"

    async def _ticker_fires(self) -> str:
        fate = self.random.choice(["", "", "", "before", "after"])
        schedules = replace(
            self.world.schedules, store=Mortal(self.world.store.engine, self.world.store.connect, fate=[fate])
        )
        with suppress(Killed):
            return f"{await schedules.run_due(self.random.choice([1, 2, 100]))} schedules fire"
        return f"a ticker dies {fate} its commit"

    async def _user_meddles(self) -> str:
        id_ = self.random.choice(list(self.polling))
        what = self.random.choice(["edits", "switches", "renews the connection of"])
        trigger = await self.world.trigger(id_)
        match what:
            case "edits":
                await self.world.set_config(id_, trigger.config)
            case "switches" if trigger.enabled:
                await self.world.triggers.disable(self.world.caller, id_)
            case "switches":
                await self._enable(id_)
            case _:
                assert trigger.connection_id
                await self.world.connections.update(self.world.caller, trigger.connection_id, None, {"token": "new"})
        return f"a user {what} {self.polling[id_]}"

    def _pass(self, by: timedelta) -> None:
        self.true_time += by
        self.world.clock.advance(by)

    async def _enable(self, id_: UUID) -> None:
        self.feeds.at_once = True
        with suppress(NotReady):
            await self.world.triggers.enable(self.world.caller, id_)
        self.feeds.at_once = False

    async def _answered(self, worker: Worker, answer: Exception | None) -> Result | str | None:
        """Answer a poll. Return its result, a text if it has another question, or None if its process died."""
        id_ = worker.claimed.trigger.id
        before = len(await self.world.keys(id_))
        self.feeds.asked.pop(worker.task).answer.set_result(answer)
        await self._settled(worker)
        await self._check_cursor(id_)
        if worker.task in self.feeds.asked:
            return "asks for the next page"
        self.workers.remove(worker)
        if isinstance(worker.task.exception(), Killed):
            return None
        result = worker.task.result()
        assert result.code is not Code.STALE or len(await self.world.keys(id_)) == before, "a stale poll stored events"
        return result

    async def _settled(self, worker: Worker) -> None:
        """Return when the worker asks its provider, or has ended."""
        while not worker.task.done() and worker.task not in self.feeds.asked:
            await asyncio.sleep(0)

    def _expire(self) -> None:
        for worker in self.workers:
            worker.expired = worker.expired or worker.until <= self.world.clock.now()

    async def _quiet_down(self) -> None:
        """Let nothing go wrong any more, enable every trigger, and run all that is due."""
        await self._clock_is_right()
        for id_ in self.polling:
            await self._enable(id_)
        for worker in list(self.workers):
            worker.store.fate.clear()
            while worker in self.workers:
                await self._answered(worker, None)
        for _ in range(4):
            self._pass(LONGEST_BACK_OFF + timedelta(minutes=1))
            await self._everything_due()

    async def _clock_is_right(self) -> None:
        self.world.clock.advance(self.true_time - self.world.clock.now())

    async def _everything_due(self) -> None:
        for _ in range(200):
            claims = await self.world.poller.claim(100)
            for claimed in claims.mine:
                self.feeds.at_once = True
                await self.world.poller.run(claimed)
                await self._check_cursor(claimed.trigger.id)
                self.feeds.at_once = False
            fired = await self.world.schedules.run_due()
            if not claims.looked_at and not fired:
                return
            self._pass(timedelta(seconds=0.2))
        raise AssertionError("There is always more due.")

    def _check_places(self) -> None:
        asking = Counter(one.claimed.trigger.connection_id for one in self.workers if not one.expired)
        assert all(count <= PLACES for count in asking.values()), f"too many ask at once: {asking}"

    async def _check_clockwork(self) -> None:
        """Check that each enabled trigger is polled again within a bound, also if the worker that polls it dies."""
        bound = self.world.clock.now() + LONGEST_BACK_OFF + LONGEST_PAUSE + 2 * CLOCKS
        for id_, feed in self.polling.items():
            found = await self.world.clockwork(id_)
            if (await self.world.trigger(id_)).enabled:
                assert found.next_at, f"{feed} is enabled and off the clock"
                assert found.next_at <= min(bound, found.leased_until or bound), f"{feed}: {found}"
            else:
                assert (found.next_at, found.lease) == (None, None), f"{feed} is disabled and on the clock"

    async def _check_cursor(self, id_: UUID) -> None:
        cursor = (await self.world.clockwork(id_)).cursor
        newest = cursor["newest"] if cursor else ""
        assert newest >= self.newest.get(id_, ""), f"the cursor of {self.polling[id_]} went back"
        self.newest[id_] = newest

    async def _check_everything(self) -> None:
        now = self.world.clock.now()
        for id_, feed in self.polling.items():
            stored = await self.world.keys(id_)
            there = {item.name for item in self.feeds.items[feed]}
            assert len(stored) == len(set(stored)), f"{feed}: something came twice"
            assert there <= set(stored), f"{feed}: {sorted(there - set(stored))} did not come"
            found = await self.world.clockwork(id_)
            assert (found.error, found.lease) == (None, None), f"{feed}: {found}"
            assert found.next_at
            assert now < found.next_at <= now + found.every, f"{feed} is not polled again within its interval"
        for id_, every in self.schedules.items():
            planned = [datetime.fromisoformat(key) for key in await self.world.keys(id_)]
            wanted = [self.enabled_at[id_] + every * number for number in range(1, len(planned) + 1)]
            assert planned == wanted, f"every {every}: {planned}"
            assert planned[-1] > now - every, f"every {every}: the last was {planned[-1]}"


async def simulate(store: Store, vault: Vault, seed: int) -> None:
    """Run one seed. Raise `Broken` if a promise is broken."""
    async with store.transaction() as tx:
        await partitions.make_ahead(tx, START.date(), days=2)
    clock = ManualClock(START)
    feeds = Feeds(clock.now)
    world = await a_world(store, clock, vault, feeds.provider(), schedule.provider)
    poller = world.poller
    world = replace(world, poller=replace(poller, leases=replace(poller.leases, places=PLACES)))
    await Simulation(world, feeds, seed).run()
