"""Store replays, which are further deliveries of an event with ids of their own, and jobs that make many of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, text, update

from hairtrigger.domain.ids import new_id
from hairtrigger.store.events.events import DISPATCH, Event
from hairtrigger.store.tables import replay_job
from hairtrigger.store.transaction import Transaction

_ADD = text(
    """
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:delivery AS uuid[]), CAST(:event AS uuid[]), CAST(:day AS date[]), CAST(:org AS uuid[]),
            CAST(:trigger AS uuid[]), CAST(:project AS text[])
        ) AS given (delivery, event, day, org, trigger, project)
    ), stored AS (
        INSERT INTO replay (delivery_id, event_id, event_day, org_id, project_trigger_id, requested_by, created_at,
                            project_id, replay_job_id)
        SELECT delivery, event, day, org, trigger, :requested_by, CAST(:now AS timestamptz), CAST(:to_project AS text),
               CAST(:job AS uuid)
        FROM given
        ON CONFLICT DO NOTHING
        RETURNING delivery_id
    ), sent AS (
        SELECT pgmq.send_batch(:queue, array_agg(jsonb_build_object(
            'delivery', delivery, 'event', event, 'day', day, 'project', coalesce(:to_project, project), 'attempt', 1
        ) ORDER BY delivery)) AS message
        FROM given JOIN stored ON stored.delivery_id = given.delivery HAVING count(*) > 0
    )
    SELECT delivery_id, (SELECT count(message) FROM sent) FROM stored
    """
)


async def add(
    tx: Transaction,
    events: Sequence[Event],
    requested_by: str,
    now: datetime,
    *,
    to_project: str | None = None,
    job: UUID | None = None,
) -> list[UUID]:
    """Store a replay of each event, put these deliveries on the queue, and return their ids.

    They go to the project `to_project`, or to the event's own project if that is None. An event that the job `job` has
    replayed before is left out.
    """
    if not events:
        return []
    given = {
        "delivery": sorted(new_id(now) for _ in events),
        "event": [e.id for e in events],
        "day": [e.day for e in events],
        "org": [e.org_id for e in events],
        "trigger": [e.project_trigger_id for e in events],
        "project": [e.project_id for e in events],
    }
    options = {"requested_by": requested_by, "now": now, "to_project": to_project, "job": job, "queue": DISPATCH}
    rows = await tx.connection.execute(_ADD, {**given, **options})
    return [id_ for id_, _ in rows]


# -- jobs


@dataclass(frozen=True)
class Job:
    """A job that replays the events of all deliveries that match `query`, the oldest first.

    `position` is the last delivery that it has looked at, and `until` is the delivery at which it ends.
    """

    id: UUID
    org_id: UUID
    query: dict[str, Any]
    per_second: int
    to_project_id: str | None
    requested_by: str
    created_at: datetime
    position: UUID
    until: UUID
    replayed: int = 0
    next_at: datetime | None = None
    ended_at: datetime | None = None
    cancelled: bool = False
    total: int | None = None  # the number of events to replay; None if counting took too long


async def add_job(tx: Transaction, new: Job) -> None:
    await tx.connection.execute(insert(replay_job).values(vars(new)))


async def job(tx: Transaction, org_id: UUID, job_id: UUID, *, for_update: bool = False) -> Job | None:
    statement = select(replay_job).where(replay_job.c.id == job_id, replay_job.c.org_id == org_id)
    row = (await tx.connection.execute(statement.with_for_update() if for_update else statement)).one_or_none()
    return Job(**row._mapping) if row else None


async def jobs(tx: Transaction, org_id: UUID, *, limit: int, before: UUID | None = None) -> list[Job]:
    """Return the first `limit` replay jobs of the organisation with an id below `before`, if that is given, newest
    first.
    """
    statement = select(replay_job).where(replay_job.c.org_id == org_id).order_by(replay_job.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(replay_job.c.id < before)
    return [Job(**row._mapping) for row in await tx.connection.execute(statement)]


async def due_job(tx: Transaction, now: datetime) -> Job | None:
    """Lock and return the most overdue job, or return None if no job is due.

    No other process gets the job until the transaction ends.
    """
    statement = (
        select(replay_job)
        .where(replay_job.c.next_at <= now)
        .order_by(replay_job.c.next_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = (await tx.connection.execute(statement)).one_or_none()
    return Job(**row._mapping) if row else None


async def save_job(tx: Transaction, changed: Job) -> None:
    await tx.connection.execute(update(replay_job).where(replay_job.c.id == changed.id).values(vars(changed)))
