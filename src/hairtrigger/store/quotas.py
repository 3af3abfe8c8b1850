"""Measure how much of its quotas an organisation uses.

Rows and bytes are counted in the tables that store them. The use of each day is kept in `org_usage`.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import text

from hairtrigger.domain.operational import Notice, strain_of
from hairtrigger.domain.quotas import Limits, Quota, QuotaFull, Use
from hairtrigger.store import notices
from hairtrigger.store.transaction import Transaction


@dataclass(slots=True)
class Counts:
    """The amounts that an organisation has used in a period, such as a day."""

    events: int = 0
    event_bytes: int = 0
    ledger_bytes: int = 0
    attempts: int = 0

    @property
    def bytes(self) -> int:
        return self.event_bytes + self.ledger_bytes

    def add(self, more: "Counts", sign: int = 1) -> None:
        self.events += sign * more.events
        self.event_bytes += sign * more.event_bytes
        self.ledger_bytes += sign * more.ledger_bytes
        self.attempts += sign * more.attempts


# What a row is reckoned to take on disk beside its large value, with its places in indexes.
EVENT_ROW = 512  # with its key and the message of its delivery
LEDGER_ROW = 256


# -- rows and bytes that are stored now

_ROWS: Mapping[Quota, str] = {
    Quota.PROJECTS: "SELECT count(*) FROM project WHERE org_id = :org_id",
    Quota.PROJECT_TRIGGERS: """
        SELECT (SELECT count(*) FROM project_trigger WHERE org_id = :org_id) + (
            SELECT count(*) FROM removal WHERE org_id = :org_id
            AND NOT EXISTS (SELECT FROM project_trigger WHERE project_trigger.id = removal.project_trigger_id))
    """,
    Quota.CONNECTIONS: "SELECT count(*) FROM connection WHERE org_id = :org_id",
    Quota.API_KEYS: "SELECT count(*) FROM api_key WHERE org_id = :org_id",
    Quota.INTEGRATIONS: "SELECT count(*) FROM integration WHERE org_id = :org_id",
    Quota.INTEGRATION_TRIGGERS: """
        SELECT count(*) FROM integration_trigger JOIN integration ON integration.id = integration_id
        WHERE org_id = :org_id
    """,
    Quota.INTEGRATION_ACTIONS: """
        SELECT count(*) FROM integration_action JOIN integration ON integration.id = integration_id
        WHERE org_id = :org_id
    """,
    Quota.ALERT_CHANNELS: "SELECT count(*) FROM alert_channel WHERE org_id = :org_id",
    Quota.RUNNING_REPLAYS: "SELECT count(*) FROM replay_job WHERE org_id = :org_id AND next_at IS NOT NULL",
    Quota.IDEMPOTENCY_KEYS: "SELECT count(*) FROM idempotency WHERE org_id = :org_id",
}
_ROW = 512  # the bytes that a row counts as, without its large values, but with its entries in indexes


def _sum(table: str, *large: str) -> str:
    """Return SQL that selects the organisation and the bytes of each row of a table, for the organisations in
    `:org_ids`.

    `large` names the columns with large values. Their sizes are those on disk, after compression; all else in a row
    counts as `_ROW` bytes.
    """
    sizes = " + ".join((str(_ROW), *(f"coalesce(pg_column_size({column}), 0)" for column in large)))
    return f"SELECT org_id, {sizes} AS bytes FROM {table} WHERE org_id = ANY(CAST(:org_ids AS uuid[]))"  # noqa: S608


_ACTIONS = "integration JOIN integration_action AS part ON integration_id = integration.id"
_TRIGGERS = "integration JOIN integration_trigger AS part ON integration_id = integration.id"
_STORED = (
    _sum("project", "target", "secrets"),
    _sum("connection", "secrets"),
    _sum("connect_link", "secrets", "scopes"),
    _sum("pending_authorization", "secrets", "scopes"),
    _sum("api_key"),
    _sum("integration", "description", "auth_fields", "auth_test_code", "oauth_client", "icon_url"),
    _sum("integration JOIN integration_icon ON integration_id = id", "image"),
    _sum(_ACTIONS, "part.code", "part.description", "part.input_fields"),
    _sum(_TRIGGERS, "part.polling_code", "part.description", "part.input_fields"),
    _sum("project_trigger LEFT JOIN poll ON project_trigger_id = id", "config", "webhook_data", "secrets", "cursor"),
    _sum("removal", "config", "secrets"),
    _sum("replay_job", "query"),
    _sum("alert_channel", "recipients", "project_ids", "secrets"),
    _sum("idempotency", "response"),
    "SELECT org_id, event_bytes + ledger_bytes FROM org_usage WHERE org_id = ANY(CAST(:org_ids AS uuid[]))",
)
_BYTES = text(f"SELECT org_id, sum(bytes) FROM ({' UNION ALL '.join(_STORED)}) AS stored GROUP BY org_id")  # noqa: S608


async def rows(tx: Transaction, org_id: UUID, quota: Quota) -> int:
    """Return how many rows the organisation has of the kind that the quota limits."""
    counted: int = (await tx.connection.execute(text(_ROWS[quota]), {"org_id": org_id})).scalar_one()
    return counted


async def stored_bytes(tx: Transaction, org_ids: Collection[UUID]) -> dict[UUID, int]:
    """Return how many bytes each of the organisations stores.

    The bytes of events and of the ledger are those that processes have already reported with `add`.
    """
    if not org_ids:
        return {}
    found = await tx.connection.execute(_BYTES, {"org_ids": list(org_ids)})
    return dict.fromkeys(org_ids, 0) | {org_id: int(total) for org_id, total in found}


@asynccontextmanager
async def within(tx: Transaction, org_id: UUID, limits: Limits, *more: Quota) -> AsyncIterator[None]:
    """Check the organisation's quotas at the end of the block, which stores rows of the kinds in `more`, or larger
    values.

    Raises `QuotaFull` if the organisation then has more such rows than allowed, or if it stores more bytes than allowed
    and more than before the block. Only one such block of an organisation runs at a time, so the check is exact. If a
    quota in `more` is nearly used up, a notice is stored.
    """
    await tx.connection.execute(text("SELECT 1 FROM org WHERE id = :org_id FOR NO KEY UPDATE"), {"org_id": org_id})
    before = (await stored_bytes(tx, [org_id]))[org_id]
    yield
    for quota in more:
        used = await rows(tx, org_id, quota)
        if used > limits.of(quota):
            raise QuotaFull(Use(quota, limits.of(quota), used - 1))
        if strain := strain_of(use := Use(quota, limits.of(quota), used)):
            await notices.note(tx, Notice(org_id, strain, quota, None, str(use), details=vars(use)))
    after = (await stored_bytes(tx, [org_id]))[org_id]
    if after > limits.stored_bytes and after > before:
        raise QuotaFull(Use(Quota.STORED_BYTES, limits.stored_bytes, before))


async def require_room(tx: Transaction, org_id: UUID, limits: Limits) -> None:
    """Raise `QuotaFull` if the organisation stores as many bytes as allowed, or more."""
    used = (await stored_bytes(tx, [org_id]))[org_id]
    if used >= limits.stored_bytes:
        raise QuotaFull(Use(Quota.STORED_BYTES, limits.stored_bytes, used))


# -- use by the day

_ADD = text(
    """
    WITH counted AS (
        SELECT * FROM unnest(
            CAST(:org_ids AS uuid[]), CAST(:events AS bigint[]), CAST(:event_bytes AS bigint[]),
            CAST(:ledger_bytes AS bigint[]), CAST(:attempts AS bigint[])
        ) AS counted (org_id, events, event_bytes, ledger_bytes, attempts)
    )
    INSERT INTO org_usage (org_id, day, events, event_bytes, ledger_bytes, attempts)
    SELECT org_id, CAST(:day AS date), events, event_bytes, ledger_bytes, attempts FROM counted
    WHERE NOT EXISTS (SELECT FROM erasure WHERE erasure.id = CAST(counted.org_id AS text)) ORDER BY org_id
    ON CONFLICT (org_id, day) DO UPDATE SET
        events = org_usage.events + excluded.events, event_bytes = org_usage.event_bytes + excluded.event_bytes,
        ledger_bytes = org_usage.ledger_bytes + excluded.ledger_bytes,
        attempts = org_usage.attempts + excluded.attempts
    RETURNING org_id, events, event_bytes, ledger_bytes, attempts, set_config('synchronous_commit', 'off', true)
    """
)


async def add(tx: Transaction, counted: Mapping[UUID, Counts], day: date) -> dict[UUID, Counts]:
    """Add what a process has counted to the day's use, and return the day's new totals by organisation.

    Organisations that are being deleted are left out. The commit does not wait for the disk, so a crash of the database
    server may lose the last counts.
    """
    if not counted:
        return {}
    given = {
        "org_ids": list(counted),
        "day": day,
        "events": [one.events for one in counted.values()],
        "event_bytes": [one.event_bytes for one in counted.values()],
        "ledger_bytes": [one.ledger_bytes for one in counted.values()],
        "attempts": [one.attempts for one in counted.values()],
    }
    found = await tx.connection.execute(_ADD, given)
    return {org_id: Counts(*totals) for org_id, *totals, _ in found}


_GIVE_BACK = text(
    """
    UPDATE org_usage SET event_bytes = greatest(0, event_bytes - given.event),
                         ledger_bytes = greatest(0, ledger_bytes - given.ledger)
    FROM unnest(CAST(:days AS date[]), CAST(:events AS bigint[]), CAST(:ledgers AS bigint[]))
        AS given (day, event, ledger)
    WHERE org_usage.org_id = :org_id AND org_usage.day = given.day
    """
)


async def give_back(
    tx: Transaction, org_id: UUID, *, events: Mapping[date, int] | None = None, ledger: Mapping[date, int] | None = None
) -> None:
    """Subtract bytes that are not stored any more from the organisation's use, each from the day that counted them."""
    of_events, of_ledger = events or {}, ledger or {}
    if days := sorted({*of_events, *of_ledger}):
        freed = {
            "events": [of_events.get(day, 0) for day in days],
            "ledgers": [of_ledger.get(day, 0) for day in days],
        }
        await tx.connection.execute(_GIVE_BACK, {"org_id": org_id, "days": days, **freed})


