"""Ask providers for new events, and store them under the lease of the poll.

The cursor of a page is stored with the last of its events, never before.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

import structlog

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import (
    AccessDenied,
    Conflict,
    CredentialsRefused,
    HairtriggerError,
    NotReady,
    ParseKilled,
    PollFailed,
    ProviderFailed,
    Unavailable,
    sentence,
)
from hairtrigger.domain.event import Draft, bounded_key
from hairtrigger.domain.instants import shifted
from hairtrigger.domain.outcome import ASKED_TO_WAIT, Code
from hairtrigger.domain.rhythm import AFTER_A_LOSS, AFTER_A_REFUSAL, LONGEST_WAIT, back_off, beats_between, next_beat
from hairtrigger.domain.trace import Begun
from hairtrigger.kit.trigger import Page, Polling, Question, polling_of, sweep_of
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.shares import Shares
from hairtrigger.platform.wake import Wake
from hairtrigger.services.baseline import dated_since, is_baseline
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.polling.poll_leases import Claimed, Claims, PollLeases
from hairtrigger.services.polling.poll_results import CHANGED, PollEnd, PollStep, StoredPoll
from hairtrigger.services.provider_calls import MOST_PAGES, Pages, ProviderCalls, tenant_of
from hairtrigger.services.recorder import event_from, rekeyed
from hairtrigger.services.tracing import Tracing
from hairtrigger.store.database import Store
from hairtrigger.store.events import events as stored_events
from hairtrigger.store.events.events import Event
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.triggers import ProjectTrigger

log = structlog.get_logger()

AT_ONCE = 500  # events stored by one statement: more would block the event loop for too long


@dataclass(frozen=True)
class Result:
    """The result of a poll for the user who asked for it."""

    code: Code
    detail: str
    events: tuple[UUID, ...] = ()
    repeats: int = 0
    console: tuple[str, ...] = ()
    error_kind: str | None = None


@dataclass
class _Run:
    """One poll under way, with what it has stored so far."""

    claimed: Claimed
    begun: datetime
    stored: StoredPoll = field(default_factory=lambda: StoredPoll(mine=True))
    question: Question[Any] | None = None
    refused: int = 0
    trace: Begun | None = None

    def code(self, *, silent: bool) -> Code | None:
        """Return the code with which the poll ends, or None if it follows from what the poll stored.

        A poll is `silent` if it is a baseline.
        """
        if not self.stored.mine:
            return None
        return Code.BASELINE if silent else Code.ITEMS_REFUSED if self.refused else None

    @property
    def wait(self) -> timedelta | None:
        """Return how long the provider has asked us to wait, or None if no answer of the poll asked for that."""
        return self.question.api.quota.wait if self.question else None


@dataclass(frozen=True, kw_only=True)
class Poller:
    store: Store
    clock: Clock
    catalogue: Catalogue
    calls: ProviderCalls
    leases: PollLeases
    settle: Callable[[PollStep], Awaitable[StoredPoll]]  # stores many polls in one batch
    work: Wake
    deadline: timedelta
    metrics: Metrics = field(default_factory=lambda: Metrics(on=False))
    tracing: Tracing = field(default_factory=Tracing)

    async def claim(self, limit: int, places: Shares | None = None) -> Claims:
        return await self.leases.due(limit, places)

    async def poll_now(self, caller: Caller, trigger_id: UUID) -> Result:
        """Poll a trigger now, whether or not it is due, and return the result.

        Raise `NotReady` if the trigger is disabled or does not poll, `Conflict` if no poll can begin, `QuotaSpent` or
        `DiskFull` if no event of the organisation is taken now, and `RateLimited` while too many calls that users wait
        for are under way.
        """
        with ExitStack() as place:
            claimed = await self._claimed_now(caller, trigger_id, place)
            return await self.run(claimed)

    async def _claimed_now(self, caller: Caller, trigger_id: UUID, place: ExitStack) -> Claimed:
        async with self.store.transaction() as tx:
            trigger = await triggers.existing(tx, caller.org_id, trigger_id)
            _, definition = await self.catalogue.trigger(tx, caller.org_id, trigger.provider_id, trigger.trigger_id)
            if polling_of(definition) is None:
                raise NotReady("This trigger does not poll: its events come by themselves.")
            if not trigger.enabled:
                raise NotReady("The trigger is disabled. Enable it first.")
            place.enter_context(self.calls.asked(tenant_of(trigger)))
            claimed = await self.leases.one(tx, trigger)
        if not claimed:
            raise Conflict("The trigger is being polled at this moment.")
        return claimed

    async def run(self, claimed: Claimed) -> Result:
        """Run a claimed poll, and return its result. Each end, also a failure, is stored and ends the lease.

        Only `Unavailable` is raised, while the database is away. The lease then runs out by itself.
        """
        run = _Run(claimed, self.clock.now(), trace=self.tracing.begun())
        result = await self._ended(run)
        provider_id = claimed.trigger.provider_id
        took, sweep = self.clock.now() - run.begun, claimed.poll.sweep
        self.metrics.poll_ended(provider_id, result.code, took, len(result.events), sweep=sweep)
        if run.stored.recovered:
            self.metrics.recovered(provider_id, run.stored.recovered)
        self.tracing.polled(run.trace, run.begun, result.code, provider_id)
        return result

    async def _ended(self, run: _Run) -> Result:
        try:
            return await self._drain(run)
        except Unavailable:
            raise  # the database is away, so the lease can only run out
        except TimeoutError:
            late = PollFailed(f"The poll took longer than {self.deadline}.")
            return await self._failed(run, late, Code.TIMED_OUT)
        except ParseKilled as error:
            return await self._failed(run, error, Code.PARSE_KILLED)
        except HairtriggerError as error:
            return await self._failed(run, error)
        except Exception:
            log.exception("poll broke", project_trigger_id=str(run.claimed.poll.project_trigger_id))
            broken = PollFailed("The poll broke inside the service; see its log.")
            return await self._failed(run, broken, Code.BROKEN)

    async def _drain(self, run: _Run) -> Result:
        definition, question = self._asked(run)
        run.question = question
        # A poll that has a start makes events of what happened since, even at first.
        silent = is_baseline(definition, question) and run.claimed.poll.start_from is None
        pages = Pages(definition, question, self.deadline, most=None if silent else MOST_PAGES)
        while True:
            page, last = await pages.next()
            page = await self._wanted(run, page)
            run.refused += page.refused
            run.stored = replace(run.stored, repeats=run.stored.repeats + page.repeats)
            # A baseline that is cut off must begin again as a baseline, so nothing of it is stored before its end.
            if last or not silent:
                run.stored = await self._stored(run, page, silent=silent, last=last)
            if run.stored.fresh:
                self.work.set()
            if last or not run.stored.mine:
                code = run.code(silent=silent) or run.stored.code_of(run.claimed.poll)
                detail = page.note if run.stored.mine else CHANGED
                return Result(code, detail, run.stored.fresh, run.stored.repeats, page.console)

    async def _wanted(self, run: _Run, page: Page) -> Page:
        """Return the page without the events that start nothing.

        Those are the events from before the start of the poll, and those of a sweep that the push has brought.
        """
        poll, known = run.claimed.poll, partial(self._known, run.claimed.trigger.id)
        drafts = await rekeyed(page.events, known)
        if poll.start_from is not None:
            drafts = dated_since(replace(page, events=drafts), poll.start_from)
        if not poll.sweep:
            return replace(page, events=drafts)
        keys = [bounded_key(one.key) for one in drafts]
        stored = await known(keys) if keys else set()
        new = [one for one, key in zip(drafts, keys, strict=True) if key not in stored]
        return replace(page, events=new, repeats=page.repeats + len(drafts) - len(new))

    def _asked(self, run: _Run) -> tuple[Polling[Any], Question[Any]]:
        claimed = run.claimed
        trigger = claimed.trigger
        provider, found = claimed.definition()
        definition = polling_of(found)
        if definition is None:
            raise PollFailed("This trigger does not poll.")
        question = self.calls.question(
            provider,
            definition,
            tenant_of(trigger),
            self.calls.secrets.params(trigger.id, trigger.config),
            self.calls.credentials_in(claimed.connection),
            cursor=claimed.poll.cursor,
            enabled_at=claimed.poll.start_from or trigger.enabled_at,
            known=partial(self._known, trigger.id),
            watch=self.tracing.watch(run.trace),
            remote=trigger.webhook_data,
        )
        return definition, question

    async def _known(self, trigger_id: UUID, keys: Sequence[str]) -> set[str]:
        async with self.store.transaction() as tx:
            return await stored_events.known(tx, trigger_id, keys)

    async def _stored(self, run: _Run, page: Page, *, silent: bool, last: bool) -> StoredPoll:
        """Store the events of a page, in several parts if there are very many, and the cursor with the last part.

        If the poll is cut off in between, the next poll asks for the same events, and their keys are known.
        """
        now = self.clock.now()
        events = in_order(run.claimed.trigger, () if silent else page.events, now, run.trace)
        part, late = tuple(islice(events, AT_ONCE)), self._late(run)
        while following := tuple(islice(events, AT_ONCE)):
            step = PollStep(run.claimed, now, None, part, run.stored, late=late)
            run.stored = await self._settled(run, step)
            if not run.stored.mine:
                return run.stored
            part = following
        end = self._succeeded(run, page, now, silent=silent) if last else None
        return await self._settled(run, PollStep(run.claimed, now, page.cursor, part, run.stored, end, late=late))

    def _late(self, run: _Run) -> datetime | None:
        """Return the time before which the events of a sweep should have come as requests. None: it is no sweep."""
        claimed = run.claimed
        definition = claimed.provider and claimed.provider.trigger(claimed.trigger.trigger_id)
        sweep = sweep_of(definition) if definition and claimed.poll.sweep else None
        return shifted(run.begun, -sweep.pushed_within) if sweep else None

    async def _settled(self, run: _Run, step: PollStep) -> StoredPoll:
        began = self.clock.now()
        stored = await self.settle(step)
        if run.trace:
            fresh = set(stored.fresh)
            self.tracing.events(run.trace, [event for event in step.events if event.id in fresh], began)
        return stored

    def _succeeded(self, run: _Run, page: Page, now: datetime, *, silent: bool) -> PollEnd:
        poll = run.claimed.poll
        beat = next_beat(poll.project_trigger_id, poll.every, now)
        paused_until = now + min(run.wait, LONGEST_WAIT) if run.wait else None
        skipped = beats_between(poll.project_trigger_id, poll.every, run.begun, now)
        says = [
            page.note,
            f"{ASKED_TO_WAIT}{paused_until:%Y-%m-%d %H:%M:%S} UTC." if paused_until else "",
            f"It took so long that {skipped} polls were left out." if skipped else "",
        ]
        return PollEnd(
            next_at=max(beat, paused_until or beat),
            detail=" ".join(filter(None, says)),
            code=run.code(silent=silent),
            succeeded_at=run.begun,
            paused_until=paused_until,
            drained=not page.more,
        )

    async def _failed(self, run: _Run, error: HairtriggerError, code: Code = Code.FAILED) -> Result:
        now, poll = self.clock.now(), run.claimed.poll
        asked = run.wait or (error.retry_after if isinstance(error, ProviderFailed) else None)
        paused_until = now + min(asked, LONGEST_WAIT) if asked else None
        wait = back_off(poll.every, poll.failures)
        if asked:
            code = Code.RATE_LIMITED
        if isinstance(error, PollFailed) and error.kind == Code.WORKER_LOST:
            code, wait = Code.WORKER_LOST, max(wait, AFTER_A_LOSS)
        if isinstance(error, CredentialsRefused):
            code, wait = Code.CREDENTIALS_REFUSED, max(wait, AFTER_A_REFUSAL)
        next_at = max(now + wait, paused_until or now)
        said = sentence(error)
        refused = isinstance(error, CredentialsRefused) and not isinstance(error, AccessDenied)
        end = PollEnd(next_at, said, code, error=said, paused_until=paused_until, refused=refused)
        stored = await self.settle(PollStep(run.claimed, now, before=run.stored, end=end))
        console, kind = (error.console, error.kind) if isinstance(error, PollFailed) else ((), None)
        ended = (code, said) if stored.mine else (Code.STALE, CHANGED)
        return Result(*ended, stored.fresh, stored.repeats, console, kind)


def in_order(
    trigger: ProjectTrigger, drafts: Sequence[Draft], now: datetime, trace: Begun | None = None
) -> Iterator[Event]:
    """Yield the events of a page. Ids sort by time, so times one microsecond apart keep the events in order."""
    for place, draft in enumerate(drafts):
        yield event_from(trigger, draft, now + timedelta(microseconds=place), trace)
