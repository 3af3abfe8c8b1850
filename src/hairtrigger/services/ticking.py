"""The clock's loops. Any number of processes may run them: each claims its own share of what is due."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from hairtrigger.domain.errors import Unavailable
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.services.firing import Firing
from hairtrigger.services.pausing import Pausing
from hairtrigger.services.polling import Poller
from hairtrigger.services.removing import Removing
from hairtrigger.services.replaying import Replaying
from hairtrigger.store import deliveries, lanes, partitions
from hairtrigger.store.database import Store
from hairtrigger.store.polls import Poll

log = structlog.get_logger()

_TICK = timedelta(milliseconds=200)
_MOST_RETRIES = 500


@dataclass
class Ticking:
    store: Store
    clock: Clock
    poller: Poller
    firing: Firing
    removing: Removing
    pausing: Pausing
    replaying: Replaying
    work: Wake
    concurrent_polls: int
    _polling: set[asyncio.Task[None]] = field(default_factory=set, init=False)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_repeat("polls", _TICK, lambda: self._start_polls(tasks)))
            tasks.create_task(_repeat("schedules", _TICK, self._fire))
            tasks.create_task(_repeat("retries", _TICK, self._requeue))
            tasks.create_task(_repeat("removals", timedelta(seconds=1), self._remove))
            tasks.create_task(_repeat("lanes", timedelta(seconds=2), self._let_in))
            tasks.create_task(_repeat("pauses", timedelta(seconds=1), self.pausing.settle))
            tasks.create_task(_repeat("replays", _TICK, self.replaying.run_due))
            tasks.create_task(_repeat("counts of lanes", timedelta(minutes=1), self._recount))
            tasks.create_task(_repeat("partitions", timedelta(hours=1), self._make_partitions))

    async def _start_polls(self, tasks: asyncio.TaskGroup) -> None:
        free = self.concurrent_polls - len(self._polling)
        for claimed in await self.poller.claim(free) if free else ():
            task = tasks.create_task(self._poll(claimed))
            self._polling.add(task)
            task.add_done_callback(self._polling.discard)

    async def _poll(self, claimed: Poll) -> None:
        try:
            await self.poller.run(claimed)
        except Unavailable:
            log.warning("database away, poll will be repeated", project_trigger_id=str(claimed.project_trigger_id))

    async def _fire(self) -> None:
        await self.firing.run_due()

    async def _requeue(self) -> None:
        async with self.store.transaction() as tx:
            moved = await deliveries.requeue_due(tx, self.clock.now(), _MOST_RETRIES)
        if moved:
            self.work.set()

    async def _remove(self) -> None:
        await self.removing.run_due()

    async def _let_in(self) -> None:
        async with self.store.transaction() as tx:
            moved = await lanes.let_in_left_behind(tx)
        if moved:
            self.work.set()

    async def _recount(self) -> None:
        async with self.store.transaction() as tx:
            await lanes.recount(tx)

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
