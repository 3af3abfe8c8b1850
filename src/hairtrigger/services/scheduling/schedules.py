"""Turn the due times of schedules into events, in the transaction that sets the next due time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from pydantic_core import to_json

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import HairtriggerError, Invalid, NotReady, sentence
from hairtrigger.domain.event import Draft
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.quotas import Refusal, Refuses, code_of, nothing_refused
from hairtrigger.domain.schedule import Missed, Schedule, due, notes, upcoming
from hairtrigger.kit.trigger import Scheduled
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.services.catalogue import Catalogue, config_of
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.notices import of_disabled
from hairtrigger.services.recorder import event_from
from hairtrigger.services.tracing import Tracing
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store import notices
from hairtrigger.store.database import Store
from hairtrigger.store.events import events, outcomes
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.polling import polls
from hairtrigger.store.polling.polls import Fired, Poll
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.triggers import ProjectTrigger

log = structlog.get_logger()

_MOST_AT_ONCE = 100  # firings of one trigger in one run, if its policy makes missed ones late
_AFTER_A_FAULT = timedelta(minutes=1)
_AFTER_A_REFUSAL = timedelta(minutes=10)  # or sooner, if the refusal says when events are taken again
_INSTANT = timedelta(microseconds=1)
_BROKE = "The schedule broke inside the service; see its log."


@dataclass(frozen=True)
class DueResult:
    """The result of one due trigger: its next due time, its events, and its outcome, which is None for a repeated
    refusal.
    """

    fired: Fired
    events: list[Event]
    outcome: Outcome | None


@dataclass(frozen=True, kw_only=True)
class Schedules:
    store: Store
    clock: Clock
    catalogue: Catalogue
    work: Wake
    grace: timedelta  # a firing that is later than this counts as missed
    refusal: Refuses = nothing_refused
    counter: UseCounter = field(default_factory=UseCounter)
    metrics: Metrics = field(default_factory=lambda: Metrics(on=False))
    tracing: Tracing = field(default_factory=Tracing)

    async def run_due(self, limit: int = 1000) -> int:
        """Fire the due triggers, at most `limit` of them, and return how many were due.

        A trigger whose schedule has no more times is disabled. However many triggers are due, the database gets the
        same number of statements.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx:
            rows = await polls.due_schedules(tx, now, limit)
            found = await triggers.by_ids(tx, [row.project_trigger_id for row in rows])
            made = [self._result(found[row.project_trigger_id], row, now) for row in rows]
            await polls.fired(tx, [one.fired for one in made])
            fresh = await events.append(tx, [event for one in made for event in one.events])
            # A schedule without another time, such as one of a single time, must not leave its trigger enabled.
            over = [one for one in made if one.fired.next_at is None]
            if over:
                await triggers.switch_off(tx, triggers.is_one_of([one.fired.project_trigger_id for one in over]), now)
            told = [one.outcome for one in made if one.outcome]
            ended = [_over(one.outcome) for one in over if one.outcome]
            told += ended
            await outcomes.record(tx, *told)
            await notices.note(tx, *of_disabled(one for one in ended if one.code is Code.DISABLED))
        new = [event for one in made for event in one.events if event.id in fresh]
        self.counter.events(new)
        self.counter.outcomes(told)
        self._tell(now, rows, made, found, new)
        if rows:
            self.work.set()
        return len(rows)

    def _tell(
        self,
        now: datetime,
        rows: Sequence[Poll],
        made: Sequence[DueResult],
        found: Mapping[UUID, ProjectTrigger],
        new: Sequence[Event],
    ) -> None:
        late = [now - row.next_at for row in rows if row.next_at]
        codes = [one.outcome.code for one in made if one.outcome]
        self.metrics.fired(late, codes, Counter(found[event.project_trigger_id].provider_id for event in new))
        self.tracing.events(None, new, now)

    async def fire_now(self, caller: Caller, trigger_id: UUID) -> UUID:
        """Fire a scheduled trigger now, and return the id of its event. The due times of its schedule do not change.

        Raise `NotReady` if the trigger is disabled or has no schedule, and `QuotaSpent` or `DiskFull` if no event of
        the organisation is taken now.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id)
            definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
            if not isinstance(definition, Scheduled):
                raise NotReady("This trigger has no schedule.")
            if not trigger.enabled:
                raise NotReady("The trigger is disabled. Enable it first.")
            if refused := self.refusal(caller.org_id):
                raise refused
            draft = replace(_firing(now), key=f"by hand {now.isoformat()}")
            event = event_from(trigger, draft, now, self.tracing.begun())
            await events.append(tx, [event])
            told = self._outcome(trigger, Code.ACCEPTED, now, "Fired by hand.", 1)
            await outcomes.record(tx, told)
        self.counter.events([event])
        self.counter.outcomes([told])
        self.metrics.fired((), [told.code], {trigger.provider_id: 1})
        self.tracing.events(None, [event], now)
        self.work.set()
        return event.id

    def upcoming(self, trigger: ProjectTrigger, count: int = 10) -> list[datetime]:
        """Return the next times at which the trigger fires, earliest first and at most `count`.

        The list is empty if the trigger is disabled or has no schedule.
        """
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Scheduled) or not trigger.enabled or not trigger.enabled_at:
            return []
        schedule = definition.schedule(config_of(definition, trigger), trigger.enabled_at)
        return upcoming(schedule, self.clock.now(), count)

    def notes(self, trigger: ProjectTrigger) -> list[str]:
        """Return sentences about what may surprise in the trigger's schedule, and a last one with its next times.

        The list is empty if nothing may surprise, or if the trigger has no schedule that can be read.
        """
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Scheduled):
            return []
        now = self.clock.now()
        try:
            return notes(definition.schedule(config_of(definition, trigger), trigger.enabled_at or now), now)
        except Invalid:  # the configuration was stored before today's rules for it
            return []

    def _result(self, trigger: ProjectTrigger, row: Poll, now: datetime) -> DueResult:
        """Return the result of one due trigger, also if anything goes wrong with it, so that the others fire.

        A trigger whose schedule can't be read fails, and has no more times. After a fault of the service the trigger is
        due again soon; the policy of its schedule then decides about the times in between.
        """
        try:
            return self._due(trigger, row, now)
        except HairtriggerError as error:
            outcome = self._outcome(trigger, Code.FAILED, now, sentence(error))
            return DueResult(Fired(trigger.id, now, None), [], outcome)
        except Exception:  # the fault is the service's, so the trigger stays enabled
            log.exception("schedule broke", project_trigger_id=str(trigger.id))
            again = Fired(trigger.id, row.last_at or trigger.enabled_at or now, now + _AFTER_A_FAULT, _BROKE)
            return DueResult(again, [], self._outcome(trigger, Code.BROKEN, now, _BROKE))

    def _postponed(
        self, trigger: ProjectTrigger, previous: datetime, now: datetime, refused: Refusal, *, told: bool
    ) -> DueResult:
        """Return a result without events, because no events of the organisation are taken now. The trigger is due again
        later.

        The schedule's policy then decides about the times in between. Only the first refusal leaves an outcome, so that
        a full disk is not filled with outcomes that say so.
        """
        again = now + min(refused.retry_after, _AFTER_A_REFUSAL)
        outcome = None if told else self._outcome(trigger, code_of(refused), now, refused.message)
        return DueResult(Fired(trigger.id, previous, again, _cause(refused)), [], outcome)

    def _due(self, trigger: ProjectTrigger, row: Poll, now: datetime) -> DueResult:
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Scheduled):
            raise Invalid("This trigger has no schedule any more.")
        config = config_of(definition, trigger)
        assert trigger.enabled_at
        schedule = definition.schedule(config, trigger.enabled_at)
        previous = _made_until(schedule, row, trigger.enabled_at)
        if refused := self.refusal(trigger.org_id):
            return self._postponed(trigger, previous, now, refused, told=row.error == _cause(refused))
        policy: Missed = definition.missed(config)
        times = due(schedule, previous, now, policy, _MOST_AT_ONCE, grace=self.grace)
        reached = times[-1] if len(times) == _MOST_AT_ONCE else now  # the next run makes the rest
        made = [
            event_from(trigger, _firing(at), now + n * _INSTANT, self.tracing.begun()) for n, at in enumerate(times)
        ]
        missed = _missed(schedule, previous, times[0] if times else now, row.error)
        outcome = (
            self._outcome(
                trigger, Code.ACCEPTED, now, f"{missed} Its policy does not make them up." if missed else "", len(made)
            )
            if made
            else self._outcome(trigger, Code.MISSED, now, missed)
        )
        return DueResult(Fired(trigger.id, reached, schedule.next_after(reached)), made, outcome)

    def _outcome(self, trigger: ProjectTrigger, code: Code, now: datetime, detail: str, count: int = 0) -> Outcome:
        return Outcome(Kind.SCHEDULE, code, now, trigger.org_id, trigger.id, detail, count)


def _over(last: Outcome) -> Outcome:
    if last.code is Code.FAILED:
        code, detail = Code.DISABLED, "Its schedule can't be read."
    else:
        code, detail = Code.FINISHED, "Its schedule has no more times."
    return Outcome(Kind.TRIGGER, code, last.at, last.org_id, last.project_trigger_id, detail)


def _made_until(schedule: Schedule, row: Poll, enabled_at: datetime) -> datetime:
    """Return the time after which planned times have not been fired yet.

    After an edit of the schedule, that is just before its due time, because its earlier times were never planned.
    """
    last = max(row.last_at, enabled_at) if row.last_at else enabled_at
    is_held_up = row.error is not None
    if is_held_up or row.next_at is None or row.next_at == schedule.next_after(last):
        return last
    return row.next_at - _INSTANT


def _cause(refused: Refusal) -> str:
    match code_of(refused):
        case Code.DISK_FULL:
            return "The service's disk was nearly full."
        case _:
            return "The organisation had used up a quota."


def _missed(schedule: Schedule, previous: datetime, first: datetime, held_up: str | None) -> str:
    """Say from when on planned times before `first` were missed, and why; return an empty text if there were none.

    `held_up` is the stored cause if the service has put the firings off, and None if no process ran or was in time.
    """
    planned = schedule.next_after(previous)
    if planned is None or planned >= first:
        return ""
    since = format(planned.astimezone(UTC), "%Y-%m-%d %H:%M:%S UTC")
    why = f"before they could be fired. {held_up}" if held_up else "while no process fired them."
    return f"Its times from {since} on passed {why}"


def _firing(at: datetime) -> Draft:
    """Return a firing as a draft. Its key is the planned time, so a time that fires twice makes one event."""
    planned = at.isoformat()
    return Draft(key=planned, data=to_json({"scheduled_for": planned}), occurred_at=at)
