"""Every table, as the queries see it. The migrations make them; a test holds the two against each other.

Hot tables are partitioned by day and dropped by partition: `event`, `attempt`, `outcome`. An id in them is a uuid v7
made in Python, and `day` is the UTC date inside it, so an id alone finds its partition.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    Table,
    Text,
    false,
)
from sqlalchemy import UniqueConstraint as Unique
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

metadata = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
    }
)

_Instant = DateTime(timezone=True)


def _gone_with(column: str) -> ForeignKey:
    return ForeignKey(column, ondelete="CASCADE")


# -- accounts

org = Table(
    "org",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", _Instant, nullable=False),
)

app_user = Table(
    "app_user",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False),
    Column("email", Text, nullable=False, unique=True),  # lower case
    Column("password_hash", Text, nullable=False),
    Column("operator", Boolean, nullable=False),  # may create organisations
    Column("created_at", _Instant, nullable=False),
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),  # what a list shows of the key
    Column("hash", BYTEA, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("last_used_at", _Instant),
    Column("expires_at", _Instant),
)

# -- what is run, and with whose credentials

project = Table(
    "project",
    metadata,
    Column("id", Text, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("target", JSONB, nullable=False),  # domain.target.TargetConfig
    Column("secrets", BYTEA, nullable=False),  # sealed: signing secrets, the agent's API key
    Column("created_at", _Instant, nullable=False),
    Column("updated_at", _Instant, nullable=False),
)

connection = Table(
    "connection",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("provider_id", Text, nullable=False, index=True),  # a native provider's id, or an integration's
    Column("name", Text, nullable=False),
    Column("secrets", BYTEA, nullable=False),  # sealed
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("updated_at", _Instant, nullable=False),
)

# -- integrations users define

integration = Table(
    "integration",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("color", Text),
    Column("icon_url", Text),
    Column("auth_type", Text, nullable=False),
    Column("auth_fields", JSONB, nullable=False),
    Column("auth_test_code", Text),
    Column("oauth_client", JSONB),  # without its secret
    Column("oauth_secret", BYTEA),  # sealed
    Column("created_at", _Instant, nullable=False),
    Column("updated_at", _Instant, nullable=False),
)

integration_icon = Table(
    "integration_icon",
    metadata,
    Column("integration_id", UUID, _gone_with("integration.id"), primary_key=True),
    Column("content_type", Text, nullable=False),
    Column("image", BYTEA, nullable=False),
)

integration_action = Table(
    "integration_action",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("integration_id", UUID, _gone_with("integration.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("code", Text),
    Column("position", Integer, nullable=False),
    Column("input_fields", JSONB, nullable=False),
    Column("requires_confirmation", Boolean, nullable=False),
    Unique("integration_id", "name"),
    Unique("integration_id", "slug"),
)

integration_trigger = Table(
    "integration_trigger",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("integration_id", UUID, _gone_with("integration.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("slug", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("polling_code", Text),
    Column("input_fields", JSONB, nullable=False),
    Unique("integration_id", "name"),
    Unique("integration_id", "slug"),
)

# -- triggers and when they are due

project_trigger = Table(
    "project_trigger",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("project_id", Text, _gone_with("project.id"), nullable=False, index=True),
    Column("connection_id", UUID, ForeignKey("connection.id", ondelete="SET NULL"), index=True),
    Column("provider_id", Text, nullable=False),
    Column("trigger_id", Text, nullable=False),
    Column("config", JSONB, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("enabled_at", _Instant),  # the last time it was enabled; kept when disabled
    Column("generation", Integer, nullable=False),  # goes up with every enable and disable: work begun before is stale
    Column("webhook_data", JSONB),
    Column("secrets", BYTEA),  # sealed: what its deliveries are signed with
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("updated_by", UUID),
    Column("updated_at", _Instant, nullable=False),
)

app_route = Table(
    "app_route",
    metadata,
    Column("provider_id", Text, primary_key=True),
    Column("account", Text, primary_key=True),
    Column("project_trigger_id", UUID, _gone_with("project_trigger.id"), primary_key=True, index=True),
)

poll = Table(
    "poll",
    metadata,
    Column("project_trigger_id", UUID, _gone_with("project_trigger.id"), primary_key=True),
    Column("kind", Text, nullable=False),  # poll | schedule
    Column("next_at", _Instant),  # when it is next due; null while disabled, and after a one-off has fired
    Column("every_seconds", Integer),  # of a poll
    Column("lease", UUID),  # who runs it now; a result commits only under its own lease
    Column("leased_until", _Instant),
    Column("cursor", JSONB),
    Column("last_at", _Instant),  # start of the last successful poll, or the last planned time that fired
    Column("failures", Integer, nullable=False),  # in a row
    Column("error", Text),  # why the last poll failed; null when it did not
    Column("failing_since", _Instant),  # the first of these failures
    Index("poll_due_idx", "kind", "next_at", postgresql_where=sql("next_at IS NOT NULL")),
    postgresql_with={"fillfactor": "50"},
)

pace = Table(  # how fast a connection is asked; made when it is first polled
    "pace",
    metadata,
    Column("connection_id", UUID, _gone_with("connection.id"), primary_key=True),
    Column("running", JSONB, nullable=False),  # leases of polls under way: when each ends at the latest
    Column("queued_until", _Instant),  # when the last in the queue comes again
    Column("paused_until", _Instant),  # the provider allows none before
    postgresql_with={"fillfactor": "50"},
)

removal = Table(  # webhooks to take down at their provider; written before one is made, so that none is orphaned
    "removal",
    metadata,
    Column("project_trigger_id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False),
    Column("provider_id", Text, nullable=False),
    Column("trigger_id", Text, nullable=False),
    Column("config", JSONB, nullable=False),
    Column("secrets", BYTEA, nullable=False),  # sealed copy of the connection's: it may be deleted first
    Column("run_at", _Instant, nullable=False, index=True),
    Column("leased_until", _Instant),  # somebody is making or removing this webhook now
    Column("failures", Integer, nullable=False),
)

# -- events and their way to the target

event = Table(
    "event",
    metadata,
    Column("day", Date, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, nullable=False),
    Column("project_id", Text, nullable=False),
    Column("project_trigger_id", UUID, nullable=False),
    Column("key", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("subject", Text),
    Column("occurred_at", _Instant, nullable=False),
    Column("received_at", _Instant, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("body", BYTEA, nullable=False),
    Index("event_project_trigger_id_id_idx", "project_trigger_id", "id"),
    Index("event_org_id_id_idx", "org_id", "id"),
    postgresql_partition_by="RANGE (day)",
)

event_key = Table(
    "event_key",
    metadata,
    Column("project_trigger_id", UUID, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("event_id", UUID, nullable=False),
    Column("day", Date, nullable=False),  # it was last seen on, or the day before: how long it is remembered
    postgresql_partition_by="HASH (project_trigger_id)",
)

replay = Table(  # a delivery of an event beyond its first; the first has the event's own id
    "replay",
    metadata,
    Column("delivery_id", UUID, primary_key=True),
    Column("event_id", UUID, nullable=False),
    Column("event_day", Date, nullable=False),
    Column("org_id", UUID, nullable=False),
    Column("project_trigger_id", UUID, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("project_id", Text),  # where it goes, if not to the event's own project
    Column("replay_job_id", UUID),
    Index("replay_event_id_idx", "event_id"),
    Index("replay_org_id_delivery_id_idx", "org_id", "delivery_id"),
)
Index(  # a job repeats nothing twice
    "replay_job_event_idx",
    replay.c.replay_job_id,
    replay.c.event_id,
    unique=True,
    postgresql_where=replay.c.replay_job_id.is_not(None),
)

replay_job = Table(  # events that match a query, delivered again at a rate
    "replay_job",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False),
    Column("query", JSONB, nullable=False),
    Column("per_second", Integer, nullable=False),
    Column("to_project_id", Text),
    Column("requested_by", Text, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("position", UUID, nullable=False),  # the last delivery that was looked at
    Column("until", UUID, nullable=False),  # none after this one: its own replays would be among them
    Column("replayed", Integer, nullable=False),
    Column("next_at", _Instant),  # when it goes on; null when it has ended
    Column("ended_at", _Instant),
    Column("cancelled", Boolean, nullable=False),
    Column("total", Integer),  # events there were to replay when it was started; null where counting them took too long
    Index("replay_job_next_at_idx", "next_at"),
    Index("replay_job_org_id_id_idx", "org_id", "id"),
)

attempt = Table(
    "attempt",
    metadata,
    Column("day", Date, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, nullable=False),
    Column("delivery_id", UUID, nullable=False),
    Column("number", SmallInteger, nullable=False),
    Column("status", Text, nullable=False),  # delivered | failed | gone
    Column("failure", Text),  # domain.outcome.Failure, exactly: users are told less
    Column("response_status", SmallInteger),
    Column("detail", Text, nullable=False),
    Column("response", BYTEA, nullable=False),
    Column("conversation", JSONB),
    Column("started_at", _Instant, nullable=False),
    Column("finished_at", _Instant, nullable=False),
    Index("attempt_delivery_id_idx", "delivery_id"),
    postgresql_partition_by="RANGE (day)",
)

retry = Table(  # hours and days live here, not in the queue
    "retry",
    metadata,
    Column("delivery_id", UUID, primary_key=True),
    Column("message", JSONB, nullable=False),
    Column("run_at", _Instant, nullable=False, index=True),
)

lane = Table(  # how many deliveries of a project are under way, and how many and which may be
    "lane",
    metadata,
    Column("project_id", Text, _gone_with("project.id"), primary_key=True),
    Column("max_inflight", Integer, nullable=False),
    Column("inflight", Integer, nullable=False),
    Column("order_by", Text),  # trigger | subject: what of an event keeps deliveries in order
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("paused_triggers", ARRAY(UUID), nullable=False, server_default="{}"),
    postgresql_with={"fillfactor": "50"},
)

waiting = Table(  # deliveries of a full lane, behind others in their line, or suspended; oldest first
    "waiting",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("delivery_id", UUID, primary_key=True),
    Column("message", JSONB, nullable=False),
    Column("project_trigger_id", UUID),  # known where the lane asks for it: order, pause
    Column("order_key", Text),
    Column("behind", Boolean, nullable=False, server_default=false()),  # of the delivery that has its key's turn
    Column("suspended_by", Text),  # the id of what is paused: the project, or its trigger
)
Index(
    "waiting_ready_idx",
    waiting.c.project_id,
    waiting.c.delivery_id,
    postgresql_where=waiting.c.suspended_by.is_(None) & ~waiting.c.behind,
)
Index(
    "waiting_behind_idx",
    waiting.c.project_id,
    waiting.c.order_key,
    waiting.c.delivery_id,
    postgresql_where=waiting.c.behind,
)
Index(
    "waiting_suspended_idx",
    waiting.c.project_id,
    waiting.c.suspended_by,
    waiting.c.delivery_id,
    postgresql_where=waiting.c.suspended_by.is_not(None),
)

turn = Table(  # which delivery of a key may go; its successors wait until it has ended
    "turn",
    metadata,
    Column("project_id", Text, _gone_with("lane.project_id"), primary_key=True),
    Column("order_key", Text, primary_key=True),
    Column("delivery_id", UUID, nullable=False, unique=True),
    postgresql_with={"fillfactor": "50"},
)

dead = Table(
    "dead",
    metadata,
    Column("delivery_id", UUID, primary_key=True),
    Column("org_id", UUID, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", _Instant, nullable=False),
    Index("dead_org_id_delivery_id_idx", "org_id", "delivery_id"),
)

outcome = Table(  # how every request, poll and tick ended
    "outcome",
    metadata,
    Column("day", Date, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID),  # null where a delivery could not be told whose it is
    Column("project_trigger_id", UUID),
    Column("kind", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("events", Integer, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),  # requests alike that the row stands for
    Column("key", Text),  # of a repeat: the event it repeats
    Column("at", _Instant, nullable=False),
    Index("outcome_project_trigger_id_id_idx", "project_trigger_id", "id"),
    postgresql_partition_by="RANGE (day)",
)

stall = Table(  # enabled triggers that are overdue, so that each is told once, whoever finds it
    "stall",
    metadata,
    Column("project_trigger_id", UUID, _gone_with("project_trigger.id"), primary_key=True),
    Column("since", _Instant, nullable=False),  # the time by which it should have been seen to work
    Column("found_at", _Instant, nullable=False),
    Column("reason", Text, nullable=False),
)

idempotency = Table(
    "idempotency",
    metadata,
    Column("org_id", UUID, _gone_with("org.id"), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("request", BYTEA, nullable=False),  # digest of method, path and body
    Column("status", SmallInteger),  # null while the first request is under way
    Column("response", BYTEA),
    Column("created_at", _Instant, nullable=False),
)

upkeep = Table(  # what is done again and again, by whoever finds it due
    "upkeep",
    metadata,
    Column("task", Text, primary_key=True),
    Column("next_at", _Instant, nullable=False),
    Column("state", JSONB, nullable=False),
)
