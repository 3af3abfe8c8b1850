"""Notices: things that happened and will be told as operational events. Each is stored in the transaction of what
happened, so that none is lost, and equal ones are counted in one row, so that very many are one.
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
    """Store notices, except those of organisations that are deleted meanwhile."""
    for one in sorted(notices, key=lambda one: (one.org_id, one.type, one.subject)):
        values = {**vars(one), "sentence": storable(one.sentence), "ids": list(one.ids)[:_MOST_IDS]}
        await tx.connection.execute(_NOTE, {**values, "details": dict(one.details)})


class Untold(NamedTuple):
    """Equal notices that have not been told yet."""

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
    """Take the notices that may be told now, of all but the organisations in `silent`.

    One that was told lately waits: until `minute_ago`, or `hour_ago` for items that were refused.
    """
    given = {"silent": silent, "now": now, "hour_ago": hour_ago, "minute_ago": minute_ago, "limit": limit}
    rows = await tx.connection.execute(_TAKE, given)
    return [Untold(row[0], OperationalType(row[1]), *row[2:]) for row in rows]


async def forget(tx: Transaction, before: datetime) -> None:
    """Delete the notices that were told before then, and not again since."""
    await tx.connection.execute(delete(notice).where(notice.c.count == 0, notice.c.told_at < before))
