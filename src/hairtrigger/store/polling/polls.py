"""Store the due times, the leases and the cursors of polls and schedules.

A claim sets the next due time *before* the work, so a crash never stops a trigger. A result is stored only under the
lease of its claim, so two workers never both store the same poll. A transaction that locks several rows locks them in
the order of their ids, or leaves out locked rows.
"""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Select, and_, case, false, or_, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.domain import outcome
from hairtrigger.domain.ids import leases_of
from hairtrigger.store.tables import poll, project_trigger
from hairtrigger.store.text import storable, storable_json
from hairtrigger.store.transaction import Transaction

Kind = Literal["poll", "schedule", "listen"]


@dataclass(frozen=True)
class Poll:
    project_trigger_id: UUID
    kind: Kind
    next_at: datetime | None
    every_seconds: int | None
    lease: UUID | None
    leased_until: datetime | None
    cursor: dict[str, Any] | None
    last_at: datetime | None
    failures: int
    error: str | None = None
    failing_since: datetime | None = None
    sweep: bool = False  # it runs beside a push
    start_from: datetime | None = None  # what is dated before starts nothing; None for one that begins with a baseline

    @property
    def every(self) -> timedelta:
        return timedelta(seconds=self.every_seconds or 60)

    @property
    def backfill(self) -> bool:
        """Return whether it still starts what happened before its trigger was enabled, as a user asked."""
        return self.start_from is not None and not self.sweep

    @property
    def work(self) -> outcome.Kind:
        """Return the kind of work of which its outcomes tell."""
        if self.kind == "listen":
            return outcome.Kind.LISTEN
        return outcome.Kind.SWEEP if self.sweep else outcome.Kind.POLL


@dataclass(frozen=True)
class Due:
    """A poll's next due time and its lease. If the lease is None, no process runs the poll."""

    project_trigger_id: UUID
    next_at: datetime | None
    lease: UUID | None = None
    leased_until: datetime | None = None


@dataclass(frozen=True)
class Progress:
    """The progress of a poll under a lease. If `ended` is true, the lease ends; if not, only the cursor is stored.

    If `drained` is true, the provider has nothing more now, so a poll that began at a date goes on by its cursor alone.
    """

    project_trigger_id: UUID
    lease: UUID
    cursor: dict[str, Any] | None  # None: unchanged
    ended: bool = False
    next_at: datetime | None = None
    last_at: datetime | None = None
    failures: int = 0
    error: str | None = None
    failing_since: datetime | None = None
    drained: bool = False


@dataclass(frozen=True)
class Fired:
    """The times of a schedule after its firings, or after they were put off: the last due time, and the next one."""

    project_trigger_id: UUID
    last_at: datetime
    next_at: datetime | None
    error: str | None = None  # why they were put off


# Rows are read by position: a mapping costs several times as much, and thousands of rows are read every second.
_POLL = tuple(poll.c[name] for name in Poll.__dataclass_fields__)


