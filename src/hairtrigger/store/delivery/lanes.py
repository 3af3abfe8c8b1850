"""Keep in lanes how many deliveries of a project are under way, how many may be, in which order, and what is paused.

Deliveries that only wait for room in their lane stay unread on the queue, because a claim reads the lanes first.
`waiting` holds those that wait for something else, which is the turn of their order key or the end of a pause.

Every change of a count locks the lane. `lock` and `leave` keep lanes locked until the end of the transaction, always in
the order of project ids. An unread message of the queue is locked only by a transaction that has locked its lane.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import DateTime, bindparam, text

from hairtrigger.store.delivery.lane_room import ENTER, LEAVE, RESTS_UNTIL, ROOM, WIDTH
from hairtrigger.store.delivery.queue import DeliveryQueue
from hairtrigger.store.events.events import DISPATCH
from hairtrigger.store.setup.projects import IN_SQL, Project, from_driver
from hairtrigger.store.statements import positional
from hairtrigger.store.transaction import Transaction

_PORTION = 1000  # of deliveries that one statement moves


@dataclass(frozen=True)
class Lane:
    project_id: str
    room: int  # how many more may be claimed
    order_by: str | None
    paused: bool
    paused_triggers: frozenset[UUID]
    rests_until: datetime | None = None  # set if its rate limits are used up

    @property
    def needs_event_lookup(self) -> bool:
        """Return whether the event of a delivery must be read to decide if the delivery may be attempted."""
        return self.paused or self.order_by is not None or bool(self.paused_triggers)


class Asking(NamedTuple):
    """A project with deliveries on the queue that no worker has claimed. It has been deleted if it has no lane."""

    project_id: str
    project: Project | None
    lane: Lane | None

    @property
    def org_id(self) -> UUID | None:
        return self.project.org_id if self.project else None

    @property
    def is_plain(self) -> bool:
        """Return whether the project's deliveries may be claimed without a look at their events."""
        return self.lane is None or not self.lane.needs_event_lookup


_COLUMNS = f"{ROOM}, lane.order_by, lane.paused, lane.paused_triggers, {RESTS_UNTIL}"
_NOW = bindparam("now", type_=DateTime(timezone=True))

_LOCK = text(
    f"""
    SELECT project_id, {_COLUMNS} FROM lane
    WHERE project_id = ANY(CAST(:ids AS text[])) ORDER BY project_id FOR UPDATE
    """  # noqa: S608 all of it our own text
).bindparams(_NOW)


async def lock(tx: Transaction, project_ids: Collection[str], now: datetime | None = None) -> dict[str, Lane]:
    """Lock the lanes until the transaction ends, and return them by project id. Deleted projects are left out.

    Their room is that at the time `now`, or at the time of the database's clock if it is None.
    """
    rows = await tx.connection.execute(_LOCK, {"ids": list(project_ids), "now": now})
    return {project_id: _lane(project_id, *rest) for project_id, *rest in rows}


def _lane(project_id: str, room: int, order_by: str | None, *rest: Any) -> Lane:
    paused, paused_triggers, rests_until = rest
    return Lane(project_id, room, order_by, paused, frozenset(paused_triggers), rests_until)


_ASKING = positional(
    f"""
    WITH RECURSIVE found AS (
        (SELECT message->>'project' AS project_id FROM pgmq.q_{DISPATCH}
         WHERE read_ct = 0 AND message->>'project' > :after ORDER BY message->>'project' LIMIT 1)
        UNION ALL
        SELECT (SELECT message->>'project' FROM pgmq.q_{DISPATCH}
                WHERE read_ct = 0 AND message->>'project' > found.project_id ORDER BY message->>'project' LIMIT 1)
        FROM found WHERE found.project_id IS NOT NULL
    ), listed AS (
        SELECT project_id FROM found WHERE project_id IS NOT NULL LIMIT :limit
    )
    SELECT listed.project_id, {_COLUMNS}, {IN_SQL}
    FROM listed
    LEFT JOIN lane ON lane.project_id = listed.project_id
    LEFT JOIN project ON project.id = listed.project_id
    """,  # noqa: S608 all of it our own text
    *("after", "limit", "now"),
)


async def asking(queue: DeliveryQueue, after: str, limit: int, now: datetime | None) -> list[Asking]:
    """Return the first `limit` projects with unclaimed deliveries and an id after `after`, in the order of ids.

    The room of their lanes is that at the time `now`, or at the time of the database's clock if it is None.
    """
    rows = await queue.statements.rows(_ASKING, after, limit, now)
    found = [
        Asking(project_id, from_driver(project), _lane(project_id, room, order_by, *rest))
        if project[0] is not None
        else Asking(project_id, None, None)
        for project_id, room, order_by, *rest, project in ((*row[:6], row[6:]) for row in rows)
    ]
    return sorted(found, key=lambda one: one.project_id)


_ENTER = text(
    f"""
    UPDATE lane SET {ENTER}
    FROM unnest(CAST(:ids AS text[]), CAST(:counts AS int[])) AS entering (project_id, count)
    WHERE lane.project_id = entering.project_id
    """  # noqa: S608 all of it our own text
).bindparams(_NOW)


async def enter(tx: Transaction, by_project: Mapping[str, int], now: datetime | None) -> None:
    """Count deliveries into their lanes, which the transaction must have locked."""
    given = {"ids": list(by_project), "counts": list(by_project.values()), "now": now}
    await tx.connection.execute(_ENTER, given)


