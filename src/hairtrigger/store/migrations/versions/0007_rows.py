"""Add the row types of batches, so that a batch is one array of rows and not one array for each column."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute(
        """
        CREATE TYPE offered_event AS (
            write INT, version XID, id UUID, day DATE, org_id UUID, project_id TEXT, project_trigger_id UUID, key TEXT,
            type TEXT, subject TEXT, occurred_at TIMESTAMPTZ, received_at TIMESTAMPTZ, content_type TEXT, body BYTEA
        )
        """
    )
    op.execute(
        """
        CREATE TYPE ended_attempt AS (
            msg_id BIGINT, day DATE, id UUID, org_id UUID, delivery_id UUID, number SMALLINT, status TEXT, failure TEXT,
            response_status SMALLINT, detail TEXT, response BYTEA, conversation TEXT, started_at TIMESTAMPTZ,
            finished_at TIMESTAMPTZ, retry_at TIMESTAMPTZ, retry TEXT, dead TEXT
        )
        """
    )
