"""Keep webhooks at providers alive, and let a poll beside a push find what the push did not bring."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0021"
down_revision = "0022"

_SUBSCRIPTION = """
    CREATE TABLE subscription (
        project_trigger_id UUID PRIMARY KEY REFERENCES project_trigger (id) ON DELETE CASCADE,
        registered_at TIMESTAMPTZ NOT NULL,
        expires_at TIMESTAMPTZ,
        next_at TIMESTAMPTZ NOT NULL,
        leased_until TIMESTAMPTZ,
        failures INTEGER NOT NULL,
        error TEXT,
        failing_since TIMESTAMPTZ,
        seen_at TIMESTAMPTZ NOT NULL,
        lost_at TIMESTAMPTZ,
        listed BOOLEAN NOT NULL
    ) WITH (fillfactor = 50)
"""


def upgrade() -> None:
    op.execute(_SUBSCRIPTION)
    op.execute("CREATE INDEX subscription_next_at_idx ON subscription (next_at)")
    op.execute("CREATE INDEX subscription_lost_idx ON subscription (project_trigger_id) WHERE lost_at IS NOT NULL")
    op.add_column("poll", sa.Column("sweep", sa.Boolean, server_default=sa.false(), nullable=False))
    op.add_column("poll", sa.Column("start_from", sa.DateTime(timezone=True)))
    op.add_column("event", sa.Column("came", sa.Text))
    op.add_column("removal", sa.Column("remote", JSONB))
