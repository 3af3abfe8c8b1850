"""Drop the bodies of events whose deliveries have all ended, for triggers that keep no bodies, and find events that are
older than their trigger's own retention.

An event without its body keeps its key, its type and its times, and also its deliveries and attempts, but without the
answers of targets.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.domain.ids import day_of, first_id
from hairtrigger.store import quotas
from hairtrigger.store.tables import body_sweep, project_trigger
from hairtrigger.store.transaction import Transaction

WINDOW = 500
_FIRST = UUID(int=0)

KEEPS_NONE = "project_trigger.privacy IS NOT NULL AND NOT CAST(project_trigger.privacy->>'keep_body' AS boolean)"
"""The SQL condition that the trigger in a row of `project_trigger` keeps no bodies."""

_PRIVATE = text(
    f"SELECT id FROM project_trigger WHERE id = ANY(CAST(:ids AS uuid[])) AND {KEEPS_NONE}"  # noqa: S608
)


async def private(tx: Transaction, trigger_ids: Collection[UUID]) -> set[UUID]:
    """Return those of the triggers that keep no bodies."""
    return set((await tx.connection.execute(_PRIVATE, {"ids": list(trigger_ids)})).scalars())


# A delivery has ended if it is a dead letter or if an attempt of it was successful.
_DROP = text(
    """
    WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:days AS date[])) AS given (id, day)
    ), made AS (
        SELECT id, day, id AS delivery_id FROM given
        UNION ALL
        SELECT given.id, given.day, replay.delivery_id FROM given JOIN replay ON replay.event_id = given.id
    ), ends AS (
        SELECT made.*, EXISTS (
            SELECT FROM attempt
            WHERE attempt.delivery_id = made.delivery_id AND attempt.status = 'delivered' AND attempt.day >= made.day
        ) AS delivered, EXISTS (SELECT FROM dead WHERE dead.delivery_id = made.delivery_id) AS dead
        FROM made
    ), ended AS MATERIALIZED (
        SELECT id, day, bool_or(delivered) AS delivered FROM ends GROUP BY id, day HAVING bool_and(delivered OR dead)
    ), held AS MATERIALIZED (
        SELECT event.id, event.day, org_id, delivered, octet_length(body) AS size
        FROM ended JOIN event ON event.day = ended.day AND event.id = ended.id WHERE dropped IS NULL
        ORDER BY event.id FOR UPDATE OF event
    ), dropped AS (
        UPDATE event SET body = '', request = NULL, dropped = CASE WHEN delivered THEN 'delivered' ELSE 'dead' END
        FROM held WHERE event.day = held.day AND event.id = held.id
    ), silenced AS (
        UPDATE attempt SET response = '', conversation = NULL FROM held JOIN made ON made.id = held.id
        WHERE attempt.delivery_id = made.delivery_id AND attempt.day >= held.day
    )
    SELECT id, org_id, day, size FROM held
    """
)


async def drop_ended(tx: Transaction, events: Collection[UUID]) -> set[UUID]:
    """Drop the bodies and requests of those events whose deliveries have all ended, with the answers of their targets,
    and return the ids of these events.

    The caller knows that their triggers keep no bodies. Events whose bodies were dropped before are left out. Quotas
    stop counting the dropped bytes.
    """
    if not events:
        return set()
    given = {"ids": list(events), "days": [day_of(id_) for id_ in events]}
    found = (await tx.connection.execute(_DROP, given)).all()
    freed: dict[UUID, dict[date, int]] = {}
    for row in found:
        of_org = freed.setdefault(row.org_id, {})
        of_org[row.day] = of_org.get(row.day, 0) + row.size
    for org_id, sizes in freed.items():
        await quotas.give_back(tx, org_id, events=sizes)
    return {row.id for row in found}


# -- looking for what was left: the privacy of a trigger has changed, or two deliveries ended at the same time


@dataclass(frozen=True)
class Sweep:
    """The progress of a sweep, which looks at the events of a trigger that keeps no bodies, in the order of their ids.

    No event up to `floor` has a body any more. `position` is the last event that was looked at.
    """

    project_trigger_id: UUID
    floor: UUID = _FIRST
    position: UUID = _FIRST


async def sweeps(tx: Transaction, only: UUID | None = None) -> list[Sweep]:
    """Return the sweeps of all triggers that keep no bodies, in the order of the triggers' ids, or only that of the
    trigger `only`.

    A trigger that was not looked at yet has a sweep that is at its beginning.
    """
    joined = project_trigger.outerjoin(body_sweep, body_sweep.c.project_trigger_id == project_trigger.c.id)
    statement = (
        select(project_trigger.c.id, body_sweep.c.floor, body_sweep.c.position)
        .select_from(joined)
        .where(project_trigger.c.privacy.is_not(None), project_trigger.c.privacy["keep_body"].as_boolean().is_(False))
        .order_by(project_trigger.c.id)
    )
    if only is not None:
        statement = statement.where(project_trigger.c.id == only)
    rows = await tx.connection.execute(statement)
    return [Sweep(row.id, row.floor, row.position) if row.floor else Sweep(row.id) for row in rows]


_WINDOW = text(
    """
    SELECT id, dropped IS NULL FROM event
    WHERE project_trigger_id = :trigger AND id > :position AND day >= :day AND id < :before ORDER BY id LIMIT :limit
    """
)


async def sweep(tx: Transaction, of: Sweep, before: datetime) -> bool:
    """Look at the next events of a trigger, at most `WINDOW`, drop what may be dropped, store the progress, and return
    whether there are more to look at.

    Events received at `before` or later are left out, because others with lower ids may not be committed yet.
    """
    given = {"trigger": of.project_trigger_id, "position": of.position, "day": day_of(of.position), "limit": WINDOW}
    given |= {"before": first_id(before)}
    rows = (await tx.connection.execute(_WINDOW, given)).all()
    holding = [id_ for id_, holds in rows if holds]
    left = set(holding) - await drop_ended(tx, holding)
    is_whole = of.floor == of.position and not left  # nothing before the position holds anything
    more = len(rows) == WINDOW
    last: UUID = rows[-1][0] if rows else of.position
    floor = last if is_whole else of.floor
    values = {"floor": floor, "position": last if more else floor}
    statement = upsert(body_sweep).values(project_trigger_id=of.project_trigger_id, **values)
    await tx.connection.execute(statement.on_conflict_do_update(index_elements=["project_trigger_id"], set_=values))
    return more


async def sweep_anew(tx: Transaction, project_trigger_id: UUID) -> None:
    """Make the trigger's sweep begin again with its first event, because the trigger's privacy has changed."""
    mine = update(body_sweep).where(body_sweep.c.project_trigger_id == project_trigger_id)
    await tx.connection.execute(mine.values(floor=_FIRST, position=_FIRST))


# -- retention


async def retaining(tx: Transaction) -> dict[UUID, int]:
    """Return the retention in days, by trigger id, of the triggers that have one of their own."""
    rows = await tx.connection.execute(
        text("SELECT id, CAST(privacy->>'retention_days' AS int) FROM project_trigger WHERE privacy ? 'retention_days'")
    )
    return {id_: days for id_, days in rows if days is not None}


_EXPIRED = text(
    """
    SELECT day, event.id, event.org_id, project_id, project_trigger_id, key, octet_length(body) AS size,
           (dead.delivery_id IS NOT NULL OR EXISTS (
               SELECT FROM attempt WHERE attempt.delivery_id = event.id AND status = 'delivered'
               AND attempt.day >= event.day
           )) AND NOT EXISTS (
               SELECT FROM replay LEFT JOIN dead USING (delivery_id)
               WHERE replay.event_id = event.id AND dead.delivery_id IS NULL AND NOT EXISTS (
                   SELECT FROM attempt WHERE attempt.delivery_id = replay.delivery_id AND status = 'delivered')
           ) AS has_ended
    FROM event LEFT JOIN dead ON dead.delivery_id = event.id
    WHERE project_trigger_id = :trigger AND event.id > :position AND event.id < :before AND day <= :last_day
    ORDER BY event.id LIMIT :limit
    """
)


async def expired(tx: Transaction, trigger_id: UUID, before: datetime, position: UUID) -> Sequence[Any]:
    """Return the next events of a trigger that were received before `before`, in the order of ids, at most `WINDOW`.

    They follow the id `position`. A row has the columns of `_EXPIRED`: `size` is the length of the body in bytes, and
    `has_ended` tells whether all deliveries of the event have ended.
    """
    end = first_id(before)
    given = {"trigger": trigger_id, "position": position, "before": end, "last_day": day_of(end), "limit": WINDOW}
    return (await tx.connection.execute(_EXPIRED, given)).all()
