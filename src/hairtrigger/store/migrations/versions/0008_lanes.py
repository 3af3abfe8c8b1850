"""Add the width and the rate limits of lanes, and indexes of the queue by lane and by lease.

The queue is short when this runs, because the versions before keep the deliveries of full lanes in `waiting`.
"""

from alembic import op

revision = "0008"
down_revision = "0011"


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        ALTER TABLE lane
            ADD COLUMN width REAL,
            ADD COLUMN latency REAL,
            ADD COLUMN narrowed_at TIMESTAMPTZ,
            ADD COLUMN per_second INTEGER,
            ADD COLUMN per_hour INTEGER,
            ADD COLUMN per_day INTEGER,
            ADD COLUMN used_at TIMESTAMPTZ,
            ADD COLUMN used_second INTEGER DEFAULT 0 NOT NULL,
            ADD COLUMN used_hour INTEGER DEFAULT 0 NOT NULL,
            ADD COLUMN used_day INTEGER DEFAULT 0 NOT NULL
        """
    )
    op.execute(
        """
        CREATE INDEX q_dispatch_unread_idx ON pgmq.q_dispatch ((message->>'project'), msg_id)
        WHERE read_ct = 0
        """
    )
    op.execute("CREATE INDEX q_dispatch_leased_idx ON pgmq.q_dispatch (vt) WHERE read_ct > 0")
    op.execute("DROP INDEX IF EXISTS pgmq.q_dispatch_vt_idx")
