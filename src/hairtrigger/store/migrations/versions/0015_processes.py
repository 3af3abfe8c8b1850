"""Add a table for when processes ran, with the locks that prove which of them are dead."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0015"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "process",
        sa.Column("id", UUID, nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended", sa.Boolean, nullable=False),
        sa.Column("role", sa.Text, nullable=False),
        sa.Column("after", sa.Text, nullable=False),
        sa.Column("kernel", sa.Text),
        sa.Column("lock_file", sa.Text),
        sa.PrimaryKeyConstraint("id", "started_at", name="process_pkey"),
        postgresql_with={"fillfactor": "50"},
    )
