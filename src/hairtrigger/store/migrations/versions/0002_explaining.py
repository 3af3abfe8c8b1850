"""What explaining needs: refusals counted in one row, the event a repeat repeats, why an attempt failed, stalls.

Columns without a value of their own and a new table: nothing is rewritten, and no lock is held for long.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("outcome", sa.Column("count", sa.Integer, nullable=False, server_default="1"))
    op.add_column("outcome", sa.Column("key", sa.Text))
    op.add_column("attempt", sa.Column("failure", sa.Text))
    op.create_table(
        "stall",
        sa.Column("project_trigger_id", UUID, primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("found_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["project_trigger_id"],
            ["project_trigger.id"],
            name="stall_project_trigger_id_fkey",
            ondelete="CASCADE",
        ),
    )
