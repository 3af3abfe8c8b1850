"""The one way events and outcomes reach the disk from requests: many of them in each commit."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hairtrigger.domain.event import Draft, bounded_key
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.platform.batching import Batcher
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.store import events, outcomes
from hairtrigger.store.database import Store
from hairtrigger.store.events import Event
from hairtrigger.store.outcomes import Outcome
from hairtrigger.store.triggers import ProjectTrigger


@dataclass(frozen=True)
class Write:
    """What one request leaves behind."""

    kind: Kind
    events: tuple[Event, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


class Recorder:
    """Answers a write, with the ids of the events that were new, once it is on disk."""

    def __init__(self, store: Store, clock: Clock, work: Wake) -> None:
        self._store = store
        self._clock = clock
        self._work = work
        self._batches: Batcher[Write, frozenset[UUID]] = Batcher(self._flush)

    async def write(self, write: Write) -> frozenset[UUID]:
        return await self._batches.submit(write)

    async def run(self) -> None:
        await self._batches.run()

    async def _flush(self, writes: Sequence[Write]) -> list[frozenset[UUID]]:
        async with self._store.transaction() as tx:
            fresh = await events.append(tx, [event for write in writes for event in write.events])
            recorded = [outcome for write in writes for outcome in (*write.outcomes, *self._repeats(write, fresh))]
            await outcomes.record(tx, *recorded)
        if fresh:
            self._work.set()
        return [frozenset(event.id for event in write.events if event.id in fresh) for write in writes]

    def _repeats(self, write: Write, fresh: set[UUID]) -> list[Outcome]:
        """A trigger that was given only events it already has hears that, once."""
        given: dict[UUID, list[Event]] = defaultdict(list)
        for event in write.events:
            given[event.project_trigger_id].append(event)
        now = self._clock.now()
        detail = "A repeat of an event that is already stored."
        return [
            Outcome(write.kind, Code.DUPLICATE, now, repeated[0].org_id, trigger_id, detail)
            for trigger_id, repeated in given.items()
            if not any(event.id in fresh for event in repeated)
        ]


def event_from(trigger: ProjectTrigger, draft: Draft, received_at: datetime) -> Event:
    return Event(
        id=new_id(received_at),
        org_id=trigger.org_id,
        project_id=trigger.project_id,
        project_trigger_id=trigger.id,
        key=bounded_key(draft.key),
        type=draft.type or f"{trigger.provider_id}.{trigger.trigger_id}",
        subject=draft.subject,
        occurred_at=draft.occurred_at or received_at,
        received_at=received_at,
        content_type=draft.content_type,
        body=draft.data,
    )
