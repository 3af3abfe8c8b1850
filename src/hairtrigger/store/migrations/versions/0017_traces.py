"""Add a column for the place of an event in a trace.

`event_to_store` is the row type of a batch of events. Its predecessor `event_offer` stays for processes of the version
before, which run until they are replaced.
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("event", sa.Column("trace", sa.Text))
    op.execute(
        """
        CREATE TYPE event_to_store AS (
            write INT, version XID, id UUID, day DATE, org_id UUID, project_id TEXT, project_trigger_id UUID, key TEXT,
            type TEXT, subject TEXT, occurred_at TIMESTAMPTZ, received_at TIMESTAMPTZ, content_type TEXT, body BYTEA,
            request TEXT, trace TEXT
        )
        """
    )
