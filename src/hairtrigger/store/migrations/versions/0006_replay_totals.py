"""Replays of many say how many events there were to replay. A column without a default is a short lock."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("replay_job", sa.Column("total", sa.Integer))
