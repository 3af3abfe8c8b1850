"""Find lost deliveries and send them again.

No cause of such a loss is known; this search guards against unknown ones.
"""

import time
from dataclasses import dataclass
from datetime import timedelta

import structlog

from hairtrigger.domain.ids import new_id
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import repeat
from hairtrigger.platform.wake import Wake
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import lost_deliveries
from hairtrigger.store.delivery.lost_deliveries import Walk, WalkStep
from hairtrigger.store.upkeep import periodic_tasks

log = structlog.get_logger()

_TASK = "reconciling"
_FRESH = timedelta(minutes=2)  # younger deliveries are left out: nearly all of them are under way
_BETWEEN_LAPS = timedelta(minutes=2)
_MOST_AT_ONCE = 20_000
_REST = 20  # the pause is so many times as long as a step: the walk uses a twentieth of one connection


@dataclass(frozen=True, kw_only=True)
class LostDeliveries:
    store: Store
    clock: Clock
    work: Wake

    async def run(self) -> None:
        await repeat("reconciling", self._walk)

    async def lap(self) -> int:
        """Search all deliveries that may not have ended, also the youngest, and return how many were sent again."""
        step = await self._step(timedelta(), timedelta(), anew=True)
        sent = step.sent if step else 0
        while step and not step.over:
            step = await self._step(timedelta(), timedelta())
            sent += step.sent if step else 0
        return sent

    async def _walk(self) -> timedelta:
        begun = time.monotonic()
        step = await self._step(_FRESH, _BETWEEN_LAPS)
        if step is None or step.over:
            return _BETWEEN_LAPS / 4
        return timedelta(seconds=_REST * (time.monotonic() - begun))

    async def _step(self, fresh: timedelta, between_laps: timedelta, *, anew: bool = False) -> WalkStep | None:
        """Make the next step of the search, and return it, or return None if it is not due or another process makes it.

        Deliveries younger than `fresh` are left out. After the last step, the next lap begins `between_laps` later;
        `anew` begins one now. The task stays claimed until the step is stored, so that no delivery is sent twice.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx:
            state = await periodic_tasks.claim(tx, _TASK, now + _BETWEEN_LAPS if anew else now, timedelta())
            if state is None:
                return None
            walk = Walk.from_state(state)
            walk = Walk(walk.floor, walk.floor) if anew else walk
            step = await lost_deliveries.step(tx, walk, new_id(now - fresh), _MOST_AT_ONCE)
            await periodic_tasks.remember(
                tx, _TASK, step.walk.state(), now + (between_laps if step.over else timedelta())
            )
        if step.sent:
            log.warning("deliveries were missing from the queue and were sent again", count=step.sent)
            self.work.set()
        return step
