"""Add a column for the method, query and headers of an event's request, and a table for documents of senders.

`event_offer` is the row type of a batch of events. Its predecessor `offered_event` stays for processes of the version
before, which run until they are replaced.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import BYTEA, JSONB

revision = "0012"
down_revision = "0008"


def upgrade() -> None:
    op.add_column("event", sa.Column("request", JSONB))
    op.execute(
        """
        CREATE TYPE event_offer AS (
            write INT, version XID, id UUID, day DATE, org_id UUID, project_id TEXT, project_trigger_id UUID, key TEXT,
            type TEXT, subject TEXT, occurred_at TIMESTAMPTZ, received_at TIMESTAMPTZ, content_type TEXT, body BYTEA,
            request TEXT
        )
        """
    )
    op.create_table(
        "sender_document",
        sa.Column("url", sa.Text, primary_key=True),
        sa.Column("body", BYTEA, nullable=False),
        sa.Column("fetched_at", sa.TIMESTAMP(timezone=True), nullable=False),
    )
