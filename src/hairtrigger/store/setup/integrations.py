"""Store the integrations that organisations define, with their icons, actions and triggers."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python
from sqlalchemy import ColumnElement, RowMapping, Table, and_, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError

from hairtrigger.domain.integration import ActionField, AuthField, AuthType, InputField, OAuthClient
from hairtrigger.store.polling import polls
from hairtrigger.store.setup.connections import disconnect
from hairtrigger.store.setup.triggers import switch_off
from hairtrigger.store.tables import (
    connection,
    integration,
    integration_action,
    integration_icon,
    integration_trigger,
    project_trigger,
)
from hairtrigger.store.transaction import Transaction


@dataclass(frozen=True)
class Integration:
    id: UUID
    org_id: UUID
    name: str
    description: str
    color: str | None
    icon_url: str | None
    auth_type: AuthType
    auth_fields: tuple[AuthField, ...]
    auth_test_code: str | None
    oauth_client: OAuthClient | None
    oauth_secret: bytes | None = field(repr=False)
    created_at: datetime
    updated_at: datetime
    slug: str | None = None
    retired_slugs: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Icon:
    content_type: str
    image: bytes


@dataclass(frozen=True)
class IntegrationAction:
    id: UUID
    integration_id: UUID
    name: str
    slug: str
    description: str
    code: str | None
    position: int
    input_fields: tuple[ActionField, ...]
    requires_confirmation: bool


@dataclass(frozen=True)
class ActionSummary:
    id: UUID
    name: str
    description: str


@dataclass(frozen=True)
class IntegrationTrigger:
    id: UUID
    integration_id: UUID
    name: str
    slug: str
    description: str
    polling_code: str | None
    input_fields: tuple[InputField, ...]


_INTEGRATION = TypeAdapter(Integration)
_ACTION = TypeAdapter(IntegrationAction)
_TRIGGER = TypeAdapter(IntegrationTrigger)
_JSON = ("auth_fields", "oauth_client", "input_fields", "retired_slugs")


async def add(tx: Transaction, new: Integration) -> None:
    await tx.connection.execute(insert(integration).values(_columns(new)))


async def get(tx: Transaction, org_id: UUID, integration_id: UUID, *, for_update: bool = False) -> Integration | None:
    """Return the organisation's integration, or None if it has no such integration.

    With `for_update`, lock the row. All changes of an integration, its actions and its triggers lock it first, so no
    other transaction changes them until this one ends.
    """
    statement = select(integration).where(integration.c.id == integration_id, integration.c.org_id == org_id)
    if for_update:
        statement = statement.with_for_update()
    row = (await tx.connection.execute(statement)).mappings().one_or_none()
    return _INTEGRATION.validate_python(dict(row)) if row else None


@dataclass(frozen=True)
class WithTriggers:
    integration: Integration
    triggers: list[IntegrationTrigger]
    has_image: bool  # an icon was uploaded


async def ids(tx: Transaction, org_id: UUID) -> list[UUID]:
    statement = select(integration.c.id).where(integration.c.org_id == org_id).order_by(integration.c.id)
    return list((await tx.connection.execute(statement)).scalars())


async def with_triggers(tx: Transaction, wanted: Collection[tuple[UUID, UUID]]) -> list[WithTriggers]:
    """Return those of the integrations that exist, with their triggers. `wanted` has pairs of organisation id and id.

    This takes two queries for any number of integrations.
    """
    image = exists().where(integration_icon.c.integration_id == integration.c.id).label("has_image")
    statement = select(integration, image).where(tuple_(integration.c.org_id, integration.c.id).in_(wanted))
    rows = [dict(row) for row in (await tx.connection.execute(statement)).mappings()]
    has_image = {row["id"]: row.pop("has_image") for row in rows}
    found = [_INTEGRATION.validate_python(row) for row in rows]
    statement = select(integration_trigger).where(integration_trigger.c.integration_id.in_([one.id for one in found]))
    made: defaultdict[UUID, list[IntegrationTrigger]] = defaultdict(list)
    for row in (await tx.connection.execute(statement.order_by(integration_trigger.c.id))).mappings():
        made[row["integration_id"]].append(_TRIGGER.validate_python(dict(row)))
    return [WithTriggers(one, made[one.id], has_image[one.id]) for one in found]


async def of_organization(tx: Transaction, org_id: UUID) -> list[Integration]:
    statement = select(integration).where(integration.c.org_id == org_id).order_by(integration.c.id)
    rows = (await tx.connection.execute(statement)).mappings()
    return [_INTEGRATION.validate_python(dict(row)) for row in rows]


async def save(tx: Transaction, changed: Integration) -> None:
    statement = update(integration).where(integration.c.id == changed.id)
    await tx.connection.execute(statement.values(_columns(changed)))


async def slugs(tx: Transaction, org_id: UUID) -> set[str]:
    """Return the stored slugs of the organisation's integrations. Some integrations have none yet."""
    rows = await tx.connection.execute(select(integration.c.slug).where(integration.c.org_id == org_id))
    return {slug for slug in rows.scalars() if slug}


