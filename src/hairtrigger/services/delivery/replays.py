"""Run replay jobs, which replay many events. Any worker continues a job, at the rate that its user asked for.

The deliveries of a portion and the position of its job commit together. So after a crash a job goes on where it
stopped, and replays no event twice. Events do not change. A replay is a new delivery with an id of its own, so that a
target that remembers ids runs the event again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hairtrigger.domain.caller import Caller
from hairtrigger.domain.errors import Conflict, NotFound
from hairtrigger.domain.ids import new_id
from hairtrigger.domain.outcome import DeliveryStatus
from hairtrigger.domain.quotas import Limits, Quota
from hairtrigger.platform.clock import Clock
from hairtrigger.platform.wake import Wake
from hairtrigger.services.delivery.interventions import under_way
from hairtrigger.services.use_counter import UseCounter
from hairtrigger.store import quotas
from hairtrigger.store.database import Store
from hairtrigger.store.delivery import history, interventions, replays
from hairtrigger.store.delivery.history import Delivery
from hairtrigger.store.delivery.replays import Job
from hairtrigger.store.events import events
from hairtrigger.store.events.events import Event
from hairtrigger.store.setup import projects, triggers
from hairtrigger.store.transaction import Transaction

_LOOKED_AT = 500  # deliveries that one transaction reads, however few of them match
_PORTION = timedelta(milliseconds=200)
_COUNTING = timedelta(milliseconds=500)  # if counting takes longer, the job has no total
_MOST_DELIVERIES = 100  # of an event, the newest, that are looked at before it is replayed
_CATCH_UP = timedelta(seconds=1)  # a job makes up for so much of a delay; the rest of the delay stays


@dataclass(frozen=True)
class ReplayQuery:
    """A choice of deliveries to replay. A delivery matches if it matches each field that is not None.

    With the status `dead`, an event counts only if no later delivery of it was made to the same project.
    """

    status: DeliveryStatus | None = None
    project_id: str | None = None
    project_trigger_id: UUID | None = None
    event_type: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def stored(self) -> dict[str, Any]:
        return {
            name: value if isinstance(value, str) else value.isoformat() if isinstance(value, datetime) else str(value)
            for name, value in vars(self).items()
            if value is not None
        }

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "ReplayQuery":
        read: dict[str, Any] = {
            "project_trigger_id": UUID,
            "since": datetime.fromisoformat,
            "until": datetime.fromisoformat,
        }
        return cls(**{name: read.get(name, str)(value) for name, value in stored.items()})


@dataclass(frozen=True, kw_only=True)
class Replays:
    store: Store
    clock: Clock
    work: Wake
    limits: Limits = field(default_factory=Limits)
    counter: UseCounter = field(default_factory=UseCounter)

    async def start(self, caller: Caller, query: ReplayQuery, per_second: int, to_project_id: str | None) -> Job:
        """Store a job for the workers to run, and return it. It replays only deliveries that exist now, not its own.

        With `to_project_id`, the events go to that project and not to their own. Raise `NotFound` if a project or
        trigger does not exist, and `QuotaFull` if the organisation runs too many jobs or stores too much.
        """
        now = self.clock.now()
        id_ = new_id(now)
        job = Job(
            id=id_,
            org_id=caller.org_id,
            query=query.stored(),
            per_second=per_second,
            to_project_id=to_project_id,
            requested_by=str(caller.id),
            created_at=now,
            position=UUID(int=0),
            until=id_,
            next_at=now,
        )
        more = Quota.RUNNING_REPLAYS
        async with self.store.transaction() as tx, quotas.within(tx, caller.org_id, self.limits, more):
            await self._check(tx, caller, query, to_project_id)
            await quotas.require_room(tx, caller.org_id, self.limits)
            total = await history.count_events(tx, job.org_id, patience=_COUNTING, upto=job.until, **vars(query))
            job = replace(job, total=total)
            await replays.add_job(tx, job)
        return job

    async def preview(self, caller: Caller, query: ReplayQuery, to_project_id: str | None) -> int | None:
        """Return how many events match the query now, or None if counting them takes too long.

        Raise `NotFound` if a project or trigger does not exist.
        """
        async with self.store.transaction() as tx:
            await self._check(tx, caller, query, to_project_id)
            return await history.count_events(tx, caller.org_id, patience=_COUNTING, **vars(query))

    async def get(self, caller: Caller, job_id: UUID) -> Job:
        async with self.store.transaction() as tx:
            return await self._own(tx, caller, job_id)

    async def list(self, caller: Caller, *, limit: int, before: UUID | None) -> list[Job]:
        async with self.store.transaction() as tx:
            return await replays.jobs(tx, caller.org_id, limit=limit, before=before)

    async def cancel(self, caller: Caller, job_id: UUID) -> Job:
        """End a job early, and return it. The deliveries that it has made stay.

        Raise `Conflict` if it has ended by itself.
        """
        async with self.store.transaction() as tx:
            job = await self._own(tx, caller, job_id, for_update=True)
            if job.ended_at and not job.cancelled:
                raise Conflict("This replay has ended already.")
            if not job.ended_at:
                job = replace(job, next_at=None, ended_at=self.clock.now(), cancelled=True)
                await replays.save_job(tx, job)
        return job

    async def run_due(self) -> None:
        """Run due jobs, one portion at a time, until none is due.

        Any number of processes may do this, because only one works on a job at a time.
        """
        due = True
        while due:
            async with self.store.transaction() as tx:
                job = await replays.due_job(tx, self.clock.now())
                moved = await self._portion(tx, job) if job else 0
            due = job is not None
            if moved:
                self.work.set()

    async def _portion(self, tx: Transaction, job: Job) -> int:
        now = self.clock.now()
        query = ReplayQuery.of(job.query)
        most = max(1, round(job.per_second * _PORTION.total_seconds()))
        window = await history.window(
            tx, job.org_id, limit=_LOOKED_AT, after=job.position, upto=job.until, **vars(query)
        )
        matching = [one for one in window if query.status in (None, one.status)][:most]
        again, early = await self._chosen(tx, job, query, matching)
        retried = await interventions.retry_now(tx, early)
        made = [
            *retried,
            *await replays.add(tx, again, job.requested_by, now, to_project=job.to_project_id, job=job.id),
        ]
        full = len(matching) == most
        ended = not full and len(window) < _LOOKED_AT
        last = matching[-1] if full else window[-1] if window else None
        started = max(job.next_at or now, now - _CATCH_UP)
        changed = replace(
            job,
            position=last.id if last else job.position,
            replayed=job.replayed + len(made),
            next_at=None if ended else started + timedelta(seconds=len(made) / job.per_second),
            ended_at=now if ended else None,
        )
        await replays.save_job(tx, changed)
        self.counter.ledger(job.org_id, len(made))
        return len(made)

    async def _chosen(
        self, tx: Transaction, job: Job, query: ReplayQuery, matching: Sequence[Delivery]
    ) -> tuple[Sequence[Event], Sequence[UUID]]:
        """Return the events to replay, and the ids of deliveries whose next attempt is made now instead.

        An event that is still on its way to the project is not sent twice. If the query has the status `dead`, an event
        that has arrived there is not sent again either.
        """
        again, early = [], []
        for event_id in dict.fromkeys(one.event_id for one in matching if not one.dropped):
            event = await events.get(tx, job.org_id, event_id)
            if event is None:
                continue
            project_id = job.to_project_id or event.project_id
            made = await history.deliveries(tx, job.org_id, limit=_MOST_DELIVERIES, event_id=event_id)
            has_arrived = any(one.status == "delivered" and one.project_id == project_id for one in made)
            if found := under_way(made, project_id):
                early.append(found.id)
            elif not (query.status == "dead" and has_arrived):
                again.append(event)
        return again, early

    async def _check(self, tx: Transaction, caller: Caller, query: ReplayQuery, to_project_id: str | None) -> None:
        for project_id in (query.project_id, to_project_id):
            if project_id is not None:
                await projects.existing(tx, caller.org_id, project_id)
        if query.project_trigger_id is not None:
            await triggers.existing(tx, caller.org_id, query.project_trigger_id)

    async def _own(self, tx: Transaction, caller: Caller, job_id: UUID, *, for_update: bool = False) -> Job:
        job = await replays.job(tx, caller.org_id, job_id, for_update=for_update)
        if not job:
            raise NotFound("There is no such replay.")
        return job
