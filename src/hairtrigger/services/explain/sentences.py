"""Make the sentences and steps of an explanation of why something did or did not fire."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hairtrigger.domain.outcome import DELIVERY_STATUS, FAILURE, TOLD_A_TOKEN, Code, Failure, Kind, Trait
from hairtrigger.domain.privacy import DROPPED
from hairtrigger.services.explain.health import RATE_LIMITED, Health
from hairtrigger.services.explain.outages import Outage
from hairtrigger.services.explain.silence import (
    CutOff,
    Disabled,
    Down,
    Gap,
    LateAfterFailure,
    LeftAlone,
    NoLongerKept,
    NoRequest,
    NotDue,
    NotFired,
    NothingFromApp,
    NothingHeard,
    NothingTold,
    NotPolled,
    NotYetCreated,
    Polled,
    PollReason,
    PutOff,
    Silence,
    StillToCome,
    WhileEnabled,
)
from hairtrigger.store.delivery.history import AttemptRecord, Delivery
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain.event_traces import EventTrace
from hairtrigger.store.explain.other_accounts import OtherAccounts
from hairtrigger.store.explain.trigger_health import Condition
from hairtrigger.store.explain.waits import Behind, Claimed, LaneFull, Suspended, Unclaimed, Wait
from hairtrigger.store.upkeep.processes import After

_SUBJECT = {
    Kind.WEBHOOK: "request",
    Kind.POLL: "poll",
    Kind.LISTEN: "connection",
    Kind.SWEEP: "sweep",
    Kind.SCHEDULE: "schedule",
    Kind.REGISTRATION: "webhook",
    Kind.TARGET: "target",
    Kind.TRIGGER: "trigger",
    Kind.WATCHDOG: "watchdog",
}
_WAYS = {
    "poll": "with a poll",
    "listen": "over its connection to the source",
    "schedule": "from its schedule",
    "service": "from the service itself",
    "sweep": "with a sweep, because the provider's request had not brought it",
    None: "as a request",
}
WORK = frozenset({Kind.WEBHOOK, Kind.POLL, Kind.LISTEN, Kind.SCHEDULE})
_OUTAGE: Mapping[After, str] = {
    "start": "the service was down",
    "database": "the service could not reach its database",
    "standstill": "the service stood still",
}
_MOST_OUTAGES = 3
_MOST_ACCOUNTS = 5
_LONG_FOR_AN_ANSWER = timedelta(seconds=10)
_CUT_OFF = "the process that made it stopped, died, stood still or lost its database. The target may have run."
_SOON = timedelta(minutes=1)  # within it a worker claims a delivery that nothing holds back


@dataclass(frozen=True)
class RecordedStep:
    """One recorded step: an outcome, an event, a delivery or an attempt."""

    at: datetime
    what: str  # the kind of an outcome, or "event", "delivery" or "attempt"
    code: str
    detail: str
    count: int = 1
    event_id: UUID | None = None
    delivery_id: UUID | None = None


@dataclass(frozen=True)
class Story:
    """An event with its deliveries, their attempts, and its repeats."""

    event: EventTrace
    came: str | None  # "poll", "sweep", "schedule", "listen" or "service"; None for an event from a request
    deliveries: Sequence[tuple[Delivery, Sequence[AttemptRecord]]]  # oldest first
    repeats: Sequence[Outcome]
    waits: Mapping[UUID, Wait] = field(default_factory=dict)  # by delivery

    def steps(self) -> list[RecordedStep]:
        told = [event_step(self.event, self.came)]
        told += [outcome_step(one) for one in self.repeats]
        for delivery, attempts in self.deliveries:
            if delivery.replay_of:
                told.append(_delivery_step(delivery, "A replay was asked for.", delivery.created_at))
            told += [_attempt_step(delivery, one) for one in attempts]
        return sorted(told, key=lambda step: step.at)


class Teller:
    """Makes sentences to be read at the time `now`. Times of another day are written with their date.

    `held` says why no delivery of the organisation is attempted now; it is empty if nothing holds them.
    """

    def __init__(self, now: datetime, held: str = "") -> None:
        self.now = now
        self.held = held

    def time(self, at: datetime) -> str:
        at = at.astimezone(UTC)
        pattern = "%H:%M:%S UTC" if at.date() == self.now.date() else "%Y-%m-%d %H:%M:%S UTC"
        return format(at, pattern)

    def outcome(self, one: Outcome) -> str:
        """Describe an outcome in a full sentence, with its detail."""
        if one.kind not in WORK and one.kind is not Kind.SWEEP:
            return _joined(f"At {self.time(one.at)} the {_SUBJECT[one.kind]} {_meaning(one)}.", _detail(one))
        more = f", the last of {one.count}," if one.count > 1 else ""
        return _joined(f"The {_SUBJECT[one.kind]} at {self.time(one.at)}{more} {_meaning(one)}.", _detail(one))

    def story(self, story: Story) -> str:
        event = story.event
        parts = [f"The event with the key '{event.key}' arrived at {self.time(event.received_at)} {_WAYS[story.came]}."]
        if story.deliveries:
            (first, attempts), *replays = story.deliveries
            parts.append(self.delivery(first, attempts, event, story.waits.get(first.id)))
            if replays:
                again = "once" if len(replays) == 1 else f"{len(replays)} times"
                latest, attempts = replays[-1]
                parts.append(f"It was replayed {again}, the last time at {self.time(latest.created_at)}.")
                parts.append(self.delivery(latest, attempts, event, story.waits.get(latest.id)))
        if event.dropped:
            parts.append(DROPPED)
        cut_off = [one for one in story.repeats if one.code is Code.ATTEMPT_CUT_OFF]
        repeats = [one for one in story.repeats if one.code not in {Code.ATTEMPT_CUT_OFF, Code.INCOMPLETE_EVENT}]
        parts += [one.detail for one in story.repeats if one.code is Code.INCOMPLETE_EVENT]
        if cut_off:
            which = "An attempt" if len(cut_off) == 1 else f"{len(cut_off)} attempts, the last of them"
            parts.append(f"{which} before {self.time(cut_off[-1].at)} left no result: {_CUT_OFF}")
        if repeats:
            count = sum(one.count for one in repeats)
            came = "A repeat of it came" if count == 1 else f"{count} repeats of it came, the last"
            parts.append(f"{came} at {self.time(repeats[-1].at)} and started nothing: its key is known.")
        return " ".join(parts)

    def delivery(
        self, delivery: Delivery, attempts: Sequence[AttemptRecord], event: EventTrace, wait: Wait | None = None
    ) -> str:
        failed = self._failed([one for one in attempts if one.status != "delivered"])
        match delivery.status:
            case "delivered":
                last = attempts[-1]
                which = "at the first attempt" if last.number == 1 else f"at attempt {last.number}"
                return f"{failed}It was delivered at {self.time(last.finished_at)}, {which}.".strip()
            case "retrying":
                assert delivery.next_attempt_at
                return f"{failed}Attempt {delivery.attempts + 1} is due at {self.time(delivery.next_attempt_at)}."
            case "dead":
                again = "" if event.dropped else f"To try again: POST /v1/events/{event.id}/replay"
                return _joined(f"It {DELIVERY_STATUS['dead']}.", f"{delivery.detail or ''} {again}")
            case "pending":
                return f"{failed}It {DELIVERY_STATUS['pending']}.{self._untouched(delivery, wait)}"
            case "waiting" if delivery.next_attempt_at:
                return f"{failed}{RATE_LIMITED} until {self.time(delivery.next_attempt_at)}."
            case "waiting" | "suspended":
                return f"{failed}{self._held(delivery, wait)}"

    def state(self, condition: Condition, health: Health, latest: Sequence[Outcome], last: Story | None) -> str:
        """Describe a trigger's health, what happened to the trigger last, and what comes next."""
        since = f" since {self.time(health.since)}" if health.since else ""
        parts = [f"The trigger is {health.status}{since}. {health.reason}".strip()]
        if health.status == "failing" and (edit := _edit_before(latest, health.since)):
            parts.append(self.outcome(edit))
        if work := next((one for one in latest if one.kind in WORK), None):
            parts.append(self.outcome(work))
        if last is None and (told := next((one.detail for one in latest if TOLD_A_TOKEN in one.detail), None)):
            parts.append(told[told.index(TOLD_A_TOKEN) :])
        parts.append(self.story(last) if last else "No event of it is stored.")
        parts.append(self.next(condition))
        return " ".join(part for part in parts if part)

    def next(self, condition: Condition) -> str:
        """Say when the next poll or firing is due, or return an empty text if none is planned."""
        if not condition.enabled or not condition.next_at:
            return ""
        if condition.kind == "listen":
            again = condition.failures and not condition.leased_until
            return f"It is connected again at {self.time(condition.next_at)}." if again else ""
        what = "poll" if condition.kind == "poll" else "firing"
        verb = "is" if condition.next_at >= self.now else "was"
        return f"The next {what} {verb} due at {self.time(condition.next_at)}."

    def happened(self, story: Story, others: int, since: datetime, until: datetime, *, at_least: bool = False) -> str:
        """Describe an event, and say how many other events arrived between `since` and `until`.

        With `at_least`, there may be more than `others`.
        """
        number = f"At least {others}" if at_least else f"{others}"
        more = {0: "", 1: " One other event arrived"}.get(others, f" {number} other events arrived")
        window = f" between {self.time(since)} and {self.time(until)}." if others else ""
        return f"{self.story(story)}{more}{window}"

    def others(self, count: int) -> str:
        """Say that `count` such requests came in the hour until then, or return an empty text for one or none."""
        return f"{count} such requests came in the hour until then." if count > 1 else ""

    def unstored(self, key: str, *, remembered: bool) -> str:
        if remembered:
            return f"An event with the key '{key}' arrived before, and a repeat starts nothing; it is no longer stored."
        return f"No event with the key '{key}' has arrived, as far back as keys are remembered."

    def seen_at_first(self, key: str, condition: Condition, first: Outcome | None) -> str:
        """Say that the entry with this key was there when the trigger was enabled, and so made no event."""
        at = first.at if first else condition.enabled_at
        enabled = f"when the trigger was enabled at {self.time(at)}" if at else "when the trigger was enabled"
        rest = first.detail if first else "What its provider had then counts as seen."
        return f"'{key}' made no event: it was there {enabled}. {rest}"

    def deleted(self, end: Outcome, since: Sequence[Outcome]) -> str:
        """Say that the trigger was deleted, and how many requests have come to its address since then."""
        parts = [f"The trigger was deleted at {self.time(end.at)}. {end.detail}"]
        if since:
            count = sum(one.count for one in since)
            came = "One request has" if count == 1 else f"{count} requests have"
            parts.append(f"{came} come to its address since then, the last at {self.time(since[0].at)}.")
        return " ".join(parts)

    def silence(self, silence: Silence) -> str:
        """Say why no event arrived in that time, and when the next poll or firing is due."""
        following = self.next(silence.condition)
        window = f"between {self.time(silence.since)} and {self.time(silence.until)}"
        match silence.reason(self.now):
            case StillToCome():
                return f"That is still to come. {following}".strip()
            case NotYetCreated(created_at):
                return f"The trigger did not exist yet: it was created at {self.time(created_at)}."
            case NoLongerKept(kept_since):
                return f"Of that time nothing is kept any more: what is stored begins on {kept_since:%Y-%m-%d}."
            case Disabled() as reason:
                said = f"Nothing arrived {window}. The trigger was disabled. {self.disabled(reason)}".strip()
                return _joined(said, self.outcome(silence.baseline) if silence.baseline else "")
            case reason:
                said = f"Nothing arrived {window}. The trigger was enabled{self._while_enabled(reason, following)}"
                told = [reason.outage] if isinstance(reason, Down) else []
                return _joined(said.strip(), self.outages([one for one in silence.outages or () if one not in told]))

    def outages(self, found: Sequence[Outage]) -> str:
        """Say when no process did the trigger's work.

        If there were more than three outages, only the longest three are named.
        """
        shown = found
        if len(found) > _MOST_OUTAGES:
            longest = sorted(found, key=lambda one: (one.until or self.now) - one.since)[-_MOST_OUTAGES:]
            shown = sorted(longest, key=lambda one: one.since)
        said = [f"{self._outage(one)}." for one in shown]
        said += [f"{len(found) - len(shown)} other outages were shorter."] if len(found) > len(shown) else []
        return " ".join(map(_capital, said))

    def _outage(self, outage: Outage) -> str:
        what = _OUTAGE[outage.cause] if outage.whole else "none of the processes that do its work ran"
        ended = f"until {self.time(outage.until)}" if outage.until else "and has not come back"
        return f"{what} from {self.time(outage.since)} {ended}"

    def disabled(self, reason: Disabled) -> str:
        """Say since when, until when and why the trigger was disabled, as far as that is recorded."""
        if reason.since and reason.until:
            return f"It was off from {self.time(reason.since)} until {self.time(reason.until)}. {reason.detail}".strip()
        if reason.since:
            return f"It has been off since {self.time(reason.since)}. {reason.detail}".strip()
        if reason.until:
            return f"It was off until {self.time(reason.until)}."
        return "" if reason.ever_enabled else "It has never been enabled."

    def _while_enabled(self, reason: WhileEnabled, following: str) -> str:
        match reason:
            case NotFired():
                return f"; {self._not_fired(reason)} {following}"
            case NothingHeard(last, connected_at):
                since = f" since {self.time(connected_at)}" if connected_at else ""
                if last and last.code is Code.LISTENING:
                    return f", and it was connected{since}: its source sent nothing new. {following}"
                told = f" {self.outcome(last)}" if last else ""
                return f", and nothing came from its source.{told} {following}"
            case NothingFromApp(count, last, others):
                refused = f"{count} of the app's requests were refused then. {self.outcome(last)}" if last else ""
                told = " ".join(filter(None, (_for_others(others), refused)))
                return f", and its app brought nothing for it. {told}"
            case NothingTold():
                return ", and no operational event that it asks for was told."
            case NoRequest(before, swept):
                earlier = f"Before that: {self.outcome(before)}" if before else ""
                asked = self.outcome(swept) if swept else ""
                return " ".join(filter(None, (", and no request reached its address.", asked, earlier)))
            case _:
                return f"; {self._polls(reason)} {following}"

    def _polls(self, reason: PollReason) -> str:
        match reason:
            case Polled(last, count):
                more = f" It was polled {count} times then." if count > 1 else ""
                return f"its last poll, at {self.time(last.at)}, {last.code.meaning}.{more}"
            case LeftAlone(gap, poll):
                return f"no poll ran, because the provider asked for it: {self._between(gap)}. {self.outcome(poll)}"
            case LateAfterFailure(gap, failed):
                waits = "no poll was due, as it waits longer after a failure"
                return f"{waits}: {self._between(gap)}. {self.outcome(failed)}"
            case PutOff(gap, refused):
                until = f"until {self.time(gap.next_poll)}" if gap.next_poll else "on"
                why = "because no new event was taken"
                return f"no poll ran from {self.time(gap.began)} {until}, {why}. {self.outcome(refused)}"
            case CutOff(gap, poll):
                return f"no poll ran: {self._between(gap)}. {self.outcome(poll)}"
            case NotDue(gap, every):
                return f"no poll was due, as it is polled every {length(every)}: {self._between(gap)}."
            case Down(gap, every, outage):
                return (
                    f"no poll ran, although it is polled every {length(every)}: {self._outage(outage)}. "
                    f"{_capital(self._between(gap))}."
                )
            case NotPolled(gap, every, connected, workers_ran):
                connection = ", or its connection was busy or paused" if connected else ""
                down = "The service ran, but" if workers_ran else "The service was down, or"
                return (
                    f"no poll ran, although it is polled every {length(every)}: {self._between(gap)}. "
                    f"{down} its workers did not keep up{connection}."
                )

    def _between(self, gap: Gap) -> str:
        began = (
            f"the last poll before was at {self.time(gap.began)}"
            if gap.polled_before
            else "it had not been polled before"
        )
        ended = f", the next at {self.time(gap.next_poll)}" if gap.next_poll else ", and none has come since"
        return began + ended

    def _not_fired(self, reason: NotFired) -> str:
        before, after = reason.before, reason.after
        has_fired = before is not None and before.code is Code.ACCEPTED
        fires_later = after is not None and after.code is Code.ACCEPTED
        known = [f"the last firing before was at {self.time(before.at)}"] if before and has_fired else []
        known += [f"the next at {self.time(after.at)}"] if after and fires_later else []
        said = "its schedule did not fire then" + (f": {', '.join(known)}." if known else ".")
        # Any other outcome says why it did not fire, and that of a late firing what became of the times before it.
        told = [before] if before and not has_fired else []
        told += [after] if after and (after.detail or not fires_later) else []
        return " ".join([said, *map(self.outcome, told)])

    def _failed(self, failed: Sequence[AttemptRecord]) -> str:
        if not failed:
            return ""
        last = failed[-1]
        count = "The first attempt" if len(failed) == 1 else f"{len(failed)} attempts"
        return f"{count} failed, at {self.time(last.finished_at)}: {last.detail} ".replace(
            "failed, at", "failed, the last at" if len(failed) > 1 else "failed at"
        )

    def _held(self, delivery: Delivery, wait: Wait | None) -> str:
        match wait:
            case Suspended(by, id_, since, paused_by):
                what = "its project is paused" if by == "project" else "its trigger is paused"
                when = f" since {self.time(since)}" if since else ""
                whom = f" by {paused_by}" if paused_by else ""
                path = "projects" if by == "project" else "project-triggers"
                return f"It is held back, because {what}{when}{whom}. To go on: POST /v1/{path}/{id_}/resume"
            case Behind(delivery_id, order_by):
                return (
                    f"It waits for its turn: the delivery {delivery_id} goes before it, as its project keeps "
                    f"deliveries of the same {order_by} in order."
                )
            case LaneFull(limit, under_way, longest):
                lasting = f", the longest for {length(longest)}" if longest else ""
                most = f"{under_way} of at most {limit} deliveries"
                return f"It waits for room: {most} of its project are under way{lasting}."
            case _:
                return f"It {DELIVERY_STATUS[delivery.status]}."

    def _untouched(self, delivery: Delivery, wait: Wait | None) -> str:
        waited = self.now - delivery.created_at
        match wait:
            case Claimed(lasting, timeout_seconds) if lasting >= _LONG_FOR_AN_ANSWER:
                most = f" It may take {timeout_seconds} seconds." if timeout_seconds else ""
                return f" A worker claimed it {length(lasting)} ago, and the target has not answered since.{most}"
            case Claimed():
                return ""
            case Unclaimed() if self.held:
                return f" It is held. {self.held}"
            case _ if delivery.attempts or waited < _SOON:
                return ""
            case Unclaimed():
                return f" No worker has claimed it for {length(waited)}: see whether a worker runs and keeps up."
            case _:
                why = "see whether a worker runs, and whether the target hangs"
                return f" No attempt has ended for {length(waited)}: {why}."


