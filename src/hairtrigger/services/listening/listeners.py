"""Run the listeners of this process: claim them, keep their leases, and end those whose leases have ended.

Each listener is a row in `poll` under a lease, as a poll is, and the lease is renewed for as long as the listener runs.
Any number of processes may run listeners, because each claims its own.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from hairtrigger.domain.errors import Unavailable
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every
from hairtrigger.platform.shares import Shares
from hairtrigger.services.listening.listener import Listener
from hairtrigger.services.polling.poll_leases import Claimed, PollLeases
from hairtrigger.services.provider_calls import tenant_of
from hairtrigger.store.database import Store
from hairtrigger.store.polling import polls

log = structlog.get_logger()

_EVERY = timedelta(seconds=1)


@dataclass(kw_only=True)
class Listeners:
    store: Store
    clock: Clock
    leases: PollLeases
    listener: Listener
    places: Shares
    _running: dict[asyncio.Task[None], Claimed] = field(default_factory=dict, init=False)
    _until: dict[asyncio.Task[None], datetime] = field(default_factory=dict, init=False)  # the ends of their leases
    _cut_off: list[Claimed] = field(default_factory=list, init=False)
    _stopping: bool = field(default=False, init=False)
    _looking: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @property
    def under_way(self) -> int:
        """Return how many listeners this process runs."""
        return len(self._running)

    async def run(self) -> None:
        """Run until cancelled. The listeners are then given back, so that another process has them at once."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(every(_EVERY, "listeners", lambda: self.look(tasks)))
        finally:
            await self._give_back()

    async def drain(self, at_most: timedelta) -> None:
        """Start no more listeners, and end and give back those that run."""
        self._stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most.total_seconds()), self._looking:
                pass  # listeners that are just being claimed are there then
        running = list(self._running)
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await self._give_back()

    async def look(self, tasks: asyncio.TaskGroup) -> None:
        """End the listeners whose leases have ended, renew the leases of the others, and claim those that are due.

        The lease of a listener ends when its trigger is changed, disabled or deleted.

        Raise `Unavailable` if the database is away.
        """
        async with self._looking:
            await self._give_back()
            if self._running:
                await self._keep()
            if not self._stopping:
                await self._claim(tasks)

    async def _keep(self) -> None:
        now = self.clock.now()
        running = dict(self._running)
        async with self.store.transaction() as tx:
            current = await polls.current(tx, [claimed.trigger.id for claimed in running.values()])
            alive = {task for task, one in running.items() if one.lease in current}
            late = [task for task in alive if self._until[task] - now < 2 * self.leases.hold / 3]
            if late:
                until = now + self.leases.hold
                mine = [running[task] for task in late]
                await polls.renew(tx, [one.trigger.id for one in mine], [one.lease for one in mine], until)
        for task in late:
            if task in self._running:
                self._until[task] = now + self.leases.hold
        for task in running.keys() - alive:
            task.cancel()

    async def _claim(self, tasks: asyncio.TaskGroup) -> None:
        while free := self.places.places - self.places.held:
            claims = await self.leases.due(free, self.places)
            for claimed in claims.mine:
                task = tasks.create_task(self._listen(claimed))
                self._running[task] = claimed
                self._until[task] = self.clock.now() + self.leases.hold
                task.add_done_callback(self._gone)
            if claims.looked_at < free:
                return

    def _gone(self, task: asyncio.Task[None]) -> None:
        claimed = self._running.pop(task)
        del self._until[task]
        self.places.leave(tenant_of(claimed.trigger))
        if task.cancelled():
            self._cut_off.append(claimed)

    async def _listen(self, claimed: Claimed) -> None:
        try:
            await self.listener.run(claimed)
        except Unavailable:
            log.warning("database away, the connection is made again", project_trigger_id=str(claimed.trigger.id))
            self._cut_off.append(claimed)  # it is given back when the database is back

    async def _give_back(self) -> None:
        """Give back what was cut off, except for leases that have ended already."""
        cut_off, self._cut_off = self._cut_off, []
        if cut_off:
            try:
                await self.leases.give_back(cut_off)
            except Unavailable:
                self._cut_off += cut_off