@dataclass(frozen=True)
class Leaving:
    """The deliveries that leave one lane together, because their attempts have ended."""

    count: int
    served: int = 0  # how many of them the target answered, and not as an overloaded target does
    latency: float | None = None  # the seconds that the target took for these, on average
    failed_at: datetime | None = None  # the last start of an attempt that found the target too busy or broken
    ended_at: datetime | None = None


_LEAVE = text(
    f"""
    WITH leaving AS (
        SELECT * FROM unnest(
            CAST(:ids AS text[]), CAST(:counts AS int[]), CAST(:served AS int[]), CAST(:latencies AS real[]),
            CAST(:failed AS timestamptz[]), CAST(:ended AS timestamptz[])
        ) AS leaving (project_id, count, served, latency, failed_at, ended_at)
    ), locked AS MATERIALIZED (
        SELECT project_id, inflight >= floor({WIDTH}) AS was_full FROM lane
        WHERE project_id = ANY(CAST(:ids AS text[])) ORDER BY project_id FOR UPDATE
    )
    UPDATE lane SET {LEAVE}
    FROM leaving JOIN locked USING (project_id) WHERE lane.project_id = leaving.project_id
    RETURNING was_full, EXISTS (SELECT 1 FROM turn WHERE turn.project_id = lane.project_id)
    """  # noqa: S608 all of it our own text
)


async def leave(tx: Transaction, by_project: Mapping[str, Leaving], ended: Sequence[UUID]) -> bool:
    """Count deliveries out of their lanes, and return whether other deliveries may be claimed now.

    The deliveries in `ended` have no retry. They pass on their turns.
    """
    each = by_project.values()
    rows = await tx.connection.execute(
        _LEAVE,
        {
            "ids": list(by_project),
            "counts": [one.count for one in each],
            "served": [one.served for one in each],
            "latencies": [one.latency for one in each],
            "failed": [one.failed_at for one in each],
            "ended": [one.ended_at for one in each],
        },
    )
    left = rows.all()
    passed = await pass_turns(tx, ended) if any(ordered for _, ordered in left) else 0
    return passed > 0 or any(was_full for was_full, _ in left)


_PASS = text(
    f"""
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
    ), held AS (
        UPDATE waiting SET behind = false FROM ended
        WHERE waiting.project_id = ended.project_id AND waiting.delivery_id = successor AND suspended_by IS NOT NULL
    ), ready AS (
        DELETE FROM waiting USING ended
        WHERE waiting.project_id = ended.project_id AND waiting.delivery_id = successor AND suspended_by IS NULL
        RETURNING waiting.message
    )
    INSERT INTO pgmq.q_{DISPATCH} (vt, message) SELECT clock_timestamp(), message FROM ready RETURNING 1
    """  # noqa: S608 all of it our own text
)


async def pass_turns(tx: Transaction, ended: Sequence[UUID]) -> int:
    """Pass the turns of deliveries that have ended to the next deliveries of their order keys, and return how many of
    these are moved to the queue.

    A delivery that is suspended gets its turn, but stays in `waiting`. The transaction must have locked the lanes.
    """
    return len((await tx.connection.execute(_PASS, {"ids": list(ended)})).all())


_LET_IN_LEFT_BEHIND = text(
    f"""
    WITH RECURSIVE found AS (
        (SELECT project_id FROM waiting ORDER BY project_id LIMIT 1)
        UNION ALL
        SELECT (SELECT project_id FROM waiting WHERE project_id > found.project_id ORDER BY 1 LIMIT 1)
        FROM found WHERE found.project_id IS NOT NULL
    ), ready AS (
        SELECT project_id, delivery_id FROM waiting WHERE suspended_by IS NULL AND NOT behind
        UNION ALL
        SELECT waiting.project_id, waiting.delivery_id FROM found JOIN waiting USING (project_id)
        WHERE NOT EXISTS (SELECT FROM lane WHERE lane.project_id = found.project_id)
    ), next AS (
        SELECT project_id, delivery_id FROM waiting
        WHERE (project_id, delivery_id) IN (SELECT * FROM ready LIMIT {_PORTION}) FOR UPDATE SKIP LOCKED
    ), moved AS (
        DELETE FROM waiting USING next
        WHERE waiting.project_id = next.project_id AND waiting.delivery_id = next.delivery_id
        RETURNING waiting.message, waiting.delivery_id
    )
    INSERT INTO pgmq.q_{DISPATCH} (vt, message) SELECT clock_timestamp(), message FROM moved ORDER BY delivery_id
    RETURNING 1
    """  # noqa: S608 all of it our own text
)


async def let_in_left_behind(tx: Transaction) -> int:
    """Move to the queue a portion of the deliveries in `waiting` that wait for nothing, and return how many were moved.

    These are deliveries of deleted projects, which the dispatcher then ends with a reason, and deliveries that a
    process of an earlier version put there because their lane was full.
    """
    return len((await tx.connection.execute(_LET_IN_LEFT_BEHIND)).all())


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
    """Correct the counts of deliveries under way in lanes, and return how many lanes had a wrong count.

    Lanes with a correct count are not locked. A lane and the queue change in one transaction, so one statement that
    reads both finds a difference only if the queue itself has lost a message.
    """
    drifted = set((await tx.connection.execute(_DRIFTED)).scalars())
    if drifted:
        await lock(tx, drifted)
        await tx.connection.execute(_RECOUNT, {"ids": list(drifted)})
    return len(drifted)


# -- turns


@dataclass(frozen=True)
class Turns:
    """The turns of order keys. Of the deliveries with one key, only the one that has the turn may be attempted."""

    of_key: dict[tuple[str, str], UUID]
    """The delivery that has the turn, by project id and order key."""
    holders: set[UUID]
    """The deliveries that have a turn, perhaps of an order key that they had before the order was changed."""


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
