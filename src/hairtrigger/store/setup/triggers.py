"""Store project triggers, the routes of app webhooks, and the planned removals of webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Label,
    and_,
    case,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    type_coerce,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from hairtrigger.domain.errors import NoSuchTrigger
from hairtrigger.store.polling import polls
from hairtrigger.store.setup.connections import Connection
from hairtrigger.store.tables import (
    app_route,
    connection,
    connection_account,
    poll,
    project,
    project_trigger,
    removal,
    subscription,
)
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class ProjectTrigger:
    id: UUID
    org_id: UUID
    project_id: str
    connection_id: UUID | None
    provider_id: str
    trigger_id: str
    config: dict[str, Any]
    enabled: bool
    enabled_at: datetime | None
    generation: int
    webhook_data: dict[str, Any] | None
    secrets: bytes | None = field(repr=False)
    created_by: UUID
    created_at: datetime
    updated_by: UUID | None
    updated_at: datetime
    name: str | None = None
    disconnected: str | None = None  # why it has no connection any more
    privacy: dict[str, Any] | None = None  # see `domain/privacy.py`
    external_user_id: str | None = None


@dataclass(frozen=True)
class TriggerWithCursor(ProjectTrigger):
    """A project trigger with the cursor of its polls, which is None if it has none."""

    cursor: dict[str, Any] | None = None


@dataclass(frozen=True)
class TriggerWithVersion(ProjectTrigger):
    """A project trigger as it was read, with the version of its row. Every write to the row changes the version."""

    version: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Removal:
    project_trigger_id: UUID
    org_id: UUID
    provider_id: str
    trigger_id: str
    config: dict[str, Any]
    secrets: bytes = field(repr=False)
    run_at: datetime
    failures: int
    connection_id: UUID | None = None
    way: str | None = None
    remote: dict[str, Any] | None = None  # the trigger's webhook_data


_VERSION: Label[int] = literal_column("project_trigger.xmin").label("version")
# The cursor of a sweep is not shown, and nothing goes on from it but the sweep.
_CURSOR = type_coerce(case((poll.c.sweep, null()), else_=poll.c.cursor), poll.c.cursor.type).label("cursor")
_WITH_CURSOR = (*project_trigger.c, _CURSOR)
# Rows are read by position: a mapping costs several times as much, and thousands of rows are read every second.
_OWN = tuple(project_trigger.c[name] for name in ProjectTrigger.__dataclass_fields__)
_WITH_VERSION: tuple[Any, ...] = (*_OWN, _VERSION)
_CONNECTION = tuple(connection.c[name] for name in Connection.__dataclass_fields__)
_JOINED = project_trigger.outerjoin(poll, poll.c.project_trigger_id == project_trigger.c.id)


async def add(tx: Transaction, new: ProjectTrigger) -> None:
    await tx.connection.execute(insert(project_trigger).values(_stored(new)))


async def get(
    tx: Transaction, org_id: UUID, project_trigger_id: UUID, *, for_update: bool = False
) -> TriggerWithCursor | None:
    statement = (
        select(*_WITH_CURSOR)
        .select_from(_JOINED)
        .where(project_trigger.c.id == project_trigger_id, project_trigger.c.org_id == org_id)
    )
    if for_update:
        statement = statement.with_for_update(of=project_trigger)
    row = (await tx.connection.execute(statement)).one_or_none()
    return TriggerWithCursor(**row._mapping) if row else None


async def existing(
    tx: Transaction, org_id: UUID, project_trigger_id: UUID, *, for_update: bool = False
) -> TriggerWithCursor:
    """Return the organisation's trigger, or raise `NoSuchTrigger`.

    With `for_update`, its row is locked until the transaction ends.
    """
    found = await get(tx, org_id, project_trigger_id, for_update=for_update)
    if not found:
        raise NoSuchTrigger
    return found


async def by_ids(tx: Transaction, ids: Sequence[UUID]) -> dict[UUID, TriggerWithVersion]:
    """Return the triggers with these ids, of any organisation, for requests to webhooks and for due work.

    API requests must not use this.
    """
    rows = await tx.connection.execute(select(*_WITH_VERSION).where(project_trigger.c.id.in_(ids)))
    return {row.id: TriggerWithVersion(*row) for row in rows}


async def with_connections(
    tx: Transaction, ids: Sequence[UUID]
) -> dict[UUID, tuple[ProjectTrigger, Connection | None]]:
    """Return the triggers with these ids, of any organisation, each with its connection, for due work.

    A connection that belongs to another organisation than the trigger counts as none.
    """
    own = and_(connection.c.id == project_trigger.c.connection_id, connection.c.org_id == project_trigger.c.org_id)
    statement = (
        select(*_OWN, *_CONNECTION)
        .select_from(project_trigger.outerjoin(connection, own))
        .where(project_trigger.c.id.in_(ids))
    )
    found = {}
    for row in await tx.connection.execute(statement):
        trigger, held = ProjectTrigger(*row[: len(_OWN)]), row[len(_OWN) :]
        found[trigger.id] = trigger, Connection(*held) if held[0] else None
    return found


async def of_project(tx: Transaction, org_id: UUID, project_id: str) -> list[TriggerWithCursor]:
    statement = (
        select(*_WITH_CURSOR)
        .select_from(_JOINED)
        .where(project_trigger.c.org_id == org_id, project_trigger.c.project_id == project_id)
        .order_by(project_trigger.c.id)
    )
    return [TriggerWithCursor(**row._mapping) for row in await tx.connection.execute(statement)]


async def of_organization(tx: Transaction, org_id: UUID) -> list[tuple[TriggerWithCursor, str]]:
    """Return the organisation's triggers in the order of their ids, each with its project's name."""
    statement = (
        select(*_WITH_CURSOR, project.c.name.label("project_name"))
        .select_from(_JOINED.join(project, project.c.id == project_trigger.c.project_id))
        .where(project_trigger.c.org_id == org_id)
        .order_by(project_trigger.c.id)
    )
    found = []
    for row in await tx.connection.execute(statement):
        fields = dict(row._mapping)
        name = fields.pop("project_name")
        found.append((TriggerWithCursor(**fields), name))
    return found


async def of_external_user(tx: Transaction, org_id: UUID, external_user_id: str, limit: int) -> list[UUID]:
    """Return the ids of the first `limit` triggers of a user of the organisation's product."""
    statement = select(project_trigger.c.id).where(
        project_trigger.c.org_id == org_id, project_trigger.c.external_user_id == external_user_id
    )
    return list((await tx.connection.execute(statement.order_by(project_trigger.c.id).limit(limit))).scalars())


