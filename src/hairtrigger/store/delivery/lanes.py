"""Lanes: how many deliveries of a project are under way, how many may be, in which order, and whether it is paused.

Every change of a count locks the lane: `lock` and `leave` hold lanes until the end of the transaction, always in the
order of project ids. `waiting` holds the deliveries that wait for room, for the turn of their order key, or for the end
of a pause.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.transaction import Transaction

_MOST_AT_ONCE = 1000


@dataclass(frozen=True)
class Lane:
    project_id: str
    room: int  # how many more may be under way
    order_by: str | None
    paused: bool
    paused_triggers: frozenset[UUID]

    @property
    def needs_event_lookup(self) -> bool:
        """Return whether admission must look at a delivery's event."""
        return self.paused or self.order_by is not None or bool(self.paused_triggers)


_LOCK = text(
    """
    SELECT project_id, max_inflight - inflight, order_by, paused, paused_triggers FROM lane
    WHERE project_id = ANY(CAST(:ids AS text[])) ORDER BY project_id FOR UPDATE
    """
)


async def lock(tx: Transaction, project_ids: Collection[str]) -> dict[str, Lane]:
    """Lock the lanes and return them by project. A project that is missing in the result has been deleted."""
    rows = await tx.connection.execute(_LOCK, {"ids": list(project_ids)})
    return {id_: Lane(id_, room, order, paused, frozenset(of)) for id_, room, order, paused, of in rows}


async def enter(tx: Transaction, by_project: Mapping[str, int]) -> None:
    """Count deliveries into their lanes, which the transaction has locked."""
    await tx.connection.execute(
        text(
            """
            UPDATE lane SET inflight = lane.inflight + step.count
            FROM unnest(CAST(:ids AS text[]), CAST(:counts AS int[])) AS step (project_id, count)
            WHERE lane.project_id = step.project_id
            """
        ),
        {"ids": list(by_project), "counts": list(by_project.values())},
    )


_LEAVE = text(
    """
    WITH step AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:counts AS int[])) AS step (project_id, count)
    ), locked AS MATERIALIZED (
        SELECT project_id FROM lane WHERE project_id = ANY(CAST(:ids AS text[])) ORDER BY project_id FOR UPDATE
    )
    UPDATE lane SET inflight = greatest(0, lane.inflight - step.count)
    FROM step JOIN locked USING (project_id) WHERE lane.project_id = step.project_id
    RETURNING EXISTS (SELECT 1 FROM turn WHERE turn.project_id = lane.project_id)
    """
)


async def leave(tx: Transaction, by_project: Mapping[str, int], ended: Sequence[UUID]) -> int:
    """Count deliveries out of their lanes, let as many in, and return how many were let in.

    The deliveries that have `ended` pass on their turns.
    """
    rows = await tx.connection.execute(_LEAVE, {"ids": list(by_project), "counts": list(by_project.values())})
    if any(ordered for (ordered,) in rows):
        await pass_turns(tx, ended)
    return await let_in(tx, by_project)


_PASS = text(
    """
    WITH ended AS MATERIALIZED (
        SELECT turn.project_id, turn.order_key, (
            SELECT delivery_id FROM waiting
            WHERE waiting.project_id = turn.project_id AND waiting.order_key = turn.order_key AND behind
            ORDER BY delivery_id LIMIT 1
        ) AS successor
        FROM turn WHERE delivery_id = ANY(CAST(:ids AS uuid[]))
    ), passed AS (
        UPDATE turn SET delivery_id = successor FROM ended
        WHERE turn.project_id = ended.project_id AND turn.order_key = ended.order_key AND successor IS NOT NULL
    ), closed AS (
        DELETE FROM turn USING ended
        WHERE turn.project_id = ended.project_id AND turn.order_key = ended.order_key AND successor IS NULL
    )
    UPDATE waiting SET behind = false FROM ended
    WHERE waiting.project_id = ended.project_id AND waiting.delivery_id = successor
    """
)


async def pass_turns(tx: Transaction, ended: Sequence[UUID]) -> None:
    """Pass the turns of deliveries that have ended to the next ones. The transaction has locked the lanes."""
    await tx.connection.execute(_PASS, {"ids": list(ended)})


_LET_IN = text(
    """
    WITH room AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:counts AS int[])) AS room (project_id, free)
    ), next AS (
        SELECT picked.project_id, picked.delivery_id FROM room
        CROSS JOIN LATERAL (
            SELECT project_id, delivery_id FROM waiting
            WHERE waiting.project_id = room.project_id AND suspended_by IS NULL AND NOT behind
            ORDER BY delivery_id LIMIT room.free FOR UPDATE SKIP LOCKED
        ) AS picked
    ), moved AS (
        DELETE FROM waiting USING next
        WHERE waiting.project_id = next.project_id AND waiting.delivery_id = next.delivery_id
        RETURNING waiting.message, waiting.delivery_id
    )
    SELECT pgmq.send_batch(:queue, array_agg(message ORDER BY delivery_id)) FROM moved HAVING count(*) > 0
    """
)


