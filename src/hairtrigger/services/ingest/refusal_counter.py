"""What was turned away, so that it can be told and a flood of it never fills the disk.

Of requests alike (the same code of the same trigger) the first of a minute are recorded one by one; the others are
counted and become one row at its end. What can't be stored at once, because the database is away or nobody has looked
whose address it is, is only counted. What is counted when a process is killed is lost: it was never acknowledged.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import structlog

from hairtrigger.domain.errors import HairtriggerError, NotFound, TooLarge, Unavailable
from hairtrigger.domain.ids import parsed_id
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every
from hairtrigger.store.database import Store
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.setup import triggers
from hairtrigger.store.transaction import Transaction

log = structlog.get_logger()

_EVERY = timedelta(minutes=1)
_ONE_BY_ONE = 10  # rows of one code and trigger in a minute
_MOST_ADDRESSES = 1000  # told apart in a minute, of those nobody has looked up; the others are counted together

Alike = tuple[UUID | None, Code]  # the trigger or address, and how it ended


class RefusalCounter:
    """One for each process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._recorded: Counter[Alike] = Counter()  # one by one, in this minute
        self._counted: dict[Alike, Outcome] = {}  # the last of each, with how many they are

    def admit(self, outcome: Outcome) -> bool:
        """Whether to record what a trigger refused by itself; otherwise it has been counted."""
        alike = (outcome.project_trigger_id, outcome.code)
        self._recorded[alike] += 1
        if self._recorded[alike] <= _ONE_BY_ONE:
            return True
        _add(self._counted, outcome)
        return False

    def turned_away(self, webhook_id: str, error: HairtriggerError | None) -> None:
        """Counts a request of which nothing else is left; without an error it ended before it was complete."""
        if code := _code(error):
            address = parsed_id(webhook_id) if len(self._counted) < _MOST_ADDRESSES else None
            detail = error.message if error else ""
            outcome = Outcome(Kind.WEBHOOK, code, self._clock.now(), project_trigger_id=address, detail=detail)
            _add(self._counted, outcome)

    async def run(self) -> None:
        """Flush for ever. While the database is away refusals are counted on."""
        await every(_EVERY, "refusals", self.flush, at_once=False)

    async def flush(self) -> None:
        """Records what has been counted and begins a new minute. What can't be stored now is kept for the next."""
        counted, self._counted = list(self._counted.values()), {}
        self._recorded.clear()
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
        """What came to addresses that nobody has becomes one for each code: anybody can make up addresses."""
        found = await triggers.by_ids(tx, [one.project_trigger_id for one in counted if one.project_trigger_id])
        told: dict[Alike, Outcome] = {}
        for one in counted:
            trigger = found.get(one.project_trigger_id) if one.project_trigger_id else None
            id_, org_id = (trigger.id, trigger.org_id) if trigger else (None, None)
            _add(told, replace(one, project_trigger_id=id_, org_id=org_id))
        return list(told.values())


def _add(counted: dict[Alike, Outcome], one: Outcome) -> None:
    """To those alike. The last stands for all."""
    alike = (one.project_trigger_id, one.code)
    before = counted[alike].count if alike in counted else 0
    counted[alike] = replace(one, count=before + one.count)


def _code(error: HairtriggerError | None) -> Code | None:
    """None for what `Ingest` has recorded by itself."""
    match error:
        case None:
            return Code.INCOMPLETE
        case NotFound():
            return Code.UNKNOWN_ADDRESS
        case TooLarge():
            return Code.TOO_LARGE
        case Unavailable():
            return Code.UNAVAILABLE
        case _:
            return None