async def remove_connections(tx: Transaction, integration_id: UUID, why: str, now: datetime) -> None:
    """Remove the integration's connections.

    Project triggers that used them stay, without a connection and with the reason `why`. Their polls are due at once.
    """
    removed = select(connection.c.id).where(connection.c.provider_id == str(integration_id))
    await disconnect(tx, project_trigger.c.connection_id.in_(removed), why, now)
    await tx.connection.execute(delete(connection).where(connection.c.provider_id == str(integration_id)))


# -- icons


async def set_icon(tx: Transaction, integration_id: UUID, icon: Icon) -> None:
    statement = upsert(integration_icon).values(integration_id=integration_id, **vars(icon))
    await tx.connection.execute(statement.on_conflict_do_update(index_elements=["integration_id"], set_=vars(icon)))


async def icon(tx: Transaction, integration_id: UUID) -> Icon | None:
    statement = select(integration_icon.c.content_type, integration_icon.c.image)
    statement = statement.where(integration_icon.c.integration_id == integration_id)
    row = (await tx.connection.execute(statement)).one_or_none()
    return Icon(row.content_type, row.image) if row else None


async def has_icon(tx: Transaction, integration_id: UUID) -> bool:
    statement = select(integration_icon.c.integration_id).where(integration_icon.c.integration_id == integration_id)
    return (await tx.connection.execute(statement)).first() is not None


async def remove_icon(tx: Transaction, integration_id: UUID) -> None:
    await tx.connection.execute(delete(integration_icon).where(integration_icon.c.integration_id == integration_id))


# -- actions


async def add_action(tx: Transaction, new: IntegrationAction) -> bool:
    """Add the action and return True, or return False if another action of the integration has its name or slug."""
    return await _added(tx, integration_action, _columns(new))


async def action_slugs(tx: Transaction, integration_id: UUID) -> set[str]:
    return await _slugs(tx, integration_action, integration_id)


async def action(tx: Transaction, integration_id: UUID, action_id: UUID) -> IntegrationAction | None:
    row = await _part(tx, integration_action, integration_id, action_id)
    return _ACTION.validate_python(dict(row)) if row else None


async def actions(tx: Transaction, integration_id: UUID) -> list[IntegrationAction]:
    """Return the integration's actions in the order in which they were added."""
    statement = select(integration_action).where(integration_action.c.integration_id == integration_id)
    rows = (await tx.connection.execute(statement.order_by(integration_action.c.position))).mappings()
    return [_ACTION.validate_python(dict(row)) for row in rows]


async def action_summaries(tx: Transaction, org_id: UUID) -> dict[UUID, list[ActionSummary]]:
    """Return the organisation's actions by the id of their integration, without their code.

    Those of one integration are in the order in which they were added. An integration without actions is left out.
    """
    statement = (
        select(
            integration_action.c.integration_id,
            integration_action.c.id,
            integration_action.c.name,
            integration_action.c.description,
        )
        .join_from(integration_action, integration)
        .where(integration.c.org_id == org_id)
        .order_by(integration_action.c.position)
    )
    found: defaultdict[UUID, list[ActionSummary]] = defaultdict(list)
    for row in await tx.connection.execute(statement):
        found[row.integration_id].append(ActionSummary(row.id, row.name, row.description))
    return found


async def next_position(tx: Transaction, integration_id: UUID) -> int:
    highest = select(func.max(integration_action.c.position)).where(
        integration_action.c.integration_id == integration_id
    )
    found: int | None = (await tx.connection.execute(highest)).scalar_one()
    return 0 if found is None else found + 1


async def save_action(tx: Transaction, changed: IntegrationAction) -> bool:
    """Save the action and return True, or return False if another action of the integration has its name."""
    return await _saved(tx, integration_action, _columns(changed))


