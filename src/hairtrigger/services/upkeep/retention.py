"""Drop rows that are older than their retention, without making other work wait.

Events are dropped by the day, and their deliveries with them, but never while a delivery of that day is on its way.
Attempts and outcomes are dropped by the day as well. They are kept at least as long as events, and an attempt is never
dropped before the events of its day. Event keys are deleted row by row, and so are ended replay jobs and operational
events, which are kept as long as outcomes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import structlog

from hairtrigger.domain.errors import Unavailable
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import repeat
from hairtrigger.services.ingest.told_tokens import KEPT as TOLD_KEPT
from hairtrigger.store import idempotency, partitions, quotas
from hairtrigger.store.alerts import operational_events
from hairtrigger.store.database import Store
from hairtrigger.store.events import told_tokens
from hairtrigger.store.partitions import ATTEMPT, EVENT, OUTCOME
from hairtrigger.store.transaction import Transaction
from hairtrigger.store.upkeep import periodic_tasks, processes, retention

log = structlog.get_logger()

_LOOK = timedelta(minutes=5)
_HOURLY = timedelta(hours=1)
_DAILY = timedelta(days=1)
_BETWEEN_BATCHES = timedelta(milliseconds=100)
_SKEW = timedelta(seconds=5)  # a larger difference between two clocks matters to leases and due times


@dataclass(frozen=True, kw_only=True)
class Retention:
    store: Store
    direct: Store
    """The same database without a pooler, because a partition is detached outside any transaction."""
    clock: Clock
    events: timedelta
    ledger: timedelta
    keys: timedelta

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(repeat("partitions", self._prepare))
            tasks.create_task(repeat("retention", lambda: self._when_due("retention", _HOURLY, self.forget)))
            tasks.create_task(repeat("keys", lambda: self._when_due("keys", _DAILY, self.forget_keys)))

    async def prepare(self) -> None:
        """Make partitions ahead of need, and warn in the log if the clocks of the database and this machine differ."""
        async with self.store.transaction() as tx:
            await partitions.make_ahead(tx, self.clock.now().date())
            ahead = await retention.clock_difference(tx, self.clock.now())
        if abs(ahead) > _SKEW.total_seconds():
            log.warning("the clocks of the database and of this machine differ", database_ahead_seconds=round(ahead, 1))

    async def forget(self) -> None:
        """Drop all that is older than its retention, except event keys, and days of events with deliveries on their
        way.
        """
        today = self.clock.now().date()
        async with self.store.transaction() as tx:
            expired = [day for day in await partitions.days_of(tx, EVENT) if day < today - self.events]
            kept = set(expired) & await retention.undelivered_days(tx) if expired else set()
        if kept:
            log.warning("events are kept: their deliveries are on their way", oldest_day=str(min(kept)))
        await self._drop(EVENT, [day for day in expired if day not in kept])
        async with self.store.transaction() as tx:
            oldest = min(await partitions.days_of(tx, EVENT), default=today)
            attempts, outcomes = [await partitions.days_of(tx, table) for table in (ATTEMPT, OUTCOME)]
        # Only an attempt shows that an event was delivered, so it stays as long as the event.
        await self._drop(ATTEMPT, [day for day in attempts if day < min(today - self.ledger, oldest)])
        await self._drop(OUTCOME, [day for day in outcomes if day < today - self.ledger])
        await self._forget_use(today)
        await self._in_batches(lambda tx: retention.forget_deliveries(tx, oldest))
        await self._in_batches(lambda tx: retention.forget_replay_jobs(tx, self.clock.now() - self.ledger))
        await self._in_batches(
            lambda tx: operational_events.forget(tx, self.clock.now() - self.ledger, retention.BATCH)
        )
        async with self.store.transaction() as tx:
            await processes.forget(tx, self.clock.now() - self.ledger)
            await told_tokens.forget(tx, self.clock.now() - TOLD_KEPT)
        await self._in_batches(lambda tx: retention.forget_answers(tx, self.clock.now() - idempotency.KEPT))

    async def _forget_use(self, today: date) -> None:
        """Stop counting the bytes of dropped days among those that organisations have stored."""
        async with self.store.transaction() as tx:
            events, attempts, outcomes = [await partitions.days_of(tx, table) for table in partitions.TABLES]
            await quotas.forget(tx, today, events, {*attempts, *outcomes})

    async def forget_keys(self) -> None:
        before = self.clock.now().date() - self.keys
        for table in retention.KEY_TABLES:
            page, more = 0, True
            while more:
                async with self.store.transaction() as tx:
                    more = await retention.forget_keys(tx, table, page, before)
                page += retention.KEY_PAGES
                await asyncio.sleep(_BETWEEN_BATCHES.total_seconds() if more else 0)

    async def _drop(self, table: str, days: Sequence[date]) -> None:
        """Drop these days, and the partitions that an earlier run detached from their table but did not drop.

        A partition that is being read is left for the next run.
        """
        async with self.store.transaction() as tx:
            left = await partitions.detached(tx, table)
        try:
            async with self.direct.session() as session:
                for name in left:
                    await partitions.drop_detached(session, table, name)
                for day in days:
                    await partitions.drop(session, table, day)
                    log.info("dropped", table=table, day=str(day))
        except Unavailable:
            log.warning("old days are not dropped yet: they are still being read", table=table)

    async def _in_batches(self, forget: Callable[[Transaction], Awaitable[int]]) -> None:
        count = retention.BATCH
        while count == retention.BATCH:
            async with self.store.transaction() as tx:
                count = await forget(tx)
            await asyncio.sleep(_BETWEEN_BATCHES.total_seconds() if count == retention.BATCH else 0)

    async def _prepare(self) -> timedelta:
        await self.prepare()
        return _HOURLY

    async def _when_due(self, task: str, every: timedelta, work: Callable[[], Awaitable[None]]) -> timedelta:
        async with self.store.transaction() as tx:
            mine = await periodic_tasks.claim(tx, task, self.clock.now(), every)
        if mine is not None:
            await work()
        return _LOOK
