"""Store outcomes, which say how requests, firings, polls and changes of triggers ended. Explanations are made of them.

Ids sort by time, so a query by time uses the index of a trigger's outcomes by id. The condition on the day keeps it
from reading the other partitions.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import ARRAY

from hairtrigger.domain.ids import day_of, first_id, new_id
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.store.tables import outcome
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class Outcome:
    kind: Kind
    code: Code
    at: datetime
    org_id: UUID | None = None
    project_trigger_id: UUID | None = None
    detail: str = ""  # one sentence for the user; never a secret, never a body
    events: int = 0  # number of new events
    count: int = 1  # number of equal outcomes it stands for; `at` is the time of the last
    key: str | None = None  # of a repeat: the key of the event it repeats


# This is one statement for a whole batch, not one for each row.
_ARRAYS = func.unnest(*(bindparam(one.name, type_=ARRAY(one.type)) for one in outcome.c))
_GIVEN = _ARRAYS.table_valued(*outcome.c.keys()).render_derived()
_RECORD = insert(outcome).from_select(outcome.c.keys(), select(_GIVEN))


async def record(tx: Transaction, *outcomes: Outcome) -> None:
    if outcomes:
        rows = [_row(one) for one in outcomes]
        await tx.connection.execute(_RECORD, {name: [row[name] for row in rows] for name in rows[0]})


async def of_trigger(tx: Transaction, project_trigger_id: UUID, *, limit: int = 50) -> list[Outcome]:
    """Return the trigger's last `limit` outcomes, newest first."""
    return await _read(tx, _of(project_trigger_id).order_by(outcome.c.id.desc()).limit(limit))


async def latest_of_each(
    tx: Transaction, project_trigger_ids: Sequence[UUID], codes: Sequence[Code]
) -> dict[UUID, list[Outcome]]:
    """Return the last outcome of each trigger that has one of these codes, as a list of one.

    A trigger without such an outcome is left out.
    """
    found = {}
    for id_ in project_trigger_ids:
        statement = _of(id_).where(outcome.c.code.in_(codes)).order_by(outcome.c.id.desc()).limit(1)
        if latest := await _read(tx, statement):
            found[id_] = latest
    return found


async def before(
    tx: Transaction, project_trigger_id: UUID | None, at: datetime, *, limit: int, since: datetime | None = None
) -> list[Outcome]:
    """Return the last `limit` outcomes before `at`, and not before `since` if it is given, newest first.

    If the trigger is None, these are the outcomes that belong to no known trigger.
    """
    end = first_id(at)
    statement = _of(project_trigger_id).where(outcome.c.id < end, outcome.c.day <= day_of(end))
    if since is not None:
        start = first_id(since)
        statement = statement.where(outcome.c.id >= start, outcome.c.day >= day_of(start))
    return await _read(tx, statement.order_by(outcome.c.id.desc()).limit(limit))


async def after(
    tx: Transaction, project_trigger_id: UUID, at: datetime, *, limit: int, until: datetime | None = None
) -> list[Outcome]:
    """Return the first `limit` outcomes from `at` on, and before `until` if it is given, oldest first."""
    start = first_id(at)
    statement = _of(project_trigger_id).where(outcome.c.id >= start, outcome.c.day >= day_of(start))
    if until is not None:
        end = first_id(until)
        statement = statement.where(outcome.c.id < end, outcome.c.day <= day_of(end))
    return await _read(tx, statement.order_by(outcome.c.id).limit(limit))


async def repeats(
    tx: Transaction, project_trigger_id: UUID, key: str, since: datetime, *, among: int = 1000
) -> list[Outcome]:
    """Return the repeats of the event with this key among the trigger's first `among` outcomes from `since` on.

    They are in the order of time. Providers repeat soon, so the search may be limited.
    """
    start = first_id(since)
    following = _of(project_trigger_id).where(outcome.c.id >= start, outcome.c.day >= day_of(start))
    found = following.order_by(outcome.c.id).limit(among).subquery()
    return await _read(tx, select(found).where(found.c.key == key).order_by(found.c.id))


async def deleted(tx: Transaction, project_trigger_ids: Collection[UUID]) -> dict[UUID, UUID | None]:
    """Return those of the triggers that were deleted, each with the id of its organisation, or None if that is unknown.

    Deletions are known as far back as outcomes are kept.
    """
    statement = select(outcome.c.project_trigger_id, outcome.c.org_id).where(
        outcome.c.project_trigger_id.in_(project_trigger_ids), outcome.c.code == Code.DELETED
    )
    return {row.project_trigger_id: row.org_id for row in await tx.connection.execute(statement)}


def _of(project_trigger_id: UUID | None) -> Select[tuple[object, ...]]:
    return select(outcome).where(outcome.c.project_trigger_id == project_trigger_id)


async def _read(tx: Transaction, statement: Select[tuple[object, ...]]) -> list[Outcome]:
    rows = (dict(row._mapping) for row in await tx.connection.execute(statement))
    return [
        Outcome(Kind(row.pop("kind")), Code(row.pop("code")), **{name: row[name] for name in _REST}) for row in rows
    ]


_REST = tuple(name for name in Outcome.__dataclass_fields__ if name not in {"kind", "code"})


def _row(one: Outcome) -> dict[str, object]:
    id_ = new_id(one.at)
    return {"id": id_, "day": day_of(id_), **vars(one), "detail": storable(one.detail)}
