"""Store streaks, which say how many requests of a trigger were refused, or deliveries failed, one after the other.

While all is well there are no rows, so that a batch of deliveries costs one look-up in an empty table. A streak of
deliveries ends with the next delivery that arrives. A streak of requests is over when a later event or accepted request
is stored, although such a request does not change the row of the streak. A streak of polls marks a trigger whose polls
find nothing while the requests of its code fail. It lasts as long as the trigger's cursor counts such polls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import DateTime, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY

from hairtrigger.domain.ids import first_id
from hairtrigger.domain.operational import PROVIDER
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction

FRUITLESS = "fruitless_polls"  # the name of their number in the cursor of a poll, which is missing if it is zero
MOST_FRUITLESS = 5
Side = Literal["deliveries", "requests", "polls"]


@dataclass(frozen=True)
class Failures:
    """Failures of a trigger that came one after the other."""

    count: int
    since: datetime
    last_at: datetime
    detail: str

    def after(self, before: "Failures | None") -> "Failures":
        """Return these failures together with the earlier ones in `before`, as one streak."""
        return Failures(self.count + before.count, before.since, self.last_at, self.detail) if before else self


@dataclass(frozen=True)
class Changes:
    begun: Sequence[UUID]
    """The triggers whose streak has begun."""
    ended: Mapping[UUID, int]
    """The triggers whose streak has ended, each with the length of its streak."""


LATER = """
    (EXISTS (
        SELECT FROM event WHERE event.project_trigger_id = {streak}.project_trigger_id AND event.id > {streak}.last_id
          AND event.day >= CAST({streak}.last_at AT TIME ZONE 'UTC' AS date)
    ) OR EXISTS (
        SELECT FROM outcome WHERE outcome.project_trigger_id = {streak}.project_trigger_id
          AND outcome.id > {streak}.last_id AND outcome.day >= CAST({streak}.last_at AT TIME ZONE 'UTC' AS date)
          AND outcome.kind = 'webhook' AND outcome.code IN ('accepted', 'duplicate', 'handshake', 'ignored_event')
    ))
"""
"""The SQL condition that a streak of requests is over, because a request was accepted after its last one.

`{streak}` stands for the name of its row.
"""

_TIMES = ARRAY(DateTime(timezone=True))
# The rows of triggers are locked in the order of their ids, so that no two transactions wait for each other.
_NOTE = text(
    f"""
    WITH given AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:anew AS bool[]), CAST(:counts AS int[]), :since, :last_at,
                             CAST(:last_ids AS uuid[]), CAST(:details AS text[]))
               AS given (id, anew, count, since, last_at, last_id, detail)
    ), kept AS MATERIALIZED (
        SELECT given.* FROM given JOIN project_trigger USING (id) ORDER BY id FOR KEY SHARE OF project_trigger
    ), written AS (
        INSERT INTO streak AS old (project_trigger_id, side, count, since, last_at, last_id, detail)
        SELECT id, :side, count, since, last_at, last_id, detail FROM kept
        ON CONFLICT (project_trigger_id, side) DO UPDATE SET (count, since, last_at, last_id, detail) = (
            SELECT excluded.count + CASE WHEN over.it THEN 0 ELSE old.count END,
                   CASE WHEN over.it THEN excluded.since ELSE old.since END,
                   excluded.last_at, excluded.last_id, excluded.detail
            FROM (SELECT anew OR (:side = 'requests' AND {LATER.format(streak="old")}) AS it
                  FROM given WHERE given.id = old.project_trigger_id) AS over
        )
        RETURNING project_trigger_id, old.xmax = 0 AS begun
    ), ended AS (
        DELETE FROM streak WHERE side = :side AND project_trigger_id = ANY(CAST(:over AS uuid[]))
        RETURNING project_trigger_id, count
    ), targets AS (
        INSERT INTO target_streak AS old (project_id, count, since, detail)
        SELECT project_id, sum(count), min(since), (array_agg(detail ORDER BY last_at DESC))[1]
        FROM kept JOIN project_trigger AS trigger USING (id)
        WHERE :side = 'deliveries' AND trigger.provider_id <> '{PROVIDER}'
          AND project_id <> ALL(CAST(:reached AS text[])) AND project_id <> ALL(CAST(:uncalled AS text[]))
        GROUP BY project_id ORDER BY project_id
        ON CONFLICT (project_id) DO UPDATE SET count = old.count + excluded.count, detail = excluded.detail
    ), reached AS (
        DELETE FROM target_streak WHERE project_id = ANY(CAST(:reached AS text[]))
    )
    SELECT project_trigger_id, begun, 0 FROM written UNION ALL SELECT project_trigger_id, NULL, count FROM ended
    """  # noqa: S608 all of it our own text
).bindparams(bindparam("since", type_=_TIMES), bindparam("last_at", type_=_TIMES))


async def note(
    tx: Transaction,
    side: Side,
    failed: Mapping[UUID, Failures],
    anew: Sequence[UUID] = (),
    over: Sequence[UUID] = (),
    reached: Sequence[str] = (),
    uncalled: Sequence[str] = (),
) -> Changes:
    """Add failures to the streaks of their triggers, end the streaks of the triggers in `over`, and return the changes.

    `failed` has the failures by trigger. The streaks of the triggers in `anew` begin again with these failures. With
    the side `deliveries`, the failures also count for the targets of the triggers' projects, except the failures of
    operational events, so that no target fails because of what is told of it. `reached` names the projects whose
    targets were reached, so that the streaks of these targets end, and `uncalled` those whose targets were not called,
    so that they are not to blame.
    """
    if not failed and not over and not reached:
        return Changes((), {})
    ids = sorted(failed)
    rows = [failed[id_] for id_ in ids]
    given = {
        "side": side,
        "ids": ids,
        "anew": [id_ in anew for id_ in ids],
        "counts": [one.count for one in rows],
        "since": [one.since for one in rows],
        "last_at": [one.last_at for one in rows],
        "last_ids": [first_id(one.last_at) for one in rows],
        "details": [storable(one.detail) for one in rows],
        "over": list(over),
        "reached": list(reached),
        "uncalled": list(uncalled),
    }
    found = (await tx.connection.execute(_NOTE, given)).all()
    begun = [id_ for id_, has_begun, _ in found if has_begun]
    return Changes(begun, {id_: count for id_, has_begun, count in found if has_begun is None})


_FORGET = text(
    f"""
    DELETE FROM streak
    WHERE (side = 'requests' AND {LATER.format(streak="streak")})
       OR (side = 'polls' AND NOT EXISTS (
           SELECT FROM poll WHERE poll.project_trigger_id = streak.project_trigger_id
           AND CAST(poll.cursor->>'{FRUITLESS}' AS int) >= {MOST_FRUITLESS}))
    """  # noqa: S608 all of it our own text
)


async def forget(tx: Transaction) -> None:
    """Delete the streaks of requests and of polls that are over."""
    await tx.connection.execute(_FORGET)
