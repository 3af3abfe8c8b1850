"""The watchdog: finds enabled triggers that should have been heard of and were not.

Any number of processes may run it: a finding is a row, and whoever writes it tells it. It looks at what is due and
never at memory, so it also sees what no loop of any process works on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from uuid import UUID

import structlog

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every
from hairtrigger.services.explain.health import STALLS, Diagnosis, Health
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain import trigger_health
from hairtrigger.store.explain.trigger_health import Condition, Finding, Status

log = structlog.get_logger()

_EVERY = timedelta(seconds=15)
_ALL_EVERY = 20  # rounds: five minutes
_MOST = 1000  # findings in one go; the next round finds the next


@dataclass(frozen=True, kw_only=True)
class StallWatchdog:
    store: Store
    clock: Clock
    diagnosis: Diagnosis

    async def run(self) -> None:
        """Look for ever, at first after a pause, in which what a stop has left overdue is caught up with."""
        rounds = count()
        await every(_EVERY, "watchdog", lambda: self.look(at_all=next(rounds) % _ALL_EVERY == 0), at_once=False)

    async def look(self, *, at_all: bool = True) -> int:
        """Tells what has begun to be stalled, and what has ceased to; how many they are.

        What is overdue stands at one end of an index. Only `at_all` reads every trigger, for those that have no clock.
        """
        expected = self.diagnosis.expectations()
        async with self.store.transaction() as tx:
            begun = await trigger_health.find_overdue(tx, expected, _MOST)
            if at_all:
                begun += await trigger_health.find_forgotten(tx, expected, _MOST)
            over = [one for one in await trigger_health.end(tx, expected, _MOST) if one.enabled]
            await outcomes.record(tx, *(_stalled(one, self.clock) for one in begun))
            await outcomes.record(tx, *(_recovered(one, self.clock) for one in over))
        for one in begun:
            log.warning("trigger stalled", stall=one.stall, project_trigger_id=str(one.id))
        for one in over:
            log.info("trigger recovered", stall=one.stall, project_trigger_id=str(one.id))
        return len(begun) + len(over)

    async def health_of(self, caller: Caller, trigger_id: UUID, latest: Sequence[Outcome]) -> Health:
        """`latest` outcomes, newest first, say the reason more closely."""
        async with self.store.transaction() as tx:
            condition = await trigger_health.of_trigger(tx, caller.org_id, self.diagnosis.expectations(), trigger_id)
        return self.diagnosis.health(condition, latest)

    async def health(
        self, caller: Caller, *, limit: int, after: UUID | None = None, status: Status | None = None
    ) -> list[tuple[Condition, Health]]:
        """Of the organisation's triggers, oldest first; `after` is the one to go on from."""
        expected = self.diagnosis.expectations()
        async with self.store.transaction() as tx:
            found = await trigger_health.of_organization(
                tx, caller.org_id, expected, limit=limit, after=after, status=status
            )
        return [(one, self.diagnosis.health(one)) for one in found]


def _stalled(found: Finding, clock: Clock) -> Outcome:
    return Outcome(Kind.WATCHDOG, Code.STALLED, clock.now(), found.org_id, found.id, STALLS[found.stall])


def _recovered(found: Finding, clock: Clock) -> Outcome:
    detail = "It is worked on again."
    return Outcome(Kind.WATCHDOG, Code.RECOVERED, clock.now(), found.org_id, found.id, detail)
