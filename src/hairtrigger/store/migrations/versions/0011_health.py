"""Add tables for what a trigger's health needs besides its polls: streaks of requests and deliveries, and pauses."""

from alembic import op

revision = "0011"
down_revision = "0013"


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE streak (
            project_trigger_id UUID NOT NULL REFERENCES project_trigger (id) ON DELETE CASCADE,
            side TEXT NOT NULL,
            count INTEGER NOT NULL,
            since TIMESTAMPTZ NOT NULL,
            last_at TIMESTAMPTZ NOT NULL,
            last_id UUID NOT NULL,
            detail TEXT NOT NULL,
            PRIMARY KEY (project_trigger_id, side)
        ) WITH (fillfactor = 50)
        """
    )
    op.execute("CREATE TABLE pause (id TEXT PRIMARY KEY, since TIMESTAMPTZ NOT NULL, paused_by TEXT NOT NULL)")
