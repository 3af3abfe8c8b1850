"""Find the reason of a silence. The trigger was disabled, nothing was due, no worker ran, or nothing was new.

A reason is a value, so that a page or an API can show it in its own form. `sentences` makes its sentence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hairtrigger.domain.outcome import ASKED_TO_WAIT, Code, Kind, Trait
from hairtrigger.domain.rhythm import LONGEST_WAIT, longest_back_off
from hairtrigger.services.explain.outages import Outage
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain.other_accounts import OtherAccounts
from hairtrigger.store.explain.trigger_health import Condition

_ON_TIME = timedelta(minutes=2)  # a poll up to so long after its due time is late, and does not count as missing


@dataclass(frozen=True)
class StillToCome:
    """The silence lies in the future."""


@dataclass(frozen=True)
class NotYetCreated:
    """The silence ended before the trigger was created."""

    created_at: datetime


@dataclass(frozen=True)
class NoLongerKept:
    """The silence ended before the first day that is still stored."""

    kept_since: date


@dataclass(frozen=True)
class Disabled:
    """The trigger was disabled. `since`, `until` and `detail` say when and why, as far as that is recorded."""

    since: datetime | None
    until: datetime | None
    detail: str
    ever_enabled: bool


@dataclass(frozen=True)
class Polled:
    """The trigger was polled, and no poll brought an event."""

    last: Outcome
    count: int


@dataclass(frozen=True)
class Gap:
    """A time without polls."""

    began: datetime  # the last poll, or else when the trigger was enabled or created
    polled_before: bool
    next_poll: datetime | None  # None: no poll has come since


@dataclass(frozen=True)
class LateAfterFailure:
    """No poll was due, because the trigger waits longer after a failed poll."""

    gap: Gap
    failed: Outcome


@dataclass(frozen=True)
class LeftAlone:
    """No poll was due, because the provider had asked for a pause when it answered a poll, which did not fail."""

    gap: Gap
    poll: Outcome


@dataclass(frozen=True)
class PutOff:
    """No poll ran, because no new event of the organisation was taken: a quota was used up, or the disk was full."""

    gap: Gap
    refused: Outcome


@dataclass(frozen=True)
class CutOff:
    """The last poll was cut off, and no other poll ran."""

    gap: Gap
    poll: Outcome


@dataclass(frozen=True)
class NotDue:
    """No poll was due, because the gap is no longer than the interval."""

    gap: Gap
    every: timedelta


@dataclass(frozen=True)
class Down:
    """A poll was due while no process could run it."""

    gap: Gap
    every: timedelta
    outage: Outage


@dataclass(frozen=True)
class NotPolled:
    """A poll was due and none ran, because no worker took it or its connection prevented it."""

    gap: Gap
    every: timedelta
    connected: bool
    workers_ran: bool = False  # as far as is recorded


@dataclass(frozen=True)
class NotFired:
    """The schedule did not fire."""

    before: Outcome | None
    after: Outcome | None


@dataclass(frozen=True)
class NothingHeard:
    """The trigger listened, or tried to, and its source sent nothing. `last` is its last outcome until then."""

    last: Outcome | None
    connected_at: datetime | None  # since when it is connected now, if it is


@dataclass(frozen=True)
class NothingFromApp:
    """The app webhook brought nothing for this trigger."""

    refused: int  # requests of the app, for any account
    last_refused: Outcome | None
    others: OtherAccounts | None = None  # requests for other accounts of the same organisation


@dataclass(frozen=True)
class NoRequest:
    """No request reached the trigger's own address."""

    before: Outcome | None
    swept: Outcome | None = None  # the last sweep of that time


@dataclass(frozen=True)
class NothingTold:
    """The service told no operational event that the trigger asks for."""


PollReason = Polled | LeftAlone | LateAfterFailure | PutOff | CutOff | NotDue | Down | NotPolled
WhileEnabled = PollReason | NotFired | NothingHeard | NothingFromApp | NothingTold | NoRequest
Reason = StillToCome | NotYetCreated | NoLongerKept | Disabled | WhileEnabled


