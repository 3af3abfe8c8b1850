"""Run the loops that do due work.

Any number of processes may run them, because each claims its own share of the work.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from hairtrigger.domain.errors import Unavailable
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every, repeat
from hairtrigger.platform.shares import Shares
from hairtrigger.platform.wake import Wake
from hairtrigger.services.delivery.pauses import Pauses
from hairtrigger.services.delivery.replays import Replays
from hairtrigger.services.polling.poll_leases import Claimed
from hairtrigger.services.polling.poller import Poller
from hairtrigger.services.provider_calls import tenant_of
from hairtrigger.services.scheduling.schedules import Schedules
from hairtrigger.services.setup.subscriptions import Subscriptions
from hairtrigger.services.setup.webhook_removals import WebhookRemovals
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries, lanes
from hairtrigger.store.upkeep import due_times

log = structlog.get_logger()

_TICK = timedelta(milliseconds=100)
_LONGEST = timedelta(seconds=1)  # the longest sleep, so that a trigger that another process enables waits no longer
_GATHER = timedelta(milliseconds=20)  # a pause in which several places become free, so that one claim fills them all
_MOST_RETRIES = 500
_MOST_SCHEDULES = 1000


@dataclass(kw_only=True)
class DueWork:
    store: Store
    clock: Clock
    poller: Poller
    schedules: Schedules
    webhook_removals: WebhookRemovals
    subscriptions: Subscriptions
    pauses: Pauses
    replays: Replays
    work: Wake
    places: Shares  # for polls
    _polling: dict[asyncio.Task[None], Claimed] = field(default_factory=dict, init=False)
    _cut_off: list[Claimed] = field(default_factory=list, init=False)
    _left: Wake = field(default_factory=Wake, init=False)  # set when a poll has ended
    _due: dict[str, Wake] = field(default_factory=lambda: {kind: Wake() for kind in due_times.KINDS}, init=False)
    _held_back: bool = field(default=False, init=False)  # some due polls have to wait until others end
    _stopping: bool = field(default=False, init=False)
    _claiming: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def run(self) -> None:
        """Run until cancelled. Polls under way are then given back, so that another process has them at once."""
        try:
            await self._loops()
        finally:
            await self._give_back()

    async def _loops(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(repeat("agenda", self._look))
            tasks.create_task(self._when_due("polls", lambda: self._start_polls(tasks)))
            tasks.create_task(self._when_due("schedules", self._fire))
            tasks.create_task(self._when_due("retries", self._requeue))
            tasks.create_task(self._when_due("removals", self._remove))
            tasks.create_task(self._when_due("subscriptions", lambda: self.subscriptions.start_due(tasks)))
            tasks.create_task(self._when_due("replays", self.replays.run_due))
            tasks.create_task(every(timedelta(seconds=1), "pauses", self.pauses.settle))
            tasks.create_task(every(timedelta(seconds=2), "lanes", self._let_in))
            tasks.create_task(every(timedelta(minutes=1), "counts of lanes", self._recount))
            tasks.create_task(every(timedelta(minutes=10), "webhooks to look after", self.subscriptions.adopt))

    @property
    def polls_under_way(self) -> int:
        """Return how many polls this process runs."""
        return len(self._polling)

    async def drain(self, at_most: timedelta) -> None:
        """Start no more work, and wait for the polls under way. Polls that have not ended in time are given back."""
        self._stopping = True
        with suppress(TimeoutError):
            # Polls that are just being claimed are under way, too: the lock waits for them.
            async with asyncio.timeout(at_most.total_seconds()), self._claiming:
                if self._polling:
                    await asyncio.wait(list(self._polling))
        await self.subscriptions.drain()
        unfinished = list(self._polling)
        for task in unfinished:
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished)
        await self._give_back()

    async def _give_back(self) -> None:
        cut_off, self._cut_off = self._cut_off, []
        if cut_off:
            with suppress(Unavailable):  # their leases end by themselves
                await self.poller.leases.give_back(cut_off)

    async def _look(self) -> timedelta:
        """Ask the database what is due, wake the loops that do it, and return the pause until the next look."""
        async with self.store.transaction() as tx:
            times = await due_times.next_times(tx)
        await self._give_back()
        now = self.clock.now()
        for kind, at in times.items():
            if at and at <= now:
                self._due[kind].set()
        waits = [at - now if at > now else _TICK for at in times.values() if at]
        return min([*waits, _LONGEST])

    async def _when_due(self, kind: str, work: Callable[[], Awaitable[None]]) -> None:
        async def once() -> timedelta:
            await self._due[kind].wait(timedelta(hours=1))
            if not self._stopping:
                await work()
            return timedelta()

        await repeat(kind, once)

    async def _start_polls(self, tasks: asyncio.TaskGroup) -> None:
        """Claim and start polls until no more are due, or only polls of tenants that may have no more places."""
        if self._held_back:
            await asyncio.sleep(_GATHER.total_seconds())
        while not self._stopping:
            if not self._free:
                await self._left.wait(_TICK)
                continue
            async with self._claiming:
                free = self._free
                claims = await self.poller.claim(free, self.places)
                self._held_back = claims.held_back
                for claimed in claims.mine:
                    task = tasks.create_task(self._poll(claimed))
                    self._polling[task] = claimed
                    task.add_done_callback(self._gone)
            if claims.looked_at < free:
                return
            await asyncio.sleep(_GATHER.total_seconds())

    @property
    def _free(self) -> int:
        return 0 if self._stopping else self.places.places - self.places.held

    def _gone(self, task: asyncio.Task[None]) -> None:
        claimed = self._polling.pop(task)
        self.places.leave(tenant_of(claimed.trigger))
        if task.cancelled():
            self._cut_off.append(claimed)
        self._left.set()
        if self._held_back:
            self._due["polls"].set()

    async def _poll(self, claimed: Claimed) -> None:
        try:
            await self.poller.run(claimed)
        except Unavailable:
            log.warning("database away, poll will be repeated", project_trigger_id=str(claimed.trigger.id))
            self._cut_off.append(claimed)  # it is given back when the database is back

    async def _fire(self) -> None:
        fired = _MOST_SCHEDULES
        while fired == _MOST_SCHEDULES:
            fired = await self.schedules.run_due(_MOST_SCHEDULES)

    async def _requeue(self) -> None:
        async with self.store.transaction() as tx:
            moved = await deliveries.requeue_due(tx, self.clock.now(), _MOST_RETRIES)
        if moved:
            self.work.set()

    async def _remove(self) -> None:
        await self.webhook_removals.run_due()

    async def _let_in(self) -> None:
        moved = 1
        while moved:
            async with self.store.transaction() as tx:
                moved = await lanes.let_in_left_behind(tx)
            if moved:
                self.work.set()

    async def _recount(self) -> None:
        async with self.store.transaction() as tx:
            await lanes.recount(tx)
