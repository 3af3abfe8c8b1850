"""Add what explanations need: a count of equal refusals in one row, the event that a repeat repeats, the failure of an
attempt, and the table of stalls.

The new columns are null or have a constant default, so no table is rewritten and no lock is held for long.
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
