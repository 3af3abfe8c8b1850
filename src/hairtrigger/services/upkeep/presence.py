"""Record that this process runs, and free at once the polls and deliveries that dead processes hold.

A process holds work under a lease, and the lease of a process that died would otherwise have to run out. A lease is
ended earlier only with a proof: the lock of the dead process is free, or no other process can use the database at all.
"""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from hairtrigger.domain.errors import Unavailable
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.life_locks import LifeLock, proof_of_death
from hairtrigger.platform.loops import every
from hairtrigger.platform.wake import Wake
from hairtrigger.services.explain.outages import SILENT
from hairtrigger.services.polling.poll_leases import PollLeases
from hairtrigger.store import idempotency
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import deliveries
from hairtrigger.store.setup import subscriptions, triggers
from hairtrigger.store.upkeep import processes
from hairtrigger.store.upkeep.processes import After, Stretch

log = structlog.get_logger()

BEAT = timedelta(seconds=2)  # between two signs of life
_PAST = timedelta(hours=1)  # longer ago than any lease lasts


@dataclass(kw_only=True)
class Presence:
    id: UUID
    role: str
    store: Store
    clock: Clock
    leases: PollLeases
    work: Wake
    alone: bool  # no other process can use the database
    lock: LifeLock | None
    _began: datetime | None = field(default=None, init=False)  # of the stretch that is under way
    _seen: datetime | None = field(default=None, init=False)
    _after: After = field(default="start", init=False)
    _looked: bool = field(
        default=False, init=False
    )  # whether it has looked once at all that processes held at its start

    @asynccontextmanager
    async def announced(self) -> AsyncIterator[None]:
        """Record the start of this process, and its end if the block ends without an error."""
        with suppress(Unavailable):  # the first sign of life comes later then
            await self.beat()
        yield
        with suppress(Unavailable):
            await self._end()

    async def run(self) -> None:
        await every(BEAT, "signs of life", self.beat, at_once=False)

    async def beat(self) -> None:
        """Record a sign of life, and free what dead processes hold.

        The first call looks at all other processes, and later calls only at those that have given no sign of life for
        ten seconds. Raise `Unavailable` if the database is away.
        """
        try:
            await self._give_sign()
        except Unavailable:
            self._began = None
            self._after = "database" if self._seen else "start"
            raise
        if not self.alone:
            await self._free_what_the_dead_hold()
        elif not self._looked:
            await self._free_everything()
        self._looked = True

    async def _give_sign(self) -> None:
        now = self.clock.now()
        if self._began and self._seen and now - self._seen > SILENT:
            self._began, self._after = None, "standstill"
        async with self.store.transaction() as tx:
            if self._began:
                await processes.see(tx, self.id, self._began, now)
            else:
                await processes.begin(tx, self._stretch(now))
        self._began, self._seen = self._began or now, now

    def _stretch(self, now: datetime) -> Stretch:
        kernel, file = (self.lock.kernel, self.lock.file) if self.lock else (None, None)
        return Stretch(self.id, now, now, ended=False, role=self.role, after=self._after, kernel=kernel, lock_file=file)

    async def _end(self) -> None:
        if self._began:
            async with self.store.transaction() as tx:
                await processes.see(tx, self.id, self._began, self.clock.now())
                await processes.end(tx, [self.id])
            if self.lock:
                self.lock.remove()

    async def _free_everything(self) -> None:
        """Free what earlier processes held in the embedded database, which serves one process at a time."""
        async with self.store.transaction() as tx:
            left = await processes.unended(tx, but=self.id)
            await triggers.release_removals(tx, self.clock.now())
            await subscriptions.release(tx, self.clock.now())
            await idempotency.abandon_all(tx)
        await self._free(None, [one.id for one in left])

    async def _free_what_the_dead_hold(self) -> None:
        now = self.clock.now()
        silent_since = now - SILENT if self._looked else None
        async with self.store.transaction() as tx:
            left = await processes.unended(tx, but=self.id, since=now - _PAST, silent_since=silent_since)
        for one in left:
            if one.kernel and one.lock_file:
                lock = LifeLock(one.kernel, one.lock_file)
                with proof_of_death(lock) as dead:
                    if dead:
                        await self._free([one.id], [one.id])
                        lock.remove()

    async def _free(self, holders: Collection[UUID] | None, ended: Collection[UUID]) -> None:
        polls = await self.leases.take_back(holders)
        async with self.store.transaction() as tx:
            sent = await deliveries.take_back(tx, holders)
            await processes.end(tx, ended)
        if polls or sent:
            log.info("what a process held that died is free again", polls=polls, deliveries=sent)
            self.work.set()
