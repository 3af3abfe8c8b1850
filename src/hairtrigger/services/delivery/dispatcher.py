"""Claim deliveries under a lease, send them to their targets, and store many attempts in one transaction."""

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from hairtrigger.domain.errors import Unavailable
from hairtrigger.domain.event import INCOMPLETE
from hairtrigger.domain.outcome import Code, Failure, Kind
from hairtrigger.domain.quotas import Refuses, nothing_refused
from hairtrigger.domain.retry import delay_after_our_fault, delay_before
from hairtrigger.domain.target import Outgoing, Sent, Target
from hairtrigger.platform.batching import Batcher
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.loops import every
from hairtrigger.platform.shares import Tenant
from hairtrigger.platform.wake import Wake
from hairtrigger.services.delivery.delivery_streaks import DeliveryStreaks
from hairtrigger.services.delivery.hydration import Hydration
from hairtrigger.services.delivery.places import Places, tenant_of
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.notices import of_dead_letters, of_disabled
from hairtrigger.services.setup.triggers import Triggers
from hairtrigger.services.tracing import Hop, Tracing
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store import notices
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import bodies, deliveries
from hairtrigger.store.delivery.claims import Claimed, Look
from hairtrigger.store.delivery.deliveries import Attempt, Message
from hairtrigger.store.delivery.lanes import Asking
from hairtrigger.store.delivery.queue import DeliveryQueue
from hairtrigger.store.events import outcomes
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.explain.streaks import Changes
from hairtrigger.store.setup import triggers
from hairtrigger.store.setup.projects import Project
from hairtrigger.store.text import storable_json
from hairtrigger.store.transaction import Transaction

log = structlog.get_logger()

_SHORTEST = timedelta(milliseconds=10)  # after a claim that found too little; doubles while claims find nothing
_MORE = timedelta(milliseconds=20)  # the longest wait for more places to become free before a claim
_MOST_CLAIMED = 200
_EXPIRED = 1.0  # seconds between two looks for leases that have ended
_BEAT = 0.05  # seconds between two measures of the event loop's delay
_FADING = 0.9
_TURNS = 4  # an answer waits for about so many turns of the event loop
_LAST = timedelta(seconds=5)  # the end of a drain, in which answers that have come are stored
_NOT_STORED = "The target's answer can't be stored, so nothing of it is kept."
_OUR_FAULT = "The fault is the service's, not the target's; the service's log says more."
_NOT_CALLED = f"The delivery broke inside the service before the target was called. {_OUR_FAULT}"
_MAYBE_CALLED = (
    f"The delivery broke inside the service, and the target may have been called. {_OUR_FAULT} "
    "So that nothing runs twice, it is not tried again by itself."
)


