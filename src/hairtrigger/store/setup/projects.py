"""Store projects. Each has a target and a lane, which limits how many of its deliveries may be under way."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic_core import from_json
from sqlalchemy import ARRAY, Text, bindparam, cast, delete, func, insert, select, update

from hairtrigger.domain.errors import NoSuchProject
from hairtrigger.domain.lane import START, RateLimits
from hairtrigger.store.tables import lane, pause, project
from hairtrigger.store.transaction import Transaction

OrderBy = Literal["trigger", "subject"]
"""What deliveries of a project must have in common to be attempted one after the other, in the order of their events.
"""


@dataclass(frozen=True)
class Project:
    id: str
    org_id: UUID
    name: str
    target: dict[str, Any]
    secrets: bytes = field(repr=False)
    created_at: datetime
    updated_at: datetime
    max_inflight: int
    order_by: OrderBy | None = None
    paused: bool = False
    per_second: int | None = None
    per_hour: int | None = None
    per_day: int | None = None

    @property
    def rate_limits(self) -> RateLimits:
        return RateLimits(self.per_second, self.per_hour, self.per_day)


_LANE = ("max_inflight", "order_by", "paused", "per_second", "per_hour", "per_day")
_COLUMNS = (*project.c, *(lane.c[name] for name in _LANE))
_JOINED = project.join(lane, lane.c.project_id == project.c.id)

IN_SQL = ", ".join(f"{column.table.name}.{column.name}" for column in _COLUMNS)
"""SQL for the columns of the tables `project` and `lane` from whose values `from_driver` makes a project."""

_BY_IDS = select(*_COLUMNS).select_from(_JOINED).where(project.c.id == func.any(cast(bindparam("ids"), ARRAY(Text))))


def from_driver(values: Sequence[Any]) -> Project:
    """Return the project whose columns in `IN_SQL` have these values, as the database's driver returns them."""
    named = {column.name: value for column, value in zip(_COLUMNS, values, strict=True)}
    return Project(**{**named, "target": from_json(named["target"])})


async def add(tx: Transaction, new: Project) -> None:
    values = dict(vars(new))
    of_lane = {name: values.pop(name) for name in _LANE}
    await tx.connection.execute(insert(project).values(values))
    await tx.connection.execute(insert(lane).values(project_id=new.id, inflight=0, width=START, **of_lane))


async def get(tx: Transaction, org_id: UUID, project_id: str) -> Project | None:
    statement = select(*_COLUMNS).select_from(_JOINED).where(project.c.id == project_id, project.c.org_id == org_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return Project(**row._mapping) if row else None


async def existing(tx: Transaction, org_id: UUID, project_id: str) -> Project:
    """Return the organisation's project, or raise `NoSuchProject`."""
    found = await get(tx, org_id, project_id)
    if not found:
        raise NoSuchProject(project_id)
    return found


async def by_ids(tx: Transaction, ids: Collection[str]) -> dict[str, Project]:
    """Return the projects with these ids, of any organisation. API requests must not use this, but deliveries may."""
    rows = await tx.connection.execute(_BY_IDS, {"ids": list(ids)})
    return {row.id: Project(**row._mapping) for row in rows}


async def which_exist(tx: Transaction, org_id: UUID, ids: Collection[str]) -> set[str]:
    """Return those of the ids that are ids of the organisation's projects."""
    statement = select(project.c.id).where(project.c.org_id == org_id, project.c.id.in_(ids))
    return set((await tx.connection.execute(statement)).scalars())


async def of_organization(tx: Transaction, org_id: UUID) -> list[Project]:
    statement = select(*_COLUMNS).select_from(_JOINED).where(project.c.org_id == org_id).order_by(project.c.created_at)
    return [Project(**row._mapping) for row in await tx.connection.execute(statement)]


async def save(tx: Transaction, changed: Project) -> None:
    values = dict(vars(changed))
    of_lane = {name: values.pop(name) for name in _LANE}
    del of_lane["paused"]  # only `pauses` changes it
    await tx.connection.execute(update(project).where(project.c.id == changed.id).values(values))
    await tx.connection.execute(update(lane).where(lane.c.project_id == changed.id).values(of_lane))


async def remove(tx: Transaction, project_id: str) -> None:
    await tx.connection.execute(delete(project).where(project.c.id == project_id))
    await tx.connection.execute(delete(pause).where(pause.c.id == project_id))
