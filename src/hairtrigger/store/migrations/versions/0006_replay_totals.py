"""Add a column for how many events a replay job has to replay. It has no default, so the lock is short."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("replay_job", sa.Column("total", sa.Integer))
