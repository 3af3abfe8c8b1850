"""Listen to sources, and store what they send under a lease.

A page is stored with its cursor before its source gets an acknowledgement, so a crash in between only makes the source
send the same again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import structlog

from hairtrigger.domain.errors import (
    AccessDenied,
    CredentialsRefused,
    HairtriggerError,
    PollFailed,
    ProviderFailed,
    Unavailable,
    sentence,
)
from hairtrigger.domain.instants import FIRST
from hairtrigger.domain.outcome import Code
from hairtrigger.domain.quotas import Refuses, code_of, nothing_refused
from hairtrigger.domain.rhythm import AFTER_A_REFUSAL, LONGEST_WAIT
from hairtrigger.kit.trigger import Listening, Page
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.polling.poll_leases import Claimed
from hairtrigger.services.polling.poll_results import PollEnd, PollStep, StoredPoll
from hairtrigger.services.polling.poller import AT_ONCE, in_order
from hairtrigger.services.provider_calls import ProviderCalls, tenant_of
from hairtrigger.services.sources import Source

log = structlog.get_logger()

_FIRST_WAIT = timedelta(seconds=5)  # after a connection that failed; it doubles with each one that fails after it
_LONGEST = timedelta(minutes=1)  # the longest of these waits
_AGAIN = timedelta(seconds=1)  # after a connection that the source has ended
_STABLE = timedelta(minutes=1)  # a connection that lasted so long ends the row of failures
_AFTER_A_REFUSAL = timedelta(minutes=10)  # of events, or sooner if the refusal says so


@dataclass
class _Session:
    """One connection to a source, with what it has brought so far."""

    claimed: Claimed
    begun: datetime
    cursor: Any
    stored: StoredPoll = field(default_factory=lambda: StoredPoll(mine=True))
    connected: bool = False
    next_at: datetime = FIRST  # the earliest time of the next event: ids of events sort by time


@dataclass(frozen=True, kw_only=True)
class Listener:
    clock: Clock
    calls: ProviderCalls
    settle: Callable[[PollStep], Awaitable[StoredPoll]]  # stores many pages in one batch
    work: Wake
    refusal: Refuses = nothing_refused
    metrics: Metrics = field(default_factory=lambda: Metrics(on=False))

    async def run(self, claimed: Claimed) -> Code:
        """Listen until the source ends the connection or it fails, store that end, and return its code.

        Only `Unavailable` is raised, while the database is away. The lease then runs out by itself.
        """
        session = _Session(claimed, self.clock.now(), claimed.poll.cursor)
        try:
            return await self._listened(session)
        except Unavailable:
            raise
        except TimeoutError:
            return await self._failed(session, ProviderFailed(_silent(claimed)), Code.TIMED_OUT)
        except HairtriggerError as error:
            return await self._failed(session, error)
        except Exception:
            log.exception("listener broke", project_trigger_id=str(claimed.trigger.id))
            broken = PollFailed("The listener broke inside the service; see its log.")
            return await self._failed(session, broken, Code.BROKEN)

    async def _listened(self, session: _Session) -> Code:
        source = self._source(session.claimed)
        try:
            while page := await source.next():
                if (page.events or page.refused) and (refused := self.refusal(session.claimed.trigger.org_id)):
                    wait = min(refused.retry_after, _AFTER_A_REFUSAL)
                    return await self._ended(session, wait, refused.message, code_of(refused))
                await self._store(session, page)
                if not session.stored.mine:
                    return Code.STALE
            return await self._ended(session, _AGAIN, "The source ended the connection, which is made again.")
        finally:
            await source.close()

    def _source(self, claimed: Claimed) -> Source:
        provider, definition = claimed.definition()
        if not isinstance(definition, Listening):
            raise PollFailed("This trigger does not listen.")
        trigger, calls = claimed.trigger, self.calls
        question = calls.question(
            provider,
            definition,
            tenant_of(trigger),
            calls.secrets.params(trigger.id, trigger.config),
            calls.credentials_in(claimed.connection),
            cursor=claimed.poll.cursor,
            enabled_at=trigger.enabled_at,
        )
        return Source.of(definition, question, calls.door_of(tenant_of(trigger)), trigger.id)

    async def _store(self, session: _Session, page: Page) -> None:
        """Store the events of a page, very many in several parts, and the cursor with the last part.

        A sign of life is not stored, except the first one, with which the connection stands.
        """
        told = [(Code.TRUNCATED, page.gap)] if page.gap else []
        told += [(Code.ITEMS_REFUSED, page.note)] if page.refused else []
        first = not session.connected
        told += [(Code.LISTENING, "")] if first else []
        if not (page.events or told or page.cursor != session.cursor):
            return
        now = max(self.clock.now(), session.next_at)
        session.next_at = now + timedelta(microseconds=len(page.events))
        events = in_order(session.claimed.trigger, page.events, now)
        part = tuple(islice(events, AT_ONCE))
        before = len(session.stored.fresh)
        while following := tuple(islice(events, AT_ONCE)):
            session.stored = await self.settle(PollStep(session.claimed, now, None, part, session.stored))
            if not session.stored.mine:
                return
            part = following
        session.stored = await self.settle(
            PollStep(session.claimed, now, page.cursor, part, session.stored, connected=first, told=tuple(told))
        )
        session.cursor, session.connected = page.cursor, True
        if fresh := len(session.stored.fresh) - before:
            self.metrics.listened(session.claimed.trigger.provider_id, fresh)
            self.work.set()

    async def _ended(self, session: _Session, wait: timedelta, detail: str, code: Code | None = None) -> Code:
        now = self.clock.now()
        end = PollEnd(now + wait, detail, code, succeeded_at=session.begun)
        stored = await self.settle(PollStep(session.claimed, now, before=session.stored, end=end))
        return code or stored.code

    async def _failed(self, session: _Session, error: HairtriggerError, code: Code = Code.FAILED) -> Code:
        now, claimed = self.clock.now(), session.claimed
        if session.connected and now - session.begun >= _STABLE:
            claimed = replace(claimed, poll=replace(claimed.poll, failures=0, failing_since=None))
        wait = min(_FIRST_WAIT * (1 << min(claimed.poll.failures, 16)), _LONGEST)
        if isinstance(error, CredentialsRefused):
            code, wait = Code.CREDENTIALS_REFUSED, AFTER_A_REFUSAL
        if isinstance(error, ProviderFailed) and error.retry_after:
            code, wait = Code.RATE_LIMITED, min(error.retry_after, LONGEST_WAIT)
        said = sentence(error)
        refused = isinstance(error, CredentialsRefused) and not isinstance(error, AccessDenied)
        end = PollEnd(now + wait, said, code, error=said, refused=refused)
        stored = await self.settle(PollStep(claimed, now, before=session.stored, end=end))
        return code if stored.mine else Code.STALE


def _silent(claimed: Claimed) -> str:
    _, definition = claimed.definition()
    assert isinstance(definition, Listening)
    return f"Nothing came for {definition.silence.total_seconds():g} seconds, not even a sign of life."