async def get(tx: Transaction, project_trigger_id: UUID) -> Poll | None:
    statement = select(*_POLL).where(poll.c.project_trigger_id == project_trigger_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return Poll(*row) if row else None


async def start(
    tx: Transaction,
    project_trigger_id: UUID,
    kind: Kind,
    next_at: datetime | None,
    every: timedelta | None = None,
    start_from: datetime | None = None,
) -> None:
    """Give an enabled trigger its first due time, and reset its lease and its failures.

    A cursor that it has from an earlier time is kept, so that the trigger goes on where it stopped when it was
    disabled. With `start_from`, the cursor is forgotten, and everything since then is found once more.
    """
    values: dict[str, Any] = {
        "kind": kind,
        "next_at": next_at,
        "every_seconds": int(every.total_seconds()) if every else None,
        "lease": None,
        "leased_until": None,
        "failures": 0,
        "error": None,
        "failing_since": None,
        "connected_at": None,
        "start_from": start_from,
        **({} if start_from is None else {"cursor": None}),
    }
    statement = upsert(poll).values(project_trigger_id=project_trigger_id, **values)
    await tx.connection.execute(statement.on_conflict_do_update(index_elements=["project_trigger_id"], set_=values))


async def start_sweep(
    tx: Transaction, project_trigger_id: UUID, next_at: datetime, every: timedelta, start_from: datetime, *, anew: bool
) -> None:
    """Give the sweep of an enabled trigger its next due time, and reset its lease and its failures.

    With `anew`, it looks for what happens from `start_from` on. Otherwise one that was there goes on where it was.
    """
    values: dict[str, Any] = {
        "next_at": next_at,
        "every_seconds": int(every.total_seconds()),
        "lease": None,
        "leased_until": None,
        "failures": 0,
        "error": None,
        "failing_since": None,
    }
    first: dict[str, Any] = {"start_from": start_from, "cursor": None}
    statement = upsert(poll).values(project_trigger_id=project_trigger_id, kind="poll", sweep=True, **values, **first)
    changed = values | first if anew else values
    await tx.connection.execute(statement.on_conflict_do_update(index_elements=["project_trigger_id"], set_=changed))


async def set_cursor(tx: Transaction, project_trigger_id: UUID, cursor: dict[str, Any]) -> None:
    await tx.connection.execute(
        update(poll)
        .where(poll.c.project_trigger_id == project_trigger_id)
        .values(cursor=json.loads(storable_json(cursor)))
    )


async def stop(tx: Transaction, project_trigger_ids: Iterable[UUID]) -> None:
    """Remove the triggers' due times and end their leases, so that polls that have begun store nothing more."""
    await _update(tx, poll.c.project_trigger_id.in_(project_trigger_ids), next_at=None, lease=None, leased_until=None)


async def interrupt(
    tx: Transaction, which: Any, *, again_at: datetime | None = None, listen_at: datetime | None = None
) -> None:
    """End the leases of triggers that poll or listen, which then store nothing: they began with data that has changed.

    `which` is a condition on `project_trigger`. The triggers keep their due times, or get `again_at` if it is given.
    What fails then counts as failing since that time. Those that listen get `listen_at`, because their due time is only
    the end of their lease.
    """
    ids = select(project_trigger.c.id).where(which)
    polling = and_(poll.c.project_trigger_id.in_(ids), poll.c.kind != "schedule", poll.c.next_at.is_not(None))
    values: dict[str, Any] = {"lease": None, "leased_until": None}
    if again_at:
        values |= {"next_at": again_at, "failing_since": case((poll.c.failures > 0, again_at), else_=None)}
    elif listen_at:
        values["next_at"] = case((poll.c.kind == "listen", listen_at), else_=poll.c.next_at)
    await _update(tx, polling, **values)


@dataclass(frozen=True)
class Excluded:
    """The polls that a query leaves out: those of these organisations, projects and triggers."""

    orgs: Collection[UUID] = ()
    projects: Collection[str] = ()
    triggers: Collection[UUID] = ()

    def where(self) -> list[Any]:
        named = (
            (project_trigger.c.org_id, self.orgs),
            (project_trigger.c.project_id, self.projects),
            (project_trigger.c.id, self.triggers),
        )
        return [column.not_in(values) for column, values in named if values]


NOTHING = Excluded()


async def due(
    tx: Transaction, now: datetime, limit: int, excluded: Excluded = NOTHING, kind: Kind = "poll"
) -> list[Poll]:
    """Lock and return up to `limit` due polls of a kind that no process runs, the most overdue first."""
    return [Poll(*row) for row in await tx.connection.execute(_due(now, limit, excluded, kind))]


def _due(now: datetime, limit: int, excluded: Excluded = NOTHING, kind: Kind = "poll") -> Select[Any]:
    statement = select(*_POLL).where(poll.c.kind == kind, poll.c.next_at <= now, _free(now))
    if where := excluded.where():
        # A subquery is read once per due poll. With a join the planner may choose to read all triggers.
        statement = statement.where(
            select(and_(*where)).where(project_trigger.c.id == poll.c.project_trigger_id).scalar_subquery()
        )
    return statement.order_by(poll.c.next_at).limit(limit).with_for_update(skip_locked=True, of=poll)


async def due_or_not(tx: Transaction, project_trigger_id: UUID, now: datetime) -> Poll | None:
    """Lock and return the trigger's poll, due or not, or return None while another process runs or claims it.

    A trigger that has no row in `poll` gives None as well.
    """
    statement = select(*_POLL).where(poll.c.project_trigger_id == project_trigger_id, _free(now))
    row = (await tx.connection.execute(statement.with_for_update(skip_locked=True))).one_or_none()
    return Poll(*row) if row else None


_SET_DUE = text(
    """
    UPDATE poll SET next_at = given.next_at, lease = given.lease, leased_until = given.leased_until
    FROM unnest(
        CAST(:project_trigger_id AS uuid[]), CAST(:next_at AS timestamptz[]),
        CAST(:lease AS uuid[]), CAST(:leased_until AS timestamptz[])
    ) AS given (project_trigger_id, next_at, lease, leased_until)
    WHERE poll.project_trigger_id = given.project_trigger_id
    """
)


async def set_due(tx: Transaction, changed: Sequence[Due]) -> None:
    """Set the due times and leases of polls, whose rows this transaction must have locked."""
    if changed:
        await tx.connection.execute(_SET_DUE, _columns(changed))


async def held_by(tx: Transaction, holders: Collection[UUID] | None) -> list[Poll]:
    """Lock and return the polls under a lease of these processes, or with None under any lease, in the order of ids."""
    statement = select(*_POLL).where(poll.c.lease.is_not(None))
    if holders is not None:
        statement = statement.where(or_(false(), *(poll.c.lease.between(*leases_of(holder)) for holder in holders)))
    rows = await tx.connection.execute(statement.order_by(poll.c.project_trigger_id).with_for_update())
    return [Poll(*row) for row in rows]


async def release(tx: Transaction, leases: Collection[UUID], now: datetime) -> set[UUID]:
    """End leases without a result, so that their polls are due at once, and return the leases that were in force.

    A poll without a due time gets none.
    """
    held = select(poll.c.lease).where(poll.c.lease.in_(leases)).order_by(poll.c.project_trigger_id).with_for_update()
    found = set((await tx.connection.execute(held)).scalars())
    next_at = case((poll.c.next_at.is_(None), None), else_=now)
    await _update(tx, poll.c.lease.in_(found), next_at=next_at, lease=None, leased_until=None)
    return found


# The rows are locked first, in the order of their ids, as every statement does that locks several of them.
_PROGRESS = text(
    """
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:project_trigger_id AS uuid[]), CAST(:lease AS uuid[]), CAST(:cursor AS text[]),
            CAST(:ended AS boolean[]), CAST(:next_at AS timestamptz[]), CAST(:last_at AS timestamptz[]),
            CAST(:failures AS integer[]), CAST(:error AS text[]), CAST(:failing_since AS timestamptz[]),
            CAST(:drained AS boolean[])
        ) AS given (project_trigger_id, lease, cursor, ended, next_at, last_at, failures, error, failing_since, drained)
    ), mine AS (
        SELECT given.* FROM poll JOIN given USING (project_trigger_id, lease)
        ORDER BY project_trigger_id FOR UPDATE OF poll
    )
    UPDATE poll SET
        cursor = coalesce(mine.cursor::jsonb, poll.cursor),
        next_at = CASE WHEN mine.ended THEN mine.next_at ELSE poll.next_at END,
        last_at = CASE WHEN mine.ended THEN mine.last_at ELSE poll.last_at END,
        failures = CASE WHEN mine.ended THEN mine.failures ELSE poll.failures END,
        error = CASE WHEN mine.ended THEN mine.error ELSE poll.error END,
        failing_since = CASE WHEN mine.ended THEN mine.failing_since ELSE poll.failing_since END,
        start_from = CASE WHEN mine.drained AND NOT poll.sweep THEN NULL ELSE poll.start_from END,
        lease = CASE WHEN mine.ended THEN NULL ELSE poll.lease END,
        leased_until = CASE WHEN mine.ended THEN NULL ELSE poll.leased_until END
    FROM mine WHERE poll.project_trigger_id = mine.project_trigger_id
    RETURNING mine.lease
    """
)


async def progress(tx: Transaction, made: Sequence[Progress]) -> set[UUID]:
    """Store the progress of polls whose leases are still in force, and return those leases."""
    columns = _columns(made)
    columns["cursor"] = [None if one.cursor is None else storable_json(one.cursor) for one in made]
    columns["error"] = [None if one.error is None else storable(one.error) for one in made]
    return set((await tx.connection.execute(_PROGRESS, columns)).scalars())


async def current(tx: Transaction, project_trigger_ids: Collection[UUID]) -> set[UUID]:
    """Return the leases that are in force of these triggers."""
    which = poll.c.project_trigger_id.in_(project_trigger_ids), poll.c.lease.is_not(None)
    return set((await tx.connection.execute(select(poll.c.lease).where(*which))).scalars())


async def renew(
    tx: Transaction, project_trigger_ids: Collection[UUID], leases: Collection[UUID], until: datetime
) -> None:
    """Let those of the triggers' leases that are in force end later, at `until`. They are due again then."""
    which = and_(poll.c.project_trigger_id.in_(project_trigger_ids), poll.c.lease.in_(leases))
    await _update(tx, which, next_at=until, leased_until=until)


async def disconnected(tx: Transaction, project_trigger_ids: Collection[UUID]) -> None:
    await _update(tx, poll.c.project_trigger_id.in_(project_trigger_ids), connected_at=None)


async def heard(tx: Transaction, project_trigger_id: UUID, at: datetime, *, connected: bool) -> None:
    """Note that a listener got something from its source, and with `connected`, that it did so for the first time."""
    fine = {"connected_at": at, "failures": 0, "error": None, "failing_since": None} if connected else {"heard_at": at}
    await tx.connection.execute(update(poll).where(poll.c.project_trigger_id == project_trigger_id).values(fine))


async def due_schedules(tx: Transaction, now: datetime, limit: int) -> list[Poll]:
    """Lock and return up to `limit` due schedules, the most overdue first.

    The same transaction must fire them and set their next due times. Their triggers are locked, too. Rows that are
    locked already are left out, because disabling locks the trigger first and then its row in `poll`, so that waiting
    for them could become a deadlock.
    """
    statement = (
        select(*_POLL)
        .join(project_trigger, project_trigger.c.id == poll.c.project_trigger_id)
        .where(poll.c.kind == "schedule", poll.c.next_at <= now)
        .order_by(poll.c.next_at)
        .limit(limit)
        .with_for_update(skip_locked=True, of=(poll, project_trigger))
    )
    return [Poll(*row) for row in await tx.connection.execute(statement)]


_FIRED = text(
    """
    UPDATE poll SET last_at = given.last_at, next_at = given.next_at, error = given.error
    FROM unnest(
        CAST(:project_trigger_id AS uuid[]), CAST(:last_at AS timestamptz[]), CAST(:next_at AS timestamptz[]),
        CAST(:error AS text[])
    ) AS given (project_trigger_id, last_at, next_at, error)
    WHERE poll.project_trigger_id = given.project_trigger_id
    """
)


async def fired(tx: Transaction, made: Sequence[Fired]) -> None:
    """Store the last and the next due time of schedules, whose rows this transaction must have locked."""
    if made:
        await tx.connection.execute(_FIRED, _columns(made))


async def _update(tx: Transaction, which: Any, **values: Any) -> None:
    locked = select(poll.c.project_trigger_id).where(which).order_by(poll.c.project_trigger_id).with_for_update()
    ids = select(locked.cte("locked").c.project_trigger_id)
    await tx.connection.execute(update(poll).where(poll.c.project_trigger_id.in_(ids)).values(values))


def _free(now: datetime) -> Any:
    return or_(poll.c.lease.is_(None), poll.c.leased_until <= now)


def _columns(rows: Sequence[Due | Progress | Fired]) -> dict[str, list[Any]]:
    return {name: [getattr(row, name) for row in rows] for name in vars(rows[0])} if rows else {}