def event_step(event: EventTrace, came: str | None) -> RecordedStep:
    said = f"The event with the key '{event.key}' of type {event.type} was stored: it came {_WAYS[came]}."
    return RecordedStep(event.received_at, "event", Code.ACCEPTED, said, event_id=event.id)


def outcome_step(one: Outcome) -> RecordedStep:
    said = f"The {_SUBJECT[one.kind]} {_meaning(one)}."
    return RecordedStep(one.at, one.kind, one.code, _joined(said, _detail(one)), one.count)


def _meaning(one: Outcome) -> str:
    if one.code is Code.ACCEPTED:
        events = "one new event" if one.events == 1 else f"{one.events} new events"
        return f"brought {events}"
    return one.code.meaning


def _detail(one: Outcome) -> str:
    return "" if Trait.SELF_EXPLANATORY in one.code.traits else one.detail


def _delivery_step(delivery: Delivery, said: str, at: datetime) -> RecordedStep:
    return RecordedStep(at, "delivery", delivery.status, said, event_id=delivery.event_id, delivery_id=delivery.id)


def _attempt_step(delivery: Delivery, one: AttemptRecord) -> RecordedStep:
    failure = Failure(one.failure) if one.failure and one.status == "failed" else None
    why = f", because {FAILURE[failure]}" if failure else ""
    ended = {"delivered": "delivered it", "failed": f"failed{why}", "gone": "was the last: the target is gone"}
    said = _joined(f"Attempt {one.number} {ended[one.status]}.", one.detail)
    return RecordedStep(
        one.finished_at,
        "attempt",
        failure or one.status,
        said,
        event_id=delivery.event_id,
        delivery_id=delivery.id,
    )


