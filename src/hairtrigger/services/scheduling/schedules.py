"""Turn the due times of schedules into events, in the transaction that sets the next due time."""

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
from hairtrigger.services.recorder import event_from
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store.database import Store
from hairtrigger.store.events import events, outcomes
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.polling import polls
from hairtrigger.store.polling.polls import Fired, Poll
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.triggers import ProjectTrigger

log = structlog.get_logger()

_MOST_AT_ONCE = 100  # firings of one trigger in one run, where missed firings are made after all
_AFTER_A_FAULT = timedelta(minutes=1)
_AFTER_A_REFUSAL = timedelta(minutes=10)  # or as soon as events are taken again, if that is told


@dataclass(frozen=True)
class Ticked:
    """The result of a due trigger: its next due time, its events, and an outcome."""

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

    async def run_due(self, limit: int = 1000) -> int:
        """Fire up to `limit` due triggers, and return how many were due. Any number takes the same few statements."""
        now = self.clock.now()
        async with self.store.transaction() as tx:
            rows = await polls.due_schedules(tx, now, limit)
            found = await triggers.by_ids(tx, [row.project_trigger_id for row in rows])
            made = [self._ticked(found[row.project_trigger_id], row, now) for row in rows]
            await polls.fired(tx, [one.fired for one in made])
            fresh = await events.append(tx, [event for one in made for event in one.events])
            # These schedules have no more times, a single time included: their triggers must not stay "enabled".
            over = [one for one in made if one.fired.next_at is None]
            if over:
                await triggers.switch_off(tx, triggers.is_one_of([one.fired.project_trigger_id for one in over]), now)
            told = [one.outcome for one in made if one.outcome]
            told += [_over(one.outcome) for one in over if one.outcome]
            await outcomes.record(tx, *told)
        self.counter.events(event for one in made for event in one.events if event.id in fresh)
        self.counter.outcomes(told)
        if rows:
            self.work.set()
        return len(rows)

    async def fire_now(self, caller: Caller, trigger_id: UUID) -> UUID:
        """Fire a scheduled trigger now, outside its schedule. The schedule does not change."""
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
            event = event_from(trigger, replace(_tick(now), key=f"by hand {now.isoformat()}"), now)
            await events.append(tx, [event])
            told = self._outcome(trigger, Code.ACCEPTED, now, "Fired by hand.", 1)
            await outcomes.record(tx, told)
        self.counter.events([event])
        self.counter.outcomes([told])
        self.work.set()
        return event.id

    def upcoming(self, trigger: ProjectTrigger, count: int = 10) -> list[datetime]:
        """Return the next times at which an enabled scheduled trigger fires; none for any other trigger."""
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Scheduled) or not trigger.enabled or not trigger.enabled_at:
            return []
        schedule = definition.schedule(config_of(definition, trigger), trigger.enabled_at)
        return upcoming(schedule, self.clock.now(), count)

    def notes(self, trigger: ProjectTrigger) -> list[str]:
        """Return what of a trigger's schedule may surprise, and its next times if there is something."""
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Scheduled):
            return []
        now = self.clock.now()
        try:
            return notes(definition.schedule(config_of(definition, trigger), trigger.enabled_at or now), now)
        except Invalid:  # the configuration was stored before today's rules for it
            return []

    def _ticked(self, trigger: ProjectTrigger, row: Poll, now: datetime) -> Ticked:
        """Fire one trigger. If its schedule can't be read, it gets a failed outcome and no due time; others go on."""
        try:
            return self._due(trigger, row, now)
        except HairtriggerError as error:
            return Ticked(Fired(trigger.id, now, None), [], self._outcome(trigger, Code.FAILED, now, sentence(error)))
        except Exception:  # the fault is the service's: the trigger stays enabled, and loses no firing
            log.exception("schedule broke", project_trigger_id=str(trigger.id))
            outcome = self._outcome(trigger, Code.BROKEN, now, "The schedule broke inside the service; see its log.")
            again = Fired(trigger.id, row.last_at or trigger.enabled_at or now, now + _AFTER_A_FAULT)
            return Ticked(again, [], outcome)

    def _postponed(
        self, trigger: ProjectTrigger, previous: datetime, now: datetime, refused: Refusal, *, told: bool
    ) -> Ticked:
        """Fire nothing now. When events are taken again, the schedule's policy decides about the times in between.

        Only the first refusal leaves an outcome: a full disk must not be filled with outcomes that say so.
        """
        again = now + min(refused.retry_after, _AFTER_A_REFUSAL)
        outcome = None if told else self._outcome(trigger, code_of(refused), now, refused.message)
        return Ticked(Fired(trigger.id, previous, again), [], outcome)

    def _due(self, trigger: ProjectTrigger, row: Poll, now: datetime) -> Ticked:
        definition = self.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Scheduled):
            raise Invalid("This trigger has no schedule any more.")
        config = config_of(definition, trigger)
        assert trigger.enabled_at
        schedule = definition.schedule(config, trigger.enabled_at)
        previous = max(row.last_at, trigger.enabled_at) if row.last_at else trigger.enabled_at
        if refused := self.refusal(trigger.org_id):
            is_planned = row.next_at == schedule.next_after(previous)
            return self._postponed(trigger, previous, now, refused, told=not is_planned)
        policy: Missed = definition.missed(config)
        times = due(schedule, previous, now, policy, _MOST_AT_ONCE, grace=self.grace)
        reached = times[-1] if len(times) == _MOST_AT_ONCE else now  # the next run makes the rest
        made = [event_from(trigger, _tick(at), now + timedelta(microseconds=n)) for n, at in enumerate(times)]
        outcome = (
            self._outcome(trigger, Code.ACCEPTED, now, _skipped(schedule, previous, times[0]), len(made))
            if made
            else self._outcome(trigger, Code.MISSED, now, "Due while the service was down; its policy is to skip.")
        )
        return Ticked(Fired(trigger.id, reached, schedule.next_after(reached)), made, outcome)

    def _outcome(self, trigger: ProjectTrigger, code: Code, now: datetime, detail: str, count: int = 0) -> Outcome:
        return Outcome(Kind.SCHEDULE, code, now, trigger.org_id, trigger.id, detail, count)


def _over(last: Outcome) -> Outcome:
    if last.code is Code.FAILED:
        code, detail = Code.DISABLED, "Its schedule can't be read."
    else:
        code, detail = Code.FINISHED, "Its schedule has no more times."
    return Outcome(Kind.TRIGGER, code, last.at, last.org_id, last.project_trigger_id, detail)


def _skipped(schedule: Schedule, previous: datetime, first: datetime) -> str:
    """Explain why due times before the first one that fires were skipped; return an empty text if there were none."""
    planned = schedule.next_after(previous)
    if planned is None or planned >= first:
        return ""
    since = format(planned.astimezone(UTC), "%Y-%m-%d %H:%M:%S UTC")
    return f"Its times from {since} on passed while nobody was there, and its policy skips them."


def _tick(at: datetime) -> Draft:
    """Return a firing as an event. Its key is the planned time, so a time fires once, even if late or due twice."""
    planned = at.isoformat()
    return Draft(key=planned, data=to_json({"scheduled_for": planned}), occurred_at=at)
