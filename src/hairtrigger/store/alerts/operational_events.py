"""Store operational events, and find out which projects ask for them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import func, insert, select, text

from hairtrigger.domain.ids import first_id
from hairtrigger.domain.operational import PROVIDER, OperationalEvent, OperationalType, ProjectNamed, TriggerNamed
from hairtrigger.store.advisory_lock import AdvisoryLock
from hairtrigger.store.setup.triggers import ProjectTrigger
from hairtrigger.store.tables import app_user, operational_event, org, project, project_trigger
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction

MOST_AN_HOUR = 1000  # of one organisation; what happens beyond is told in the next hour


@dataclass(frozen=True)
class Recorded:
    id: UUID
    org_id: UUID
    type: OperationalType
    at: datetime
    sentence: str
    project_id: str | None
    project_trigger_id: UUID | None
    data: dict[str, Any]


async def alone(tx: Transaction) -> bool:
    """Return whether this process may tell events. If it may, no other process may do so until the transaction ends."""
    lock = func.pg_try_advisory_xact_lock(AdvisoryLock.OPERATIONAL_EVENTS.value)
    return bool((await tx.connection.execute(select(lock))).scalar_one())


async def held(tx: Transaction, org_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the organisations that exist. None of them can be deleted until the transaction ends."""
    statement = select(org.c.id).where(org.c.id.in_(org_ids)).order_by(org.c.id)
    return set((await tx.connection.execute(statement.with_for_update(read=True, key_share=True))).scalars())


async def record(tx: Transaction, events: Sequence[OperationalEvent]) -> None:
    if events:
        await tx.connection.execute(insert(operational_event), [_row(one) for one in events])


def _row(one: OperationalEvent) -> dict[str, Any]:
    return {
        "id": one.id,
        "org_id": one.org_id,
        "type": one.type,
        "at": one.at,
        "sentence": storable(one.sentence),
        "project_id": one.project and one.project.id,
        "project_trigger_id": one.trigger and one.trigger.id,
        "data": from_json(one.data),
    }


async def silent(tx: Transaction, since: datetime) -> list[UUID]:
    """Return the organisations that were told `MOST_AN_HOUR` events or more since `since`, which is an hour ago."""
    events = operational_event.c
    statement = select(events.org_id).where(events.id >= first_id(since)).group_by(events.org_id)
    return list((await tx.connection.execute(statement.having(func.count() >= MOST_AN_HOUR))).scalars())


async def get(tx: Transaction, org_id: UUID, event_id: UUID) -> Recorded | None:
    statement = select(operational_event).where(
        operational_event.c.org_id == org_id, operational_event.c.id == event_id
    )
    row = (await tx.connection.execute(statement)).one_or_none()
    return recorded(row) if row else None


async def page(
    tx: Transaction,
    org_id: UUID,
    *,
    limit: int,
    before: UUID | None = None,
    types: Sequence[OperationalType] = (),
    project_id: str | None = None,
    project_trigger_id: UUID | None = None,
    since: datetime | None = None,
) -> list[Recorded]:
    """Return the first `limit` events of the organisation that match, newest first.

    `before` is the last id of the previous page. Without `types`, events of all types match.
    """
    columns = operational_event.c
    statement = select(operational_event).where(columns.org_id == org_id).order_by(columns.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(columns.id < before)
    if types:
        statement = statement.where(columns.type.in_(types))
    if project_id is not None:
        statement = statement.where(columns.project_id == project_id)
    if project_trigger_id is not None:
        statement = statement.where(columns.project_trigger_id == project_trigger_id)
    if since is not None:
        statement = statement.where(columns.id >= first_id(since))
    return [recorded(row) for row in await tx.connection.execute(statement)]


def recorded(row: Any) -> Recorded:
    return Recorded(**{**row._mapping, "type": OperationalType(row.type)})


_FORGET = text(
    "DELETE FROM operational_event WHERE id IN (SELECT id FROM operational_event WHERE id < :before LIMIT :batch)"
)


async def forget(tx: Transaction, before: datetime, batch: int) -> int:
    """Delete at most `batch` of the events from before the time `before`, with their alerts, and return how many
    events.
    """
    return (await tx.connection.execute(_FORGET, {"before": first_id(before), "batch": batch})).rowcount


# -- what they are about, and where they go


async def triggers_named(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, tuple[TriggerNamed, ProjectNamed]]:
    """Return each trigger and its project, as operational events name them, by trigger id. Deleted triggers are left
    out.
    """
    if not ids:
        return {}
    columns = project_trigger.c
    statement = (
        select(columns.id, columns.name, columns.provider_id, columns.trigger_id, project.c.id, project.c.name)
        .join(project, project.c.id == columns.project_id)
        .where(columns.id.in_(ids))
    )
    return {
        id_: (
            TriggerNamed(id=id_, name=name, provider_id=provider_id, trigger_id=trigger_id),
            ProjectNamed(id=project_id, name=project_name),
        )
        for id_, name, provider_id, trigger_id, project_id, project_name in await tx.connection.execute(statement)
    }


async def listening(tx: Transaction, org_ids: Sequence[UUID]) -> list[ProjectTrigger]:
    """Return the enabled triggers of these organisations that bring operational events to their projects, in the order
    of ids.
    """
    columns = project_trigger.c
    statement = select(*(columns[name] for name in ProjectTrigger.__dataclass_fields__)).where(
        columns.org_id.in_(org_ids), columns.provider_id == PROVIDER, columns.enabled
    )
    return [ProjectTrigger(**row._mapping) for row in await tx.connection.execute(statement.order_by(columns.id))]


async def operators(tx: Transaction) -> list[UUID]:
    """Return the ids of the organisations that have an operator among their users."""
    statement = select(org.c.id).where(
        select(app_user.c.id).where(app_user.c.org_id == org.c.id, app_user.c.operator).exists()
    )
    return list((await tx.connection.execute(statement.order_by(org.c.id))).scalars())