async def listening_to(tx: Transaction, provider_id: str, accounts: Sequence[str]) -> list[TriggerWithVersion]:
    """Return the triggers with a route for one of these accounts of a provider, in the order of their ids.

    Each trigger is returned once, even if several of its accounts match.
    """
    ids = select(app_route.c.project_trigger_id).where(
        app_route.c.provider_id == provider_id, app_route.c.account.in_(accounts)
    )
    statement = select(*_WITH_VERSION).where(project_trigger.c.id.in_(ids)).order_by(project_trigger.c.id)
    return [TriggerWithVersion(*row) for row in await tx.connection.execute(statement)]


async def save(tx: Transaction, changed: ProjectTrigger) -> bool:
    """Save the trigger and return True, or return False and write nothing if it was changed since it was read.

    The generation of `changed` must be one more than the one that was read. A poll that began before stores nothing,
    because it did not know of the change.
    """
    statement = (
        update(project_trigger)
        .where(project_trigger.c.id == changed.id, project_trigger.c.generation == changed.generation - 1)
        .values(_stored(changed))
    )
    if (await tx.connection.execute(statement)).rowcount == 0:
        return False
    await polls.interrupt(tx, project_trigger.c.id == changed.id, listen_at=changed.updated_at)
    return True


async def switch_off(tx: Transaction, which: ColumnElement[bool], now: datetime, by: UUID | None = None) -> list[UUID]:
    """Disable the project triggers that meet a condition, and remove their routes and due times.

    Return the ids of all of them, also of those that were disabled already. The generation of all of them rises, so
    that an enabling that is under way fails.
    """
    statement = (
        update(project_trigger)
        .where(which)
        .values(
            enabled=False,
            generation=project_trigger.c.generation + 1,
            webhook_data=None,
            updated_by=by or project_trigger.c.updated_by,
            updated_at=now,
        )
        .returning(project_trigger.c.id)
    )
    ids = list((await tx.connection.execute(statement)).scalars())
    if ids:
        await tx.connection.execute(delete(app_route).where(app_route.c.project_trigger_id.in_(ids)))
        await tx.connection.execute(delete(subscription).where(subscription.c.project_trigger_id.in_(ids)))
        await polls.stop(tx, ids)
    return ids


