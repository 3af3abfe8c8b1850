"""Rows for tests."""

from datetime import datetime
from uuid import UUID, uuid4

from hairtrigger.domain.ids import new_id
from hairtrigger.store import accounts
from hairtrigger.store.accounts import Organization
from hairtrigger.store.events.events import Event
from hairtrigger.store.setup import projects, triggers
from hairtrigger.store.setup.projects import Project
from hairtrigger.store.setup.triggers import ProjectTrigger
from hairtrigger.store.transaction import Transaction


async def an_organization(tx: Transaction, now: datetime) -> UUID:
    org_id = uuid4()
    await accounts.add_organization(tx, Organization(org_id, "Org", now))
    return org_id


async def a_project(tx: Transaction, org_id: UUID, now: datetime, *, max_inflight: int = 5) -> str:
    project_id = f"proj_{uuid4().hex}"
    await projects.add(tx, Project(project_id, org_id, "Project", {"kind": "log"}, b"", now, now, max_inflight))
    return project_id


async def a_trigger(
    tx: Transaction,
    org_id: UUID,
    project_id: str,
    now: datetime,
    *,
    provider_id: str = "rss",
    trigger_id: str = "on_item_published",
    config: dict[str, object] | None = None,
    enabled: bool = True,
) -> ProjectTrigger:
    trigger = ProjectTrigger(
        id=new_id(now),
        org_id=org_id,
        project_id=project_id,
        connection_id=None,
        provider_id=provider_id,
        trigger_id=trigger_id,
        config=config or {},
        enabled=enabled,
        enabled_at=now if enabled else None,
        generation=1,
        webhook_data=None,
        secrets=None,
        created_by=org_id,
        created_at=now,
        updated_by=None,
        updated_at=now,
    )
    await triggers.add(tx, trigger)
    return trigger


def an_event(org_id: UUID, project_id: str, trigger_id: UUID, key: str, now: datetime, body: bytes = b"{}") -> Event:
    return Event(
        id=new_id(now),
        org_id=org_id,
        project_id=project_id,
        project_trigger_id=trigger_id,
        key=key,
        type="test.happened",
        subject=None,
        occurred_at=now,
        received_at=now,
        content_type="application/json",
        body=body,
    )
