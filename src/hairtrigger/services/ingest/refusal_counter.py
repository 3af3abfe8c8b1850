"""Count the requests that were refused or ignored. Users see how many there were, and a flood never fills the disk.

Requests with the same code and trigger are alike. The first of them in a minute are recorded one by one; the others are
counted, and become one row at the end of the minute. A request that can't be recorded at once, because the database is
away or the owner of its address has not been looked up, is only counted. If the process is killed, the counts are lost,
but no event of these requests was acknowledged.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog

from hairtrigger.domain.errors import HairtriggerError, NotFound, TooLarge, Unavailable
from hairtrigger.domain.ids import parsed_id
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.quotas import DiskFull
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every, repeat
from hairtrigger.services.metrics import Metrics
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain import streaks
from hairtrigger.store.explain.streaks import Failures
from hairtrigger.store.setup import triggers
from hairtrigger.store.transaction import Transaction

log = structlog.get_logger()

_EVERY = timedelta(minutes=1)
_NOTED_EVERY = timedelta(seconds=5)
_REFUSED = frozenset({Code.REJECTED, Code.MALFORMED, Code.TOO_LARGE})
_SOON = timedelta(seconds=1)
_ONE_BY_ONE = 10  # rows for one code and trigger in a minute
_MOST_ADDRESSES = 1000  # counted apart in a minute, before they are looked up; the rest are counted together

# The id of the trigger or in the address, the code of the outcome, and the organisation and account of an app's request
# to which no trigger listens.
Alike = tuple[UUID | None, Code, UUID | None, str | None]


class RefusalCounter:
    """Counts the refused and ignored requests of one process until they are recorded."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        disk_full: Callable[[], bool] = lambda: False,
        metrics: Metrics | None = None,
    ) -> None:
        self._metrics = metrics or Metrics(on=False)
        self._disk_full = disk_full
        self._store = store
        self._clock = clock
        self._recorded: Counter[Alike] = Counter()  # outcomes offered to `admit` in this minute
        self._refused: dict[UUID, Failures] = {}  # since they were last noted
        self._first = asyncio.Event()  # one of the first alike in this minute was counted
        self._counted: dict[Alike, Outcome] = {}  # the last one of those alike, with their number

    def admit(self, outcome: Outcome) -> bool:
        """Return whether to record an outcome of a trigger now. If not, the outcome has been counted."""
        self._count_refused(outcome)
        alike = _alike(outcome)
        self._recorded[alike] += 1
        if self._recorded[alike] <= _ONE_BY_ONE and not self._disk_full():
            return True
        _add(self._counted, outcome)
        return False

    def count(self, outcome: Outcome) -> None:
        """Count an outcome that was not recorded. The count is recorded at the end of the minute."""
        _add(self._counted, outcome)

    def count_soon(self, outcome: Outcome) -> None:
        """Count an outcome. The first ones that are alike are recorded within a second."""
        _add(self._counted, outcome)
        alike = _alike(outcome)
        self._recorded[alike] += 1
        if self._recorded[alike] <= _ONE_BY_ONE:
            self._first.set()

    def turned_away(self, webhook_id: str, error: HairtriggerError | None) -> None:
        """Count a request that left no outcome. `error` is None if the request ended before it was complete.

        Errors that `Ingest` has recorded or counted itself are not counted again.
        """
        if code := _code(error):
            self._metrics.request_ended(code)
            address = parsed_id(webhook_id) if len(self._counted) < _MOST_ADDRESSES else None
            detail = error.message if error else ""
            outcome = Outcome(Kind.WEBHOOK, code, self._clock.now(), project_trigger_id=address, detail=detail)
            self._count_refused(outcome)
            self.count_soon(outcome)

    def _count_refused(self, outcome: Outcome) -> None:
        id_ = outcome.project_trigger_id
        if id_ and outcome.code in _REFUSED and (id_ in self._refused or len(self._refused) < _MOST_ADDRESSES):
            failure = Failures(1, outcome.at, outcome.at, outcome.detail or f"It {outcome.code.meaning}.")
            self._refused[id_] = failure.after(self._refused.get(id_))

    async def run(self) -> None:
        """Record requests until cancelled.

        Of those alike, the first are recorded within a second, and the rest every minute. While the database is away,
        or its disk is full, counting goes on.
        """
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(every(_EVERY, "refusals", self._if_there_is_room(self.flush), at_once=False))
            tasks.create_task(
                every(_NOTED_EVERY, "refused requests", self._if_there_is_room(self.note_refused), at_once=False)
            )
            tasks.create_task(repeat("first refusals", self._flush_first))

    async def _flush_first(self) -> timedelta:
        await self._first.wait()
        self._first.clear()
        await self._if_there_is_room(self._record)()
        return _SOON

    def _if_there_is_room(self, store: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def stored() -> None:
            if not self._disk_full():
                await store()

        return stored

    async def note_refused(self) -> None:
        """Store how many requests of each trigger were refused one after the other, which is part of the trigger's
        health.
        """
        refused, self._refused = self._refused, {}
        if not refused:
            return
        try:
            async with self._store.transaction() as tx:
                changes = await streaks.note(tx, "requests", refused)
        except Exception:
            for id_, one in refused.items():
                later = self._refused.get(id_)
                self._refused[id_] = later.after(one) if later else one
            raise
        for id_ in changes.begun:
            log.warning("requests are refused", project_trigger_id=str(id_), detail=refused[id_].detail)

    async def flush(self) -> None:
        """Record the counts now, and begin a new minute.

        Counts that can't be stored now are kept for the next minute.
        """
        await self.note_refused()
        self._recorded.clear()
        await self._record()

    async def _record(self) -> None:
        counted, self._counted = list(self._counted.values()), {}
        try:
            async with self._store.transaction() as tx:
                told = await self._addressed(tx, counted)
                await outcomes.record(tx, *told)
        except Exception:
            for one in counted:
                _add(self._counted, one)
            raise
        for one in told:
            log.info("requests refused", code=one.code, count=one.count, project_trigger_id=one.project_trigger_id)

    async def _addressed(self, tx: Transaction, counted: Sequence[Outcome]) -> list[Outcome]:
        """Return these outcomes with the organisations of their triggers, also of deleted triggers.

        Addresses without a trigger become one outcome for each code, because a sender can invent any number of them.
        """
        ids = {one.project_trigger_id for one in counted if one.project_trigger_id}
        found = {id_: trigger.org_id for id_, trigger in (await triggers.by_ids(tx, list(ids))).items()}
        owners = found | await outcomes.deleted(tx, ids - found.keys())
        told: dict[Alike, Outcome] = {}
        for one in counted:
            id_ = one.project_trigger_id if one.project_trigger_id in owners else None
            of_account = one.org_id if one.project_trigger_id is None else None
            _add(told, replace(one, project_trigger_id=id_, org_id=owners[id_] if id_ else of_account))
        return list(told.values())


def _add(counted: dict[Alike, Outcome], one: Outcome) -> None:
    """Add an outcome to the number of those alike. The last one stands for all of them."""
    alike = _alike(one)
    before = counted[alike].count if alike in counted else 0
    counted[alike] = replace(one, count=before + one.count)


def _alike(one: Outcome) -> Alike:
    if one.project_trigger_id or not one.org_id:
        return one.project_trigger_id, one.code, None, None
    return None, one.code, one.org_id, one.key


def _code(error: HairtriggerError | None) -> Code | None:
    """Return the code to count, or None for an error that `Ingest` has recorded or counted itself."""
    match error:
        case None:
            return Code.INCOMPLETE
        case NotFound():
            return Code.UNKNOWN_ADDRESS
        case TooLarge():
            return Code.TOO_LARGE
        case DiskFull():
            return None
        case Unavailable():
            return Code.UNAVAILABLE
        case _:
            return None