def is_one_of(ids: Sequence[UUID]) -> ColumnElement[bool]:
    return project_trigger.c.id.in_(ids)


def is_still(trigger: ProjectTrigger) -> ColumnElement[bool]:
    """Return the condition that a trigger has been neither changed nor enabled or disabled since it was read."""
    return and_(project_trigger.c.id == trigger.id, project_trigger.c.generation == trigger.generation)


async def save_secrets(tx: Transaction, project_trigger_id: UUID, secrets: bytes, now: datetime) -> None:
    statement = update(project_trigger).where(project_trigger.c.id == project_trigger_id)
    await tx.connection.execute(statement.values(secrets=secrets, updated_at=now))


async def save_registration(
    tx: Transaction, trigger: ProjectTrigger, remote: dict[str, Any], secrets: bytes | None, now: datetime
) -> bool:
    """Save that the trigger's webhook was made again or renewed, and return True.

    Return False, and write nothing, if the trigger was changed or disabled since it was read.
    """
    statement = update(project_trigger).where(is_still(trigger), project_trigger.c.enabled)
    values = {"webhook_data": remote, "secrets": secrets, "updated_at": now}
    return (await tx.connection.execute(statement.values(values))).rowcount > 0


async def remove(tx: Transaction, project_trigger_id: UUID) -> None:
    await tx.connection.execute(delete(project_trigger).where(project_trigger.c.id == project_trigger_id))


async def route(tx: Transaction, trigger: ProjectTrigger, accounts: Sequence[str]) -> None:
    """Replace the trigger's routes, so that from now on it receives the events of exactly these accounts.

    The accounts are also recorded for its connection.
    """
    await tx.connection.execute(delete(app_route).where(app_route.c.project_trigger_id == trigger.id))
    if accounts:
        rows = [
            {"provider_id": trigger.provider_id, "account": account, "project_trigger_id": trigger.id}
            for account in accounts
        ]
        await tx.connection.execute(insert(app_route).values(rows))
    if accounts and trigger.connection_id:
        owned = [
            {"provider_id": trigger.provider_id, "account": account, "connection_id": trigger.connection_id}
            for account in accounts
        ]
        await tx.connection.execute(upsert(connection_account).values(owned).on_conflict_do_nothing())


async def owners(tx: Transaction, provider_id: str, accounts: Sequence[str]) -> list[tuple[UUID, str]]:
    """Return the organisations that have a connection to one of these accounts, each with the account."""
    owned = connection_account.c
    statement = (
        select(connection.c.org_id, owned.account)
        .join(connection, connection.c.id == owned.connection_id)
        .where(owned.provider_id == provider_id, owned.account.in_(accounts))
        .distinct()
        .order_by(connection.c.org_id, owned.account)
    )
    return [(row.org_id, row.account) for row in await tx.connection.execute(statement)]


async def plan_removal(tx: Transaction, planned: Removal, now: datetime, leased_until: datetime | None = None) -> bool:
    """Plan the removal of a webhook, in place of an earlier plan for the same trigger, and return True.

    Return False, and change nothing, while another process makes or removes the trigger's webhook under a lease. With
    `leased_until`, this process has the lease until then.
    """
    statement = upsert(removal).values(**vars(planned), leased_until=leased_until)
    statement = statement.on_conflict_do_update(
        index_elements=["project_trigger_id"],
        set_={name: statement.excluded[name] for name in (*vars(planned), "leased_until")},
        where=or_(removal.c.leased_until.is_(None), removal.c.leased_until <= now),
    )
    return (await tx.connection.execute(statement.returning(removal.c.project_trigger_id))).first() is not None