@dataclass(kw_only=True)
class Dispatcher:
    """Sends deliveries to their targets, up to `slots` of one project at a time.

    A project's lane in the database limits its deliveries as well, so a slow target fills only its own lane. `Places`
    keeps room for other organisations and projects.

    Claiming, sending and storing run side by side. A place is free again as soon as the target has answered.
    """

    store: Store
    clock: Clock
    work: Wake
    target_of: Callable[[Project], Target]
    triggers: Triggers
    slots: int = 200
    lease: timedelta = timedelta(seconds=30)  # then another worker gets the deliveries of one that died
    holder: UUID | None = None  # this process
    jitter: Callable[[], float] = random.random
    counter: UseCounter = field(default_factory=UseCounter)
    hydration: Hydration | None = None  # completes thin events; None: there are none
    holds: Refuses = nothing_refused
    """Return why the deliveries of the organisation must stay on the queue now, or None if they may be attempted."""
    hurry: Callable[[], None] = lambda: None  # ends the reading of answers whose status is known
    streaks: DeliveryStreaks = field(default_factory=DeliveryStreaks)
    metrics: Metrics = field(default_factory=lambda: Metrics(on=False))
    tracing: Tracing = field(default_factory=Tracing)
    direct: Store | None = None  # the same database, not through a pooler
    _under_way: dict[int, asyncio.Task[None]] = field(default_factory=dict, init=False)
    _sending: dict[int, Tenant] = field(default_factory=dict, init=False)  # those that hold places
    _after: str = field(default="", init=False)
    _freed: Wake = field(default_factory=Wake, init=False)
    _stopping: bool = field(default=False, init=False)
    _delay: float = field(default=0.0, init=False)
    _expired_at: float = field(default=0.0, init=False)
    _pause: timedelta = field(default=_SHORTEST, init=False)
    _claiming: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def __post_init__(self) -> None:
        self._places = Places(self.slots)
        self._queue = DeliveryQueue(self.direct or self.store)
        self._finisher: Batcher[Attempt, None] = Batcher(
            self._finish,
            size=lambda attempt: attempt.size,
            tenant=lambda attempt: attempt.org_id,
            concurrency=1,
        )

    async def run(self) -> None:
        """Run until cancelled.

        Deliveries under way are cut off then, and other workers claim them when their leases end.
        """
        with closing(self._queue):
            await self._run()

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._finisher.run())
            tasks.create_task(self._keep_leases())
            tasks.create_task(self._measure_delay())
            while not self._stopping:
                try:
                    await self._go_on(tasks)
                except Unavailable:
                    log.warning("database away, deliveries wait")
                    await asyncio.sleep(1)
                except Exception:
                    log.exception("a claim broke, deliveries wait")
                    await asyncio.sleep(1)
            await asyncio.Event().wait()  # deliveries under way go on until this is cancelled

    @property
    def under_way(self) -> int:
        """Return how many deliveries are claimed and have not ended."""
        return len(self._under_way)

    async def drain(self, at_most: timedelta) -> None:
        """Claim no more deliveries, and wait at most `at_most` for those under way.

        In the last five seconds, the rest of an answer whose status is known is not read any more. Deliveries that have
        not ended in time are given back, so that another worker has them at once.
        """
        self._stopping = True
        last = min(at_most, _LAST)
        await self._idle(at_most - last)
        self.hurry()
        await self._idle(last)
        await self._give_back(dict(self._under_way))

    async def _idle(self, at_most: timedelta) -> None:
        with suppress(TimeoutError):
            # Deliveries that are just being claimed are under way, too: the lock waits for them.
            async with asyncio.timeout(at_most.total_seconds()), self._claiming:
                if self._under_way:
                    await asyncio.wait(list(self._under_way.values()))

    async def _give_back(self, unfinished: Mapping[int, asyncio.Task[None]]) -> None:
        for task in unfinished.values():
            task.cancel()
        if unfinished:
            await asyncio.wait(unfinished.values())
            with suppress(Unavailable):
                async with self.store.transaction() as tx:
                    await deliveries.extend(tx, list(unfinished), timedelta())

    async def _go_on(self, tasks: asyncio.TaskGroup) -> None:
        """Claim deliveries once. Then wait for new work, unless there may be more to claim already.

        If too few places are free to be worth a transaction, the claim waits a moment for more.
        """
        if self._free() < self._worth_it:
            await self._freed.wait(_MORE)
        wanted = min(self._free(), _MOST_CLAIMED)
        if not wanted:
            return
        look = await self._start(tasks, wanted)
        if look.more:
            return
        self._pause = _SHORTEST if look.read else min(2 * self._pause, self.work.patience)
        await self.work.wait(self._pause if look.next_at is None else min(self._pause, self._until(look.next_at)))

    def _until(self, at: datetime) -> timedelta:
        return max(at - self.clock.now(), _SHORTEST)

    @property
    def _worth_it(self) -> int:
        return max(1, min(self.slots // 16, _MOST_CLAIMED))

    def _free(self) -> int:
        """Return how many deliveries may be claimed now.

        They are fewer while many attempts wait to be stored, so that claims are never faster than the database.
        """
        finishing = len(self._under_way) - len(self._sending)
        return max(0, min(self._places.free, 4 * self.slots - finishing))

    async def _start(self, tasks: asyncio.TaskGroup, limit: int) -> Look:
        async with self._claiming:
            parts: dict[Tenant, int] = {}
            held: set[str] = set()  # projects

            def share(asking: Sequence[Asking], places: int) -> Mapping[str, int]:
                held.update(one.project_id for one in asking if one.org_id and self.holds(one.org_id))
                shared = self._places.share([one for one in asking if one.project_id not in held], places)
                orgs = {one.project_id: one.org_id for one in asking}
                parts.update({tenant_of(orgs[project_id], project_id): count for project_id, count in shared.items()})
                return shared

            try:
                again = await self._again(limit) if self._looks_for_expired() else []
                for one in again:
                    self._begin(tasks, one, parts)
                look, claimed = await deliveries.claim(
                    self._queue,
                    limit - len(again),
                    self.lease,
                    self.holder,
                    now=self.clock.now(),
                    share=share,
                    after=self._after,
                )
                for one in claimed:
                    self._begin(tasks, one, parts)
            finally:
                for tenant, unused in parts.items():
                    self._places.give_back(tenant, unused)
        full = look.full | self._places.refused | held
        self.work.full = self.work.full | full if self._after else full
        self._after = look.after
        return look

    def _begin(self, tasks: asyncio.TaskGroup, claimed: Claimed, parts: dict[Tenant, int]) -> None:
        if claimed.message.msg_id in self._under_way:
            return  # this process stood still until the lease ran out, and has claimed it again
        self._take_place(claimed, parts)
        self._under_way[claimed.message.msg_id] = tasks.create_task(self._deliver(claimed))

    async def _again(self, limit: int) -> list[Claimed]:
        """Claim deliveries whose leases have ended, and record for each that the attempt before left no result."""
        async with self.store.transaction() as tx:
            again = await deliveries.claim_again(tx, limit, self.lease, self.holder)
            await outcomes.record(tx, *(_cut_off(one.event, self.clock.now()) for one in again if one.event))
        return again

    def _looks_for_expired(self) -> bool:
        now = asyncio.get_running_loop().time()
        due = now - self._expired_at >= _EXPIRED
        self._expired_at = now if due else self._expired_at
        return due

    def _take_place(self, claimed: Claimed, parts: dict[Tenant, int]) -> None:
        """Take one of the places in `parts` for a claimed delivery, or else any free one.

        If there is none, the delivery is sent without a place. A dead worker had claimed it before, so it is claimed
        again whether there is room or not.
        """
        tenant = tenant_of(claimed.project.org_id if claimed.project else None, claimed.message.project_id)
        if parts.get(tenant):
            parts[tenant] -= 1
        elif not self._places.take(tenant):
            return
        self._sending[claimed.message.msg_id] = tenant

    def _leave_place(self, claimed: Claimed) -> None:
        """Give back the delivery's place, if it still has one, and wake the loop that claims if there may be room."""
        if claimed.message.msg_id in self._sending:
            self._places.give_back(self._sending.pop(claimed.message.msg_id))
            if self._places.refused:
                self.work.set()
        if self._free() >= self._worth_it:
            self._freed.set()

    async def _keep_leases(self) -> None:
        await every(self.lease / 3, "leases of deliveries", self._extend_leases, at_once=False)

    async def _measure_delay(self) -> None:
        """Measure again and again how late the event loop resumes a task that waits.

        Answers of targets are noticed with this delay, for which the targets are not to blame.
        """
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _BEAT
            await asyncio.sleep(_BEAT)
            self._delay = max(loop.time() - due, self._delay * _FADING)

    async def _extend_leases(self) -> None:
        if self._under_way:
            async with self.store.transaction() as tx:
                await deliveries.extend(tx, self._under_way, self.lease)

    async def _deliver(self, claimed: Claimed) -> None:
        try:
            if claimed.event is None or claimed.project is None:
                await self._drop(claimed)
                return
            begun = self.clock.now()
            event = await self.hydration.completed(claimed.event) if self.hydration else claimed.event
            if isinstance(event, Sent):
                await self._finished(claimed, event, begun)
                return
            started, hop = self.clock.now(), self.tracing.hop(event)
            sent = await self._sent(replace(claimed, event=event), claimed.project, hop)
            self.tracing.attempted(hop, event, claimed.message, sent, started)
            await self._finished(claimed, sent, started)
        except Unavailable:
            log.warning("database away, delivery will be repeated", delivery=str(claimed.message.delivery_id))
        except Exception:
            log.exception("delivery broke; it will be repeated", delivery=str(claimed.message.delivery_id))
        finally:
            del self._under_way[claimed.message.msg_id]
            self._leave_place(claimed)

    async def _sent(self, claimed: Claimed, project: Project, hop: Hop | None) -> Sent:
        """Call the target, and return how the attempt ended.

        A fault of the service is a failed attempt, too, so that a user sees it. Such an attempt does not follow the
        retry schedule for targets, because the target did not cause the fault. If the target was not called, repeating
        the delivery is safe, so it is retried a few times. If the target may have taken the event, the delivery is a
        dead letter at once, which a user can replay.
        """
        try:
            target, outgoing = self.target_of(project), _outgoing(claimed, hop)
        except Exception:
            log.exception("a delivery broke before its target was called", delivery=str(claimed.message.delivery_id))
            wait = delay_after_our_fault(claimed.message.attempt)
            return Sent("failed", None, _NOT_CALLED, failure=Failure.BROKEN, retry_after=wait)
        try:
            return await target.send(outgoing)
        except Exception:
            log.exception("a delivery broke while its target was called", delivery=str(claimed.message.delivery_id))
            return Sent("failed", None, _MAYBE_CALLED, failure=Failure.BROKEN)

    async def _finished(self, claimed: Claimed, sent: Sent, started: datetime) -> None:
        """Give back the delivery's place, and store the attempt. While the database is away, try again.

        If no attempt were stored, the target would be called again. So an attempt whose answer the database refuses is
        stored without the answer.
        """
        self._leave_place(claimed)
        try:
            await self._stored(self._attempt(claimed, sent, started))
        except Exception:
            log.exception("an answer can't be stored", delivery=str(claimed.message.delivery_id))
            bare = replace(sent, detail=_NOT_STORED, response=b"", conversation=None)
            await self._stored(self._attempt(claimed, bare, started))

    async def _stored(self, attempt: Attempt) -> None:
        while True:
            try:
                return await self._finisher.submit(attempt)
            except Unavailable:
                await asyncio.sleep(1)

    def _attempt(self, claimed: Claimed, sent: Sent, started: datetime) -> Attempt:
        assert claimed.event
        now = self.clock.now()
        attempt = Attempt(
            message=claimed.message,
            org_id=claimed.event.org_id,
            status=sent.status,
            failure=sent.failure,
            response_status=sent.response_status,
            detail=sent.detail,
            response=sent.response,
            conversation=None if sent.conversation is None else storable_json(sent.conversation),
            started_at=started,
            finished_at=now,
            project_trigger_id=_own_trigger(claimed.event, claimed.message),
            source_id=claimed.event.project_trigger_id,
            delayed=timedelta(seconds=_TURNS * self._delay),
            may_have_turn=claimed.may_have_turn,
        )
        match sent.status:
            case "delivered":
                return attempt
            case "gone":
                return replace(attempt, dead="The target answered 410 Gone; the trigger was disabled.")
            case "failed" if sent.failure is Failure.BROKEN:
                if sent.retry_after is None:
                    return replace(attempt, dead=sent.detail)
                return replace(attempt, retry_at=now + sent.retry_after)
            case "failed":
                following = claimed.message.attempt + 1
                wait = delay_before(following, jitter=self.jitter, retry_after=sent.retry_after)
                if wait is None:
                    return replace(attempt, dead=f"All {claimed.message.attempt} attempts failed: {sent.detail}")
                return replace(attempt, retry_at=now + wait)

    async def _finish(self, attempts: Sequence[Attempt]) -> list[None]:
        plain, others = _apart(attempts)
        if plain:
            ended = await deliveries.finish_at_once(self._queue, plain)
            self._tell(ended.counted, Changes((), ended.streaks), others_may_go=ended.others_may_go)
            others += ended.left
        if others:
            async with self.store.transaction() as tx:
                counted, others_may_go = await deliveries.finish(tx, others)
                changes = await self.streaks.note(tx, counted)
                await _drop_bodies(tx, counted)
                await notices.note(tx, *of_dead_letters(counted))
            self._tell(counted, changes, others_may_go=others_may_go)
            for one in counted:
                if one.status == "gone":
                    await self._disable(one)
        return [None] * len(attempts)

    def _tell(self, counted: Sequence[Attempt], changes: Changes, *, others_may_go: bool) -> None:
        self.streaks.tell(counted, changes)
        self.counter.attempts(counted)
        self.metrics.attempted(counted)
        if others_may_go:
            self.work.set()

    async def _disable(self, attempt: Attempt) -> None:
        """Disable the delivery's trigger.

        A target that answers 410 Gone wants no more deliveries, as Standard Webhooks says.
        """
        now = self.clock.now()
        async with self.store.transaction() as tx:
            trigger_id = await deliveries.trigger_of(tx, attempt.message)
            trigger = trigger_id and await triggers.get(tx, attempt.org_id, trigger_id, for_update=True)
            if trigger and trigger.enabled:
                await self.triggers.switch_off(tx, trigger, None)
                detail = "The target answered 410 Gone, so the trigger was disabled."
                off = Outcome(Kind.TARGET, Code.TARGET_GONE, now, trigger.org_id, trigger.id, detail)
                await outcomes.record(tx, off)
                await notices.note(tx, *of_disabled([off]))

    async def _drop(self, claimed: Claimed) -> None:
        org_id = claimed.event.org_id if claimed.event else claimed.project.org_id if claimed.project else None
        reason = "The project was deleted." if claimed.event else "The event is no longer stored."
        async with self.store.transaction() as tx:
            await deliveries.drop(tx, claimed.message, org_id, reason, self.clock.now())
        self.metrics.delivered(0, dead=1)


def _apart(attempts: Sequence[Attempt]) -> tuple[list[Attempt], list[Attempt]]:
    """Return the attempts that may be stored at once, and those that need a transaction.

    A project's attempts stay together if one of them failed, because together they decide whether the streaks of its
    triggers and of its target go on.
    """
    failing = {one.message.project_id for one in attempts if one.status != "delivered"}
    plain: list[Attempt] = []
    others: list[Attempt] = []
    for one in attempts:
        (others if one.may_have_turn or one.message.project_id in failing else plain).append(one)
    return plain, others


async def _drop_bodies(tx: Transaction, ended: Sequence[Attempt]) -> None:
    """Drop the bodies of events whose last delivery has ended with these attempts, if their triggers keep no bodies."""
    last = [one for one in ended if one.retry_at is None and one.source_id is not None]
    if last and (private := await bodies.private(tx, {one.source_id for one in last if one.source_id})):
        await bodies.drop_ended(tx, {one.message.event_id for one in last if one.source_id in private})


def _own_trigger(event: Event, message: Message) -> UUID | None:
    return event.project_trigger_id if message.project_id == event.project_id else None


def _cut_off(event: Event, now: datetime) -> Outcome:
    """Return the outcome of an attempt that recorded none.

    Such an attempt leaves its message on the queue, with a lease that has ended.
    """
    code = Code.ATTEMPT_CUT_OFF
    return Outcome(Kind.TARGET, code, now, event.org_id, event.project_trigger_id, key=event.key)


def _outgoing(claimed: Claimed, hop: Hop | None) -> Outgoing:
    event, message = claimed.event, claimed.message
    assert event
    return Outgoing(
        delivery_id=message.delivery_id,
        event_id=event.id,
        attempt=message.attempt,
        source=f"/project-triggers/{event.project_trigger_id}",
        type=event.type,
        subject=event.subject,
        time=event.occurred_at,
        content_type="application/json" if event.content_type == INCOMPLETE else event.content_type,
        body=event.body,
        org_id=event.org_id,
        project_id=event.project_id,
        project_trigger_id=event.project_trigger_id,
        event_key=event.key,
        request=event.request,
        replay_of=event.id if message.delivery_id != event.id else None,
        hops=message.hops + 1,
        incomplete=event.content_type == INCOMPLETE,
        traceparent=hop.context.traceparent if hop else None,
        tracestate=hop.context.state if hop else None,
    )