async def remove_action(tx: Transaction, integration_id: UUID, action_id: UUID) -> bool:
    return await _removed(tx, integration_action, integration_id, action_id)


# -- triggers


async def add_trigger(tx: Transaction, new: IntegrationTrigger) -> bool:
    """Add the trigger and return True, or return False if another trigger of the integration has its name or slug."""
    return await _added(tx, integration_trigger, _columns(new))


async def trigger_slugs(tx: Transaction, integration_id: UUID) -> set[str]:
    """Return the slugs of the integration's triggers, and of deleted ones that project triggers still refer to."""
    used = select(project_trigger.c.trigger_id).where(project_trigger.c.provider_id == str(integration_id))
    found = set((await tx.connection.execute(used.distinct())).scalars())
    return found | await _slugs(tx, integration_trigger, integration_id)


async def trigger(tx: Transaction, integration_id: UUID, trigger_id: UUID) -> IntegrationTrigger | None:
    row = await _part(tx, integration_trigger, integration_id, trigger_id)
    return _TRIGGER.validate_python(dict(row)) if row else None


async def triggers(tx: Transaction, integration_id: UUID) -> list[IntegrationTrigger]:
    """Return the integration's triggers in the order in which they were added."""
    statement = select(integration_trigger).where(integration_trigger.c.integration_id == integration_id)
    rows = (await tx.connection.execute(statement.order_by(integration_trigger.c.id))).mappings()
    return [_TRIGGER.validate_python(dict(row)) for row in rows]


async def save_trigger(tx: Transaction, changed: IntegrationTrigger) -> bool:
    """Save the trigger and return True, or return False if another trigger of the integration has its name.

    A poll that began with the old code stores nothing.
    """
    if not await _saved(tx, integration_trigger, _columns(changed)):
        return False
    await polls.interrupt(tx, _uses(changed))
    return True


async def remove_trigger(tx: Transaction, integration_id: UUID, trigger_id: UUID) -> bool:
    return await _removed(tx, integration_trigger, integration_id, trigger_id)


async def disable_users(tx: Transaction, gone: IntegrationTrigger, now: datetime) -> list[UUID]:
    """Disable all project triggers that use this trigger, and return the ids of all of them, also of disabled ones."""
    return await switch_off(tx, _uses(gone), now)


async def users(tx: Transaction, used: IntegrationTrigger) -> list[tuple[UUID, UUID]]:
    """Return the project triggers that use this trigger, as pairs of trigger id and organisation id."""
    return await _with_organizations(tx, _uses(used))


async def _with_organizations(tx: Transaction, which: ColumnElement[bool]) -> list[tuple[UUID, UUID]]:
    statement = select(project_trigger.c.id, project_trigger.c.org_id).where(which)
    return [(row.id, row.org_id) for row in await tx.connection.execute(statement)]


def _uses(used: IntegrationTrigger) -> ColumnElement[bool]:
    return and_(project_trigger.c.provider_id == str(used.integration_id), project_trigger.c.trigger_id == used.slug)


# -- shared by actions and triggers


async def _slugs(tx: Transaction, table: Table, integration_id: UUID) -> set[str]:
    rows = await tx.connection.execute(select(table.c.slug).where(table.c.integration_id == integration_id))
    return set(rows.scalars())


async def _part(tx: Transaction, table: Table, integration_id: UUID, part_id: UUID) -> RowMapping | None:
    statement = select(table).where(table.c.id == part_id, table.c.integration_id == integration_id)
    return (await tx.connection.execute(statement)).mappings().one_or_none()


async def _added(tx: Transaction, table: Table, columns: dict[str, Any]) -> bool:
    statement = upsert(table).values(columns).on_conflict_do_nothing().returning(table.c.id)
    return (await tx.connection.execute(statement)).first() is not None


async def _saved(tx: Transaction, table: Table, columns: dict[str, Any]) -> bool:
    try:
        async with tx.connection.begin_nested():
            await tx.connection.execute(update(table).where(table.c.id == columns["id"]).values(columns))
    except IntegrityError:
        return False
    return True


async def _removed(tx: Transaction, table: Table, integration_id: UUID, part_id: UUID) -> bool:
    statement = delete(table).where(table.c.id == part_id, table.c.integration_id == integration_id)
    return (await tx.connection.execute(statement)).rowcount > 0


def _columns(record: Integration | IntegrationAction | IntegrationTrigger) -> dict[str, Any]:
    return {name: to_jsonable_python(value) if name in _JSON else value for name, value in vars(record).items()}
