"""Keep access tokens that the service renews, the health of connections, and users of products that connect them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import UUID

revision = "0020"
down_revision = "0016"

_TABLES = """
    CREATE TABLE connection_health (
        connection_id UUID PRIMARY KEY REFERENCES connection (id) ON DELETE CASCADE,
        status TEXT NOT NULL,
        since TIMESTAMPTZ NOT NULL,
        succeeded_at TIMESTAMPTZ,
        refused_at TIMESTAMPTZ,
        detail TEXT NOT NULL,
        renewing BOOLEAN NOT NULL
    ) WITH (fillfactor = 50);
    CREATE INDEX connection_health_broken_idx ON connection_health (connection_id) WHERE status <> 'ok';

    CREATE TABLE oauth_client (
        org_id UUID NOT NULL REFERENCES org (id) ON DELETE CASCADE,
        provider_id TEXT NOT NULL,
        client_id TEXT NOT NULL,
        secret BYTEA NOT NULL,
        created_by UUID NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        updated_at TIMESTAMPTZ NOT NULL,
        PRIMARY KEY (org_id, provider_id)
    );

    CREATE TABLE connect_link (
        id UUID PRIMARY KEY,
        org_id UUID NOT NULL REFERENCES org (id) ON DELETE CASCADE,
        provider_id TEXT NOT NULL,
        way TEXT,
        name TEXT NOT NULL,
        external_user_id TEXT,
        connection_id UUID,
        secrets BYTEA NOT NULL,
        scopes TEXT[] NOT NULL,
        created_by UUID NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL,
        attempts INTEGER NOT NULL,
        used_at TIMESTAMPTZ
    );
    CREATE INDEX connect_link_org_id_idx ON connect_link (org_id);

    CREATE TABLE pending_authorization (
        id UUID PRIMARY KEY,
        org_id UUID NOT NULL REFERENCES org (id) ON DELETE CASCADE,
        provider_id TEXT NOT NULL,
        way TEXT,
        name TEXT NOT NULL,
        external_user_id TEXT,
        connection_id UUID,
        connect_link_id UUID,
        secrets BYTEA NOT NULL,
        scopes TEXT[] NOT NULL,
        created_by UUID NOT NULL,
        created_at TIMESTAMPTZ NOT NULL,
        expires_at TIMESTAMPTZ NOT NULL,
        status TEXT NOT NULL,
        detail TEXT NOT NULL,
        every_seconds INTEGER,
        next_at TIMESTAMPTZ
    );
    CREATE INDEX pending_authorization_org_id_idx ON pending_authorization (org_id);
"""


def upgrade() -> None:
    for name in ("way", "external_user_id", "ended"):
        op.add_column("connection", sa.Column(name, sa.Text))
    for name in ("expires_at", "renew_at", "renewing_until", "unsure_since"):
        op.add_column("connection", sa.Column(name, sa.DateTime(timezone=True)))
    op.add_column("connection", sa.Column("scopes", sa.ARRAY(sa.Text)))
    op.add_column("connection", sa.Column("version", sa.Integer, nullable=False, server_default="0"))
    op.add_column("project_trigger", sa.Column("external_user_id", sa.Text))
    op.add_column("removal", sa.Column("connection_id", UUID))
    op.add_column("removal", sa.Column("way", sa.Text))
    for statement in _TABLES.split(";"):
        if statement.strip():
            op.execute(statement)
    op.execute(
        "INSERT INTO connection_health (connection_id, status, since, detail, renewing) "
        "SELECT id, 'ok', created_at, '', false FROM connection"
    )
    op.create_index(
        "connection_external_user_idx",
        "connection",
        ["org_id", "external_user_id"],
        postgresql_where=sa.text("external_user_id IS NOT NULL"),
    )
    op.create_index(
        "connection_renewal_idx", "connection", ["renew_at"], postgresql_where=sa.text("renew_at IS NOT NULL")
    )
    op.create_index(
        "project_trigger_external_user_idx",
        "project_trigger",
        ["org_id", "external_user_id"],
        postgresql_where=sa.text("external_user_id IS NOT NULL"),
    )
