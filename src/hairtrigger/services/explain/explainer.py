"""Explain why something did or did not fire, in a sentence and in steps, from the recorded history of a trigger.

Each question reads a few short ranges of indexes by time, so that it costs the same with a million events stored.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import NoSuchTrigger, NotFound
from hairtrigger.domain.event import bounded_key
from hairtrigger.domain.outcome import Code, Kind, Trait
from hairtrigger.kit.cursor import mark
from hairtrigger.platform.clock import Clock
from hairtrigger.services.explain.health import MOST_HELD, Diagnosis, Health
from hairtrigger.services.explain.outages import RECEIVERS, WORKERS, Outage, outages
from hairtrigger.services.explain.sentences import RecordedStep, Story, Teller, event_step, outcome_step
from hairtrigger.services.explain.silence import Silence
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import history
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain import event_traces, other_accounts, trigger_health, waits
from hairtrigger.store.explain.event_traces import EventTrace
from hairtrigger.store.explain.trigger_health import Condition
from hairtrigger.store.polling import polls
from hairtrigger.store.transaction import Transaction
from hairtrigger.store.upkeep import processes

_MOST_STEPS = 200  # events, and outcomes, of a window: half of them before the moment asked about, half after
_MOST_STORIES = 3  # events of a window whose deliveries are described as well
_MOST_DELIVERIES = 20  # of an event
_LATEST = 50
_EARLIEST, _LAST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)  # times that an id can hold
_MOST_ALIKE = 1000
_MOST_STRETCHES = 1000  # of processes; with more, outages are not told


@dataclass(frozen=True)
class Explanation:
    summary: str
    health: Health
    steps: Sequence[RecordedStep]  # oldest first


@dataclass(frozen=True)
class _Seen:
    """A trigger with its present health and its latest outcomes, with which every explanation begins."""

    condition: Condition
    health: Health
    latest: Sequence[Outcome]  # newest first
    teller: Teller


@dataclass(frozen=True, kw_only=True)
class Explainer:
    store: Store
    clock: Clock
    diagnosis: Diagnosis

    async def state(self, caller: Caller, trigger_id: UUID) -> Explanation:
        """Explain a trigger's present state: what happened last, what comes next, and what stands in its way."""
        async with self.store.transaction() as tx:
            seen = await self._seen(tx, caller, trigger_id)
            last = await event_traces.before(tx, trigger_id, self.clock.now(), limit=1)
            story = await self._story(tx, seen.condition, last[0]) if last else None
        summary = seen.teller.state(seen.condition, seen.health, seen.latest, story)
        steps = [*(outcome_step(one) for one in seen.latest), *(story.steps() if story else ())]
        return Explanation(summary, seen.health, _in_time(steps))

    async def moment(self, caller: Caller, trigger_id: UUID, at: datetime, within: timedelta) -> Explanation:
        """Explain what happened at most `within` before or after a time, or why nothing happened then."""
        at = min(max(at, _EARLIEST), _LAST)
        since, until = at - within, at + within
        half = _MOST_STEPS // 2
        async with self.store.transaction() as tx:
            seen = await self._seen(tx, caller, trigger_id)
            earlier = await event_traces.before(tx, trigger_id, at, since=since, limit=half)
            later = await event_traces.after(tx, trigger_id, at, until=until, limit=half)
            came = [*earlier, *later]
            ended = await outcomes.before(tx, trigger_id, at, since=since, limit=half)
            ended += await outcomes.after(tx, trigger_id, at, until=until, limit=half)
            near = sorted(came, key=lambda one: abs(one.received_at - at))
            stories = [await self._story(tx, seen.condition, one) for one in near[:_MOST_STORIES]]
            reasons = (one for one in ended if Trait.ROUTINE not in one.code.traits)
            telling = sorted(reasons, key=lambda one: abs(one.at - at))
            if stories and not (telling and abs(telling[0].at - at) < abs(near[0].received_at - at)):
                summary = seen.teller.happened(
                    stories[0], len(came) - 1, since, until, at_least=half in (len(earlier), len(later))
                )
            elif telling:
                summary = await self._ended(tx, seen, telling[0])
            else:
                summary = seen.teller.silence(await self._silence(tx, seen, ended, since, until))
            if stories or telling:
                outages = await self._outages(tx, seen.condition, since, until)
                summary = f"{summary} {seen.teller.outages(outages or ())}".strip()
        steps = [step for story in stories for step in story.steps()]
        steps += [event_step(one, one.came or seen.condition.way) for one in near[_MOST_STORIES:]]
        return Explanation(summary, seen.health, _in_time([*steps, *(outcome_step(one) for one in ended)]))

    async def event(self, caller: Caller, trigger_id: UUID, event_id: UUID) -> Explanation:
        async with self.store.transaction() as tx:
            seen = await self._seen(tx, caller, trigger_id)
            return await self._of_event(tx, seen, event_id, "There is no such event of this trigger.")

    async def key(self, caller: Caller, trigger_id: UUID, key: str) -> Explanation:
        async with self.store.transaction() as tx:
            seen = await self._seen(tx, caller, trigger_id)
            event_id = await event_traces.id_of_key(tx, trigger_id, bounded_key(key))
            if event_id is not None and await event_traces.get(tx, trigger_id, event_id):
                return await self._of_event(tx, seen, event_id, "There is no such event of this trigger.")
            cursor = (poll.cursor or {}) if (poll := await polls.get(tx, trigger_id)) else {}
        if event_id is None and mark(key) in cursor.get("seen", ()):
            first = next((one for one in seen.latest if one.code is Code.ENABLED and one.detail), None)
            return Explanation(
                seen.teller.seen_at_first(key, seen.condition, first),
                seen.health,
                _in_time(map(outcome_step, seen.latest)),
            )
        unstored = seen.teller.unstored(key, remembered=event_id is not None)
        state = seen.teller.state(seen.condition, seen.health, seen.latest, None)
        return Explanation(f"{unstored} {state}", seen.health, _in_time([outcome_step(one) for one in seen.latest]))

    async def delivery(self, caller: Caller, trigger_id: UUID, delivery_id: UUID) -> Explanation:
        async with self.store.transaction() as tx:
            seen = await self._seen(tx, caller, trigger_id)
            event_id = await event_traces.id_of_delivery(tx, delivery_id)
            return await self._of_event(tx, seen, event_id, "There is no such delivery of this trigger.")

    async def of_deleted(self, caller: Caller, trigger_id: UUID) -> Explanation:
        """Explain a trigger that was deleted.

        Raise `NoSuchTrigger` if the organisation had no such trigger, as far as is recorded.
        """
        async with self.store.transaction() as tx:
            latest = await outcomes.of_trigger(tx, trigger_id, limit=_MOST_ALIKE)
        end = next((one for one in latest if one.code is Code.DELETED and one.org_id == caller.org_id), None)
        if end is None:
            raise NoSuchTrigger
        since = [one for one in latest if one.kind is Kind.WEBHOOK and one.at >= end.at]
        summary = Teller(self.clock.now()).deleted(end, since)
        health = Health("disabled", end.detail, end.at, None, None)
        return Explanation(summary, health, _in_time(map(outcome_step, latest[:_LATEST])))

    async def _seen(self, tx: Transaction, caller: Caller, trigger_id: UUID) -> _Seen:
        condition = await trigger_health.of_trigger(tx, caller.org_id, self.diagnosis.expectations(), trigger_id)
        latest = await outcomes.of_trigger(tx, trigger_id, limit=_LATEST)
        waiting = await trigger_health.held(tx, condition, most=MOST_HELD + 1) if condition.paused else 0
        held = self.diagnosis.holds(caller.org_id)
        teller = Teller(self.clock.now(), held.message if held else "")
        return _Seen(condition, self.diagnosis.health(condition, latest, waiting), latest, teller)

    async def _of_event(self, tx: Transaction, seen: _Seen, event_id: UUID, missing: str) -> Explanation:
        event = await event_traces.get(tx, seen.condition.id, event_id)
        if not event:
            raise NotFound(missing)
        story = await self._story(tx, seen.condition, event)
        return Explanation(seen.teller.story(story), seen.health, story.steps())

    async def _story(self, tx: Transaction, condition: Condition, event: EventTrace) -> Story:
        org_id = condition.org_id
        made = await history.deliveries(tx, org_id, limit=_MOST_DELIVERIES, event_id=event.id)
        with_attempts = [(one, await history.attempts(tx, org_id, one.id)) for one in reversed(made)]
        repeats = await outcomes.repeats(tx, condition.id, event.key, event.received_at)
        found = [(one.id, await waits.of_delivery(tx, one)) for one in made]
        return Story(
            event, event.came or condition.way, with_attempts, repeats, {id_: wait for id_, wait in found if wait}
        )

    async def _ended(self, tx: Transaction, seen: _Seen, one: Outcome) -> str:
        """Return sentences about an outcome that came instead of an event, and about the event that it
        repeats, if any.
        """
        said = [seen.teller.outcome(one)]
        if one.kind is Kind.WEBHOOK:
            since, until = one.at - timedelta(hours=1), one.at + timedelta(milliseconds=1)
            hour = await outcomes.before(tx, seen.condition.id, until, since=since, limit=_MOST_ALIKE)
            said.append(seen.teller.others(sum(other.count for other in hour if other.code is one.code)))
        if one.code is Code.IGNORED_DISABLED:
            said.append(seen.teller.disabled((await self._silence(tx, seen, (), one.at, one.at)).disabled()))
        if one.key and (event_id := await event_traces.id_of_key(tx, seen.condition.id, one.key)):
            event = await event_traces.get(tx, seen.condition.id, event_id)
            said += [seen.teller.story(await self._story(tx, seen.condition, event))] if event else []
        if one.kind is not Kind.WEBHOOK:
            said.append(seen.teller.next(seen.condition))
        return " ".join(part for part in said if part)

    async def _silence(
        self, tx: Transaction, seen: _Seen, within: Sequence[Outcome], since: datetime, until: datetime
    ) -> Silence:
        return Silence(
            condition=seen.condition,
            since=since,
            until=until,
            within=sorted(within, key=lambda one: one.at),
            earlier=await outcomes.before(tx, seen.condition.id, since, limit=_LATEST),
            later=await outcomes.after(tx, seen.condition.id, until, limit=_LATEST),
            refused_by_app=await self._refused_by_app(tx, seen.condition, since, until),
            others=await other_accounts.of_trigger(tx, seen.condition, since, until) if seen.condition.of_app else None,
            kept_since=await event_traces.kept_since(tx),
            outages=await self._outages(tx, seen.condition, since, until),
        )

    async def _outages(
        self, tx: Transaction, condition: Condition, since: datetime, until: datetime
    ) -> list[Outage] | None:
        """Return the outages between `since` and `until` in which no process did this trigger's work, oldest first.

        Times before the trigger was created are left out. Return None if too little or too much is recorded to tell.
        """
        roles = WORKERS if condition.kind else RECEIVERS
        since = min(max(since, condition.created_at), until)
        near = await processes.near(tx, since, until, roles, _MOST_STRETCHES)
        return outages(near, roles, since, until, self.clock.now()) if len(near) < _MOST_STRETCHES else None

    async def _refused_by_app(
        self, tx: Transaction, condition: Condition, since: datetime, until: datetime
    ) -> list[Outcome]:
        """Return the outcomes of requests that the trigger's app webhook refused as not authentic or not readable, from
        `since` on and before `until`, newest first.

        The requests may have been for any account. Only the newest 1,000 outcomes of that time that belong to no
        trigger are searched, so some may be missing. A trigger without an app webhook has none.
        """
        if not condition.of_app:
            return []
        found = await outcomes.before(tx, None, until, since=since, limit=_MOST_ALIKE)
        return [
            one
            for one in found
            if one.code in {Code.REJECTED, Code.MALFORMED} and one.detail.startswith(f"{condition.provider_id}: ")
        ]


def _in_time(steps: Iterable[RecordedStep]) -> list[RecordedStep]:
    return sorted(steps, key=lambda step: step.at)