async def let_in(tx: Transaction, by_project: Mapping[str, int]) -> int:
    """Move deliveries that may be attempted to the queue, oldest first, up to the given number for each project.

    Return how many were moved.
    """
    rows = await tx.connection.execute(
        _LET_IN, {"queue": DISPATCH, "ids": list(by_project), "counts": list(by_project.values())}
    )
    return len(rows.all())


async def let_in_left_behind(tx: Transaction) -> int:
    """Let deliveries into lanes that have room but were not filled by any other step, and return how many.

    A raised limit, for example, lets nothing in by itself. Deliveries that wait for a deleted project go to the queue,
    too: the dispatcher ends them and says why.
    """
    rows = await tx.connection.execute(
        text(
            """
            WITH RECURSIVE found AS (
                (SELECT project_id FROM waiting ORDER BY project_id LIMIT 1)
                UNION ALL
                SELECT (SELECT project_id FROM waiting WHERE project_id > found.project_id ORDER BY 1 LIMIT 1)
                FROM found WHERE found.project_id IS NOT NULL
            )
            SELECT found.project_id, lane.project_id IS NULL FROM found LEFT JOIN lane USING (project_id)
            WHERE found.project_id IS NOT NULL AND (lane.project_id IS NULL OR lane.inflight < lane.max_inflight)
            """
        )
    )
    found = [(project_id, is_gone) for project_id, is_gone in rows]
    gone = [project_id for project_id, is_gone in found if is_gone]
    if gone:
        await tx.connection.execute(
            text(
                "UPDATE waiting SET behind = false, suspended_by = NULL "
                "WHERE project_id = ANY(CAST(:ids AS text[])) AND (behind OR suspended_by IS NOT NULL)"
            ),
            {"ids": gone},
        )
    lanes = await lock(tx, [project_id for project_id, is_gone in found if not is_gone])
    room = {lane.project_id: lane.room for lane in lanes.values() if lane.room > 0}
    return await let_in(tx, room | dict.fromkeys(gone, _MOST_AT_ONCE))


_DRIFTED = text(
    """
    SELECT lane.project_id FROM lane LEFT JOIN (
        SELECT message->>'project' AS project_id, count(*) AS inflight FROM pgmq.q_dispatch WHERE read_ct > 0 GROUP BY 1
    ) AS counted USING (project_id)
    WHERE lane.inflight <> coalesce(counted.inflight, 0)
    """
)
_RECOUNT = text(
    """
    UPDATE lane SET inflight = (
        SELECT count(*) FROM pgmq.q_dispatch WHERE read_ct > 0 AND message->>'project' = lane.project_id
    )
    WHERE project_id = ANY(CAST(:ids AS text[]))
    """
)


async def recount(tx: Transaction) -> int:
    """Correct the counts of lanes, and return how many lanes were wrong. Lanes with a correct count are not locked.

    A lane and the queue change in one transaction, so one statement that reads both finds a difference only if the
    queue itself has lost a message.
    """
    drifted = set((await tx.connection.execute(_DRIFTED)).scalars())
    if drifted:
        await lock(tx, drifted)
        await tx.connection.execute(_RECOUNT, {"ids": list(drifted)})
    return len(drifted)


# -- turns


@dataclass(frozen=True)
class Turns:
    """The turns of order keys: of the deliveries with one key, only the one that has the turn may be attempted."""

    of_key: dict[tuple[str, str], UUID]
    """The delivery that has the turn, by project and key."""
    holders: set[UUID]
    """The requested deliveries that have a turn. It may be the turn of another key, if the order was changed since."""


async def turns(tx: Transaction, keys: Iterable[tuple[str, str]], deliveries: Iterable[UUID]) -> Turns:
    wanted = list(keys)
    rows = await tx.connection.execute(
        text(
            """
            SELECT project_id, order_key, delivery_id FROM turn
            WHERE delivery_id = ANY(CAST(:deliveries AS uuid[])) OR (project_id, order_key) IN (
                SELECT * FROM unnest(CAST(:projects AS text[]), CAST(:keys AS text[]))
            )
            """
        ),
        {
            "deliveries": list(deliveries),
            "projects": [project_id for project_id, _ in wanted],
            "keys": [key for _, key in wanted],
        },
    )
    found = rows.all()
    return Turns({(project, key): id_ for project, key, id_ in found}, {id_ for *_, id_ in found})


async def take_turns(tx: Transaction, taken: Mapping[tuple[str, str], UUID]) -> None:
    await tx.connection.execute(
        text(
            "INSERT INTO turn (project_id, order_key, delivery_id) "
            "SELECT * FROM unnest(CAST(:projects AS text[]), CAST(:keys AS text[]), CAST(:ids AS uuid[]))"
        ),
        {
            "projects": [project_id for project_id, _ in taken],
            "keys": [key for _, key in taken],
            "ids": list(taken.values()),
        },
    )
