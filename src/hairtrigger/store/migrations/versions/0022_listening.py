"""Keep since when a listening trigger is connected, and when it heard something last."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0020"


def upgrade() -> None:
    op.add_column("poll", sa.Column("connected_at", sa.DateTime(timezone=True)))
    op.add_column("poll", sa.Column("heard_at", sa.DateTime(timezone=True)))
