"""Store the pace of each connection. Rows are locked in the order of their ids, and after rows of `poll`."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from pydantic_core import to_json
from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.domain.pace import Pace
from hairtrigger.store.tables import pace
from hairtrigger.store.transaction import Transaction

_SAVE = text(
    """
    UPDATE pace
    SET running = given.running::jsonb, queued_until = given.queued_until, paused_until = given.paused_until
    FROM unnest(
        CAST(:connection_id AS uuid[]), CAST(:running AS text[]),
        CAST(:queued_until AS timestamptz[]), CAST(:paused_until AS timestamptz[])
    ) AS given (connection_id, running, queued_until, paused_until)
    WHERE pace.connection_id = given.connection_id
    """
)


async def of_all(tx: Transaction, connection_ids: Iterable[UUID]) -> dict[UUID, Pace]:
    """Lock the paces until the transaction ends, and return them by connection. A missing row is made first."""
    wanted = sorted(set(connection_ids))
    found = await locked(tx, wanted)
    if missing := [id_ for id_ in wanted if id_ not in found]:
        rows = [{"connection_id": id_, "running": {}} for id_ in missing]
        await tx.connection.execute(upsert(pace).on_conflict_do_nothing(), rows)
        found = await locked(tx, wanted)
    return found


async def locked(tx: Transaction, connection_ids: Iterable[UUID]) -> dict[UUID, Pace]:
    """Lock the paces until the transaction ends, and return them by connection, without those that have no row yet."""
    wanted = list(connection_ids)
    if not wanted:
        return {}
    statement = select(pace).where(pace.c.connection_id.in_(wanted)).order_by(pace.c.connection_id).with_for_update()
    return {row.connection_id: _pace(row) for row in await tx.connection.execute(statement)}


async def save(tx: Transaction, changed: Sequence[Pace]) -> None:
    """Save changed paces, whose rows this transaction must have locked."""
    if changed:
        columns = {name: [getattr(one, name) for one in changed] for name in Pace.__dataclass_fields__}
        columns["running"] = [
            to_json({str(lease): end for lease, end in one.running.items()}).decode() for one in changed
        ]
        await tx.connection.execute(_SAVE, columns)


def _pace(row: Row[tuple[object, ...]]) -> Pace:
    running = {UUID(lease): datetime.fromisoformat(end) for lease, end in row.running.items()}
    return Pace(row.connection_id, running, row.queued_until, row.paused_until)
