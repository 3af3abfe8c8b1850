"""Claim deliveries from the queue under a lease, from each lane as many as it has room for.

`claim` first asks which lanes have deliveries and room, so that deliveries of full lanes cost nothing. Then it leases
the oldest deliveries of these lanes, in one statement. Only lanes with an order or a pause need a transaction.
`claim_again` leases deliveries whose lease has ended, because the process that had it died or stood still. They still
have their places in their lanes.
"""

import dataclasses
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from hairtrigger.store.advisory_lock import AdvisoryLock
from hairtrigger.store.delivery import lanes
from hairtrigger.store.delivery.admission import admit
from hairtrigger.store.delivery.lane_room import ENTER, ROOM
from hairtrigger.store.delivery.lanes import Asking
from hairtrigger.store.delivery.queue import DeliveryQueue
from hairtrigger.store.delivery.queue_messages import FIELDS, Message
from hairtrigger.store.events.events import DISPATCH, READ, Event
from hairtrigger.store.setup.projects import Project, by_ids
from hairtrigger.store.statements import positional
from hairtrigger.store.transaction import Transaction

_MOST_LANES = 256  # that one claim looks at


@dataclass(frozen=True)
class Claimed:
    """A message of the queue that this process has leased. `event` or `project` is None if it has been deleted."""

    message: Message
    event: Event | None
    project: Project | None
    again: bool = False  # an earlier claim of it ended without a result
    may_have_turn: bool = True  # of an order key, which its end would pass on


@dataclass(frozen=True)
class Look:
    """The state of the queue after a claim, as far as the claim looked. It says whether another claim is worth it."""

    read: int
    """The number of deliveries that were leased, or moved to `waiting` because they may not be attempted yet."""
    more: bool
    """True if more deliveries may be claimed now, or if there are lanes that the claim did not look at."""
    full: frozenset[str]
    """The projects whose lanes have no room left."""
    next_at: datetime | None
    """The first time at which the rate limits of a full lane allow more, or None if no lane waits for that."""
    after: str
    """The lane after which the next claim should begin to look, or an empty text for the first lane."""


Lease = Mapping[str, object]
"""The parameters of the statements that lease: the length of the lease in seconds, and the process that has it."""

Share = Callable[[Sequence[Asking], int], Mapping[str, int]]
"""A function that takes the projects with deliveries and room, and the number of free places.

It returns how many deliveries of each project are to be claimed.
"""

# One claim of lanes with an order at a time, because deliveries that two workers read at once would be admitted in any
# order. The commit does not wait for the disk: if it is lost, only the lease is lost. A worker that stops in the middle
# loses its session. The plans are made once for a queue of any length, so they use its indexes also while it is short.
_ALONE = text(
    "SELECT set_config('synchronous_commit', 'off', true), set_config('enable_seqscan', 'off', true), "
    "set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), "
    "set_config('enable_bitmapscan', 'off', true), set_config('jit', 'off', true), "
    "set_config('idle_in_transaction_session_timeout', '5s', true), "
    f"pg_advisory_xact_lock({AdvisoryLock.ORDERED_CLAIM})"
)


async def claim(
    queue: DeliveryQueue,
    limit: int,
    hold: timedelta,
    holder: UUID | None = None,
    *,
    now: datetime | None = None,
    share: Share | None = None,
    after: str = "",
) -> tuple[Look, list[Claimed]]:
    """Lease up to `limit` deliveries to the process `holder` for the time `hold`, and return them with the state of the
    queue.

    The oldest deliveries of each project are leased, as many as `share` says, or equal parts if it is None. Deliveries
    that wait for a turn or for the end of a pause are moved from the queue to `waiting` (see `admission`). Rate limits
    are those of the time `now`, or of the database's clock if it is None. `after` comes from the last `Look`.
    Deliveries whose leases have ended are left to `claim_again`.
    """
    lease = _lease_of(hold, holder)
    found = await lanes.asking(queue, after, _MOST_LANES, now)
    open_ = [one for one in found if one.lane is None or one.lane.room]
    parts = dict((share or equal_parts)(open_, limit))
    plain = {one.project_id: parts[one.project_id] for one in open_ if one.is_plain and parts.get(one.project_id)}
    looked_up = {
        one.project_id: parts.get(one.project_id, 0)
        for one in found
        if one.lane and not one.is_plain and (one.lane.paused or parts.get(one.project_id))
    }
    gone = [one.project_id for one in open_ if one.lane is None]
    projects = {one.project_id: one.project for one in found}
    claimed: list[Claimed] = []
    held = 0
    if looked_up:
        async with queue.store.transaction() as tx:
            await tx.connection.execute(_ALONE)
            admission = await admit(tx, looked_up, now)
            await _lease(tx, admission.admitted, lease)
            claimed = await _load(tx, admission.admitted)
        held = len(admission.held)
    if plain:
        claimed += await _taken(queue, projects, plain, gone, lease, now)
    fresh = Counter(one.message.project_id for one in claimed)
    return _look(found, parts, fresh, len(claimed), held), claimed


