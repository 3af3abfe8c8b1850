"""Say which organisations have used up a quota. A request costs only a look into memory.

Each process knows at once what it stores itself. Every two seconds it adds its counts to the database and learns what
all processes have counted on this day; the stored bytes of an organisation are summed anew once a minute. So a quota
may be exceeded by what other processes store in that time, and by what is under way. A process that is killed loses the
counts of at most two seconds. Quotas of rows, such as projects, are counted from the rows and are exact.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.operational import strain_of
from hairtrigger.domain.quotas import GIBIBYTE, Limits, Quota, QuotaSpent, Use
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.quotas import Counts
from hairtrigger.store.transaction import Transaction

_EVERY = timedelta(seconds=2)
_BYTES_EVERY = timedelta(minutes=1)  # the sum of stored bytes reads all rows of an organisation
_BYTES_AGAIN = timedelta(hours=1)  # what senders are told, because old events are dropped by the day
_MANY_EVENTS, _MANY_BYTES = 1_000_000, GIBIBYTE  # more than a process stores between two refreshes
OF_A_DAY = {Quota.EVENTS_A_DAY, Quota.ATTEMPTS_A_DAY}
_PER_CONNECTION = Quota.SECRETS_PER_CONNECTION


@dataclass(slots=True)
class _Known:
    """The use of one day by an organisation, in all processes, and the bytes that the organisation stores."""

    day: date
    use: Counts
    bytes: int = 0
    bytes_at: datetime | None = None
    bytes_since: int = 0  # counted here since the sum
    is_far: bool = False  # nothing that is stored before the next refresh can reach a limit
    spent: Quota | None = None  # what the last refusal was for
    spent_at: datetime | None = None

    def since(self, quota: Quota, now: datetime) -> datetime | None:
        """Return since when events are refused for this quota, and remember it.

        That is now, if events were last refused for another quota.
        """
        if self.spent is not quota:
            self.spent, self.spent_at = quota, now
        return self.spent_at


class Quotas:
    def __init__(self, store: Store, clock: Clock, counter: UseCounter, limits: Limits) -> None:
        self._store = store
        self._clock = clock
        self._counter = counter
        self.limits = limits
        self._known: dict[UUID, _Known] = {}
        self._refreshing = asyncio.Lock()  # no counts are on their way to the database when a refresh ends

    def refusal(self, org_id: UUID) -> QuotaSpent | None:
        """Return why no new event of the organisation may be stored now, or None if it may."""
        known = self._known.get(org_id)
        if known and known.is_far:
            return None
        fresh = self._counter.of(org_id)
        events = (known.use.events if known else 0) + (fresh.events if fresh else 0)
        stored = (known.bytes + known.bytes_since if known else 0) + (fresh.bytes if fresh else 0)
        if events < self.limits.events_a_day and stored < self.limits.stored_bytes:
            return None
        return self._spent(known, fresh, stored)

    def _spent(self, known: _Known | None, fresh: Counts | None, stored: int) -> QuotaSpent | None:
        now = self._clock.now()
        of_today = [one for one in (known.use if known and known.day == now.date() else None, fresh) if one]
        events = sum(one.events for one in of_today)
        if events >= self.limits.events_a_day:
            end = midnight_after(now)
            use, wait = Use(Quota.EVENTS_A_DAY, self.limits.events_a_day, events, end), end - now
        elif stored >= self.limits.stored_bytes:
            use, wait = Use(Quota.STORED_BYTES, self.limits.stored_bytes, stored), _BYTES_AGAIN
        else:
            return None
        return QuotaSpent(use, wait, known.since(use.quota, now) if known else None)

    def holds(self, org_id: UUID) -> QuotaSpent | None:
        """Return why no delivery of the organisation may be attempted now, or None if one may."""
        known, fresh = self._known.get(org_id), self._counter.of(org_id)
        now = self._clock.now()
        of_today = [one for one in (known.use if known and known.day == now.date() else None, fresh) if one]
        used = sum(one.attempts for one in of_today)
        if used < self.limits.attempts_a_day:
            return None
        end = midnight_after(now)
        return QuotaSpent(Use(Quota.ATTEMPTS_A_DAY, self.limits.attempts_a_day, used, end), end - now)

    async def run(self) -> None:
        await every(_EVERY, "quotas", self.refresh)

    async def refresh(self) -> None:
        """Add what this process has counted to the database, and learn what all processes have counted.

        Counts that can't be added are kept for the next time.
        """
        async with self._refreshing:
            await self._refresh()

    async def _refresh(self) -> None:
        now = self._clock.now()
        today = now.date()
        taken = self._counter.take()
        self._forget_other_days(today)
        for org_id, counts in taken.items():
            known = self._known.setdefault(org_id, _Known(today, Counts()))
            known.use.add(counts)
            known.bytes_since += counts.bytes
        summed = [
            org_id
            for org_id, known in self._known.items()
            if (known.bytes_at is None or known.bytes_at <= now - _BYTES_EVERY)
            and (org_id in taken or self._over_bytes(known))
        ]
        try:
            async with self._store.transaction() as tx:
                totals = await quotas.add(tx, taken, today)
                sums = await quotas.stored_bytes(tx, summed)
        except BaseException:
            for org_id, counts in taken.items():
                self._known[org_id].use.add(counts, -1)
                self._known[org_id].bytes_since -= counts.bytes
            self._counter.give_back(taken)
            raise
        for org_id, use in totals.items():
            self._known[org_id].use = use
        for org_id, total in sums.items():
            known = self._known[org_id]
            known.bytes, known.bytes_at, known.bytes_since = total, now, 0
        for org_id in {*totals, *sums}:
            self._known[org_id].is_far = self._is_far(self._known[org_id])

    def strained(self) -> list[tuple[UUID, Use]]:
        """Return the quotas of a day and of stored bytes that are used up, or nearly, as far as this process knows.

        Each use comes with the id of its organisation.
        """
        now = self._clock.now()
        found = []
        for org_id, known in self._known.items():
            if known.day == now.date():
                found += [(org_id, use) for use in self._uses(known, now) if strain_of(use)]
        return found

    def _uses(self, known: _Known, now: datetime) -> list[Use]:
        stored = known.bytes + known.bytes_since
        return [
            Use(Quota.EVENTS_A_DAY, self.limits.events_a_day, known.use.events, midnight_after(now)),
            Use(Quota.ATTEMPTS_A_DAY, self.limits.attempts_a_day, known.use.attempts, midnight_after(now)),
            Use(Quota.STORED_BYTES, self.limits.stored_bytes, stored),
        ]

    async def use(self, tx: Transaction, org_id: UUID, quota: Quota) -> Use:
        """Return how much of a quota is used, as the database knows it."""
        now = self._clock.now()
        match quota:
            case Quota.EVENTS_A_DAY:
                used = (await quotas.of_day(tx, [org_id], now.date())).get(org_id, Counts()).events
            case Quota.ATTEMPTS_A_DAY:
                used = (await quotas.of_day(tx, [org_id], now.date())).get(org_id, Counts()).attempts
            case Quota.STORED_BYTES:
                used = (await quotas.stored_bytes(tx, [org_id]))[org_id]
            case _:
                used = await quotas.rows(tx, org_id, quota)
        return Use(quota, self.limits.of(quota), used, midnight_after(now) if quota in OF_A_DAY else None)

    async def usage(self, caller: Caller) -> list[Use]:
        """Return the use of each quota by the caller's organisation, in the order of `Quota`.

        `used` is None for the quota that holds for each connection.
        """
        await self.refresh()
        now = self._clock.now()
        async with self._store.transaction() as tx:
            stored = (await quotas.stored_bytes(tx, [caller.org_id]))[caller.org_id]
            today = (await quotas.of_day(tx, [caller.org_id], now.date())).get(caller.org_id, Counts())
            counted = {
                Quota.STORED_BYTES: stored,
                Quota.EVENTS_A_DAY: today.events,
                Quota.ATTEMPTS_A_DAY: today.attempts,
            }
            for quota in Quota:
                if quota not in counted and quota is not _PER_CONNECTION:
                    counted[quota] = await quotas.rows(tx, caller.org_id, quota)
        return [
            Use(
                quota,
                self.limits.of(quota),
                counted.get(quota),
                midnight_after(now) if quota in OF_A_DAY else None,
            )
            for quota in Quota
        ]

    def _is_far(self, known: _Known) -> bool:
        stored = known.bytes + known.bytes_since
        return (
            2 * known.use.events + _MANY_EVENTS < self.limits.events_a_day
            and 2 * stored + _MANY_BYTES < self.limits.stored_bytes
        )

    def _over_bytes(self, known: _Known) -> bool:
        return known.bytes + known.bytes_since >= self.limits.stored_bytes

    def _forget_other_days(self, today: date) -> None:
        """Forget the use of earlier days.

        An organisation with too many bytes stays remembered, with no use of the new day.
        """
        for org_id in list(self._of_other_days(today)):
            known = self._known[org_id]
            if self._over_bytes(known):
                known.day, known.use, known.spent = today, Counts(), None
            else:
                del self._known[org_id]

    def _of_other_days(self, today: date) -> Iterator[UUID]:
        return (org_id for org_id, known in self._known.items() if known.day != today)


def midnight_after(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date() + timedelta(days=1), time(), UTC)
