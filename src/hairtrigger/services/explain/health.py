"""Diagnose a trigger. It is healthy, failing, stalled, paused or disabled, since some time and for a reason."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hairtrigger.domain.instants import shifted
from hairtrigger.domain.operational import PROVIDER
from hairtrigger.domain.outcome import Code, Kind, Trait
from hairtrigger.domain.quotas import Refuses, nothing_refused
from hairtrigger.kit.trigger import AppWebhook, Internal, Webhook
from hairtrigger.platform.clock import Clock
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain.streaks import MOST_FRUITLESS
from hairtrigger.store.explain.trigger_health import MOST_FAILED_SWEEPS, Condition, Expectations, Stall, Status

STALLS: dict[Stall, str] = {
    "overdue": "It is overdue, and no worker has taken it. See whether a worker runs, and whether it keeps up.",
    "off_the_clock": "It is enabled but not on the clock, so it never comes due. Disable and enable it again.",
    "unregistered": "It is enabled but has no webhook, so nothing reaches it. Disable and enable it again.",
    "unrouted": "It is enabled but listens to no account, so nothing reaches it. Disable and enable it again.",
}
MOST_HELD = 1000
RATE_LIMITED = "The project's rate limits of deliveries are used up, so its deliveries wait"
LATE = timedelta(seconds=40)
"""The time after which a due time that no worker has taken up is overdue.

