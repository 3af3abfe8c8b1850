"""Suspend the deliveries of paused projects and triggers, until they are released or discarded.

`lane` holds what is paused, and admission suspends deliveries when it reads them from the queue. A delivery that is
under way is left alone. Large numbers are moved in portions: the API request moves the first, and `settle` the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import DateTime, TextClause, bindparam, delete, text
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.store.delivery import lanes
from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.tables import pause as pause_table
from hairtrigger.store.transaction import Transaction

PORTION = 1000


@dataclass(frozen=True)
class Paused:
    """A project, or one of its triggers, that is or was paused."""

    project_id: str
    project_trigger_id: UUID | None = None

    @property
    def id(self) -> str:
        """Return the value for `waiting.suspended_by`, which is the id of the trigger as a text, or else that of the
        project.
        """
        return self.project_id if self.project_trigger_id is None else str(self.project_trigger_id)


async def is_paused(tx: Transaction, what: Paused) -> bool:
    if what.project_trigger_id is None:
        query = "SELECT paused FROM lane WHERE project_id = :project"
    else:
        query = "SELECT CAST(:trigger AS uuid) = ANY(paused_triggers) FROM lane WHERE project_id = :project"
    rows = await tx.connection.execute(text(query), {"project": what.project_id, "trigger": what.project_trigger_id})
    return bool(rows.scalar_one_or_none())


async def pause(tx: Transaction, what: Paused, paused_by: str, now: datetime) -> None:
    await lanes.lock(tx, [what.project_id])
    given = {"id": what.id, "since": now, "paused_by": paused_by}
    await tx.connection.execute(upsert(pause_table).values(given).on_conflict_do_nothing())
    if what.project_trigger_id is None:
        change = "paused = true"
    else:
        change = "paused_triggers = array_append(array_remove(paused_triggers, CAST(:trigger AS uuid)), :trigger)"
    await _change_lane(tx, what, change)
    await _suspend_waiting(tx, what)


async def resume(tx: Transaction, what: Paused) -> None:
    """End the pause, and move the first `PORTION` of the deliveries suspended by it back to the queue, in the order of
    ids.

    `settle` moves the rest.
    """
    await lanes.lock(tx, [what.project_id])
    await tx.connection.execute(delete(pause_table).where(pause_table.c.id == what.id))
    if what.project_trigger_id is None:
        await _change_lane(tx, what, "paused = false")
    else:
        await _change_lane(tx, what, "paused_triggers = array_remove(paused_triggers, CAST(:trigger AS uuid))")
    await _free(tx, what)


async def release(tx: Transaction, what: Paused, limit: int, delivery_ids: Sequence[UUID] | None) -> int:
    """Release the oldest `limit` suspended deliveries while the pause goes on, and return how many were released.

    They may be attempted during the pause. If `delivery_ids` is given, only deliveries among these are released.
    """
    await lanes.lock(tx, [what.project_id])
    rows = await tx.connection.execute(_RELEASE, _chosen(what, limit, delivery_ids))
    return int(rows.scalar_one())


async def discard(
    tx: Transaction,
    what: Paused,
    limit: int,
    delivery_ids: Sequence[UUID] | None,
    org_id: UUID,
    reason: str,
    now: datetime,
) -> int:
    """End the oldest `limit` suspended deliveries as dead letters, and return how many ended.

    If `delivery_ids` is given, only deliveries among these are ended.
    """
    await lanes.lock(tx, [what.project_id])
    given = {"org_id": org_id, "reason": reason, "now": now}
    ended = (await tx.connection.execute(_DISCARD, _chosen(what, limit, delivery_ids) | given)).scalars().all()
    await lanes.pass_turns(tx, ended)
    return len(ended)


_SETTLE = text(
    """
    WITH RECURSIVE held AS (
        (SELECT project_id, suspended_by FROM waiting WHERE suspended_by IS NOT NULL ORDER BY 1, 2 LIMIT 1)
        UNION ALL
        SELECT next.project_id, next.suspended_by FROM held CROSS JOIN LATERAL (
            SELECT project_id, suspended_by FROM waiting
            WHERE suspended_by IS NOT NULL
              AND (waiting.project_id, waiting.suspended_by) > (held.project_id, held.suspended_by)
            ORDER BY 1, 2 LIMIT 1
        ) AS next
    )
    SELECT held.project_id, held.trigger_id, project.org_id, held.trigger_id IS NOT NULL AND project_trigger.id IS NULL
    FROM (
        SELECT project_id, CASE WHEN suspended_by <> project_id THEN CAST(suspended_by AS uuid) END AS trigger_id
        FROM held
    ) AS held
    JOIN lane USING (project_id)
    JOIN project ON project.id = held.project_id
    LEFT JOIN project_trigger ON project_trigger.id = held.trigger_id
    WHERE CASE WHEN held.trigger_id IS NULL THEN NOT lane.paused
               ELSE project_trigger.id IS NULL OR NOT held.trigger_id = ANY(lane.paused_triggers) END
    """
)


async def settle(tx: Transaction, now: datetime) -> int:
    """Move back to the queue the deliveries that are still suspended after their pause has ended, at most `PORTION` of
    each.

    Those of a deleted trigger become dead letters, because a user who deletes a paused trigger does not expect its
    suspended deliveries to be sent then. Return how many deliveries were moved or ended.
    """
    count = 0
    for project_id, trigger_id, org_id, is_deleted in (await tx.connection.execute(_SETTLE)).all():
        what = Paused(project_id, trigger_id)
        if is_deleted:
            count += await discard(tx, what, PORTION, None, org_id, "The trigger was deleted while it was paused.", now)
        else:
            await lanes.lock(tx, [what.project_id])
            count += await _free(tx, what)
    return count


async def _change_lane(tx: Transaction, what: Paused, change: str) -> None:
    await tx.connection.execute(
        text(f"UPDATE lane SET {change} WHERE project_id = :project"),  # noqa: S608 all of it our own text
        {"project": what.project_id} | ({"trigger": what.project_trigger_id} if what.project_trigger_id else {}),
    )


_SUSPEND = text(
    f"""
    WITH first AS (
        SELECT msg_id, message, event.project_trigger_id FROM (
            SELECT msg_id, message FROM pgmq.q_{DISPATCH} WHERE read_ct = 0 AND message->>'project' = :project
            ORDER BY msg_id LIMIT {10 * PORTION} FOR UPDATE SKIP LOCKED
        ) AS unread
        JOIN event ON event.day = CAST(message->>'day' AS date) AND event.id = CAST(message->>'event' AS uuid)
        WHERE NOT message ? 'released' AND (CAST(:trigger AS uuid) IS NULL OR event.project_trigger_id = :trigger)
    ), taken AS (
        DELETE FROM pgmq.q_{DISPATCH} AS queue USING first WHERE queue.msg_id = first.msg_id
    ), behind AS (
        SELECT waiting.project_id, delivery_id, event.project_trigger_id FROM (
            SELECT * FROM waiting WHERE project_id = :project AND suspended_by IS NULL
            ORDER BY delivery_id LIMIT {10 * PORTION}
        ) AS waiting
        JOIN event ON event.day = CAST(message->>'day' AS date) AND event.id = CAST(message->>'event' AS uuid)
        WHERE NOT message ? 'released' AND (CAST(:trigger AS uuid) IS NULL OR event.project_trigger_id = :trigger)
    ), marked AS (
        UPDATE waiting SET suspended_by = :by, project_trigger_id = behind.project_trigger_id FROM behind
        WHERE waiting.project_id = behind.project_id AND waiting.delivery_id = behind.delivery_id
    )
    INSERT INTO waiting (project_id, delivery_id, message, project_trigger_id, suspended_by)
    SELECT :project, CAST(message->>'delivery' AS uuid), message, project_trigger_id, :by FROM first
    ON CONFLICT DO NOTHING
    """  # noqa: S608 all of it our own text
)


async def _suspend_waiting(tx: Transaction, what: Paused) -> None:
    """Suspend the first portion of the deliveries on the queue and in `waiting`, so that users see the pause at once.

    Admission suspends the rest.
    """
    await tx.connection.execute(
        _SUSPEND, {"project": what.project_id, "trigger": what.project_trigger_id, "by": what.id}
    )


def _back_to_the_queue(chosen: str, mark: str = "") -> TextClause:
    """Return an SQL statement that ends the suspension of deliveries and yields their number.

    `chosen` is a WITH clause that selects them as the table `chosen`. They go to the queue, except those behind another
    delivery of their order key, which stay in `waiting`. `mark` is SQL for an object that is added to their messages.
    """
    message = f"message {mark and f'|| {mark}'}"
    return text(
        f"""
        {chosen}, kept AS (
            UPDATE waiting SET suspended_by = NULL, message = {message} FROM chosen
            WHERE waiting.project_id = chosen.project_id AND waiting.delivery_id = chosen.delivery_id AND chosen.behind
        ), freed AS (
            DELETE FROM waiting USING chosen
            WHERE waiting.project_id = chosen.project_id AND waiting.delivery_id = chosen.delivery_id
              AND NOT chosen.behind
            RETURNING waiting.delivery_id, waiting.message
        ), sent AS (
            INSERT INTO pgmq.q_{DISPATCH} (vt, message)
            SELECT clock_timestamp(), {message} FROM freed ORDER BY delivery_id
        )
        SELECT count(*) FROM chosen
        """  # noqa: S608 all of it our own text
    )


_FREE = _back_to_the_queue(
    """
    WITH chosen AS MATERIALIZED (
        SELECT project_id, delivery_id, behind FROM waiting WHERE project_id = :project AND suspended_by = :by
        ORDER BY delivery_id LIMIT :portion
    )
    """
)


async def _free(tx: Transaction, what: Paused) -> int:
    rows = await tx.connection.execute(_FREE, {"project": what.project_id, "by": what.id, "portion": PORTION})
    return int(rows.scalar_one())


_CHOSEN = """
    WITH chosen AS MATERIALIZED (
        SELECT project_id, delivery_id, behind FROM waiting
        WHERE project_id = :project AND suspended_by IS NOT NULL
          AND (CAST(:trigger AS uuid) IS NULL OR project_trigger_id = :trigger)
          AND (CAST(:ids AS uuid[]) IS NULL OR delivery_id = ANY(:ids))
        ORDER BY delivery_id LIMIT :limit
    )
"""
_RELEASE = _back_to_the_queue(_CHOSEN, mark="jsonb_build_object('released', true)")
_DISCARD = text(
    _CHOSEN  # noqa: S608 all of it our own text
    + """, ended AS (
        DELETE FROM waiting USING chosen
        WHERE waiting.project_id = chosen.project_id AND waiting.delivery_id = chosen.delivery_id
        RETURNING waiting.delivery_id
    )
    INSERT INTO dead (delivery_id, org_id, reason, at)
    SELECT delivery_id, CAST(:org_id AS uuid), :reason, :now FROM ended ON CONFLICT DO NOTHING RETURNING delivery_id
    """
).bindparams(bindparam("now", type_=DateTime(timezone=True)))


def _chosen(what: Paused, limit: int, delivery_ids: Sequence[UUID] | None) -> dict[str, object]:
    ids = None if delivery_ids is None else list(delivery_ids)
    return {"project": what.project_id, "trigger": what.project_trigger_id, "ids": ids, "limit": limit}
