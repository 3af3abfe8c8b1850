"""Store the events and outcomes of many requests in one statement.

The events of a request are stored only if its triggers have not changed. A trigger has not changed since it was read if
its row has the same `xmin`, the transaction that wrote the row.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from hairtrigger.domain.ids import day_of, new_id
from hairtrigger.domain.outcome import Code, Kind
from hairtrigger.domain.trace import Begun
from hairtrigger.store.events.events import STORING, STORING_WITH_HOPS, Event, offered
from hairtrigger.store.events.outcomes import Outcome
from hairtrigger.store.server import SAFEGUARDS, DatabaseUnfit, lacking
from hairtrigger.store.statements import Statements
from hairtrigger.store.text import storable

_REPEATED = "A repeat of an event that is already stored"


class Write(NamedTuple):
    """The events and outcomes of one request.

    The events are stored if `versions`, the row versions of their triggers, are still current.
    """

    events: Sequence[Event] = ()
    versions: Sequence[int] = ()
    outcomes: Sequence[Outcome] = ()
    hops: int = 0
    """How many deliveries of this service have led to the request."""
    repeats: str = ""  # says what counts as a repeat of the request
    provider_id: str = ""
    trace: Begun | None = None  # given if the spans of the request are recorded

    @property
    def size(self) -> int:
        return sum(len(event.body) + len(event.request or "") for event in self.events)

    @property
    def org_id(self) -> UUID | None:
        """Return the id of the write's organisation, or None for a request whose organisation is not known."""
        return self.events[0].org_id if self.events else self.outcomes[0].org_id if self.outcomes else None


# The commit waits for the disk, even if the server or a pooler was told otherwise after the session began. No event
# is stored while a safeguard of the server is off. If a trigger has all events of a request already, one outcome of a
# repeat is stored for it, with the id that an event would have had. It names the earlier event, unless another
# transaction stores that event at the same time.
_WRITE = """
    WITH lacking AS MATERIALIZED (
        SELECT name FROM unnest($15::text[]) AS name WHERE current_setting(name) <> 'on'
    ), offered AS (
        SELECT * FROM unnest($1::event_to_store[]) WHERE NOT EXISTS (SELECT FROM lacking)
    ), outdated AS MATERIALIZED (
        SELECT write FROM offered WHERE NOT EXISTS (
            SELECT FROM project_trigger WHERE project_trigger.id = offered.project_trigger_id AND xmin = version)
    ), given AS (
        SELECT * FROM offered WHERE write NOT IN (SELECT write FROM outdated)
    ), {storing}, repeated AS (
        INSERT INTO outcome (id, day, org_id, project_trigger_id, key, kind, code, detail, events, at)
        SELECT id, day, org_id, project_trigger_id, key, $2, $3,
               $4 || coalesce(': ' || (
                   SELECT event_id FROM event_key
                   WHERE event_key.project_trigger_id = again.project_trigger_id AND event_key.key = again.key
               ), '') || rtrim('. ' || coalesce(($16::text[])[write + 1], '')), 0, $5
        FROM (
            SELECT (array_agg(id))[1] AS id, min(day) AS day, (array_agg(org_id))[1] AS org_id, write,
                   project_trigger_id, min(given.key) AS key
            FROM given LEFT JOIN fresh ON fresh.event_id = given.id
            GROUP BY write, project_trigger_id HAVING count(event_id) = 0
        ) AS again
    ), told AS (
        INSERT INTO outcome (id, day, org_id, project_trigger_id, kind, code, detail, events, at)
        SELECT * FROM unnest($6::uuid[], $7::date[], $8::uuid[], $9::uuid[], $10::text[], $11::text[],
                             $12::text[], $13::int[], $14::timestamptz[])
    )
    SELECT (SELECT array_agg(id) FROM stored) AS stored,
           (SELECT array_agg(write) FROM outdated) AS outdated,
           (SELECT array_agg(name) FROM lacking) AS lacking,
           set_config('synchronous_commit', 'on', true)
"""
WRITE = _WRITE.format(storing=STORING)
_WRITE_WITH_HOPS = _WRITE.format(storing=STORING_WITH_HOPS)


async def write(statements: Statements, writes: Sequence[Write], now: datetime) -> list[Sequence[Event] | None]:
    """Store the writes, and return for each its new events, or None if one of its triggers changed since it was read.

    Outcomes are stored in both cases. Raises `DatabaseUnfit`, and stores no events, if the commit would not be on disk.
    """
    given = arguments(writes, now, statements.without)
    if hops := {event.id: one.hops for one in writes if one.hops for event in one.events}:
        row = await statements.row(_WRITE_WITH_HOPS, *given, list(hops), list(hops.values()))
    else:
        row = await statements.row(WRITE, *given)
    if row["lacking"]:
        unfit = DatabaseUnfit(lacking(row["lacking"], ()))
        statements.complaints.tell(unfit.reason)
        raise unfit
    stored, outdated = row["stored"] or (), row["outdated"] or ()
    if len(stored) == sum(len(one.events) for one in writes):
        return [one.events for one in writes]
    fresh, refused = set(stored), set(outdated)
    return [
        None if number in refused else [event for event in one.events if event.id in fresh]
        for number, one in enumerate(writes)
    ]


def arguments(writes: Sequence[Write], now: datetime, without: Collection[str] = ()) -> list[object]:
    """Return the arguments of the statement `WRITE`, in order. `without` names safeguards that may be off."""
    events = [
        offered(event, number, version)
        for number, one in enumerate(writes)
        for version, event in zip(one.versions, one.events, strict=True)
    ]
    outcomes = [_outcome(outcome) for one in writes for outcome in one.outcomes]
    repeat = (Kind.WEBHOOK, Code.DUPLICATE, _REPEATED, now)
    needed = [name for name in SAFEGUARDS if name not in without]
    repeats = [one.repeats for one in writes] if any(one.repeats for one in writes) else []
    return [events, *repeat, *(zip(*outcomes, strict=True) if outcomes else [()] * 9), needed, repeats]


def _outcome(one: Outcome) -> tuple[object, ...]:
    id_ = new_id(one.at)
    detail = storable(one.detail)
    return (id_, day_of(id_), one.org_id, one.project_trigger_id, one.kind, one.code, detail, one.events, one.at)
