"""Add columns for the names of project triggers, for why a trigger has lost its connection, and for slugs of
integrations.

The columns have no default, so the locks are short. An API key that was made with another API key is recorded as made
by the user that made the first of these keys, as later versions do.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0013"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("project_trigger", sa.Column("name", sa.Text))
    op.add_column("project_trigger", sa.Column("disconnected", sa.Text))
    op.add_column("integration", sa.Column("slug", sa.Text))
    op.add_column("integration", sa.Column("retired_slugs", JSONB))
    op.execute(
        """
        WITH RECURSIVE owned (id, owner) AS (
            SELECT api_key.id, api_key.created_by FROM api_key JOIN app_user ON app_user.id = api_key.created_by
            UNION ALL
            SELECT api_key.id, owned.owner FROM api_key JOIN owned ON owned.id = api_key.created_by
        )
        UPDATE api_key SET created_by = owned.owner FROM owned
        WHERE owned.id = api_key.id AND api_key.created_by <> owned.owner
        """
    )
