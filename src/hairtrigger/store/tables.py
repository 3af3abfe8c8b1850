"""Define every table as the queries see it. Migrations make the tables; a test compares the result with this file.

The large tables `event`, `attempt` and `outcome` are partitioned by day, and old days are dropped as partitions. An id
in them is a uuid v7 made in Python, and `day` is the UTC date inside it, so an id is enough to find its partition.
"""

from sqlalchemy import (
    BigInteger,
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
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, REAL, UUID

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

org_usage = Table(  # what an organisation has used on a day (UTC); processes add what they have counted
    "org_usage",
    metadata,
    Column("org_id", UUID, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("events", BigInteger, nullable=False),
    Column("event_bytes", BigInteger, nullable=False),  # of events that are still stored
    Column("ledger_bytes", BigInteger, nullable=False),  # of attempts, outcomes and replays
    Column("attempts", BigInteger, nullable=False),
    postgresql_with={"fillfactor": "50"},
)

api_key = Table(
    "api_key",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),  # the part of the key that a list shows
    Column("hash", BYTEA, nullable=False, unique=True),
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("last_used_at", _Instant),
    Column("expires_at", _Instant),
)

# -- projects, and connections to providers

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
    Column("provider_id", Text, nullable=False, index=True),  # the id of a native provider or of an integration
    Column("name", Text, nullable=False),
    Column("secrets", BYTEA, nullable=False),  # sealed; with the tokens of a connection by OAuth
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("updated_at", _Instant, nullable=False),
    Column("way", Text),  # one of the provider's ways to connect; null for its `auth`
    Column("external_user_id", Text),  # of a user of the organisation's product
    Column("ended", Text),  # a sentence: why its access can't be renewed any more; only its user can help
    Column("expires_at", _Instant),  # the end of its access token; null if it has none, or none that is known
    Column("renew_at", _Instant),  # when the access token is renewed, if no call does it before
    Column("renewing_until", _Instant),  # until then one process renews the access token
    Column("unsure_since", _Instant),  # a renewal began then, and it is not known what the provider did
    Column("scopes", ARRAY(Text)),  # that the provider was asked for, besides those of all its connections
    Column("version", Integer, nullable=False, server_default="0"),  # rises with every change of its secrets
    Index(
        "connection_external_user_idx",
        "org_id",
        "external_user_id",
        postgresql_where=sql("external_user_id IS NOT NULL"),
    ),
    Index("connection_renewal_idx", "renew_at", postgresql_where=sql("renew_at IS NOT NULL")),
)

connection_health = Table(  # how the last calls with a connection ended
    "connection_health",
    metadata,
    Column("connection_id", UUID, _gone_with("connection.id"), primary_key=True),
    Column("status", Text, nullable=False),  # ok | expired | refused | needs_reconnect
    Column("since", _Instant, nullable=False),  # when the status began
    Column("succeeded_at", _Instant),  # within a minute
    Column("refused_at", _Instant),
    Column("detail", Text, nullable=False),  # why it was refused
    Column("renewing", Boolean, nullable=False),  # a new access token was refused, and not a call
    Index("connection_health_broken_idx", "connection_id", postgresql_where=sql("status <> 'ok'")),
    postgresql_with={"fillfactor": "50"},
)

oauth_client = Table(  # the client ids with which an organisation is known to providers, as its own app
    "oauth_client",
    metadata,
    Column("org_id", UUID, _gone_with("org.id"), primary_key=True),
    Column("provider_id", Text, primary_key=True),
    Column("client_id", Text, nullable=False),
    Column("secret", BYTEA, nullable=False),  # sealed
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("updated_at", _Instant, nullable=False),
)

