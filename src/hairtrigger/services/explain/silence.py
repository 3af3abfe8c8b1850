"""Explain a silence: the trigger was disabled, nothing was due, no worker was running, or there was nothing new."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hairtrigger.domain.outcome import Code, Kind, Trait
from hairtrigger.domain.rhythm import LONGEST_WAIT, longest_back_off
from hairtrigger.services.explain.sentences import Teller, length
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain.trigger_health import Condition

_ON_TIME = timedelta(minutes=2)  # a poll up to so long after its due time is late, and does not count as missing


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

    def sentence(self, teller: Teller) -> str:
        window = f"between {teller.time(self.since)} and {teller.time(self.until)}"
        if self.since > teller.now:
            return f"That is still to come. {teller.next(self.condition)}".strip()
        if self.until <= self.condition.created_at:
            return f"The trigger did not exist yet: it was created at {teller.time(self.condition.created_at)}."
        if self.kept_since and self.until.date() < self.kept_since:
            return f"Of that time nothing is kept any more: what is stored begins on {self.kept_since:%Y-%m-%d}."
        return f"Nothing arrived {window}. {self._why(teller)}".strip()

    def _why(self, teller: Teller) -> str:
        if not self._enabled():
            return f"The trigger was disabled. {self.off(teller)}".strip()
        match self.condition.kind:
            case "poll":
                return f"The trigger was enabled; {self._polls(teller)} {teller.next(self.condition)}".strip()
            case "schedule":
                return f"The trigger was enabled; {self._firings(teller)} {teller.next(self.condition)}".strip()
            case None if self.condition.of_app:
                return f"The trigger was enabled, and its app brought nothing for it. {self._app(teller)}".strip()
            case None:
                return f"The trigger was enabled, and no request reached its address. {self._request(teller)}".strip()

    def _enabled(self) -> bool:
        """Return whether the trigger was enabled, judged by its last outcome: a disabled trigger leaves few kinds."""
        for one in (*reversed(self.within), *self.earlier):
            if _speaks(one):
                return not one.code.traits & (Trait.DISABLES | Trait.WHILE_DISABLED)
        if self.condition.enabled and self.condition.enabled_at and self.condition.enabled_at < self.until:
            return True
        following = next((one for one in self.later if _speaks(one)), None)
        return following is not None and Trait.DISABLES in following.code.traits

    def off(self, teller: Teller) -> str:
        """Say since when, until when and why the trigger was disabled, as far as that is recorded."""
        off = next((one for one in (*reversed(self.within), *self.earlier) if Trait.DISABLES in one.code.traits), None)
        on = next((one for one in self.later if one.code is Code.ENABLED), None)
        if off and on:
            return f"It was off from {teller.time(off.at)} until {teller.time(on.at)}. {off.detail}".strip()
        if off:
            return f"It has been off since {teller.time(off.at)}. {off.detail}".strip()
        if on:
            return f"It was off until {teller.time(on.at)}."
        return "" if self.condition.enabled_at else "It has never been enabled."

    def _polls(self, teller: Teller) -> str:
        polls = [one for one in self.within if one.kind is Kind.POLL]
        if polls:
            count = f" It was polled {len(polls)} times then." if len(polls) > 1 else ""
            return f"its last poll, at {teller.time(polls[-1].at)}, {polls[-1].code.meaning}.{count}"
        before = next((one for one in self.earlier if one.kind is Kind.POLL), None)
        after = next((one for one in self.later if one.kind is Kind.POLL), None)
        every = timedelta(seconds=self.condition.every_seconds or 60)
        began = before.at if before else self.condition.enabled_at or self.condition.created_at
        ended = after.at if after else teller.now
        connection = ", or its connection was busy or paused" if self.condition.connected else ""
        between = f"the last poll before was at {teller.time(began)}" if before else "it had not been polled before"
        between += f", the next at {teller.time(after.at)}" if after else ", and none has come since"
        if (
            before
            and Trait.FAILURE in before.code.traits
            and ended - began <= _after_a_failure(before, every) + _ON_TIME
        ):
            return f"no poll was due, as it waits longer after a failure: {between}. {teller.outcome(before)}"
        if before and before.code is Code.CUT_OFF:
            return f"no poll ran: {between}. {teller.outcome(before)}"
        if ended - began <= every + _ON_TIME:
            return f"no poll was due, as it is polled every {length(every)}: {between}."
        return (
            f"no poll ran, although it is polled every {length(every)}: {between}. "
            f"The service was down, or its workers did not keep up{connection}."
        )

    def _firings(self, teller: Teller) -> str:
        before = next((one for one in self.earlier if one.kind is Kind.SCHEDULE), None)
        after = next((one for one in self.later if one.kind is Kind.SCHEDULE), None)
        known = [f"the last firing before was at {teller.time(before.at)}"] if before else []
        known += [f"the next at {teller.time(after.at)}"] if after else []
        said = "its schedule did not fire then" + (f": {', '.join(known)}." if known else ".")
        # The outcome of a late or missed firing says what became of the due times before it.
        return f"{said} {teller.outcome(after)}" if after and (after.detail or after.code is Code.MISSED) else said

    def _app(self, teller: Teller) -> str:
        if not self.refused_by_app:
            return ""
        count = sum(one.count for one in self.refused_by_app)
        return f"{count} of the app's requests were refused then. {teller.outcome(self.refused_by_app[0])}"

    def _request(self, teller: Teller) -> str:
        before = next((one for one in self.earlier if one.kind is Kind.WEBHOOK), None)
        return f"Before that: {teller.outcome(before)}" if before else ""


def _after_a_failure(failed: Outcome, every: timedelta) -> timedelta:
    """Return the longest wait that may follow such a failure."""
    return LONGEST_WAIT if failed.code is Code.RATE_LIMITED else longest_back_off(every)


def _speaks(one: Outcome) -> bool:
    """Return whether an outcome shows if the trigger was enabled."""
    return Trait.ALWAYS not in one.code.traits and not (one.kind is Kind.REGISTRATION and one.code is Code.FAILED)
