"""What was turned away, so that it can be told and a flood of it never fills the disk.

Of requests alike (the same code at the same address) the first of a minute are recorded one by one; the others are
counted and become one row at its end. What can't be stored at once, because the database is away or nobody has looked
whose address it is, is only counted. What is counted when a process is killed is lost: it was never acknowledged.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

import structlog

from hairtrigger.domain.errors import HairtriggerError, NotFound, TooLarge, Unavailable
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.clock import Clock
from hairtrigger.store import outcomes, triggers
from hairtrigger.store.database import Store, Transaction
from hairtrigger.store.outcomes import Outcome

log = structlog.get_logger()

_EVERY = timedelta(minutes=1)
_ONE_BY_ONE = 10  # rows of one code and address in a minute
_MOST_ADDRESSES = 1000  # told apart in a minute; what comes from others is counted together


@dataclass
class _Tally:
    recorded: int  # one by one
    counted: int
    last: Outcome


class Refusals:
    """One for each process."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tallies: dict[tuple[UUID | None, Code], _Tally] = {}

    def admit(self, outcome: Outcome) -> bool:
        """Whether to record this one by itself; otherwise it has been counted."""
        tally = self._tally(outcome)
        tally.last = outcome
        if tally.recorded < _ONE_BY_ONE:
            tally.recorded += 1
            return True
        tally.counted += 1
        return False

    def turned_away(self, webhook_id: str, error: HairtriggerError | None) -> None:
        """Counts a request of which nothing else is left; without an error it ended before it was complete."""
        code = _code(error)
        if code is None:
            return
        detail = error.message if error else ""
        outcome = Outcome(Kind.WEBHOOK, code, self._clock.now(), project_trigger_id=_id(webhook_id), detail=detail)
        tally = self._tally(outcome)
        tally.last = outcome
        tally.counted += 1

    async def run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY.total_seconds())
            try:
                await self.flush()
            except Unavailable:
                log.warning("database away, refusals are counted on")
            except Exception:
                log.exception("loop broke, it goes on", loop="refusals")

    async def flush(self) -> None:
        """Records what has been counted and begins again. What can't be stored now is kept for the next time."""
        ended, self._tallies = self._tallies, {}
        counted = [replace(tally.last, count=tally.counted) for tally in ended.values() if tally.counted]
        try:
            async with self._store.transaction() as tx:
                told = await self._addressed(tx, counted)
                await outcomes.record(tx, *told)
        except Exception:
            self._put_back(counted)
            raise
        for one in told:
            log.info("requests refused", code=one.code, count=one.count, project_trigger_id=one.project_trigger_id)

    def _tally(self, outcome: Outcome) -> _Tally:
        key = (outcome.project_trigger_id, outcome.code)
        if key not in self._tallies and len(self._tallies) >= _MOST_ADDRESSES:
            key = (None, outcome.code)
        return self._tallies.setdefault(key, _Tally(0, 0, outcome))

    async def _addressed(self, tx: Transaction, counted: Sequence[Outcome]) -> list[Outcome]:
        """What came to addresses that nobody has becomes one for each code: anybody can make up addresses."""
        found = await triggers.by_ids(tx, [one.project_trigger_id for one in counted if one.project_trigger_id])
        told: dict[tuple[UUID | None, Code], Outcome] = {}
        for one in counted:
            trigger = found.get(one.project_trigger_id) if one.project_trigger_id else None
            owned = replace(
                one, project_trigger_id=trigger.id if trigger else None, org_id=trigger.org_id if trigger else None
            )
            key = (owned.project_trigger_id, owned.code)
            told[key] = replace(owned, count=owned.count + told[key].count) if key in told else owned
        return list(told.values())

    def _put_back(self, counted: Sequence[Outcome]) -> None:
        for one in counted:
            tally = self._tally(one)
            tally.counted += one.count


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


def _id(webhook_id: str) -> UUID | None:
    try:
        return UUID(webhook_id)
    except ValueError:
        return None
