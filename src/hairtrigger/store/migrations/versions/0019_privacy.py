"""Add tables and columns for deletions of projects and organisations, for dropped bodies, and for tokens that senders
tell.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import ARRAY, BYTEA, JSONB, UUID

revision = "0019"
down_revision = "0017"


def upgrade() -> None:
    op.create_table(
        "erasure",
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("org_id", UUID, nullable=False),
        sa.Column("project_id", sa.Text),
        sa.Column("requested_by", sa.Text, nullable=False),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("step", sa.Text, nullable=False),
        sa.Column("position", sa.Text),
        sa.Column("again", sa.Boolean, nullable=False),
        sa.Column("run_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("trigger_ids", ARRAY(UUID), nullable=False),
        sa.Column("project_ids", ARRAY(sa.Text), nullable=False),
        sa.PrimaryKeyConstraint("id", name="erasure_pkey"),
    )
    op.create_index("erasure_run_at_idx", "erasure", ["run_at"])
    op.create_table(
        "told_token",
        sa.Column("project_trigger_id", UUID, nullable=False),
        sa.Column("digest", BYTEA, nullable=False),
        sa.Column("token", BYTEA, nullable=False),
        sa.Column("told_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("project_trigger_id", "digest", name="told_token_pkey"),
        sa.ForeignKeyConstraint(
            ["project_trigger_id"],
            ["project_trigger.id"],
            name="told_token_project_trigger_id_fkey",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "body_sweep",
        sa.Column("project_trigger_id", UUID, nullable=False),
        sa.Column("floor", UUID, nullable=False),
        sa.Column("position", UUID, nullable=False),
        sa.PrimaryKeyConstraint("project_trigger_id", name="body_sweep_pkey"),
        sa.ForeignKeyConstraint(
            ["project_trigger_id"],
            ["project_trigger.id"],
            name="body_sweep_project_trigger_id_fkey",
            ondelete="CASCADE",
        ),
    )
    op.add_column("project_trigger", sa.Column("privacy", JSONB))
    op.add_column("event", sa.Column("dropped", sa.Text))
