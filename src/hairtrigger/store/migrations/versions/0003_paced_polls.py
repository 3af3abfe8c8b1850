"""Add columns for why polls fail and a table for the pace of each connection, and index only polls with a due time.

The new columns have no default and the index is on one small table, so every lock is short.
"""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    "SET LOCAL lock_timeout = '5s'",
    "ALTER TABLE poll ADD COLUMN error TEXT, ADD COLUMN failing_since TIMESTAMP WITH TIME ZONE",
    # Each poll leaves a dead row behind, or two: vacuumed early, what is due is found at once.
    "ALTER TABLE poll SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)",
    "CREATE INDEX poll_due_idx ON poll (kind, next_at) WHERE next_at IS NOT NULL",
    "DROP INDEX poll_next_at_idx",
    """
    CREATE TABLE pace (
        connection_id UUID NOT NULL,
        running JSONB NOT NULL,
        queued_until TIMESTAMP WITH TIME ZONE,
        paused_until TIMESTAMP WITH TIME ZONE,
        CONSTRAINT pace_pkey PRIMARY KEY (connection_id),
        CONSTRAINT pace_connection_id_fkey FOREIGN KEY (connection_id) REFERENCES connection (id) ON DELETE CASCADE
    ) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0)
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
