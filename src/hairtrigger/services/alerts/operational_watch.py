"""Tell what has changed: record operational events, and hand each to the projects and alert channels that ask for it.

What is to be told follows from what is stored: from the states of triggers, targets and quotas and what was told of
them last, and from notices, which are stored with what happened. It is told in the transaction that records that it was
told. So a process that is killed in between loses nothing and tells nothing twice. Any number of processes may run the
watch, because only one at a time tells anything.

An operational event never leads to another one without end. Deliveries of operational events do not make a target fail.
What happens to a trigger that brings operational events is told to people, and to no project. Deliveries to a project's
own target are not told to that project.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import structlog

from hairtrigger.domain.disk import DiskUse
from hairtrigger.domain.errors import Invalid
from hairtrigger.domain.event import Draft
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.operational import (
    PROVIDER,
    ConnectionBroken,
    ConnectionRecovered,
    Counted,
    Dead,
    Disabled,
    DiskUsed,
    Failing,
    Flooded,
    OperationalEvent,
    OperationalType,
    ProjectNamed,
    QuotaUsed,
    Recovered,
    RemovalFailed,
    Resubscribed,
    Side,
    Stalled,
    TargetFailing,
    TargetRecovered,
    TriggerNamed,
    Wanted,
    is_far,
    strain_of,
)
from hairtrigger.domain.quotas import Quota, Use
from hairtrigger.kit.trigger import Internal
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every
from hairtrigger.platform.wake import Wake
from hairtrigger.services.catalogue import config_of
from hairtrigger.services.disk_watch import DiskWatch
from hairtrigger.services.explain.health import Diagnosis
from hairtrigger.services.quotas import OF_A_DAY, Quotas
from hairtrigger.services.recorder import event_from
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store import notices
from hairtrigger.store.alerts import channels, operational_events, told_states
from hairtrigger.store.alerts.told_states import WELL, ConnectionState, Pace, TargetState, ToldState
from hairtrigger.store.database import Store
from hairtrigger.store.events import events, outcomes
from hairtrigger.store.events.events import Event
from hairtrigger.store.explain import streaks, trigger_health
from hairtrigger.store.explain.streaks import MOST_FRUITLESS
from hairtrigger.store.explain.trigger_health import MOST_FAILED_SWEEPS, Condition
from hairtrigger.store.notices import Untold
from hairtrigger.store.setup.triggers import ProjectTrigger
from hairtrigger.store.transaction import Transaction

log = structlog.get_logger()

_EVERY = timedelta(seconds=5)
_SELDOM = 12  # rounds, which are a minute
_LASTING = timedelta(seconds=15)  # a failure that is over by then, after one retry, is not told
_AGAIN = timedelta(minutes=1)  # what comes and goes is told once in this time
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_MOST = 500  # of each kind in one round; the next round finds more
_LOGGED_ELSEWHERE = {OperationalType.DISK_LOW, OperationalType.DISK_FULL, OperationalType.DISK_RECOVERED}
_DISK = {"low": OperationalType.DISK_LOW, "full": OperationalType.DISK_FULL}


@dataclass
class Change:
    """A change that one round has found: the events to tell, and the states that count as told with them."""

    events: list[OperationalEvent] = field(default_factory=list)
    states: list[ToldState] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class OperationalWatch:
    store: Store
    clock: Clock
    diagnosis: Diagnosis
    quotas: Quotas
    disk: DiskWatch
    counter: UseCounter
    work: Wake

    async def run(self) -> None:
        rounds = count()
        await every(_EVERY, "operational events", lambda: self.look(seldom=next(rounds) % _SELDOM == 0))

    async def look(self, *, seldom: bool = True) -> int:
        """Tell what has changed, and return how many events were told, which is 0 if another process is telling.

        With `seldom`, forget what is over as well.
        """
        now = self.clock.now()
        found = Change()
        fresh: list[Event] = []
        async with self.store.transaction() as tx:
            if not await operational_events.alone(tx):
                return 0
            silent = await operational_events.silent(tx, now - _HOUR)
            await self._triggers(tx, now, silent, found)
            await self._targets(tx, now, silent, found)
            await self._connections(tx, now, silent, found)
            await self._notices(tx, now, silent, found)
            await self._quotas(tx, now, silent, found)
            await self._disk(tx, now, found)
            if seldom:
                await self._forget(tx, now)
            there = await operational_events.held(
                tx, {one.org_id for one in found.events} | {one.org_id for one in found.states}
            )
            told = _in_order([one for one in found.events if one.org_id in there], now)
            await told_states.save(tx, [one for one in found.states if one.org_id in there])
            await operational_events.record(tx, told)
            await channels.queue(tx, told)
            fresh = await self._to_projects(tx, told)
        self._tell(told)
        self.counter.events(fresh)
        if fresh:
            self.work.set()
        return len(told)

    def _tell(self, told: Sequence[OperationalEvent]) -> None:
        for one in told:
            self.counter.ledger(one.org_id, 1, len(one.data))
            if one.type not in _LOGGED_ELSEWHERE:
                about = {"project_trigger_id": str(one.trigger.id)} if one.trigger else {}
                about |= {"project_id": one.project.id} if one.project else {}
                log.warning(one.type.replace(".", " ").replace("_", " "), **about, says=one.sentence)

    # -- triggers

    async def _triggers(self, tx: Transaction, now: datetime, silent: Sequence[UUID], found: Change) -> None:
        pace = Pace(now - _LASTING, now - _AGAIN)
        ids = await told_states.changed_triggers(tx, pace, silent, _MOST)
        if not ids:
            return
        named = await operational_events.triggers_named(tx, ids)
        before = {one.subject: one for one in await told_states.told(tx, "trigger", [str(id_) for id_ in ids])}
        over: list[ToldState] = []
        conditions = {one.id: one for one in await trigger_health.of_ids(tx, ids, self.diagnosis.expectations())}
        for id_ in ids:
            told, condition = before.get(str(id_)), conditions.get(id_)
            state = _state(condition) if condition and condition.enabled else None
            if state is None or (state == WELL and (told is None or told.state == WELL)):
                over += [told] if told else []
            elif condition and (told is None or told.state != state):
                latest = await outcomes.of_trigger(tx, id_) if condition.fruitless >= MOST_FRUITLESS else ()
                health = self.diagnosis.health(condition, latest)
                trigger, project = named[id_]
                one = _of_trigger(condition, state, told, health.reason, health.since, trigger, project, now)
                found.events.append(one)
                since = health.since if state != WELL else None
                found.states.append(
                    ToldState("trigger", condition.org_id, str(id_), state, since, now, of_target=one.of_target)
                )
        await told_states.forget(tx, "trigger", [(one.org_id, one.subject) for one in over])

    # -- targets

    async def _targets(self, tx: Transaction, now: datetime, silent: Sequence[UUID], found: Change) -> None:
        pace = Pace(now - _LASTING, now - _AGAIN)
        over = []
        for one in await told_states.changed_targets(tx, pace, silent, _MOST):
            if one.project_name is None or (one.failed is None and one.told == WELL):
                over.append((one.org_id, one.project_id))
                continue
            found.events.append(_of_target(one, now))
            state = WELL if one.failed is None else "failing"
            found.states.append(ToldState("target", one.org_id, one.project_id, state, one.since, now, of_target=True))
        await told_states.forget(tx, "target", over)

    # -- connections

    async def _connections(self, tx: Transaction, now: datetime, silent: Sequence[UUID], found: Change) -> None:
        pace = Pace(now - _LASTING, now - _AGAIN)
        over = []
        for one in await told_states.changed_connections(tx, pace, silent, _MOST):
            if one.name is None or (one.status is None and one.told == WELL):
                over.append((one.org_id, str(one.connection_id)))
                continue
            found.events.append(_of_connection(one, now))
            state = "broken" if one.status else WELL
            found.states.append(ToldState("connection", one.org_id, str(one.connection_id), state, one.since, now))
        await told_states.forget(tx, "connection", over)

    # -- notices

    async def _notices(self, tx: Transaction, now: datetime, silent: Sequence[UUID], found: Change) -> None:
        taken = await notices.take(
            tx, silent=list(silent), now=now, hour_ago=now - _HOUR, minute_ago=now - _AGAIN, limit=_MOST
        )
        ids = [one.project_trigger_id for one in taken if one.project_trigger_id]
        named = await operational_events.triggers_named(tx, ids)
        used = []
        for one in taken:
            if one.type in {OperationalType.QUOTA_NEAR, OperationalType.QUOTA_REACHED}:
                used.append((one.org_id, Use(**{**one.details, "quota": Quota(one.details["quota"])})))
            else:
                found.events.append(_of_notice(one, named, now))
        await self._used(tx, now, used, found)

    # -- quotas and the disk

    async def _quotas(self, tx: Transaction, now: datetime, silent: Sequence[UUID], found: Change) -> None:
        strained = [(org_id, use) for org_id, use in self.quotas.strained() if org_id not in silent]
        await self._used(tx, now, strained, found)

    async def _used(self, tx: Transaction, now: datetime, strained: Sequence[tuple[UUID, Use]], found: Change) -> None:
        """Tell of each quota when it is nearly used up, and again when it is used up."""
        if not strained:
            return
        told = {(one.org_id, one.subject): one for one in (*await told_states.told(tx, "quota"), *found.states)}
        for org_id, use in strained:
            type_ = strain_of(use)
            before = told.get((org_id, use.quota))
            if before and not self._is_over(before, now) and type_ in {before.state, OperationalType.QUOTA_NEAR}:
                continue
            if type_ and use.used is not None:
                details = QuotaUsed(quota=use.quota, limit=use.limit, used=use.used, resets_at=use.resets_at)
                found.events.append(OperationalEvent(new_id(now), org_id, type_, now, str(use), details))
                state = ToldState("quota", org_id, use.quota, type_, None, now)
                found.states.append(state)
                told[org_id, use.quota] = state

    def _is_over(self, told: ToldState, now: datetime) -> bool:
        """Return whether what was told is of an earlier day, for a quota whose count begins anew each day."""
        return told.subject in OF_A_DAY and told.told_at.date() != now.date()

    async def _disk(self, tx: Transaction, now: datetime, found: Change) -> None:
        use = self.disk.use
        told = await told_states.told(tx, "disk")
        if use.state not in _DISK and not told:
            return
        before = {one.org_id: one for one in told}
        type_ = _DISK.get(use.state) or (OperationalType.DISK_RECOVERED if _has_room(use) else None)
        if not type_:
            return
        orgs = await operational_events.operators(tx) if use.state in _DISK else list(before)
        details = DiskUsed(used_percent=None if use.used is None else round(100 * use.used, 1))
        for org_id in orgs:
            if org_id in before and before[org_id].state == type_:
                continue
            found.events.append(OperationalEvent(new_id(now), org_id, type_, now, use.sentence, details))
            if type_ is not OperationalType.DISK_RECOVERED:
                found.states.append(ToldState("disk", org_id, "", type_, None, now))
        if type_ is OperationalType.DISK_RECOVERED:
            await told_states.forget(tx, "disk", [(one.org_id, one.subject) for one in told])

    async def _forget(self, tx: Transaction, now: datetime) -> None:
        """Forget what was told of quotas that are far from used up again, and what else is over."""
        await streaks.forget(tx)
        await notices.forget(tx, now - _DAY)
        over = [
            (one.org_id, one.subject)
            for one in await told_states.told(tx, "quota")
            if is_far(await self.quotas.use(tx, one.org_id, Quota(one.subject)))
        ]
        await told_states.forget(tx, "quota", over)

    # -- to projects

    async def _to_projects(self, tx: Transaction, told: Sequence[OperationalEvent]) -> list[Event]:
        """Store the operational events as events of the triggers that ask for them, with their deliveries, and return
        those events.
        """
        offered = [one for one in told if not one.people_only]
        if not offered:
            return []
        asking = await operational_events.listening(tx, list({one.org_id for one in offered}))
        made = [event for trigger in asking for event in self._events_for(trigger, offered)]
        await events.append(tx, made)
        return made

    def _events_for(self, trigger: ProjectTrigger, told: Sequence[OperationalEvent]) -> Iterable[Event]:
        wanted = self._wanted(trigger)
        for one in told:
            own = one.of_target and one.project is not None and one.project.id == trigger.project_id
            if one.org_id == trigger.org_id and wanted and wanted.include(one) and not own:
                subject = str(one.trigger.id) if one.trigger else one.project.id if one.project else None
                yield event_from(trigger, Draft(str(one.id), one.data, one.type, subject, one.at), one.at)

    def _wanted(self, trigger: ProjectTrigger) -> Wanted | None:
        definition = self.diagnosis.catalogue.native_trigger(trigger.provider_id, trigger.trigger_id)
        if not isinstance(definition, Internal):
            return None
        try:
            return definition.wanted(config_of(definition, trigger))
        except Invalid:  # the configuration was stored before today's rules for it
            return None


def _in_order(found: Sequence[OperationalEvent], now: datetime) -> list[OperationalEvent]:
    """Return the events in this order, with new times and ids, which are one microsecond apart and so sort in this
    order.
    """
    times = [now + timedelta(microseconds=place) for place in range(len(found))]
    return [replace(one, id=new_id(at), at=at) for one, at in zip(found, times, strict=True)]


def _state(condition: Condition) -> str:
    return condition.status if condition.status in {"failing", "stalled"} else WELL


def _of_trigger(
    condition: Condition,
    state: str,
    told: ToldState | None,
    reason: str,
    since: datetime | None,
    trigger: TriggerNamed,
    project: ProjectNamed,
    now: datetime,
) -> OperationalEvent:
    details: Stalled | Failing | Recovered
    match state:
        case "stalled":
            assert condition.stall
            type_, sentence = OperationalType.TRIGGER_STALLED, reason
            details = Stalled(since=since or now, stall=condition.stall)
            of_target = False
        case "failing":
            type_, sentence, sides = OperationalType.TRIGGER_FAILING, reason, _sides(condition)
            details = Failing(since=since, sides=sides)
            of_target = sides == ["deliveries"]
        case _:
            type_, was = OperationalType.TRIGGER_RECOVERED, "stalled" if told and told.state == "stalled" else "failing"
            begun = told.since if told else None
            details = Recovered(was="stalled" if was == "stalled" else "failing", since=begun)
            sentence = f"It works again. It was {was}{f' since {begun:%Y-%m-%d %H:%M:%S} UTC' if begun else ''}."
            of_target = told.of_target if told else False
    return OperationalEvent(
        new_id(now),
        condition.org_id,
        type_,
        now,
        sentence,
        details,
        project,
        trigger,
        of_target=of_target,
        people_only=condition.provider_id == PROVIDER,
    )


def _sides(condition: Condition) -> list[Side]:
    """Return which of the trigger's polls, requests and deliveries fail."""
    found: dict[Side, object] = {
        "polls": condition.failures or condition.fruitless >= MOST_FRUITLESS,
        "subscription": condition.lost_at,
        "sweeps": condition.sweep_failures >= MOST_FAILED_SWEEPS,
        "requests": condition.refused,
        "deliveries": condition.undelivered,
    }
    return [side for side, fails in found.items() if fails]