connect_link = Table(  # links under which users of an organisation's product connect their accounts
    "connect_link",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("provider_id", Text, nullable=False),
    Column("way", Text),
    Column("name", Text, nullable=False),
    Column("external_user_id", Text),
    Column("connection_id", UUID),  # to be connected again, or made under the link
    Column("secrets", BYTEA, nullable=False),  # sealed: the fields that the organisation has set
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("expires_at", _Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("used_at", _Instant),
)

pending_authorization = Table(  # access that a user is asked to grant at a provider
    "pending_authorization",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("provider_id", Text, nullable=False),
    Column("way", Text),
    Column("name", Text, nullable=False),
    Column("external_user_id", Text),
    Column("connection_id", UUID),  # to be connected again, or what came of it
    Column("connect_link_id", UUID),
    Column("secrets", BYTEA, nullable=False),  # sealed: the PKCE verifier or the device code, and entered fields
    Column("scopes", ARRAY(Text), nullable=False),
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("expires_at", _Instant, nullable=False),
    Column("status", Text, nullable=False),  # pending | taken | done | failed
    Column("detail", Text, nullable=False),
    Column("every_seconds", Integer),  # between two questions about a device code; null for others
    Column("next_at", _Instant),
)

connection_account = Table(  # accounts that the provider named for a connection, when a trigger of its app was enabled
    "connection_account",
    metadata,
    Column("connection_id", UUID, _gone_with("connection.id"), primary_key=True),
    Column("account", Text, primary_key=True),
    Column("provider_id", Text, nullable=False),
    Index("connection_account_provider_id_account_idx", "provider_id", "account"),
)

# -- integrations that users define

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
    Column("slug", Text),  # stands in the types of its events; if null, it follows from the name, which never changed
    Column("retired_slugs", JSONB),  # of triggers and actions that were deleted; they are never given again
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
    Column("generation", Integer, nullable=False),  # rises with every change by a user: work from before is stale
    Column("webhook_data", JSONB),
    Column("secrets", BYTEA),  # sealed: the signing secrets of the requests to its webhook
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("updated_by", UUID),
    Column("updated_at", _Instant, nullable=False),
    Column("name", Text),
    Column("disconnected", Text),  # a sentence: why it has no connection any more
    Column("privacy", JSONB),  # domain.privacy.Privacy; null: all that its requests and answers hold is kept
    Column("external_user_id", Text),  # of the user of the organisation's product whose trigger this is
    Index(
        "project_trigger_external_user_idx",
        "org_id",
        "external_user_id",
        postgresql_where=sql("external_user_id IS NOT NULL"),
    ),
)

told_token = Table(  # secrets that senders told while they asked who we are: users enter them at the sender
    "told_token",
    metadata,
    Column("project_trigger_id", UUID, _gone_with("project_trigger.id"), primary_key=True),
    Column("digest", BYTEA, primary_key=True),
    Column("token", BYTEA, nullable=False),  # sealed
    Column("told_at", _Instant, nullable=False),
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
    Column("kind", Text, nullable=False),  # poll | schedule | listen
    Column("next_at", _Instant),  # when it is due next; null while disabled, and after a schedule's last firing
    Column("every_seconds", Integer),  # the interval of a poll; null for a schedule
    Column("lease", UUID),  # names the claim that runs it now, and its process; a result counts only under its lease
    Column("leased_until", _Instant),
    Column("cursor", JSONB),
    Column("last_at", _Instant),  # start of the last successful poll, or the last due time that fired
    Column("failures", Integer, nullable=False),  # failed polls since the last success
    Column("error", Text),  # why the last poll failed; null if it succeeded
    Column("failing_since", _Instant),  # when the first of these failures happened
    Column("connected_at", _Instant),  # since when a listener is connected, if its lease is in force
    Column("heard_at", _Instant),  # when it got something from its source last
    Column("sweep", Boolean, nullable=False, server_default=false()),  # it polls beside a push
    Column("start_from", _Instant),  # what is dated before starts nothing; null for a poll that begins with a baseline
    Index("poll_due_idx", "kind", "next_at", postgresql_where=sql("next_at IS NOT NULL")),
    Index("poll_failing_idx", "project_trigger_id", postgresql_where=sql("failures > 0")),
    postgresql_with={"fillfactor": "50"},
)

pace = Table(  # how fast a connection may be asked; its first poll makes the row
    "pace",
    metadata,
    Column("connection_id", UUID, _gone_with("connection.id"), primary_key=True),
    Column("running", JSONB, nullable=False),  # the leases of polls under way, each with its latest end
    Column("queued_until", _Instant),  # when the last poll in the queue is due again
    Column("paused_until", _Instant),  # the provider allows no poll before this time
    postgresql_with={"fillfactor": "50"},
)