async def cancel_removal(tx: Transaction, planned: Removal) -> bool:
    """Cancel the removal and return True, or return False if it was planned or claimed again after it was read."""
    return (await tx.connection.execute(delete(removal).where(_still(planned)))).rowcount > 0


async def postpone_removal(tx: Transaction, planned: Removal, run_at: datetime) -> None:
    """Postpone the removal and end its lease, or do nothing if it was planned or claimed again after it was read."""
    statement = update(removal).where(_still(planned))
    await tx.connection.execute(statement.values(run_at=run_at, leased_until=None))


def _still(planned: Removal) -> Any:
    """Return the condition that the removal was not planned or claimed again, both of which change `run_at`."""
    return and_(removal.c.project_trigger_id == planned.project_trigger_id, removal.c.run_at == planned.run_at)


async def claim_removal(
    tx: Transaction, now: datetime, hold: timedelta, project_trigger_id: UUID | None = None
) -> Removal | None:
    """Claim the most overdue removal, or that of the given trigger, for the time `hold`, and return it.

    Return None if no such removal is due, or if another process is claiming it. `failures` counts the attempt from the
    claim on, so that an attempt whose process dies is counted as well.
    """
    due = (
        select(removal.c.project_trigger_id)
        .where(removal.c.run_at <= now)
        .order_by(removal.c.run_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    if project_trigger_id is not None:
        due = due.where(removal.c.project_trigger_id == project_trigger_id)
    statement = (
        update(removal)
        .where(removal.c.project_trigger_id.in_(select(due.cte("due").c.project_trigger_id)))
        .values(run_at=now + hold, leased_until=now + hold, failures=removal.c.failures + 1)
        .returning(*(removal.c[name] for name in Removal.__dataclass_fields__))
    )
    row = (await tx.connection.execute(statement)).one_or_none()
    return Removal(**row._mapping) if row else None


async def planned_removals(tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
    """Return those of the triggers whose webhook is to be removed, or is being made or removed just now."""
    statement = select(removal.c.project_trigger_id).where(removal.c.project_trigger_id.in_(ids))
    return set((await tx.connection.execute(statement)).scalars())


async def which_enabled(tx: Transaction, ids: Sequence[UUID]) -> set[UUID]:
    """Return the ids of those of these triggers, of any organisation, that are enabled."""
    statement = select(project_trigger.c.id).where(project_trigger.c.id.in_(ids), project_trigger.c.enabled)
    return set((await tx.connection.execute(statement)).scalars())


async def release_removals(tx: Transaction, now: datetime) -> None:
    """Make all removals under a lease due now. The caller must know that no process that had a lease runs any more."""
    await tx.connection.execute(
        update(removal).where(removal.c.leased_until.is_not(None)).values(run_at=now, leased_until=None)
    )


async def count_enabled(tx: Transaction, org_id: UUID, provider_id: str) -> int:
    """Return how many enabled triggers of a provider the organisation has."""
    statement = select(func.count()).where(
        project_trigger.c.org_id == org_id, project_trigger.c.provider_id == provider_id, project_trigger.c.enabled
    )
    return (await tx.connection.execute(statement)).scalar_one()


async def connection_in_use(tx: Transaction, connection_id: UUID) -> int:
    statement = (
        select(func.count())
        .select_from(project_trigger.join(connection, connection.c.id == project_trigger.c.connection_id))
        .where(connection.c.id == connection_id, project_trigger.c.enabled)
    )
    return (await tx.connection.execute(statement)).scalar_one()


def _stored(trigger: ProjectTrigger) -> dict[str, Any]:
    return {name: getattr(trigger, name) for name in ProjectTrigger.__dataclass_fields__}