def _of_target(found: TargetState, now: datetime) -> OperationalEvent:
    details: TargetFailing | TargetRecovered
    if found.failed is not None:
        type_ = OperationalType.TARGET_FAILING
        what = "attempt" if found.failed == 1 else f"{found.failed} attempts"
        sentence = f"The last {what} to deliver to the project's target failed: {found.detail or ''}".strip()
        details = TargetFailing(since=found.since or now, failed_attempts=found.failed)
    else:
        type_, sentence = OperationalType.TARGET_RECOVERED, "The project's target takes deliveries again."
        details = TargetRecovered(since=found.told_since)
    project = ProjectNamed(id=found.project_id, name=found.project_name)
    return OperationalEvent(new_id(now), found.org_id, type_, now, sentence, details, project, of_target=True)


def _of_connection(found: ConnectionState, now: datetime) -> OperationalEvent:
    details: ConnectionBroken | ConnectionRecovered
    named = {
        "connection_id": found.connection_id,
        "provider_id": found.provider_id,
        "name": found.name,
        "external_user_id": found.external_user_id,
    }
    what = f"The connection '{found.name}' to '{found.provider_id}'"
    if found.status:
        type_ = OperationalType.CONNECTION_BROKEN
        sentence = f"{what} is not accepted any more: {found.detail}"
        broken = {"status": found.status, "since": found.since, "enabled_triggers": found.enabled_triggers}
        details = ConnectionBroken.model_validate({**named, **broken})
    else:
        type_, sentence = OperationalType.CONNECTION_RECOVERED, f"{what} works again."
        details = ConnectionRecovered.model_validate({**named, "since": found.told_since})
    return OperationalEvent(new_id(now), found.org_id, type_, now, sentence, details)


