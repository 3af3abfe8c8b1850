"""The clock's loops. Any number of processes may run them: each claims its own share of what is due."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from hairtrigger.domain.errors import Unavailable
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.services.claiming import Claimed
from hairtrigger.services.firing import Firing
from hairtrigger.services.polling import Poller
from hairtrigger.services.removing import Removing
from hairtrigger.store import deliveries, partitions
from hairtrigger.store.database import Store

log = structlog.get_logger()

_TICK = timedelta(milliseconds=200)
_GATHER = timedelta(milliseconds=20)  # meanwhile several places become free, and one claim fills them all
_MOST_RETRIES = 500
_MOST_SCHEDULES = 1000


@dataclass
class Ticking:
    store: Store
    clock: Clock
    poller: Poller
    firing: Firing
    removing: Removing
    work: Wake
    concurrent_polls: int
    _polling: set[asyncio.Task[None]] = field(default_factory=set, init=False)
    _cut_off: list[Claimed] = field(default_factory=list, init=False)
    _left: Wake = field(default_factory=Wake, init=False)  # a poll has ended

    async def run(self) -> None:
        """Until it is cancelled; what it polls at that moment is due at once, for another."""
        try:
            await self._loops()
        finally:
            with suppress(Unavailable):  # their leases end by themselves
                await self.poller.claiming.give_back(self._cut_off)

    async def _loops(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_repeat("polls", _TICK, lambda: self._start_polls(tasks)))
            tasks.create_task(_repeat("schedules", _TICK, self._fire))
            tasks.create_task(_repeat("retries", _TICK, self._requeue))
            tasks.create_task(_repeat("removals", timedelta(seconds=1), self._remove))
            tasks.create_task(_repeat("lanes", timedelta(seconds=2), self._repair_lanes))
            tasks.create_task(_repeat("partitions", timedelta(hours=1), self._make_partitions))

    async def _start_polls(self, tasks: asyncio.TaskGroup) -> None:
        """Until nothing more is due."""
        while True:
            while not (free := self.concurrent_polls - len(self._polling)):
                await self._left.wait(_TICK)
            claims = await self.poller.claim(free)
            for claimed in claims.mine:
                self._polling.add(task := tasks.create_task(self._poll(claimed)))
                task.add_done_callback(self._gone)
            if claims.looked_at < free:
                return
            await asyncio.sleep(_GATHER.total_seconds())

    def _gone(self, task: asyncio.Task[None]) -> None:
        self._polling.discard(task)
        self._left.set()

    async def _poll(self, claimed: Claimed) -> None:
        try:
            await self.poller.run(claimed)
        except Unavailable:
            log.warning("database away, poll will be repeated", project_trigger_id=str(claimed.trigger.id))
        except asyncio.CancelledError:
            self._cut_off.append(claimed)
            raise

    async def _fire(self) -> None:
        fired = _MOST_SCHEDULES
        while fired == _MOST_SCHEDULES:
            fired = await self.firing.run_due(_MOST_SCHEDULES)

    async def _requeue(self) -> None:
        async with self.store.transaction() as tx:
            moved = await deliveries.requeue_due(tx, self.clock.now(), _MOST_RETRIES)
        if moved:
            self.work.set()

    async def _remove(self) -> None:
        await self.removing.run_due()

    async def _repair_lanes(self) -> None:
        async with self.store.transaction() as tx:
            moved = await deliveries.repair_lanes(tx)
        if moved:
            self.work.set()

    async def _make_partitions(self) -> None:
        async with self.store.transaction() as tx:
            await partitions.make_ahead(tx, self.clock.now().date())


async def _repeat(name: str, interval: timedelta, work: Callable[[], Awaitable[None]]) -> None:
    """For ever. What goes wrong once is logged and tried again: a loop that ended would be silence."""
    while True:
        try:
            await work()
        except Unavailable:
            log.warning("database away", loop=name)
            await asyncio.sleep(1)
        except Exception:
            log.exception("loop broke, it goes on", loop=name)
            await asyncio.sleep(1)
        await asyncio.sleep(interval.total_seconds())
