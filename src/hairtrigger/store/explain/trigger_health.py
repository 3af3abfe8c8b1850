"""Find out the health of triggers: what each one waits for, and whether it is failing or stalled.

Nothing is written while all triggers are healthy. Overdue triggers are found in the rows of `poll`. A row in `stall`
makes sure that a finding is reported once, even if several processes find it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from sqlalchemy import Executable, text

from hairtrigger.domain.errors import NoSuchTrigger
from hairtrigger.domain.operational import PROVIDER
from hairtrigger.store.delivery.lane_room import RESTS_UNTIL
from hairtrigger.store.explain.streaks import FRUITLESS, LATER, MOST_FRUITLESS
from hairtrigger.store.transaction import Transaction

Status = Literal["healthy", "failing", "stalled", "paused", "disabled"]
MOST_FAILED_SWEEPS = 3
"""So many sweeps may fail one after the other before their trigger counts as failing. The push goes on meanwhile."""

Stall = Literal["overdue", "off_the_clock", "unregistered", "unrouted"]


@dataclass(frozen=True)
class Expectations:
    """The facts from which it follows that a trigger is stalled.

    A poll or schedule that was due before `due_before`, and on which no process works `now`, is overdue. Triggers of
    the kinds in `webhooks` need no due time, because they receive requests. A kind is (provider id, trigger id, whether
    it has an app webhook).
    """

    now: datetime
    due_before: datetime
    webhooks: Sequence[tuple[str, str, bool]]

    def parameters(self) -> dict[str, object]:
        providers, triggers, apps = zip(*self.webhooks, strict=True) if self.webhooks else ((), (), ())
        return {
            "now": self.now,
            "due_before": self.due_before,
            "providers": list(providers),
            "triggers": list(triggers),
            "apps": list(apps),
        }


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A project trigger with its health. The fields from `kind` to `poll_error` come from its row in `poll`, if any."""

    id: UUID
    org_id: UUID
    project_id: str
    provider_id: str
    trigger_id: str
    connected: bool
    of_app: bool  # its requests come to the app webhook that all accounts of the provider's app share
    enabled: bool
    enabled_at: datetime | None
    created_at: datetime
    updated_at: datetime
    kind: Literal["poll", "schedule", "listen"] | None
    next_at: datetime | None
    every_seconds: int | None
    leased_until: datetime | None
    last_at: datetime | None
    failures: int
    failing_since: datetime | None = None
    poll_error: str | None = None
    connected_at: datetime | None = None  # since when a listener is connected, if its lease is in force
    heard_at: datetime | None = None
    undelivered: int = 0  # deliveries that failed one after the other; 0 after one that arrived
    undelivered_since: datetime | None = None
    undelivered_detail: str | None = None
    refused: int = 0  # requests that were refused one after the other; 0 after one that was accepted
    refused_since: datetime | None = None
    refused_at: datetime | None = None
    refused_detail: str | None = None
    paused: Literal["project", "trigger"] | None = None
    paused_since: datetime | None = None
    paused_by: str | None = None
    stall: Stall | None
    status: Status
    name: str | None = None
    rests_until: datetime | None = None  # set if the rate limits of its project's deliveries are used up
    external_user_id: str | None = None
    fruitless: int = 0  # polls in a row that found nothing, while every request of the code was refused
    sweep_failures: int = 0  # sweeps that failed one after the other
    sweep_failing_since: datetime | None = None
    sweep_error: str | None = None
    lost_at: datetime | None = None  # when its webhook at the provider was found gone or switched off
    subscription_error: str | None = None
    subscription_ends_at: datetime | None = None

    @property
    def way(self) -> Literal["poll", "schedule", "listen", "service"] | None:
        """Return the source of the trigger's events: polls, its schedule, its connection, the service itself, or None
        if they come by requests.
        """
        return "service" if self.provider_id == PROVIDER else self.kind


@dataclass(frozen=True)
class Finding:
    """The finding that a stall of a trigger has begun, or that it has ended. The stall has lasted since `since`."""

    id: UUID
    org_id: UUID
    provider_id: str
    trigger_id: str
    since: datetime
    stall: Stall
    enabled: bool