async def claim_again(tx: Transaction, limit: int, hold: timedelta, holder: UUID | None = None) -> list[Claimed]:
    """Lease up to `limit` deliveries again whose leases have ended, because the worker that had them died or stood
    still.

    They are returned in the order of the queue, with `again` set.
    """
    await tx.connection.execute(_ALONE)
    rows = await tx.connection.execute(_EXPIRED, {"limit": limit, **_lease_of(hold, holder)})
    again = sorted((Message(*row) for row in rows), key=lambda one: one.msg_id)
    return [replace(one, again=True) for one in await _load(tx, again)]


def _lease_of(hold: timedelta, holder: UUID | None) -> Lease:
    return {"hold": hold.total_seconds(), "holder": holder and str(holder)}


def equal_parts(asking: Sequence[Asking], places: int) -> Mapping[str, int]:
    part = -(-places // max(1, len(asking)))
    return {one.project_id: min(part, one.lane.room if one.lane else part) for one in asking[:places]}


def _look(found: Sequence[Asking], parts: Mapping[str, int], taken: Mapping[str, int], claimed: int, held: int) -> Look:
    full = [one for one in found if one.lane and one.lane.room <= taken.get(one.project_id, 0)]
    filled = [one for one in found if 0 < parts.get(one.project_id, 0) <= taken.get(one.project_id, 0)]
    is_page = len(found) == _MOST_LANES
    return Look(
        read=claimed + held,
        more=is_page or held > 0 or bool({one.project_id for one in filled} - {one.project_id for one in full}),
        full=frozenset(one.project_id for one in full),
        next_at=min((one.lane.rests_until for one in full if one.lane and one.lane.rests_until), default=None),
        after=found[-1].project_id if is_page else "",
    )


# This does what `pgmq.read` does, and also writes down the process that has the lease. A process of an earlier version
# does not, so the count of readings tells whether the lease is still the one that was written down.
_LEASED = """
    vt = clock_timestamp() + make_interval(secs => :hold), read_ct = read_ct + 1, last_read_at = clock_timestamp(),
    headers = jsonb_build_object('holder', CAST(:holder AS text), 'read', read_ct + 1)
"""

_EXPIRED = text(
    f"""
    WITH expired AS MATERIALIZED (
        SELECT msg_id FROM pgmq.q_{DISPATCH} WHERE read_ct > 0 AND vt <= clock_timestamp()
        ORDER BY vt LIMIT :limit FOR UPDATE SKIP LOCKED
    )
    UPDATE pgmq.q_{DISPATCH} AS queue SET {_LEASED}
    FROM expired WHERE queue.msg_id = expired.msg_id
    RETURNING queue.{FIELDS}
    """  # noqa: S608 all of it our own text
)


# A lane that was paused or got an order since it was looked at is left to the next claim. A statement that waits for a
# lane goes by what the lane and its messages are after the wait. A delivery of a project without an order can have a
# turn that it got before the order was given up.
_TAKE = positional(
    f"""
    WITH asked AS (
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:counts AS int[])) AS asked (project_id, count)
    ), locked AS MATERIALIZED (
        SELECT project_id, {ROOM} AS room FROM lane
        WHERE project_id = ANY(CAST(:ids AS text[])) AND NOT paused AND order_by IS NULL AND paused_triggers = '{{}}'
        ORDER BY project_id FOR UPDATE
    ), wanted AS MATERIALIZED (
        SELECT project_id, least(count, room) AS count FROM asked JOIN locked USING (project_id)
        UNION ALL
        SELECT project_id, count FROM asked WHERE project_id = ANY(CAST(:gone AS text[]))
    ), picked AS MATERIALIZED (
        SELECT oldest.msg_id FROM wanted CROSS JOIN LATERAL (
            SELECT msg_id FROM pgmq.q_{DISPATCH} WHERE read_ct = 0 AND message->>'project' = wanted.project_id
            ORDER BY msg_id LIMIT wanted.count FOR UPDATE SKIP LOCKED
        ) AS oldest
    ), taken AS (
        UPDATE pgmq.q_{DISPATCH} AS queue SET {_LEASED}
        FROM picked WHERE queue.msg_id = picked.msg_id
        RETURNING queue.msg_id, queue.message
    ), entered AS (
        UPDATE lane SET {ENTER}
        FROM (
            SELECT message->>'project' AS project_id, CAST(count(*) AS int) AS count FROM taken GROUP BY 1
        ) AS entering
        WHERE lane.project_id = entering.project_id
    )
    SELECT {FIELDS},
        EXISTS (SELECT FROM turn WHERE turn.delivery_id = CAST(message->>'delivery' AS uuid)),
        (SELECT set_config('synchronous_commit', 'off', true)),
        {READ}
    FROM taken
    LEFT JOIN event ON event.day = CAST(message->>'day' AS date) AND event.id = CAST(message->>'event' AS uuid)
    """,  # noqa: S608 all of it our own text
    *("ids", "counts", "gone", "now", "hold", "holder"),
)
_WIDTH = len(dataclasses.fields(Message))


async def _taken(
    queue: DeliveryQueue,
    projects: Mapping[str, Project | None],
    parts: Mapping[str, int],
    gone: Sequence[str],
    lease: Lease,
    now: datetime | None,
) -> list[Claimed]:
    """Lease and return the oldest deliveries of projects that keep no order and are not paused, or that are deleted.

    `parts` says how many of each project, and `gone` names the deleted ones among them.
    """
    given = (list(parts), list(parts.values()), gone, now, lease["hold"], lease["holder"])
    rows = await queue.statements.rows(_TAKE, *given)
    taken = []
    for row in rows:
        message, has_turn, event = Message(*row[:_WIDTH]), row[_WIDTH], row[_WIDTH + 2 :]
        stored = Event(*event) if event[0] else None
        taken.append(Claimed(message, stored, projects[message.project_id], may_have_turn=has_turn))
    return sorted(taken, key=lambda one: one.message.msg_id)


_LEASE = text(
    f"UPDATE pgmq.q_{DISPATCH} SET {_LEASED} WHERE msg_id = ANY(CAST(:ids AS bigint[]))"  # noqa: S608
)


async def _lease(tx: Transaction, messages: Sequence[Message], lease: Lease) -> None:
    if messages:
        await tx.connection.execute(_LEASE, {"ids": [one.msg_id for one in messages], **lease})


async def extend(tx: Transaction, msg_ids: Collection[int], hold: timedelta) -> None:
    """Let the leases of these messages end after the time `hold`, counted from now. Zero gives the deliveries back."""
    await tx.connection.execute(
        text("SELECT 1 FROM pgmq.set_vt(:queue, CAST(:ids AS bigint[]), CAST(:vt AS int))"),
        {"queue": DISPATCH, "ids": list(msg_ids), "vt": round(hold.total_seconds())},
    )


_TAKE_BACK = text(
    """
    UPDATE pgmq.q_dispatch SET vt = clock_timestamp()
    WHERE read_ct > 0 AND vt > clock_timestamp() AND (
        :any OR headers->>'holder' = ANY(CAST(:holders AS text[])) AND CAST(headers->>'read' AS int) = read_ct
    )
    """
)


async def take_back(tx: Transaction, holders: Collection[UUID] | None) -> int:
    """End the leases that the dead processes `holders` have, or all leases if it is None, and return how many ended.

    A delivery that another process has leased since keeps its lease.
    """
    parameters = {"any": holders is None, "holders": [str(one) for one in holders or ()]}
    return (await tx.connection.execute(_TAKE_BACK, parameters)).rowcount


_EVENTS = text(
    f"""
    SELECT {READ}
    FROM unnest(CAST(:days AS date[]), CAST(:ids AS uuid[])) AS wanted (day, id)
    JOIN event ON event.day = wanted.day AND event.id = wanted.id
    """  # noqa: S608 all of it our own text
)


async def _load(tx: Transaction, messages: Sequence[Message]) -> list[Claimed]:
    if not messages:
        return []
    wanted = {m.event_id: m.event_day for m in messages}
    rows = await tx.connection.execute(_EVENTS, {"days": list(wanted.values()), "ids": list(wanted)})
    events = {row.id: Event(*row) for row in rows}
    projects = await by_ids(tx, {m.project_id for m in messages})
    return [Claimed(m, events.get(m.event_id), projects.get(m.project_id)) for m in messages]
