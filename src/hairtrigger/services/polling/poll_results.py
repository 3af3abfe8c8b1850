"""Store the results of many polls in one transaction: events, cursor, outcome and next due time.

A result counts only under its lease. A poll whose trigger was disabled, edited or claimed again in the meantime stores
nothing, and this has no effect on the other polls of its batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from hairtrigger.domain.outcome import Code
from hairtrigger.services.notices import of_floods, of_refused_items
from hairtrigger.services.polling.poll_leases import Claimed
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store import notices
from hairtrigger.store.database import Store
from hairtrigger.store.events import events, outcomes
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain import streaks
from hairtrigger.store.explain.streaks import FRUITLESS, MOST_FRUITLESS, Failures
from hairtrigger.store.polling import connection_limits, polls
from hairtrigger.store.polling.polls import Poll, Progress
from hairtrigger.store.setup import connection_health
from hairtrigger.store.setup.connection_health import Mark
from hairtrigger.store.transaction import Transaction
from hairtrigger.store.upkeep import retention

CHANGED = "The trigger was changed, disabled or claimed again meanwhile; nothing more was stored."


@dataclass(frozen=True)
class PollEnd:
    """The end of a poll, with the time at which the next one is due."""

    next_at: datetime
    detail: str
    code: Code | None = None  # None: follows from the events
    succeeded_at: datetime | None = None
    error: str | None = None
    paused_until: datetime | None = None  # for the whole connection
    refused: bool = False  # the provider does not take the connection's credentials at all
    drained: bool = False  # the provider has nothing more now


@dataclass(frozen=True)
class PollStep:
    """A page of a poll, or its end, or both. `before` holds what the pages before it stored."""

    claimed: Claimed
    at: datetime
    cursor: Mapping[str, Any] | None = None  # None: unchanged
    events: tuple[Event, ...] = ()
    before: "StoredPoll | None" = None
    end: PollEnd | None = None
    connected: bool = False  # of a listener: with this page, its connection stands
    told: tuple[tuple[Code, str], ...] = ()  # further outcomes of a listener, each with its detail
    late: datetime | None = None  # of a sweep: what happened before should have come as a request

    @property
    def listens(self) -> bool:
        return self.claimed.poll.kind == "listen"

    @property
    def fruitless(self) -> int:
        """Return how many polls in a row have found nothing while the requests of their code failed.

        Return 0 if they are fewer than `MOST_FRUITLESS`, or if this is not the end of the poll.
        """
        count = int((self.cursor or {}).get(FRUITLESS, 0))
        return count if self.end and count >= MOST_FRUITLESS else 0

    def progress(self) -> Progress:
        poll, end = self.claimed.poll, self.end
        cursor = None if self.cursor is None else dict(self.cursor)
        if end is None:
            return Progress(poll.project_trigger_id, self.claimed.lease, cursor)
        return Progress(
            poll.project_trigger_id,
            self.claimed.lease,
            cursor,
            ended=True,
            next_at=end.next_at,
            last_at=end.succeeded_at or poll.last_at,
            failures=0 if end.error is None else poll.failures + 1,
            error=end.error,
            failing_since=None if end.error is None else poll.failing_since or self.at,
            drained=end.drained,
        )


@dataclass(frozen=True)
class StoredPoll:
    """The ids of the events that a poll has stored so far, in order, and the number of repeats."""

    mine: bool  # the lease was still in force
    fresh: tuple[UUID, ...] = ()
    repeats: int = 0
    recovered: int = 0  # of a sweep: new events that should have come as requests

    @property
    def code(self) -> Code:
        if not self.mine:
            return Code.STALE
        if self.recovered:
            return Code.RECOVERED_EVENTS
        if self.fresh:
            return Code.ACCEPTED
        return Code.DUPLICATE if self.repeats else Code.EMPTY

    def code_of(self, poll: Poll) -> Code:
        """Return the code of this poll. A sweep expects that the push has brought everything: repeats are nothing."""
        return Code.EMPTY if poll.sweep and self.code is Code.DUPLICATE else self.code


@dataclass(frozen=True)
class PollResults:
    store: Store
    counter: UseCounter = field(default_factory=UseCounter)
    many: int = 500  # a poll that brings more events is told

    async def settle(self, steps: Sequence[PollStep]) -> list[StoredPoll]:
        async with self.store.transaction() as tx:
            mine = await polls.progress(tx, [step.progress() for step in steps])
            valid = [step for step in steps if step.claimed.lease in mine]
            fresh = await events.append(tx, [event for step in valid for event in step.events])
            await events.note_swept(
                tx,
                [one.id for step in valid if step.claimed.poll.sweep for one in step.events if one.id in fresh],
            )
            await _remember(tx, [(step.at, event) for step in valid for event in step.events if event.id not in fresh])
            settled = [_stored(step, mine, fresh) for step in steps]
            over = [(step, got) for step, got in zip(steps, settled, strict=True) if step.end or not got.mine]
            for step in (one for one in valid if one.listens and (one.connected or one.events)):
                await polls.heard(tx, step.claimed.poll.project_trigger_id, step.at, connected=step.connected)
            ended = [_outcome(step, got, self.many) for step, got in over]
            told = [*ended, *(_told(step, code, detail) for step in valid for code, detail in step.told)]
            await outcomes.record(tx, *told)
            await notices.note(tx, *of_refused_items(one for one in told if one.code is Code.ITEMS_REFUSED))
            unasked = [
                one
                for one, (step, _) in zip(ended, over, strict=True)
                if not step.claimed.poll.backfill and not step.listens
            ]
            await notices.note(tx, *of_floods(unasked, self.many))
            await streaks.note(
                tx, "polls", {step.claimed.trigger.id: _fruitless(step) for step in valid if step.fruitless}
            )
            await _leave(tx, [step for step, _ in over])
            await connection_health.mark(tx, [mark for step in valid if (mark := _mark(step))])
        self.counter.events(event for step in valid for event in step.events if event.id in fresh)
        self.counter.outcomes(told)
        return settled


def _mark(step: PollStep) -> Mark | None:
    """Return what the end of a poll says of the health of its connection, if it says something."""
    connection, end = step.claimed.connection, step.end
    if not connection or not end or (end.error is not None and not end.refused):
        return None
    return Mark(connection.id, step.at, end.error if end.refused else None)


def _fruitless(step: PollStep) -> Failures:
    return Failures(step.fruitless, step.at, step.at, step.end.detail if step.end else "")


async def _remember(tx: Transaction, repeats: Sequence[tuple[datetime, Event]]) -> None:
    if repeats:
        today = max(at for at, _ in repeats).date()
        await retention.remember_keys(tx, [(event.project_trigger_id, event.key) for _, event in repeats], today)


def _stored(step: PollStep, mine: set[UUID], fresh: set[UUID]) -> StoredPoll:
    before = step.before or StoredPoll(mine=True)
    if step.claimed.lease not in mine:
        return replace(before, mine=False)
    new = [event for event in step.events if event.id in fresh]
    late = sum(step.late is not None and event.occurred_at <= step.late for event in new)
    return StoredPoll(
        True,
        (*before.fresh, *(event.id for event in new)),
        before.repeats + len(step.events) - len(new),
        before.recovered + late,
    )


def _told(step: PollStep, code: Code, detail: str) -> Outcome:
    return Outcome(step.claimed.kind, code, step.at, step.claimed.trigger.org_id, step.claimed.trigger.id, detail)


def _outcome(step: PollStep, stored: StoredPoll, many: int) -> Outcome:
    trigger, code, detail = step.claimed.trigger, stored.code, CHANGED
    if step.end and stored.mine:
        code, detail = step.end.code or stored.code_of(step.claimed.poll), step.end.detail
        if stored.recovered:
            detail = f"{_recovered(stored.recovered)} {detail}".strip()
    if len(stored.fresh) > many and not step.listens:
        detail = f"It brought {len(stored.fresh):,} events at once. All are stored, none is left out. {detail}".strip()
    return Outcome(step.claimed.poll.work, code, step.at, trigger.org_id, trigger.id, detail, len(stored.fresh))


def _recovered(count: int) -> str:
    what = (
        "1 event that the provider's request had not brought was"
        if count == 1
        else (f"{count} events that the provider's requests had not brought were")
    )
    return f"{what} stored and will be delivered."


async def _leave(tx: Transaction, steps: Iterable[PollStep]) -> None:
    """Free the places of ended polls in the pace of their connections, also those of leases that ran out."""
    connected = [(step.claimed.connection.id, step) for step in steps if step.claimed.connection]
    held = await connection_limits.locked(tx, (id_ for id_, _ in connected))
    for id_, step in connected:
        if id_ in held:
            held[id_] = held[id_].left([step.claimed.lease], step.end.paused_until if step.end else None)
    await connection_limits.save(tx, list(held.values()))