def _of_notice(one: Untold, named: dict[UUID, tuple[TriggerNamed, ProjectNamed]], now: datetime) -> OperationalEvent:
    trigger, project = _named(one, named)
    sentence, details = _said(one)
    return OperationalEvent(
        new_id(now),
        one.org_id,
        one.type,
        now,
        sentence,
        details,
        project,
        trigger,
        of_target=one.type is OperationalType.DELIVERY_DEAD,
        people_only=bool(trigger and trigger.provider_id == PROVIDER),
    )


def _named(
    one: Untold, named: dict[UUID, tuple[TriggerNamed, ProjectNamed]]
) -> tuple[TriggerNamed | None, ProjectNamed | None]:
    id_: UUID | None = one.project_trigger_id
    if id_ in named:
        return named[id_]
    project_id: Any = one.details.get("project_id")
    project = ProjectNamed(id=project_id, name=None) if project_id else None
    return TriggerNamed(id=id_, name=None, provider_id=None, trigger_id=None) if id_ else None, project


def _said(one: Untold) -> tuple[str, Counted | Dead | Disabled | Flooded | RemovalFailed | Resubscribed]:
    match one.type:
        case OperationalType.DELIVERY_DEAD:
            what = "A delivery is a dead letter" if one.number == 1 else f"{one.number} deliveries are dead letters"
            return f"{what}. {one.sentence}", Dead(count=one.number, delivery_ids=one.ids)
        case OperationalType.TRIGGER_ITEMS_REFUSED:
            return one.sentence, Counted(count=one.number)
        case OperationalType.WEBHOOK_REMOVAL_FAILED:
            return one.sentence, RemovalFailed(provider_id=one.details["provider_id"])
        case OperationalType.TRIGGER_FLOODED:
            return one.sentence, Flooded(count=one.number)
        case OperationalType.SUBSCRIPTION_RENEWED:
            return one.sentence, Resubscribed(**one.details)
        case _:
            return one.sentence, Disabled(code=one.details["code"])


def _has_room(use: DiskUse) -> bool:
    """Return whether the disk has so much room that no process, also one that saw it low before, calls it low now."""
    return use.state == "ok" and use.used is not None and use.used <= use.thresholds.low - 0.01
