"""Asks providers what is new. Events and cursor of a page are stored together, under the lease of the poll."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Self
from uuid import UUID

import structlog

from hairtrigger.domain.errors import (
    Conflict,
    CredentialsRefused,
    HairtriggerError,
    NotFound,
    NotReady,
    PollFailed,
    ProviderFailed,
    Unavailable,
)
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.kit.trigger import Page, Polling, Question
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.services.accounts import Caller
from hairtrigger.services.calls import Calls
from hairtrigger.services.catalogue import Catalogue
from hairtrigger.services.recording import event_from
from hairtrigger.store import events, outcomes, polls, retention, triggers
from hairtrigger.store.database import Store, Transaction
from hairtrigger.store.events import Event
from hairtrigger.store.outcomes import Outcome
from hairtrigger.store.polls import Poll
from hairtrigger.store.triggers import ProjectTrigger

log = structlog.get_logger()

_LONGEST_BACKOFF = timedelta(hours=1)
_MOST_PAGES = 100  # of one poll; the rest comes with the next
_CHANGED = "The trigger was disabled, enabled again or claimed again; nothing more was stored."


@dataclass(frozen=True)
class Result:
    """How a poll ended, for whoever asked for it."""

    code: Code
    detail: str
    events: tuple[UUID, ...] = ()
    repeats: int = 0
    console: tuple[str, ...] = ()
    error_kind: str | None = None


@dataclass
class _Found:
    """What a poll has stored so far."""

    fresh: list[UUID] = field(default_factory=list)
    repeats: int = 0

    def plus(self, fresh: Sequence[UUID], repeats: int) -> Self:
        return replace(self, fresh=[*self.fresh, *fresh], repeats=self.repeats + repeats)


@dataclass(frozen=True)
class Poller:
    store: Store
    clock: Clock
    catalogue: Catalogue
    calls: Calls
    work: Wake
    deadline: timedelta

    async def claim(self, limit: int) -> list[Poll]:
        async with self.store.transaction() as tx:
            return await polls.claim(tx, self.clock.now(), self._hold, limit)

    async def give_back(self, unfinished: Sequence[Poll]) -> None:
        """Polls that were claimed and will not be finished here: they are due at once, for whoever comes first."""
        async with self.store.transaction() as tx:
            await polls.release(tx, [one.lease for one in unfinished], self.clock.now())

    async def poll_now(self, caller: Caller, trigger_id: UUID) -> Result:
        """Raises `NotReady` for a trigger that is disabled or does not poll, `Conflict` while it is being polled."""
        async with self.store.transaction() as tx:
            trigger = await triggers.get(tx, caller.org_id, trigger_id)
            if not trigger:
                raise NotFound("There is no such project trigger.")
            _, definition = await self.catalogue.trigger(tx, caller.org_id, trigger.provider_id, trigger.trigger_id)
            if not isinstance(definition, Polling):
                raise NotReady("This trigger does not poll: its events come by themselves.")
            if not trigger.enabled:
                raise NotReady("The trigger is disabled. Enable it first.")
            claimed = await polls.claim_one(tx, trigger_id, self.clock.now(), self._hold)
        if not claimed:
            raise Conflict("The trigger is being polled at this moment.")
        return await self.run(claimed)

    async def run(self, claimed: Poll) -> Result:
        """Polls once. However it ends, that is recorded and the lease is given back."""
        found = _Found()
        trigger = None
        try:
            async with asyncio.timeout(self.deadline.total_seconds()):
                async with self.store.transaction() as tx:
                    trigger = (await triggers.by_ids(tx, [claimed.project_trigger_id])).get(claimed.project_trigger_id)
                    if not trigger:
                        return Result(Code.STALE, "The trigger was deleted.")
                    if not trigger.enabled:
                        await self._record(tx, trigger, Code.STALE, _CHANGED, 0)
                        return Result(Code.STALE, _CHANGED)
                    trigger = replace(trigger, cursor=claimed.cursor)
                    provider, definition = await self.catalogue.trigger(
                        tx, trigger.org_id, trigger.provider_id, trigger.trigger_id
                    )
                    if not isinstance(definition, Polling):
                        raise PollFailed("This trigger does not poll.")
                    held = await self.calls.held(tx, trigger)
                question = self.calls.asked(provider, definition, trigger, held)
                return await self._drain(claimed, trigger, definition, question, found)
        except Unavailable:
            raise  # the database is away: the lease runs out by itself
        except TimeoutError:
            late = PollFailed(f"The poll took longer than {self.deadline}.")
            return await self._failed(claimed, trigger, late, found, Code.TIMED_OUT)
        except HairtriggerError as error:
            return await self._failed(claimed, trigger, error, found)
        except Exception:
            log.exception("poll broke", project_trigger_id=str(claimed.project_trigger_id))
            broken = PollFailed("The poll broke inside the service; see its log.")
            return await self._failed(claimed, trigger, broken, found, Code.BROKEN)

    @property
    def _hold(self) -> timedelta:
        """Longer than any poll may take, so that a lease never ends under a poll that is still running."""
        return self.deadline + timedelta(seconds=30)

    async def _drain(
        self, claimed: Poll, trigger: ProjectTrigger, definition: Polling[Any], question: Question[Any], found: _Found
    ) -> Result:
        silent = question.cursor is None and definition.baseline
        for page_number in count(1):
            page = await definition.poll(question)
            last = not page.more or page_number == _MOST_PAGES
            if not await self._commit(claimed, trigger, page, question, found, silent=silent, last=last):
                return Result(Code.STALE, _CHANGED, tuple(found.fresh), found.repeats, page.console)
            if found.fresh:
                self.work.set()
            if last:
                code = Code.BASELINE if silent else _code(found)
                return Result(code, page.note, tuple(found.fresh), found.repeats, page.console)
            question = replace(question, cursor=page.cursor)
        raise AssertionError  # count never ends

    async def _commit(
        self,
        claimed: Poll,
        trigger: ProjectTrigger,
        page: Page,
        question: Question[Any],
        found: _Found,
        *,
        silent: bool,
        last: bool,
    ) -> bool:
        lease = claimed.lease
        assert lease
        new = [] if silent else _in_order(trigger, page, self.clock.now())
        async with self.store.transaction() as tx:
            mine = (
                await polls.finish(tx, lease, dict(page.cursor), question.asked_at)
                if last
                # A first look begun again must be silent again, so nothing of it is kept before its end.
                else silent or await polls.advance(tx, lease, dict(page.cursor))
            )
            if not mine:
                await self._record(tx, trigger, Code.STALE, _CHANGED, len(found.fresh))
                return False
            fresh = await events.append(tx, new)
            if repeats := [event.key for event in new if event.id not in fresh]:
                await retention.remember_keys(tx, trigger.id, repeats, self.clock.now().date())
            together = found.plus([event.id for event in new if event.id in fresh], len(repeats))
            if last:
                code = Code.BASELINE if silent else _code(together)
                await self._record(tx, trigger, code, page.note, len(together.fresh))
        found.fresh, found.repeats = together.fresh, together.repeats
        return True

    async def _failed(
        self,
        claimed: Poll,
        trigger: ProjectTrigger | None,
        error: HairtriggerError,
        found: _Found,
        code: Code | None = None,
    ) -> Result:
        code = code or _failure_code(error)
        lease = claimed.lease
        assert lease
        async with self.store.transaction() as tx:
            if not await polls.fail(tx, lease, self._next_try(claimed, error)):
                code = Code.STALE
            if trigger:
                await self._record(tx, trigger, code, error.message, len(found.fresh))
        console, kind = (error.console, error.kind) if isinstance(error, PollFailed) else ((), None)
        return Result(code, error.message, tuple(found.fresh), found.repeats, console, kind)

    def _next_try(self, claimed: Poll, error: HairtriggerError) -> datetime:
        """Later with every failure in a row, and never before the provider allows."""
        every = timedelta(seconds=claimed.every_seconds or 60)
        wait = min(every * (1 << min(claimed.failures, 16)), max(every, _LONGEST_BACKOFF))
        asked = error.retry_after if isinstance(error, ProviderFailed) else None
        return self.clock.now() + max(wait, asked or timedelta())

    async def _record(self, tx: Transaction, trigger: ProjectTrigger, code: Code, detail: str, count: int) -> None:
        now = self.clock.now()
        await outcomes.record(tx, Outcome(Kind.POLL, code, now, trigger.org_id, trigger.id, detail, count))


def _in_order(trigger: ProjectTrigger, page: Page, now: datetime) -> Sequence[Event]:
    """Ids sort by time: a microsecond apart, the events of a page keep their order."""
    return [event_from(trigger, draft, now + timedelta(microseconds=place)) for place, draft in enumerate(page.events)]


def _code(found: _Found) -> Code:
    if found.fresh:
        return Code.ACCEPTED
    return Code.DUPLICATE if found.repeats else Code.EMPTY


def _failure_code(error: HairtriggerError) -> Code:
    if isinstance(error, CredentialsRefused):
        return Code.CREDENTIALS_REFUSED
    if isinstance(error, ProviderFailed) and error.retry_after:
        return Code.RATE_LIMITED
    return Code.FAILED