A stall is told within a minute, also with the pauses between two looks of the stall watchdog and of the operational
watch.
"""


@dataclass(frozen=True)
class Health:
    status: Status
    reason: str
    since: datetime | None
    next_at: datetime | None
    expected_by: datetime | None  # None where no time can be told


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    clock: Clock
    catalogue: Catalogue
    poll_deadline: timedelta
    schedule_grace: timedelta
    refusal: Refuses = nothing_refused
    holds: Refuses = nothing_refused
    """Return why no delivery of the organisation is attempted now, or None if deliveries are attempted."""

    def expectations(self) -> Expectations:
        """Return the time before which a due time is overdue now, and the triggers that need none, because they wait
        for requests or events.
        """
        now = self.clock.now()
        webhooks = [
            (provider.id, trigger.id, isinstance(trigger, AppWebhook))
            for provider in self.catalogue.providers.values()
            for trigger in provider.triggers
            if isinstance(trigger, Webhook | AppWebhook | Internal)
        ]
        return Expectations(now, shifted(now, -LATE), webhooks)

    def expected_by(self, condition: Condition) -> datetime | None:
        """Return the time by which the next poll or firing, or the one under way, must have ended.

        It is None for a disabled trigger, and for a trigger without due times, whose requests or events come when
        something happens.
        """
        if condition.next_at is None or not condition.enabled:
            return None
        under_way = condition.leased_until and condition.leased_until > self.clock.now()
        if under_way:
            return condition.leased_until
        return shifted(condition.next_at, self.poll_deadline if condition.kind == "poll" else self.schedule_grace)

    def health(self, condition: Condition, latest: Sequence[Outcome] = (), held: int = 0) -> Health:
        """Return the trigger's health.

        The `latest` outcomes, newest first, and `held`, the number of deliveries that a pause holds back, make its
        reason more exact.
        """
        since, reason = self._why(condition, latest)
        if condition.paused and condition.status != "disabled":
            reason = (
                f"{reason} {_paused(condition, held)}" if condition.status != "paused" else _paused(condition, held)
            )
        if condition.enabled and (refused := self.refusal(condition.org_id)):
            reason = f"No new event of it is taken now. {refused.message} {reason}"
        if condition.status != "disabled" and (holding := self.holds(condition.org_id)):
            reason = f"Its deliveries are held. {holding.message} {reason}"
        return Health(condition.status, reason, since, condition.next_at, self.expected_by(condition))

    def _why(self, condition: Condition, latest: Sequence[Outcome]) -> tuple[datetime | None, str]:
        match condition.status:
            case "healthy":
                return condition.enabled_at, _nothing_wrong(condition, latest)
            case "failing":
                return _failing(condition, latest)
            case "stalled":
                assert condition.stall
                since = condition.next_at if condition.stall == "overdue" else condition.enabled_at
                return since, STALLS[condition.stall]
            case "paused":
                return condition.paused_since, ""
            case "disabled":
                return _disabled(condition, latest)


def _fruitless(condition: Condition, latest: Sequence[Outcome]) -> tuple[datetime | None, str]:
    polls = [one for one in latest if one.kind is Kind.POLL][: condition.fruitless]
    said = f" {polls[0].detail}" if polls else ""
    count = condition.fruitless
    return (
        polls[-1].at if polls else None,
        f"The last {count} polls found nothing, and every request of their code failed or was refused.{said}",
    )


def _nothing_wrong(condition: Condition, latest: Sequence[Outcome]) -> str:
    last = next((one for one in latest if one.kind is Kind.POLL), None)
    if last and last.code is Code.ITEMS_REFUSED:
        return f"The last poll refused items ({last.code}). {last.detail}"
    if condition.kind is None and (beside := _beside(condition, latest)):
        return f"It waits for requests. {beside}"
    if condition.rests_until:
        return f"{RATE_LIMITED} until {condition.rests_until:%Y-%m-%d %H:%M:%S} UTC."
    if condition.kind == "listen":
        return _listening(condition)
    if condition.kind:
        return "Nothing stands in its way."
    if condition.provider_id == PROVIDER:
        return "It waits for operational events. Nothing can be expected by a time: they come when something happens."
    return "It waits for requests. Nothing can be expected by a time: they come when something happens."


def _listening(condition: Condition) -> str:
    heard = (
        f" Its last event came at {_instant(condition.heard_at)}." if condition.heard_at else " No event has come yet."
    )
    if condition.connected_at and condition.leased_until:
        return f"It is connected since {_instant(condition.connected_at)}.{heard}"
    return f"It is about to connect.{heard}"


def _instant(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _beside(condition: Condition, latest: Sequence[Outcome]) -> str:
    """Say what is to be known of the sweep of a push and of its webhook at the provider, or return an empty text."""
    found = [one for one in latest if one.code is Code.RECOVERED_EVENTS]
    told = []
    if condition.sweep_failures:
        what = "sweep" if condition.sweep_failures == 1 else f"{condition.sweep_failures} sweeps"
        told.append(f"The last {what} failed, and the provider's requests are taken. {condition.sweep_error or ''}")
    if found:
        count, at = sum(one.events for one in found), f"{found[0].at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        what = "1 event" if count == 1 else f"{count} events"
        told.append(f"Its sweeps found {what} that the provider's requests had not brought, the last at {at}.")
    if condition.subscription_error and not condition.lost_at:
        told.append(f"Its webhook could not be looked at or renewed. {condition.subscription_error}")
    if told and condition.subscription_ends_at:
        told.append(f"Its subscription at the provider ends at {condition.subscription_ends_at:%Y-%m-%d %H:%M:%S} UTC.")
    return " ".join(one.strip() for one in told)


def _failing(condition: Condition, latest: Sequence[Outcome]) -> tuple[datetime | None, str]:
    """Return since when the trigger is failing, and why: because of its polls, its webhook at the provider, its sweeps,
    its requests or its deliveries, or of several of them.
    """
    polls, refused, undelivered = condition.failures, condition.refused, condition.undelivered
    told, begun = [], []
    if polls:
        work = "connection" if condition.kind == "listen" else "poll"
        what = work if polls == 1 else f"{polls} {work}s"
        told.append(f"The last {what} failed. {condition.poll_error or ''}".strip())
        begun.append(condition.failing_since)
    if condition.fruitless >= MOST_FRUITLESS and not polls:
        since, why = _fruitless(condition, latest)
        told.append(why)
        begun.append(since)
    if condition.lost_at:
        told.append(condition.subscription_error or "Its webhook at the provider is gone.")
        begun.append(condition.lost_at)
    if condition.sweep_failures >= MOST_FAILED_SWEEPS:
        told.append(
            f"The last {condition.sweep_failures} sweeps failed, and the provider's requests are taken. "
            f"{condition.sweep_error or ''}".strip()
        )
        begun.append(condition.sweep_failing_since)
    if refused:
        what = "request was" if refused == 1 else f"{refused} requests were"
        told.append(f"The last {what} refused: {condition.refused_detail}")
        begun.append(condition.refused_since)
    if undelivered:
        what = "attempt to deliver" if undelivered == 1 else f"{undelivered} attempts to deliver"
        told.append(f"The last {what} failed: {condition.undelivered_detail}")
        begun.append(condition.undelivered_since)
    return min((since for since in begun if since), default=None), " ".join(told)


def _paused(condition: Condition, held: int) -> str:
    since = f" since {condition.paused_since.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC" if condition.paused_since else ""
    by = f" by {condition.paused_by}" if condition.paused_by else ""
    what = "Its project is paused" if condition.paused == "project" else "It is paused"
    path = f"projects/{condition.project_id}" if condition.paused == "project" else f"project-triggers/{condition.id}"
    waiting = (
        "1 delivery waits"
        if held == 1
        else f"{'more than ' if held > MOST_HELD else ''}{min(held, MOST_HELD)} deliveries wait"
    )
    return f"{what}{since}{by}: what arrives is held, and {waiting}. To go on: POST /v1/{path}/resume"


def _disabled(condition: Condition, latest: Sequence[Outcome]) -> tuple[datetime, str]:
    """Return since when and why the trigger is disabled, and why the last try to enable it failed, if one did."""
    off = next((one for one in latest if Trait.DISABLES in one.code.traits), None)
    if off:
        since, reason = off.at, off.detail or f"It {off.code.meaning}."
    elif condition.enabled_at:
        since, reason = condition.updated_at, "It was disabled."
    else:
        since, reason = condition.created_at, "It has never been enabled."
    tried = next((one for one in latest if one.kind is Kind.REGISTRATION and one.code is Code.FAILED), None)
    return since, f"{reason} {tried.detail}" if tried and tried.at >= since else reason
