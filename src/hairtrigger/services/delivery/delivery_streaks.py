"""Count the failed attempts in a row of each trigger and target, and log when a trigger's attempts begin and cease to
fail.

The counts are part of the health. Attempts that fail and succeed in turns would fill the log, so each kind of change of
a trigger is logged once a minute at most. The operational watch (`services/alerts`) tells of failures that last, and of
dead letters.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import structlog

from hairtrigger.domain.outcome import Failure
from hairtrigger.platform.told import Told
from hairtrigger.store.delivery.deliveries import Attempt
from hairtrigger.store.explain import streaks
from hairtrigger.store.explain.streaks import Changes, Failures
from hairtrigger.store.transaction import Transaction

log = structlog.get_logger()

_AGAIN = 60.0  # seconds


@dataclass
class DeliveryStreaks:
    _told: Told = field(default_factory=lambda: Told(_AGAIN))

    async def note(self, tx: Transaction, ended: Sequence[Attempt]) -> Changes:
        """Change the streaks of triggers and targets by these attempts, and return which triggers' streaks have begun
        or ended.
        """
        failed: dict[UUID, Failures] = {}
        arrived: set[UUID] = set()
        reached = {one.message.project_id for one in ended if one.status == "delivered"}
        for one in sorted(ended, key=lambda one: one.finished_at):
            id_ = one.project_trigger_id
            if id_ is None:
                continue
            if one.status == "delivered":
                arrived.add(id_)
                failed.pop(id_, None)
            else:
                failure = Failures(1, one.finished_at, one.finished_at, one.detail)
                failed[id_] = failure.after(failed.get(id_))
        anew = [id_ for id_ in arrived if id_ in failed]
        over = sorted(arrived - failed.keys())
        called = {one.message.project_id for one in ended if one.failure is not Failure.UNFETCHED}
        uncalled = sorted({one.message.project_id for one in ended} - called)
        return await streaks.note(tx, "deliveries", failed, anew, over, sorted(reached), uncalled)

    def tell(self, ended: Sequence[Attempt], changes: Changes) -> None:
        """Log the first failure of a trigger's deliveries, and the first one that arrives again."""
        details = {one.project_trigger_id: one.detail for one in ended if one.status != "delivered"}
        for id_ in changes.begun:
            if self._told.is_new(("begun", id_)):
                log.warning("deliveries fail", project_trigger_id=str(id_), detail=details.get(id_))
        for id_, count in changes.ended.items():
            if self._told.is_new(("ended", id_)):
                log.info("deliveries arrive again", project_trigger_id=str(id_), failed_attempts=count)
