"""Projects: what a trigger runs, where it is reached, and how much of it may run at once."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import delete, insert, select, update

from hairtrigger.store.database import Transaction
from hairtrigger.store.tables import lane, project


@dataclass(frozen=True)
class Project:
    id: str
    org_id: UUID
    name: str
    target: dict[str, Any]
    secrets: bytes
    created_at: datetime
    updated_at: datetime
    max_inflight: int


_COLUMNS = (*project.c, lane.c.max_inflight)
_JOINED = project.join(lane, lane.c.project_id == project.c.id)


async def add(tx: Transaction, new: Project) -> None:
    values = dict(vars(new))
    limit = values.pop("max_inflight")
    await tx.connection.execute(insert(project).values(values))
    await tx.connection.execute(insert(lane).values(project_id=new.id, max_inflight=limit, inflight=0))


async def get(tx: Transaction, org_id: UUID, project_id: str) -> Project | None:
    statement = select(*_COLUMNS).select_from(_JOINED).where(project.c.id == project_id, project.c.org_id == org_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return Project(**row._mapping) if row else None


async def of_organization(tx: Transaction, org_id: UUID) -> list[Project]:
    statement = select(*_COLUMNS).select_from(_JOINED).where(project.c.org_id == org_id).order_by(project.c.created_at)
    return [Project(**row._mapping) for row in await tx.connection.execute(statement)]


async def save(tx: Transaction, changed: Project) -> None:
    values = dict(vars(changed))
    limit = values.pop("max_inflight")
    await tx.connection.execute(update(project).where(project.c.id == changed.id).values(values))
    await tx.connection.execute(update(lane).where(lane.c.project_id == changed.id).values(max_inflight=limit))


async def remove(tx: Transaction, project_id: str) -> None:
    await tx.connection.execute(delete(project).where(project.c.id == project_id))
