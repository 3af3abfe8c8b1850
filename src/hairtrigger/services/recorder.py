"""Store webhook requests as events or outcomes. Each commit holds those of many requests."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import chain

from hairtrigger.domain.event import THIN, Draft, bounded_key
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.instants import instant
from hairtrigger.domain.privacy import Privacy
from hairtrigger.domain.trace import Begun, TraceContext
from hairtrigger.kit.trigger import Known
from hairtrigger.platform.batching import Batcher
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.services.metrics import Metrics
from hairtrigger.services.tracing import Tracing
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store.events import request_batches
from hairtrigger.store.events.events import Event
from hairtrigger.store.events.request_batches import Write
from hairtrigger.store.setup.triggers import ProjectTrigger
from hairtrigger.store.statements import Statements
from hairtrigger.store.text import storable

COMMITTERS = 2  # statements under way at a time, each on a database connection of its own


class Recorder:
    """Stores the writes of many requests together. `write` returns the new events of a write when they are on disk.

    `write` returns None if a trigger has changed since the version that the write names; no event was stored then. It
    raises `Unavailable` if too much waits or the database is away.
    """

    def __init__(
        self,
        statements: Statements,
        clock: Clock,
        work: Wake,
        *,
        max_waiting: int,
        max_waiting_bytes: int,
        counter: UseCounter | None = None,
        metrics: Metrics | None = None,
        tracing: Tracing | None = None,
    ) -> None:
        self._metrics = metrics or Metrics(on=False)
        self._tracing = tracing or Tracing(clock)
        self._counter = counter or UseCounter()
        self._statements = statements
        self._clock = clock
        self._work = work
        self._batches: Batcher[Write, Sequence[Event] | None] = Batcher(
            self._flush,
            size=lambda write: write.size,
            tenant=lambda write: write.org_id,
            max_waiting=max_waiting,
            max_waiting_bytes=max_waiting_bytes,
            concurrency=COMMITTERS,
        )

    async def write(self, write: Write) -> Sequence[Event] | None:
        return await self._batches.submit(write)

    @property
    def waiting(self) -> int:
        """Return how many writes wait for a batch."""
        return self._batches.waiting

    async def run(self) -> None:
        await self._batches.run()

    async def _flush(self, writes: Sequence[Write]) -> list[Sequence[Event] | None]:
        began = self._clock.now()
        answers = await request_batches.write(self._statements, writes, began)
        if projects := {event.project_id for fresh in answers if fresh for event in fresh}:
            self._work.set(projects)
        self._counter.events(chain.from_iterable(filter(None, answers)))
        for write, fresh in zip(writes, answers, strict=True):
            if not fresh:
                self._count_outcomes(write, stored=fresh is not None)
        self._metrics.stored(writes, answers, self._clock.now())
        self._tracing.stored(writes, answers, began)
        return answers

    def _count_outcomes(self, write: Write, *, stored: bool) -> None:
        self._counter.outcomes(write.outcomes)
        if stored and write.events:  # a repeat leaves an outcome
            self._counter.ledger(write.events[0].org_id, 1)


async def rekeyed(drafts: Sequence[Draft], known: Known) -> Sequence[Draft]:
    """Return the drafts, with a former key in place of the key where an event is stored with that former key.

    `known` returns which of the given keys are stored for the trigger.
    """
    former = [bounded_key(key) for one in drafts for key in one.former_keys]
    if not former or not (stored := set(await known(former))):
        return drafts
    return [
        replace(one, key=next((key for key in one.former_keys if bounded_key(key) in stored), one.key))
        for one in drafts
    ]


def event_from(
    trigger: ProjectTrigger, draft: Draft, received_at: datetime, trace: Begun | TraceContext | None = None
) -> Event:
    """Return the draft as an event of the trigger, with a new id, and without what the trigger's privacy redacts.

    Texts are changed where the database would refuse them, so that it refuses no event later.
    """
    if trigger.privacy is not None:
        draft = Privacy.of(trigger.privacy).redacted(draft)
    id_ = new_id(received_at)
    return Event(
        id=id_,
        org_id=trigger.org_id,
        project_id=trigger.project_id,
        project_trigger_id=trigger.id,
        key=bounded_key(draft.key),
        type=storable(draft.type) if draft.type else f"{trigger.provider_id}.{trigger.trigger_id}",
        subject=None if draft.subject is None else storable(draft.subject),
        occurred_at=instant(draft.occurred_at) if draft.occurred_at else received_at,
        received_at=received_at,
        content_type=THIN if draft.thin else storable(draft.content_type),
        body=draft.data,
        request=draft.request,
        trace=trace.of_event(id_) if trace else None,
    )
