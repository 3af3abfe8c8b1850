"""Find stalls, which are enabled triggers that are overdue or can never fire as they are.

Each stall is recorded here, and told by the operational watch (`services/alerts`). Any number of processes may run the
stall watchdog, because each stall is a row, and the process that inserts the row records it. The watchdog reads what is
due from the database, never from memory, so it also finds triggers that no loop of any process works on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.outcome import Code, Kind, Trait
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every
from hairtrigger.services.explain.health import MOST_HELD, STALLS, Diagnosis, Health
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain import trigger_health
from hairtrigger.store.explain.trigger_health import Condition, Finding, Status
from hairtrigger.store.transaction import Transaction

_DISABLING = [code for code in Code if Trait.DISABLES in code.traits]

_EVERY = timedelta(seconds=10)
_ALL_EVERY = 30  # rounds, which are five minutes
_MOST = 1000  # findings in one round; the next round finds more


@dataclass(frozen=True, kw_only=True)
class StallWatchdog:
    store: Store
    clock: Clock
    diagnosis: Diagnosis

    async def run(self) -> None:
        """Look for overdue triggers every ten seconds, and at all triggers every five minutes.

        The first look waits as well, so that workers can do what became overdue while no process ran.
        """
        rounds = count()
        await every(_EVERY, "watchdog", lambda: self.look(at_all=next(rounds) % _ALL_EVERY == 0), at_once=False)

    async def look(self, *, at_all: bool = True) -> int:
        """Record the stalls that have begun and those that have ended, and return the number of both together.

        Stalls of disabled triggers end without a record. Overdue triggers are found by an index. Only `at_all` reads
        every trigger, to find stalls of triggers that have no due time.
        """
        expected = self.diagnosis.expectations()
        async with self.store.transaction() as tx:
            begun = await trigger_health.find_overdue(tx, expected, _MOST)
            if at_all:
                begun += await trigger_health.find_forgotten(tx, expected, _MOST)
            over = [one for one in await trigger_health.end(tx, expected, _MOST) if one.enabled]
            await outcomes.record(tx, *(_stalled(one, self.clock) for one in begun))
            await outcomes.record(tx, *(_recovered(one, self.clock) for one in over))
        return len(begun) + len(over)

    async def health_of(self, caller: Caller, trigger_id: UUID, latest: Sequence[Outcome]) -> Health:
        """Return a trigger's health. Its `latest` outcomes, newest first, make the reason more exact."""
        async with self.store.transaction() as tx:
            condition = await trigger_health.of_trigger(tx, caller.org_id, self.diagnosis.expectations(), trigger_id)
            held = await self._held(tx, condition)
        return self.diagnosis.health(condition, latest, held)

    async def health(
        self,
        caller: Caller,
        *,
        limit: int,
        after: UUID | None = None,
        status: Status | None = None,
        external_user_id: str | None = None,
    ) -> list[tuple[Condition, Health]]:
        """Return the organisation's triggers with their health, oldest first and at most `limit`.

        They begin after the trigger with the id `after`, have the given status, and are of the given user of the
        organisation's product, if these are given.
        """
        expected = self.diagnosis.expectations()
        async with self.store.transaction() as tx:
            found = await trigger_health.of_organization(
                *(tx, caller.org_id, expected),
                limit=limit,
                after=after,
                status=status,
                external_user_id=external_user_id,
            )
            disabled = [one.id for one in found if not one.enabled]
            ended = await outcomes.latest_of_each(tx, disabled, _DISABLING)
            return [
                (one, self.diagnosis.health(one, ended.get(one.id, ()), await self._held(tx, one))) for one in found
            ]

    async def _held(self, tx: Transaction, condition: Condition) -> int:
        return await trigger_health.held(tx, condition, most=MOST_HELD + 1) if condition.paused else 0


def _stalled(found: Finding, clock: Clock) -> Outcome:
    return Outcome(Kind.WATCHDOG, Code.STALLED, clock.now(), found.org_id, found.id, STALLS[found.stall])


def _recovered(found: Finding, clock: Clock) -> Outcome:
    detail = "It is worked on again."
    return Outcome(Kind.WATCHDOG, Code.RECOVERED, clock.now(), found.org_id, found.id, detail)
