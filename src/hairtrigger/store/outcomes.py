"""How every request, tick and poll ended: the memory behind "why did (or didn't) this fire?"."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select

from hairtrigger.domain.ids import day_of, new_id
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.store.database import Transaction
from hairtrigger.store.tables import outcome
from hairtrigger.store.text import storable


@dataclass(frozen=True)
class Outcome:
    kind: Kind
    code: Code
    at: datetime
    org_id: UUID | None = None
    project_trigger_id: UUID | None = None
    detail: str = ""  # one sentence for the user; never a secret, never a body
    events: int = 0  # new ones


async def record(tx: Transaction, *outcomes: Outcome) -> None:
    if outcomes:
        await tx.connection.execute(insert(outcome), [_row(one) for one in outcomes])


async def of_trigger(tx: Transaction, project_trigger_id: UUID, *, limit: int = 50) -> list[Outcome]:
    """Newest first."""
    statement = (
        select(outcome)
        .where(outcome.c.project_trigger_id == project_trigger_id)
        .order_by(outcome.c.id.desc())
        .limit(limit)
    )
    return [
        Outcome(Kind(row.kind), Code(row.code), row.at, row.org_id, row.project_trigger_id, row.detail, row.events)
        for row in await tx.connection.execute(statement)
    ]


def _row(one: Outcome) -> dict[str, object]:
    id_ = new_id(one.at)
    return {"id": id_, "day": day_of(id_), **vars(one), "detail": storable(one.detail)}