# A claim moves the due time on, and a lease that is in force means that a process works on the trigger.
_OVERDUE = """
    poll.next_at < CAST(:due_before AS timestamptz)
    AND (poll.lease IS NULL OR poll.leased_until <= CAST(:now AS timestamptz))
"""
_CONDITION = f"""
    SELECT trigger.id, trigger.org_id, trigger.project_id, trigger.name, trigger.provider_id, trigger.trigger_id,
           trigger.external_user_id,
           trigger.connection_id IS NOT NULL AS connected, webhook.app IS TRUE AS of_app,
           trigger.enabled, trigger.enabled_at, trigger.created_at, trigger.updated_at,
           poll.kind, poll.next_at, poll.every_seconds, poll.leased_until, poll.last_at,
           coalesce(poll.failures, 0) AS failures, poll.failing_since, poll.error AS poll_error,
           poll.connected_at, poll.heard_at,
           coalesce(sweep.failures, 0) AS sweep_failures, sweep.failing_since AS sweep_failing_since,
           sweep.error AS sweep_error, subscription.lost_at, subscription.error AS subscription_error,
           subscription.expires_at AS subscription_ends_at,
           coalesce(CAST(poll.cursor->>'{FRUITLESS}' AS int), 0) AS fruitless,
           coalesce(undelivered.count, 0) AS undelivered, undelivered.since AS undelivered_since,
           undelivered.detail AS undelivered_detail,
           CASE WHEN refused.count IS NULL OR {LATER.format(streak="refused")} THEN 0
                ELSE refused.count END AS refused,
           refused.since AS refused_since, refused.last_at AS refused_at, refused.detail AS refused_detail,
           CASE WHEN lane.paused THEN 'project'
                WHEN trigger.id = ANY(lane.paused_triggers) THEN 'trigger' END AS paused,
           pause.since AS paused_since, pause.paused_by,
           CASE WHEN NOT trigger.enabled THEN NULL
                WHEN webhook.app IS TRUE AND NOT EXISTS
                     (SELECT FROM app_route WHERE app_route.project_trigger_id = trigger.id) THEN 'unrouted'
                WHEN webhook.app IS FALSE AND trigger.webhook_data IS NULL THEN 'unregistered'
                WHEN webhook.app IS NULL AND poll.next_at IS NULL THEN 'off_the_clock'
                WHEN webhook.app IS NULL AND {_OVERDUE} THEN 'overdue'
           END AS stall
    FROM project_trigger AS trigger
    LEFT JOIN poll ON poll.project_trigger_id = trigger.id AND NOT poll.sweep
    LEFT JOIN poll AS sweep ON sweep.project_trigger_id = trigger.id AND sweep.sweep
    LEFT JOIN subscription ON subscription.project_trigger_id = trigger.id
    LEFT JOIN lane ON lane.project_id = trigger.project_id
    LEFT JOIN pause ON pause.id = CASE WHEN lane.paused THEN trigger.project_id
                                       WHEN trigger.id = ANY(lane.paused_triggers) THEN CAST(trigger.id AS text) END
    LEFT JOIN streak AS undelivered ON undelivered.project_trigger_id = trigger.id AND undelivered.side = 'deliveries'
    LEFT JOIN streak AS refused ON refused.project_trigger_id = trigger.id AND refused.side = 'requests'
    LEFT JOIN unnest(CAST(:providers AS text[]), CAST(:triggers AS text[]), CAST(:apps AS bool[]))
              AS webhook (provider_id, trigger_id, app)
           ON webhook.provider_id = trigger.provider_id AND webhook.trigger_id = trigger.trigger_id
"""  # noqa: S608 all of it our own text
_WITH_STATUS_OF = f"""
    SELECT * FROM (
        SELECT condition.*, {RESTS_UNTIL} AS rests_until,
               CASE WHEN NOT enabled THEN 'disabled' WHEN stall IS NOT NULL THEN 'stalled'
                    WHEN failures > 0 OR undelivered > 0 OR refused > 0 OR fruitless >= {MOST_FRUITLESS}
                         OR sweep_failures >= {MOST_FAILED_SWEEPS} OR lost_at IS NOT NULL THEN 'failing'
                    WHEN condition.paused IS NOT NULL THEN 'paused' ELSE 'healthy' END AS status
        FROM ({_CONDITION} WHERE {{which}}) AS condition
        LEFT JOIN lane ON lane.project_id = condition.project_id
    ) AS told WHERE true
"""  # noqa: S608 all of it our own text
_WITH_STATUS = _WITH_STATUS_OF.format(which="trigger.org_id = :org_id")
_OF_IDS = text(_WITH_STATUS_OF.format(which="trigger.id = ANY(CAST(:ids AS uuid[]))"))
_FILTERS = {
    "id": "id = :id",
    "after": "id > :after",
    "status": "status = :status",
    "external_user_id": "external_user_id = :external_user_id",
}


async def of_organization(
    tx: Transaction, org_id: UUID, expected: Expectations, *, limit: int, **filters: UUID | str | None
) -> list[Condition]:
    """Return the first `limit` triggers of the organisation that match, with their health, in the order of ids.

    The filters are `id`, `status` and `external_user_id`, and `after`, which is the last id of the previous page.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    query = " AND ".join((_WITH_STATUS, *(_FILTERS[name] for name in given))) + " ORDER BY id LIMIT :limit"
    parameters = {**expected.parameters(), "org_id": org_id, "limit": limit, **given}
    return [Condition(**row._mapping) for row in await tx.connection.execute(text(query), parameters)]


async def of_trigger(tx: Transaction, org_id: UUID, expected: Expectations, trigger_id: UUID) -> Condition:
    """Return the organisation's trigger with its health, or raise `NoSuchTrigger`."""
    found = await of_organization(tx, org_id, expected, limit=1, id=trigger_id)
    if not found:
        raise NoSuchTrigger
    return found[0]


