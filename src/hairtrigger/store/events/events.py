"""Store events, each once for its key, together with the queue message of its first delivery."""

from collections.abc import Collection, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Text, cast, select, text, update

from hairtrigger.domain.ids import day_of
from hairtrigger.store.tables import event, event_key
from hairtrigger.store.text import storable
from hairtrigger.store.transaction import Transaction

DISPATCH = "dispatch"  # the queue of deliveries


class Event(NamedTuple):
    id: UUID
    org_id: UUID
    project_id: str
    project_trigger_id: UUID
    key: str
    type: str
    subject: str | None
    occurred_at: datetime
    received_at: datetime
    content_type: str
    body: bytes
    request: str | None = None  # JSON: method, query and headers of the request
    trace: str | None = None  # its place in a trace: see `domain/trace.py`

    @property
    def day(self) -> date:
        return day_of(self.id)

    def with_data(self, body: bytes, content_type: str, subject: str | None) -> "Event":
        return self._replace(body=body, content_type=storable(content_type), subject=subject).storable

    @property
    def storable(self) -> "Event":
        """Return the event with a subject that PostgreSQL accepts."""
        return self if self.subject is None else self._replace(subject=storable(self.subject))


# In the order of the fields of `Event`. What is kept of a request is read as the text of its JSON.
COLUMNS = tuple(
    cast(column, Text).label(column.name) if column is event.c.request else column
    for column in (event.c[name] for name in Event.__annotations__)
)
READ = ", ".join(f"CAST(event.{one.name} AS text)" if one.name == "request" else f"event.{one.name}" for one in COLUMNS)
_STORED = ", ".join(("day", *Event.__annotations__))
_GIVEN = _STORED.replace("request", "CAST(request AS jsonb)")

# Each row of `given`, which a statement defines before this text, becomes an event and a queue message, if its key is
# new. Keys are locked in one order, so that no two statements wait for each other. The message is inserted directly:
# `pgmq.send` would insert the same row, but plans its statement at every call, a quarter of the cost of storing.
_STORING = f"""fresh AS (
        INSERT INTO event_key (project_trigger_id, key, event_id, day)
        SELECT project_trigger_id, key, id, day FROM given ORDER BY project_trigger_id, key
        ON CONFLICT DO NOTHING
        RETURNING event_id
    ), stored AS (
        INSERT INTO event ({_STORED}) SELECT {_GIVEN} FROM given JOIN fresh ON fresh.event_id = given.id
        RETURNING id, day, project_id
    ), sent AS (
        INSERT INTO pgmq.q_{DISPATCH} (vt, message)
        SELECT clock_timestamp(), jsonb_build_object(
            'delivery', id, 'event', id, 'day', day, 'project', project_id, 'attempt', 1) {{more}}
        FROM stored
    )"""  # noqa: S608 all of it our own text
STORING = _STORING.format(more="")
STORING_WITH_HOPS = _STORING.format(
    more="""|| coalesce((
        SELECT jsonb_build_object('hops', hops) FROM unnest($17::uuid[], $18::int[]) AS hop (id, hops)
        WHERE hop.id = stored.id), '{}')"""
)
"""SQL as in `STORING`, for events that deliveries of this service have led to.

The arrays $17 and $18 hold the ids of such events, and for each the number of these deliveries.
"""

_APPEND = text(
    f"""
    WITH given AS (
        SELECT * FROM unnest(CAST(:events AS event_to_store[]))
    ), {STORING}
    SELECT id, set_config('synchronous_commit', 'on', true) FROM stored
    """  # noqa: S608 all of it our own text
)


async def append(tx: Transaction, events: Sequence[Event]) -> set[UUID]:
    """Store the events whose keys are new, put their deliveries on the queue, and return the ids of these events."""
    if not events:
        return set()
    rows = await tx.connection.execute(_APPEND, {"events": [offered(event) for event in events]})
    return {row.id for row in rows}


def offered(event: Event, write: int | None = None, version: int | None = None) -> tuple[object, ...]:
    """Return the event as a row of the type `event_to_store`: write, version, id, day and the other fields of `Event`.

    For an event of a request, `write` is the place of the request in its batch, and `version` is the version of the
    trigger's row.
    """
    id_, *rest = event.storable
    return (write, version, id_, event.day, *rest)


async def note_swept(tx: Transaction, ids: Collection[UUID]) -> None:
    """Note that these new events came with a sweep."""
    if ids:
        days = {day_of(id_) for id_ in ids}
        statement = update(event).where(event.c.day.in_(days), event.c.id.in_(ids))
        await tx.connection.execute(statement.values(came="sweep"))


async def complete(tx: Transaction, changed: Event, content_type: str) -> bool:
    """Store the new data and media type of an event that has the media type `content_type`, and return whether it
    had.
    """
    statement = update(event).where(
        event.c.day == changed.day, event.c.id == changed.id, event.c.content_type == content_type
    )
    values = {"body": changed.body, "content_type": changed.content_type, "subject": changed.subject}
    return (await tx.connection.execute(statement.values(values))).rowcount > 0


async def known(tx: Transaction, project_trigger_id: UUID, keys: Sequence[str]) -> set[str]:
    """Return those of the keys that are remembered for the trigger, because an event was stored with them before."""
    statement = select(event_key.c.key).where(
        event_key.c.project_trigger_id == project_trigger_id, event_key.c.key.in_(keys)
    )
    return set((await tx.connection.execute(statement)).scalars())


async def get(tx: Transaction, org_id: UUID, event_id: UUID) -> Event | None:
    statement = select(*COLUMNS).where(
        event.c.day == day_of(event_id), event.c.id == event_id, event.c.org_id == org_id
    )
    row = (await tx.connection.execute(statement)).one_or_none()
    return Event(*row) if row else None


async def dropped(tx: Transaction, event_id: UUID) -> bool:
    """Return whether the body of the event was dropped."""
    statement = select(event.c.dropped).where(event.c.day == day_of(event_id), event.c.id == event_id)
    return (await tx.connection.execute(statement)).scalar_one_or_none() is not None


async def page(
    tx: Transaction,
    org_id: UUID,
    *,
    limit: int,
    before: UUID | None = None,
    project_trigger_id: UUID | None = None,
    project_id: str | None = None,
    since: datetime | None = None,
) -> list[Event]:
    """Return the first `limit` events of the organisation that match, newest first, with their bodies.

    `before` is the last id of the previous page. Events received before `since` are left out.
    """
    statement = select(*COLUMNS).where(event.c.org_id == org_id).order_by(event.c.id.desc()).limit(limit)
    if project_trigger_id is not None:
        statement = statement.where(event.c.project_trigger_id == project_trigger_id)
    if project_id is not None:
        statement = statement.where(event.c.project_id == project_id)
    if before is not None:
        statement = statement.where(event.c.id < before, event.c.day <= day_of(before))
    if since is not None:
        statement = statement.where(event.c.received_at >= since)
    return [Event(*row) for row in await tx.connection.execute(statement)]
