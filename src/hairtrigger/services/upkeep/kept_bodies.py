"""Drop the bodies and events that triggers are not to keep any longer.

A body is dropped in the transaction that ends its last delivery. This module looks for bodies that were left, because
the privacy of their trigger has changed since, or because two deliveries ended at the same time. It also deletes events
that are older than the retention of their trigger.
"""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import repeat
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import bodies
from hairtrigger.store.upkeep import erasures, periodic_tasks

_LOOK = timedelta(seconds=5)
_SWEEP = timedelta(seconds=30)
_FRESH = timedelta(minutes=1)
_EXPIRE = timedelta(minutes=10)
_BETWEEN_BATCHES = timedelta(milliseconds=50)


@dataclass(frozen=True, kw_only=True)
class KeptBodies:
    store: Store
    clock: Clock

    async def run(self) -> None:
        await repeat("bodies", self._next)

    async def _next(self) -> timedelta:
        for task, every, work in (("bodies", _SWEEP, self.sweep), ("expired events", _EXPIRE, self.expire)):
            async with self.store.transaction() as tx:
                mine = await periodic_tasks.claim(tx, task, self.clock.now(), every)
            if mine is not None:
                await work()
        return _LOOK

    async def sweep(self) -> None:
        """Drop the bodies of events whose deliveries have all ended, of all triggers that keep no bodies."""
        async with self.store.transaction() as tx:
            due = await bodies.sweeps(tx)
        for of in due:
            more = True
            while more:
                async with self.store.transaction() as tx:
                    now = next((one for one in await bodies.sweeps(tx, of.project_trigger_id)), None)
                    more = now is not None and await bodies.sweep(tx, now, self.clock.now() - _FRESH)
                await asyncio.sleep(_BETWEEN_BATCHES.total_seconds() if more else 0)

    async def expire(self) -> None:
        """Delete the events that are older than the retention of their trigger. An event with a delivery under way
        stays.
        """
        async with self.store.transaction() as tx:
            retaining = await bodies.retaining(tx)
        for trigger_id, days in retaining.items():
            await self._expire(trigger_id, timedelta(days=days))

    async def _expire(self, trigger_id: UUID, after: timedelta) -> None:
        position = UUID(int=0)
        more = True
        while more:
            async with self.store.transaction() as tx:
                found = await bodies.expired(tx, trigger_id, self.clock.now() - after, position)
                gone = [
                    (one.day, one.id, one.project_id, one.project_trigger_id, one.key, one.size)
                    for one in found
                    if one.has_ended
                ]
                if gone:
                    await erasures.delete_events(tx, found[0].org_id, gone)
            more = len(found) == bodies.WINDOW
            position = found[-1].id if found else position
            await asyncio.sleep(_BETWEEN_BATCHES.total_seconds() if more else 0)