removal = Table(  # webhooks to remove at their provider; planned before a webhook is made, so that none is left over
    "removal",
    metadata,
    Column("project_trigger_id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("provider_id", Text, nullable=False),
    Column("trigger_id", Text, nullable=False),
    Column("config", JSONB, nullable=False),
    Column("secrets", BYTEA, nullable=False),  # a sealed copy of the connection's: the connection may be deleted first
    Column("run_at", _Instant, nullable=False, index=True),
    Column("leased_until", _Instant),  # until then one process is making or removing this webhook
    Column("failures", Integer, nullable=False),
    Column("connection_id", UUID),  # whose secrets are used while it is there
    Column("way", Text),
    Column("remote", JSONB),  # the trigger's webhook_data, with which some providers name the webhook
)

subscription = Table(  # webhooks at providers that have to be renewed or looked at from time to time
    "subscription",
    metadata,
    Column("project_trigger_id", UUID, _gone_with("project_trigger.id"), primary_key=True),
    Column("registered_at", _Instant, nullable=False),  # when it was last made or renewed
    Column("expires_at", _Instant),  # when the provider ends it; null if it has no end
    Column("next_at", _Instant, nullable=False, index=True),  # when it is renewed or looked at next
    Column("leased_until", _Instant),  # until then one process renews it or looks at it
    Column("failures", Integer, nullable=False),  # since it was last renewed or looked at
    Column("error", Text),
    Column("failing_since", _Instant),
    Column("seen_at", _Instant, nullable=False),  # when the provider last had it as it should be
    Column("lost_at", _Instant),  # when it was found gone or switched off; null once it is made again
    Column("listed", Boolean, nullable=False),  # the provider's list has shown it since it was made
    postgresql_with={"fillfactor": "50"},
)
Index("subscription_lost_idx", subscription.c.project_trigger_id, postgresql_where=subscription.c.lost_at.is_not(None))

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
    Column("request", JSONB),  # method, query and headers of the request; null for other events
    Column("trace", Text),  # its place in a trace, if it has one: see domain/trace.py
    Column("dropped", Text),  # delivered | dead: the end after which its body and its request were dropped
    Column("came", Text),  # sweep: a poll beside the push brought it; null: it came as its trigger's events do
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
    Column("day", Date, nullable=False),  # the day the key was last seen, or one day earlier; retention counts from it
    postgresql_partition_by="HASH (project_trigger_id)",
)

