"""Add a table for what each organisation uses on each day.

Rows that were stored before are never counted. They go when their retention ends.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0009"
down_revision = "0015"


def upgrade() -> None:
    op.create_table(
        "org_usage",
        sa.Column("org_id", UUID, primary_key=True),
        sa.Column("day", sa.Date, primary_key=True),
        sa.Column("events", sa.BigInteger, nullable=False),
        sa.Column("event_bytes", sa.BigInteger, nullable=False),
        sa.Column("ledger_bytes", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.BigInteger, nullable=False),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_index("removal_org_id_idx", "removal", ["org_id"])