def _for_others(others: OtherAccounts | None) -> str:
    """Say how many requests came for other accounts of the same organisation; return an empty text if none did."""
    if not others or not others.requests:
        return ""
    shown = others.requests[:_MOST_ACCOUNTS]
    told = ", ".join(f"{count} for {_account(account)}" for account, count in shown)
    more = f" and others for {len(others.requests) - len(shown)} more" if len(others.requests) > len(shown) else ""
    one = shown[0][1] == 1 and len(others.requests) == 1
    came = f"1 request came for {_account(shown[0][0])}" if one else f"Requests came for others: {told}{more}"
    kind = shown[0][0].partition(":")[0]
    own = ", ".join(each.removeprefix(f"{kind}:").replace(":", " ") for each in others.own[:_MOST_ACCOUNTS])
    return f"{came}; this trigger listens to {own or 'no account'}."


def _account(account: str) -> str:
    """Return an account such as `repository:12346` in words."""
    return account.replace(":", " ", 1)


def _edit_before(latest: Sequence[Outcome], since: datetime | None) -> Outcome | None:
    """Return the newest change of the trigger that has a detail and came before `since`, or None.

    Without `since`, any time counts.
    """
    return next(
        (one for one in latest if one.code is Code.CHANGED and one.detail and (not since or one.at <= since)), None
    )


def _joined(sentence: str, detail: str) -> str:
    """Return the sentence with the detail after it, unless the sentence contains the detail already."""
    detail = detail.strip()
    return f"{sentence} {detail}" if detail and detail.rstrip(".") not in sentence else sentence


def _capital(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def length(of: timedelta) -> str:
    seconds = int(of.total_seconds())
    for name, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {name}{'s' * (count > 1)}"
    return f"{seconds} second{'s' * (seconds != 1)}"