replay = Table(  # the further deliveries of an event; its first delivery has the event's own id
    "replay",
    metadata,
    Column("delivery_id", UUID, primary_key=True),
    Column("event_id", UUID, nullable=False),
    Column("event_day", Date, nullable=False),
    Column("org_id", UUID, nullable=False),
    Column("project_trigger_id", UUID, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("project_id", Text),  # the project it goes to; null for the event's own project
    Column("replay_job_id", UUID),
    Index("replay_event_id_idx", "event_id"),
    Index("replay_org_id_delivery_id_idx", "org_id", "delivery_id"),
)
Index(  # a replay job replays an event at most once
    "replay_job_event_idx",
    replay.c.replay_job_id,
    replay.c.event_id,
    unique=True,
    postgresql_where=replay.c.replay_job_id.is_not(None),
)

replay_job = Table(  # replays of all events that match a query, at a given rate
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
    Column("until", UUID, nullable=False),  # the job ends here: later deliveries may be its own replays
    Column("replayed", Integer, nullable=False),
    Column("next_at", _Instant),  # when the job continues; null after it has ended
    Column("ended_at", _Instant),
    Column("cancelled", Boolean, nullable=False),
    Column("total", Integer),  # number of events to replay at the start; null if counting took too long
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
    Column("failure", Text),  # the exact domain.outcome.Failure; users see its `shown` value
    Column("response_status", SmallInteger),
    Column("detail", Text, nullable=False),
    Column("response", BYTEA, nullable=False),
    Column("conversation", JSONB),
    Column("started_at", _Instant, nullable=False),
    Column("finished_at", _Instant, nullable=False),
    Index("attempt_delivery_id_idx", "delivery_id"),
    postgresql_partition_by="RANGE (day)",
)

retry = Table(  # planned retries: waits of hours and days are kept here, not on the queue
    "retry",
    metadata,
    Column("delivery_id", UUID, primary_key=True),
    Column("message", JSONB, nullable=False),
    Column("run_at", _Instant, nullable=False, index=True),
)

lane = Table(  # how many deliveries of a project are under way, how many may be, and which
    "lane",
    metadata,
    Column("project_id", Text, _gone_with("project.id"), primary_key=True),
    Column("max_inflight", Integer, nullable=False),
    Column("inflight", Integer, nullable=False),
    Column("width", REAL),  # how many may be under way now, at most max_inflight; null for max_inflight
    Column("latency", REAL),  # seconds in which the target answers if it has little to do
    Column("narrowed_at", _Instant),  # the last time that errors of the target narrowed the lane
    Column("per_second", Integer),  # how many may be claimed in a second, hour and day of UTC; null for any number
    Column("per_hour", Integer),
    Column("per_day", Integer),
    Column("used_at", _Instant),  # the last claim counted in the next three columns, each for the unit that it lies in
    Column("used_second", Integer, nullable=False, server_default="0"),
    Column("used_hour", Integer, nullable=False, server_default="0"),
    Column("used_day", Integer, nullable=False, server_default="0"),
    Column("order_by", Text),  # trigger | subject: makes the order key; null for no order
    Column("paused", Boolean, nullable=False, server_default=false()),
    Column("paused_triggers", ARRAY(UUID), nullable=False, server_default="{}"),
    postgresql_with={"fillfactor": "50"},
)

waiting = Table(  # deliveries that wait for the turn of their order key, or for the end of a pause
    "waiting",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("delivery_id", UUID, primary_key=True),
    Column("message", JSONB, nullable=False),
    Column("project_trigger_id", UUID),  # set only if the lane has an order or a pause, which need it
    Column("order_key", Text),
    Column("behind", Boolean, nullable=False, server_default=false()),  # waits for the turn of its order key
    Column("suspended_by", Text),  # the id of the paused project or trigger
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

turn = Table(  # the delivery of an order key that may be attempted; later ones wait for its end
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

outcome = Table(  # how every request, poll, firing and change of a trigger ended
    "outcome",
    metadata,
    Column("day", Date, primary_key=True),
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID),  # null for a request whose organisation is not known
    Column("project_trigger_id", UUID),
    Column("kind", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("events", Integer, nullable=False),
    Column("count", Integer, nullable=False, server_default="1"),  # number of equal requests that the row stands for
    Column("key", Text),  # of a repeat: the key of the event it repeats
    Column("at", _Instant, nullable=False),
    Index("outcome_project_trigger_id_id_idx", "project_trigger_id", "id"),
    postgresql_partition_by="RANGE (day)",
)

streak = Table(  # requests that were refused, or deliveries that failed, one after the other
    "streak",
    metadata,
    Column("project_trigger_id", UUID, _gone_with("project_trigger.id"), primary_key=True),
    Column("side", Text, primary_key=True),  # requests | deliveries
    Column("count", Integer, nullable=False),
    Column("since", _Instant, nullable=False),
    Column("last_at", _Instant, nullable=False),
    Column("last_id", UUID, nullable=False),  # the lowest id of that time: an event with a higher id came later
    Column("detail", Text, nullable=False),
    postgresql_with={"fillfactor": "50"},
)

pause = Table(  # since when a project or trigger is paused, and by whom; `lane` holds whether it is
    "pause",
    metadata,
    Column("id", Text, primary_key=True),  # of the project or the trigger
    Column("since", _Instant, nullable=False),
    Column("paused_by", Text, nullable=False),
)

sender_document = Table(  # what senders publish: certificates, fetched once for all processes
    "sender_document",
    metadata,
    Column("url", Text, primary_key=True),
    Column("body", BYTEA, nullable=False),
    Column("fetched_at", _Instant, nullable=False),
)

stall = Table(  # enabled triggers that are overdue or can never fire; a row's insert reports the finding once
    "stall",
    metadata,
    Column("project_trigger_id", UUID, _gone_with("project_trigger.id"), primary_key=True),
    Column("since", _Instant, nullable=False),  # the due time that passed, or when the trigger was enabled
    Column("found_at", _Instant, nullable=False),
    Column("reason", Text, nullable=False),
)

target_streak = Table(  # attempts to deliver to a project that failed one after the other
    "target_streak",
    metadata,
    Column("project_id", Text, _gone_with("project.id"), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("since", _Instant, nullable=False),
    Column("detail", Text, nullable=False),
    postgresql_with={"fillfactor": "50"},
)

# -- what the service tells of itself

operational_event = Table(
    "operational_event",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("at", _Instant, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("project_id", Text),
    Column("project_trigger_id", UUID),
    Column("data", JSONB, nullable=False),  # domain.operational.Data
    Index("operational_event_org_id_id_idx", "org_id", "id"),
)

notice = Table(  # things that happened and will be told as operational events; equal ones are counted in one row
    "notice",
    metadata,
    Column("org_id", UUID, _gone_with("org.id"), primary_key=True),
    Column("type", Text, primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("count", Integer, nullable=False),  # zero after they were told
    Column("at", _Instant, nullable=False),  # of the last one
    Column("sentence", Text, nullable=False),
    Column("project_trigger_id", UUID),
    Column("ids", ARRAY(UUID), nullable=False),
    Column("details", JSONB, nullable=False),
    Column("told_at", _Instant),
    postgresql_with={"fillfactor": "50"},
)

told_state = Table(  # the states that were told last, of all that is or lately was not as it should be
    "told_state",
    metadata,
    Column("kind", Text, primary_key=True),  # trigger | target | quota | disk
    Column("org_id", UUID, _gone_with("org.id"), primary_key=True),
    Column("subject", Text, primary_key=True),
    Column("state", Text, nullable=False),
    Column("since", _Instant),
    Column("told_at", _Instant, nullable=False),
    Column("of_target", Boolean, nullable=False),  # it was about deliveries to the project's own target
    postgresql_with={"fillfactor": "50"},
)

alert_channel = Table(  # the ways in which people are told
    "alert_channel",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("org_id", UUID, _gone_with("org.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),  # domain.alert_channel.Kind
    Column("types", ARRAY(Text), nullable=False),  # of operational events; empty: all
    Column("project_ids", ARRAY(Text), nullable=False),  # empty: all
    Column("recipients", ARRAY(Text), nullable=False),  # of e-mail
    Column("secrets", BYTEA, nullable=False),  # sealed: the address of a chat webhook
    Column("created_by", UUID, nullable=False),
    Column("created_at", _Instant, nullable=False),
    Column("updated_at", _Instant, nullable=False),
    Column("sent", ARRAY(_Instant), nullable=False),  # the times of the last messages
    Column("next_at", _Instant, nullable=False),  # no message is sent before
    Column("leased_until", _Instant),  # until then one process sends
    Column("failures", Integer, nullable=False),  # since the last message that was taken
    Column("failing_since", _Instant),
    Column("detail", Text, nullable=False),  # how the last message ended
    postgresql_with={"fillfactor": "50"},
)

alert = Table(  # operational events that a channel has not told yet
    "alert",
    metadata,
    Column("alert_channel_id", UUID, _gone_with("alert_channel.id"), primary_key=True),
    Column("operational_event_id", UUID, _gone_with("operational_event.id"), primary_key=True, index=True),
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

process = Table(  # when the processes of the service ran: see store/upkeep/processes.py
    "process",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("started_at", _Instant, primary_key=True),
    Column("seen_at", _Instant, nullable=False),
    Column("ended", Boolean, nullable=False),
    Column("role", Text, nullable=False),
    Column("after", Text, nullable=False),  # start | database | standstill
    Column("kernel", Text),
    Column("lock_file", Text),
    postgresql_with={"fillfactor": "50"},
)

body_sweep = Table(  # how far the events of a trigger that keeps no bodies were looked at: see store/delivery/bodies.py
    "body_sweep",
    metadata,
    Column("project_trigger_id", UUID, _gone_with("project_trigger.id"), primary_key=True),
    Column("floor", UUID, nullable=False),
    Column("position", UUID, nullable=False),
)

erasure = Table(  # projects and organisations whose rows are being deleted, batch by batch
    "erasure",
    metadata,
    Column("id", Text, primary_key=True),  # of the project or the organisation
    Column("org_id", UUID, nullable=False),
    Column("project_id", Text),  # null: the whole organisation
    Column("requested_by", Text, nullable=False),
    Column("requested_at", _Instant, nullable=False),
    Column("step", Text, nullable=False),  # one of store.upkeep.erasures.STEPS
    Column("position", Text),  # how far the step has come
    Column("again", Boolean, nullable=False),  # it is the second pass, for what was under way during the first
    Column("run_at", _Instant, nullable=False, index=True),
    Column("trigger_ids", ARRAY(UUID), nullable=False),  # found so far: some rows name nothing else
    Column("project_ids", ARRAY(Text), nullable=False),
)

upkeep = Table(  # tasks that come round again; any process that finds one due runs it
    "upkeep",
    metadata,
    Column("task", Text, primary_key=True),
    Column("next_at", _Instant, nullable=False),
    Column("state", JSONB, nullable=False),
)