async def of_ids(tx: Transaction, ids: Sequence[UUID], expected: Expectations) -> list[Condition]:
    """Return the conditions of those of these triggers that exist, in no order.

    They may belong to any organisation, so the answer is for the service itself, not for an API request.
    """
    if not ids:
        return []
    rows = await tx.connection.execute(_OF_IDS, {**expected.parameters(), "ids": list(ids)})
    return [Condition(**row._mapping) for row in rows]


_HELD = text(
    """
    SELECT count(*) FROM (
        SELECT FROM waiting
        WHERE project_id = :project AND project_trigger_id = :id AND suspended_by IS NOT NULL LIMIT :most
    ) AS held
    """
)


async def held(tx: Transaction, condition: Condition, *, most: int) -> int:
    """Return how many deliveries of the trigger are suspended by a pause. Counting stops at `most`."""
    values = {"project": condition.project_id, "id": condition.id, "most": most}
    return int((await tx.connection.execute(_HELD, values)).scalar_one())


FIND_OVERDUE = text(
    f"""
    WITH overdue AS (
        SELECT project_trigger_id, next_at FROM poll
        WHERE kind = CAST(:kind AS text) AND {_OVERDUE} AND NOT sweep
          AND NOT EXISTS (SELECT FROM stall WHERE stall.project_trigger_id = poll.project_trigger_id)
        ORDER BY next_at LIMIT :limit
    ), found AS (
        INSERT INTO stall (project_trigger_id, since, found_at, reason)
        SELECT project_trigger_id, next_at, CAST(:now AS timestamptz), 'overdue' FROM overdue
        ON CONFLICT DO NOTHING RETURNING *
    )
    SELECT trigger.id, trigger.org_id, trigger.provider_id, trigger.trigger_id, found.since, found.reason AS stall,
           trigger.enabled
    FROM found JOIN project_trigger AS trigger ON trigger.id = found.project_trigger_id
    """  # noqa: S608 all of it our own text
)
_FIND_FORGOTTEN = text(
    f"""
    WITH found AS (
        INSERT INTO stall (project_trigger_id, since, found_at, reason)
        SELECT id, coalesce(enabled_at, updated_at), CAST(:now AS timestamptz), stall
        FROM ({_CONDITION}) AS condition
        WHERE stall IS NOT NULL AND stall <> 'overdue'
          AND NOT EXISTS (SELECT FROM stall WHERE stall.project_trigger_id = condition.id)
        ORDER BY id LIMIT :limit
        ON CONFLICT DO NOTHING RETURNING *
    )
    SELECT trigger.id, trigger.org_id, trigger.provider_id, trigger.trigger_id, found.since, found.reason AS stall,
           trigger.enabled
    FROM found JOIN project_trigger AS trigger ON trigger.id = found.project_trigger_id
    """  # noqa: S608 all of it our own text
)
_END = text(
    f"""
    WITH over AS (
        SELECT condition.* FROM stall JOIN LATERAL ({_CONDITION} WHERE trigger.id = stall.project_trigger_id)
               AS condition ON true
        WHERE condition.stall IS NULL
        ORDER BY condition.id LIMIT :limit FOR UPDATE OF stall SKIP LOCKED
    )
    DELETE FROM stall USING over WHERE stall.project_trigger_id = over.id
    RETURNING over.id, over.org_id, over.provider_id, over.trigger_id, stall.since, stall.reason AS stall, over.enabled
    """  # noqa: S608 all of it our own text
)


async def find_overdue(tx: Transaction, expected: Expectations, limit: int) -> list[Finding]:
    """Record the new stalls of overdue triggers, and return a finding for each.

    Of polls, of schedules and of listeners at most `limit` each are recorded, the most overdue first. A disabled
    trigger has no due time, so it is never found. The triggers are read from the index by due time.
    """
    kinds = ("poll", "schedule", "listen")
    return [one for kind in kinds for one in await _findings(tx, FIND_OVERDUE, expected, limit, kind=kind)]


async def find_forgotten(tx: Transaction, expected: Expectations, limit: int) -> list[Finding]:
    """Record new stalls of enabled triggers that can never fire as they are, and return a finding for each.

    They have no webhook at the provider, no route or no due time. At most `limit` are recorded. This reads all
    triggers, so call it seldom.
    """
    return await _findings(tx, _FIND_FORGOTTEN, expected, limit)


async def end(tx: Transaction, expected: Expectations, limit: int) -> list[Finding]:
    """End up to `limit` stalls of triggers that have recovered or were disabled, and return a finding for each."""
    return await _findings(tx, _END, expected, limit)


async def _findings(
    tx: Transaction, statement: Executable, expected: Expectations, limit: int, **more: object
) -> list[Finding]:
    rows = await tx.connection.execute(statement, {**expected.parameters(), "limit": limit, **more})
    return [Finding(**row._mapping) for row in rows]
