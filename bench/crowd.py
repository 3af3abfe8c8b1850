"""Put very many enabled triggers into a service's database at once."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
from pydantic_core import to_json

from bench.programs import Service


@dataclass(frozen=True)
class Enabled:
    """An enabled trigger that is polled, or is a schedule."""

    id: UUID
    provider_id: str
    trigger_id: str
    config: dict[str, Any]
    kind: str
    next_at: datetime
    enabled_at: datetime
    every_seconds: int | None = None
    cursor: dict[str, Any] | None = None


async def database(service: Service) -> Any:
    """Return a connection to the service's database, which the service does not see."""
    folder = str(service.data / "postgres" / "cluster")
    return await asyncpg.connect(host=folder, user="hairtrigger", database="hairtrigger")


async def enable(service: Service, project_id: str, triggers: Iterable[Enabled]) -> None:
    made = list(triggers)
    connection = await database(service)
    try:
        org_id = await connection.fetchval("SELECT org_id FROM project WHERE id = $1", project_id)
        now = datetime.now(UTC)
        await connection.copy_records_to_table(
            "project_trigger",
            columns=[
                *("id", "org_id", "project_id", "provider_id", "trigger_id", "config", "enabled", "enabled_at"),
                *("generation", "created_by", "created_at", "updated_at"),
            ],
            records=[
                (
                    *(one.id, org_id, project_id, one.provider_id, one.trigger_id, _json(one.config), True),
                    *(one.enabled_at, 1, org_id, now, now),
                )
                for one in made
            ],
        )
        await connection.copy_records_to_table(
            "poll",
            columns=["project_trigger_id", "kind", "next_at", "every_seconds", "cursor", "failures"],
            records=[(one.id, one.kind, one.next_at, one.every_seconds, _json(one.cursor), 0) for one in made],
        )
        await connection.execute("VACUUM ANALYZE poll, project_trigger")
    finally:
        await connection.close()


def _json(value: dict[str, Any] | None) -> str | None:
    return None if value is None else to_json(value).decode()