@dataclass(frozen=True)
class Silence:
    """A time without events, and the outcomes recorded nearest to it."""

    condition: Condition
    since: datetime
    until: datetime
    within: Sequence[Outcome]  # oldest first
    earlier: Sequence[Outcome]  # newest first
    later: Sequence[Outcome]  # oldest first
    refused_by_app: Sequence[Outcome]  # at the app webhook, for any account
    kept_since: date | None
    outages: Sequence[Outage] | None = None  # of that time, oldest first; None where nothing is recorded of it
    others: OtherAccounts | None = None  # requests that the app brought for other accounts of the organisation

    def reason(self, now: datetime) -> Reason:
        if self.since > now:
            return StillToCome()
        if self.until <= self.condition.created_at:
            return NotYetCreated(self.condition.created_at)
        if self.kept_since and self.until.date() < self.kept_since:
            return NoLongerKept(self.kept_since)
        return self._while_enabled(now) if self._enabled() else self.disabled()

    @property
    def baseline(self) -> Outcome | None:
        """Return the outcome of the next enabling, if its detail says that what the provider had then counts as seen.

        Otherwise return None.
        """
        on = next((one for one in (*self.within, *self.later) if one.code is Code.ENABLED), None)
        return on if on and on.detail else None

    def disabled(self) -> Disabled:
        """Return since when, until when and why the trigger was disabled, as far as that is recorded."""
        off = next((one for one in (*reversed(self.within), *self.earlier) if Trait.DISABLES in one.code.traits), None)
        on = next((one for one in self.later if one.code is Code.ENABLED), None)
        return Disabled(
            since=off.at if off else None,
            until=on.at if on else None,
            detail=off.detail if off else "",
            ever_enabled=self.condition.enabled_at is not None,
        )

    def _enabled(self) -> bool:
        """Return whether the trigger was enabled, as far as its outcomes before and after that time show."""
        for one in (*reversed(self.within), *self.earlier):
            if _speaks(one):
                return not one.code.traits & (Trait.DISABLES | Trait.WHILE_DISABLED)
        if self.condition.enabled and self.condition.enabled_at and self.condition.enabled_at < self.until:
            return True
        following = next((one for one in self.later if _speaks(one)), None)
        return following is not None and Trait.DISABLES in following.code.traits

    def _while_enabled(self, now: datetime) -> WhileEnabled:
        match self.condition.kind:
            case "poll":
                return self._polls(now)
            case "schedule":
                return NotFired(self._before(Kind.SCHEDULE), self._after(Kind.SCHEDULE))
            case "listen":
                told = [one for one in self.within if one.kind is Kind.LISTEN]
                last = told[-1] if told else self._before(Kind.LISTEN)
                return NothingHeard(last, self.condition.connected_at)
            case None if self.condition.of_app:
                refused = self.refused_by_app
                count = sum(one.count for one in refused)
                return NothingFromApp(count, refused[0] if refused else None, self.others)
            case None if self.condition.way == "service":
                return NothingTold()
            case None:
                swept = next((one for one in reversed(self.within) if one.kind is Kind.SWEEP), None)
                return NoRequest(self._before(Kind.WEBHOOK), swept)

    def _polls(self, now: datetime) -> PollReason:
        polls = [one for one in self.within if one.kind is Kind.POLL]
        if polls:
            return Polled(polls[-1], len(polls))
        before, after = self._before(Kind.POLL), self._after(Kind.POLL)
        began = before.at if before else self.condition.enabled_at or self.condition.created_at
        ended = after.at if after else now
        return self._no_poll(before, Gap(began, before is not None, after.at if after else None), ended - began)

    def _no_poll(self, before: Outcome | None, gap: Gap, lasted: timedelta) -> PollReason:
        every = timedelta(seconds=self.condition.every_seconds or 60)
        if before and Trait.FAILURE in before.code.traits and lasted <= _longest_after(before, every) + _ON_TIME:
            return LateAfterFailure(gap, before)
        if before and ASKED_TO_WAIT in before.detail and lasted <= LONGEST_WAIT + _ON_TIME:
            return LeftAlone(gap, before)
        if before and before.code in {Code.OVER_QUOTA, Code.DISK_FULL}:  # only the first refusal leaves an outcome
            return PutOff(gap, before)
        if before and before.code is Code.CUT_OFF:
            return CutOff(gap, before)
        for outage in self.outages or ():
            if outage.until is None or gap.began + every < outage.until:
                return Down(gap, every, outage)
        if lasted <= every + _ON_TIME:
            return NotDue(gap, every)
        return NotPolled(gap, every, self.condition.connected, workers_ran=self.outages is not None)

    def _before(self, kind: Kind) -> Outcome | None:
        return next((one for one in self.earlier if one.kind is kind), None)

    def _after(self, kind: Kind) -> Outcome | None:
        return next((one for one in self.later if one.kind is kind), None)


def _longest_after(failed: Outcome, every: timedelta) -> timedelta:
    """Return the longest wait that may follow this failure of a poll with this interval."""
    return LONGEST_WAIT if failed.code is Code.RATE_LIMITED else longest_back_off(every)


def _speaks(one: Outcome) -> bool:
    """Return whether an outcome shows that the trigger was enabled, or that it was disabled."""
    return Trait.ALWAYS not in one.code.traits and not (one.kind is Kind.REGISTRATION and one.code is Code.FAILED)
