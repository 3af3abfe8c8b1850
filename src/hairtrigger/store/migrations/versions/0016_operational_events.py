"""Add tables for operational events, for the states that were told last, for alert channels and their alerts, and for
the accounts of connections.

The index on `poll` finds failing polls. It holds only these, so a poll that goes well costs nothing more.
"""

from alembic import op

revision = "0016"
down_revision = "0019"

_TABLES = """
    CREATE TABLE operational_event (
        id UUID PRIMARY KEY,
        org_id UUID NOT NULL REFERENCES org (id) ON DELETE CASCADE,
        type TEXT NOT NULL,
        at TIMESTAMPTZ NOT NULL,
        sentence TEXT NOT NULL,
        project_id TEXT,
        project_trigger_id UUID,
        data JSONB NOT NULL
    );
    CREATE INDEX operational_event_org_id_id_idx ON operational_event (org_id, id);

    CREATE TABLE notice (
        org_id UUID NOT NULL REFERENCES org (id) ON DELETE CASCADE,
        type TEXT NOT NULL,
        subject TEXT NOT NULL,
        count INTEGER NOT NULL,
        at TIMESTAMPTZ NOT NULL,
        sentence TEXT NOT NULL,
        project_trigger_id UUID,
        ids UUID[] NOT NULL,
        details JSONB NOT NULL,
        told_at TIMESTAMPTZ,
        PRIMARY KEY (org_id, type, subject)
    ) WITH (fillfactor = 50);

    CREATE TABLE told_state (
        kind TEXT NOT NULL,
        org_id UUID NOT NULL REFERENCES org (id) ON DELETE CASCADE,
        subject TEXT NOT NULL,
        state TEXT NOT NULL,
        since TIMESTAMPTZ,
        told_at TIMESTAMPTZ NOT NULL,
        of_target BOOLEAN NOT NULL,
        PRIMARY KEY (kind, org_id, subject)
    ) WITH (fillfactor = 50);

    CREATE TABLE target_streak (
        project_id TEXT PRIMARY KEY REFERENCES project (id) ON DELETE CASCADE,
        count INTEGER NOT NULL,
        since TIMESTAMPTZ NOT NULL,
        detail TEXT NOT NULL
    ) WITH (fillfactor = 50);

    CREATE TABLE alert_channel (
        id UUID PRIMARY KEY,
        org_id UUID NOT NULL REFERENCES org (id) ON DELETE CASCADE,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        types TEXT[] NOT NULL,
        project_ids TEXT[] NOT NULL,
        recipients TEXT[] NOT NULL,
        secrets BYTEA NOT NULL,
        created_by UUID NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        updated_at TIMESTAMPTZ NOT NULL,
        sent TIMESTAMPTZ[] NOT NULL,
        next_at TIMESTAMPTZ NOT NULL,
        leased_until TIMESTAMPTZ,
        failures INTEGER NOT NULL,
        failing_since TIMESTAMPTZ,
        detail TEXT NOT NULL
    ) WITH (fillfactor = 50);
    CREATE INDEX alert_channel_org_id_idx ON alert_channel (org_id);

    CREATE TABLE alert (
        alert_channel_id UUID NOT NULL REFERENCES alert_channel (id) ON DELETE CASCADE,
        operational_event_id UUID NOT NULL REFERENCES operational_event (id) ON DELETE CASCADE,
        PRIMARY KEY (alert_channel_id, operational_event_id)
    );
    CREATE INDEX alert_operational_event_id_idx ON alert (operational_event_id);

    CREATE TABLE connection_account (
        connection_id UUID NOT NULL REFERENCES connection (id) ON DELETE CASCADE,
        account TEXT NOT NULL,
        provider_id TEXT NOT NULL,
        PRIMARY KEY (connection_id, account)
    );
    CREATE INDEX connection_account_provider_id_account_idx ON connection_account (provider_id, account);

    CREATE INDEX poll_failing_idx ON poll (project_trigger_id) WHERE failures > 0;
"""


def upgrade() -> None:
    for statement in _TABLES.split(";"):
        if statement.strip():
            op.execute(statement)
