"""Store notices, which are things that have happened and will be told as operational events.

Each is stored in the transaction of what happened, so that none is lost. Equal notices are counted in one row.
"""

from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, bindparam, delete, text
from sqlalchemy.dialects.postgresql import JSONB

from hairtrigger.domain.operational import Notice, OperationalType
from hairtrigger.store.tables import notice
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction

_MOST_IDS = 20
_INSTANT = DateTime(timezone=True)

_NOTE = text(
    f"""
    INSERT INTO notice AS old (org_id, type, subject, count, at, sentence, project_trigger_id, ids, details)
    SELECT org.id, CAST(:type AS text), CAST(:subject AS text), CAST(:count AS int), coalesce(:at, now()),
           CAST(:sentence AS text), CAST(:project_trigger_id AS uuid), CAST(:ids AS uuid[]), CAST(:details AS jsonb)
    FROM (SELECT id FROM org WHERE id = :org_id FOR KEY SHARE) AS org
    ON CONFLICT (org_id, type, subject) DO UPDATE SET
        count = old.count + excluded.count, at = excluded.at, sentence = excluded.sentence,
        project_trigger_id = excluded.project_trigger_id, details = excluded.details,
        ids = (old.ids || excluded.ids)[1:{_MOST_IDS}]
    """  # noqa: S608 all of it our own text
).bindparams(bindparam("at", type_=_INSTANT), bindparam("details", type_=JSONB))


async def note(tx: Transaction, *notices: Notice) -> None:
    """Store notices, except those of organisations that are deleted meanwhile.

    Notices with the same organisation, type and subject are equal, and share a row. It has their number, at most 20
    ids, and the sentence and the details of the last one.
    """
    for one in sorted(notices, key=lambda one: (one.org_id, one.type, one.subject)):
        values = {**vars(one), "sentence": storable(one.sentence), "ids": list(one.ids)[:_MOST_IDS]}
        await tx.connection.execute(_NOTE, {**values, "details": dict(one.details)})


class Untold(NamedTuple):
    """Equal notices that have not been told yet.

    `number` is how many there are. `ids` are those of the first ones, at most 20. The other fields are those of the
    last one.
    """

    org_id: UUID
    type: OperationalType
    number: int
    sentence: str
    project_trigger_id: UUID | None
    ids: list[UUID]
    details: dict[str, Any]


_TAKE = text(
    """
    UPDATE notice SET count = 0, ids = '{}', told_at = :now FROM (
        SELECT org_id, type, subject, count, ids FROM notice
        WHERE count > 0 AND org_id <> ALL(CAST(:silent AS uuid[]))
          AND (told_at IS NULL OR told_at <= CASE type WHEN 'trigger.items_refused' THEN :hour_ago ELSE :minute_ago END)
        ORDER BY at LIMIT :limit FOR UPDATE
    ) AS taken
    WHERE notice.org_id = taken.org_id AND notice.type = taken.type AND notice.subject = taken.subject
    RETURNING notice.org_id, notice.type, taken.count, sentence, project_trigger_id, taken.ids, details
    """
).bindparams(*(bindparam(name, type_=_INSTANT) for name in ("now", "hour_ago", "minute_ago")))


async def take(
    tx: Transaction, *, silent: list[UUID], now: datetime, hour_ago: datetime, minute_ago: datetime, limit: int
) -> list[Untold]:
    """Return at most `limit` of the notices that may be told now, and mark them as told `now`.

    Notices of the organisations in `silent` are left out. So are those whose equals were told after `minute_ago`, or
    after `hour_ago` if they are of refused items. If there are more than `limit`, the oldest are returned.
    """
    given = {"silent": silent, "now": now, "hour_ago": hour_ago, "minute_ago": minute_ago, "limit": limit}
    rows = await tx.connection.execute(_TAKE, given)
    return [Untold(row[0], OperationalType(row[1]), *row[2:]) for row in rows]


async def forget(tx: Transaction, before: datetime) -> None:
    """Delete the rows of notices that were told before `before`, if no equal notice was stored since."""
    await tx.connection.execute(delete(notice).where(notice.c.count == 0, notice.c.told_at < before))