async def of_day(tx: Transaction, org_ids: Collection[UUID], day: date) -> dict[UUID, Counts]:
    found = await tx.connection.execute(
        text(
            "SELECT org_id, events, event_bytes, ledger_bytes, attempts FROM org_usage "
            "WHERE org_id = ANY(CAST(:org_ids AS uuid[])) AND day = :day"
        ),
        {"org_ids": list(org_ids), "day": day},
    )
    return {org_id: Counts(*totals) for org_id, *totals in found}


async def forget(tx: Transaction, today: date, events_of: Collection[date], ledger_of: Collection[date]) -> None:
    """Stop counting the bytes of days before today that have been dropped.

    `events_of` are the days whose events are still stored, and `ledger_of` those whose attempts or outcomes are still
    stored.
    """
    await tx.connection.execute(_FORGET_EVENTS, {"today": today, "left": list(events_of)})
    await tx.connection.execute(_FORGET_DAYS, {"today": today, "left": list({*events_of, *ledger_of})})


_FORGET_EVENTS = text(
    "UPDATE org_usage SET event_bytes = 0 WHERE day < :today AND event_bytes > 0 AND day <> ALL(CAST(:left AS date[]))"
)
_FORGET_DAYS = text("DELETE FROM org_usage WHERE day < :today AND day <> ALL(CAST(:left AS date[]))")
