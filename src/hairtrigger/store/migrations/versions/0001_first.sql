-- The first schema. Partitions by day are made by store/partitions.py, ahead of need.

CREATE TABLE attempt (
    day DATE NOT NULL,
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    delivery_id UUID NOT NULL,
    number SMALLINT NOT NULL,
    status TEXT NOT NULL,
    response_status SMALLINT,
    detail TEXT NOT NULL,
    response BYTEA NOT NULL,
    conversation JSONB,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    finished_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT attempt_pkey PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE INDEX attempt_delivery_id_idx ON attempt (delivery_id);

CREATE TABLE dead (
    delivery_id UUID NOT NULL,
    org_id UUID NOT NULL,
    reason TEXT NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT dead_pkey PRIMARY KEY (delivery_id)
);
CREATE INDEX dead_org_id_delivery_id_idx ON dead (org_id, delivery_id);

CREATE TABLE event (
    day DATE NOT NULL,
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    project_id TEXT NOT NULL,
    project_trigger_id UUID NOT NULL,
    key TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT,
    occurred_at TIMESTAMP WITH TIME ZONE NOT NULL,
    received_at TIMESTAMP WITH TIME ZONE NOT NULL,
    content_type TEXT NOT NULL,
    body BYTEA NOT NULL,
    CONSTRAINT event_pkey PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE INDEX event_org_id_id_idx ON event (org_id, id);
CREATE INDEX event_project_trigger_id_id_idx ON event (project_trigger_id, id);

CREATE TABLE event_key (
    project_trigger_id UUID NOT NULL,
    key TEXT NOT NULL,
    event_id UUID NOT NULL,
    day DATE NOT NULL,
    CONSTRAINT event_key_pkey PRIMARY KEY (project_trigger_id, key)
) PARTITION BY HASH (project_trigger_id);

CREATE TABLE org (
    id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT org_pkey PRIMARY KEY (id)
);

CREATE TABLE outcome (
    day DATE NOT NULL,
    id UUID NOT NULL,
    org_id UUID,
    project_trigger_id UUID,
    kind TEXT NOT NULL,
    code TEXT NOT NULL,
    detail TEXT NOT NULL,
    events INTEGER NOT NULL,
    at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT outcome_pkey PRIMARY KEY (day, id)
) PARTITION BY RANGE (day);
CREATE INDEX outcome_project_trigger_id_id_idx ON outcome (project_trigger_id, id);

CREATE TABLE replay (
    delivery_id UUID NOT NULL,
    event_id UUID NOT NULL,
    event_day DATE NOT NULL,
    org_id UUID NOT NULL,
    project_trigger_id UUID NOT NULL,
    requested_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT replay_pkey PRIMARY KEY (delivery_id)
);
CREATE INDEX replay_event_id_idx ON replay (event_id);
CREATE INDEX replay_org_id_delivery_id_idx ON replay (org_id, delivery_id);

CREATE TABLE retry (
    delivery_id UUID NOT NULL,
    message JSONB NOT NULL,
    run_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT retry_pkey PRIMARY KEY (delivery_id)
);
CREATE INDEX retry_run_at_idx ON retry (run_at);

CREATE TABLE waiting (
    project_id TEXT NOT NULL,
    delivery_id UUID NOT NULL,
    message JSONB NOT NULL,
    CONSTRAINT waiting_pkey PRIMARY KEY (project_id, delivery_id)
);

CREATE TABLE api_key (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash BYTEA NOT NULL,
    scopes TEXT[] NOT NULL,
    created_by UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    last_used_at TIMESTAMP WITH TIME ZONE,
    expires_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT api_key_pkey PRIMARY KEY (id),
    CONSTRAINT api_key_org_id_fkey FOREIGN KEY(org_id) REFERENCES org (id) ON DELETE CASCADE,
    CONSTRAINT api_key_hash_key UNIQUE (hash)
);
CREATE INDEX api_key_org_id_idx ON api_key (org_id);

CREATE TABLE app_user (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    email TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    operator BOOLEAN NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT app_user_pkey PRIMARY KEY (id),
    CONSTRAINT app_user_org_id_fkey FOREIGN KEY(org_id) REFERENCES org (id) ON DELETE CASCADE,
    CONSTRAINT app_user_email_key UNIQUE (email)
);

CREATE TABLE connection (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    provider_id TEXT NOT NULL,
    name TEXT NOT NULL,
    secrets BYTEA NOT NULL,
    created_by UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT connection_pkey PRIMARY KEY (id),
    CONSTRAINT connection_org_id_fkey FOREIGN KEY(org_id) REFERENCES org (id) ON DELETE CASCADE
);
CREATE INDEX connection_org_id_idx ON connection (org_id);
CREATE INDEX connection_provider_id_idx ON connection (provider_id);

CREATE TABLE idempotency (
    org_id UUID NOT NULL,
    key TEXT NOT NULL,
    request BYTEA NOT NULL,
    status SMALLINT,
    response BYTEA,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT idempotency_pkey PRIMARY KEY (org_id, key),
    CONSTRAINT idempotency_org_id_fkey FOREIGN KEY(org_id) REFERENCES org (id) ON DELETE CASCADE
);

CREATE TABLE integration (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    color TEXT,
    icon_url TEXT,
    auth_type TEXT NOT NULL,
    auth_fields JSONB NOT NULL,
    auth_test_code TEXT,
    oauth_client JSONB,
    oauth_secret BYTEA,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT integration_pkey PRIMARY KEY (id),
    CONSTRAINT integration_org_id_fkey FOREIGN KEY(org_id) REFERENCES org (id) ON DELETE CASCADE
);
CREATE INDEX integration_org_id_idx ON integration (org_id);

CREATE TABLE project (
    id TEXT NOT NULL,
    org_id UUID NOT NULL,
    name TEXT NOT NULL,
    target JSONB NOT NULL,
    secrets BYTEA NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT project_pkey PRIMARY KEY (id),
    CONSTRAINT project_org_id_fkey FOREIGN KEY(org_id) REFERENCES org (id) ON DELETE CASCADE
);
CREATE INDEX project_org_id_idx ON project (org_id);

CREATE TABLE removal (
    project_trigger_id UUID NOT NULL,
    org_id UUID NOT NULL,
    provider_id TEXT NOT NULL,
    trigger_id TEXT NOT NULL,
    config JSONB NOT NULL,
    secrets BYTEA NOT NULL,
    run_at TIMESTAMP WITH TIME ZONE NOT NULL,
    leased_until TIMESTAMP WITH TIME ZONE,
    failures INTEGER NOT NULL,
    CONSTRAINT removal_pkey PRIMARY KEY (project_trigger_id),
    CONSTRAINT removal_org_id_fkey FOREIGN KEY(org_id) REFERENCES org (id) ON DELETE CASCADE
);
CREATE INDEX removal_run_at_idx ON removal (run_at);

CREATE TABLE integration_action (
    id UUID NOT NULL,
    integration_id UUID NOT NULL,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    description TEXT NOT NULL,
    code TEXT,
    position INTEGER NOT NULL,
    input_fields JSONB NOT NULL,
    requires_confirmation BOOLEAN NOT NULL,
    CONSTRAINT integration_action_pkey PRIMARY KEY (id),
    CONSTRAINT integration_action_integration_id_name_key UNIQUE (integration_id, name),
    CONSTRAINT integration_action_integration_id_slug_key UNIQUE (integration_id, slug),
    CONSTRAINT integration_action_integration_id_fkey FOREIGN KEY(integration_id) REFERENCES integration (id) ON DELETE CASCADE
);

CREATE TABLE integration_icon (
    integration_id UUID NOT NULL,
    content_type TEXT NOT NULL,
    image BYTEA NOT NULL,
    CONSTRAINT integration_icon_pkey PRIMARY KEY (integration_id),
    CONSTRAINT integration_icon_integration_id_fkey FOREIGN KEY(integration_id) REFERENCES integration (id) ON DELETE CASCADE
);

CREATE TABLE integration_trigger (
    id UUID NOT NULL,
    integration_id UUID NOT NULL,
    name TEXT NOT NULL,
    slug TEXT NOT NULL,
    description TEXT NOT NULL,
    polling_code TEXT,
    input_fields JSONB NOT NULL,
    CONSTRAINT integration_trigger_pkey PRIMARY KEY (id),
    CONSTRAINT integration_trigger_integration_id_name_key UNIQUE (integration_id, name),
    CONSTRAINT integration_trigger_integration_id_slug_key UNIQUE (integration_id, slug),
    CONSTRAINT integration_trigger_integration_id_fkey FOREIGN KEY(integration_id) REFERENCES integration (id) ON DELETE CASCADE
);

CREATE TABLE lane (
    project_id TEXT NOT NULL,
    max_inflight INTEGER NOT NULL,
    inflight INTEGER NOT NULL,
    CONSTRAINT lane_pkey PRIMARY KEY (project_id),
    CONSTRAINT lane_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE
) WITH (fillfactor = 50);

CREATE TABLE project_trigger (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    project_id TEXT NOT NULL,
    connection_id UUID,
    provider_id TEXT NOT NULL,
    trigger_id TEXT NOT NULL,
    config JSONB NOT NULL,
    enabled BOOLEAN NOT NULL,
    enabled_at TIMESTAMP WITH TIME ZONE,
    generation INTEGER NOT NULL,
    webhook_data JSONB,
    secrets BYTEA,
    created_by UUID NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    updated_by UUID,
    updated_at TIMESTAMP WITH TIME ZONE NOT NULL,
    CONSTRAINT project_trigger_pkey PRIMARY KEY (id),
    CONSTRAINT project_trigger_org_id_fkey FOREIGN KEY(org_id) REFERENCES org (id) ON DELETE CASCADE,
    CONSTRAINT project_trigger_project_id_fkey FOREIGN KEY(project_id) REFERENCES project (id) ON DELETE CASCADE,
    CONSTRAINT project_trigger_connection_id_fkey FOREIGN KEY(connection_id) REFERENCES connection (id) ON DELETE SET NULL
);
CREATE INDEX project_trigger_connection_id_idx ON project_trigger (connection_id);
CREATE INDEX project_trigger_org_id_idx ON project_trigger (org_id);
CREATE INDEX project_trigger_project_id_idx ON project_trigger (project_id);

CREATE TABLE app_route (
    provider_id TEXT NOT NULL,
    account TEXT NOT NULL,
    project_trigger_id UUID NOT NULL,
    CONSTRAINT app_route_pkey PRIMARY KEY (provider_id, account, project_trigger_id),
    CONSTRAINT app_route_project_trigger_id_fkey FOREIGN KEY(project_trigger_id) REFERENCES project_trigger (id) ON DELETE CASCADE
);
CREATE INDEX app_route_project_trigger_id_idx ON app_route (project_trigger_id);

CREATE TABLE poll (
    project_trigger_id UUID NOT NULL,
    kind TEXT NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE,
    every_seconds INTEGER,
    lease UUID,
    leased_until TIMESTAMP WITH TIME ZONE,
    cursor JSONB,
    last_at TIMESTAMP WITH TIME ZONE,
    failures INTEGER NOT NULL,
    CONSTRAINT poll_pkey PRIMARY KEY (project_trigger_id),
    CONSTRAINT poll_project_trigger_id_fkey FOREIGN KEY(project_trigger_id) REFERENCES project_trigger (id) ON DELETE CASCADE
) WITH (fillfactor = 50);
CREATE INDEX poll_next_at_idx ON poll (kind, next_at);

-- Keys are spread over eight tables, so that one busy trigger does not make every look-up slow.
CREATE TABLE event_key_0 PARTITION OF event_key FOR VALUES WITH (MODULUS 8, REMAINDER 0);
CREATE TABLE event_key_1 PARTITION OF event_key FOR VALUES WITH (MODULUS 8, REMAINDER 1);
CREATE TABLE event_key_2 PARTITION OF event_key FOR VALUES WITH (MODULUS 8, REMAINDER 2);
CREATE TABLE event_key_3 PARTITION OF event_key FOR VALUES WITH (MODULUS 8, REMAINDER 3);
CREATE TABLE event_key_4 PARTITION OF event_key FOR VALUES WITH (MODULUS 8, REMAINDER 4);
CREATE TABLE event_key_5 PARTITION OF event_key FOR VALUES WITH (MODULUS 8, REMAINDER 5);
CREATE TABLE event_key_6 PARTITION OF event_key FOR VALUES WITH (MODULUS 8, REMAINDER 6);
CREATE TABLE event_key_7 PARTITION OF event_key FOR VALUES WITH (MODULUS 8, REMAINDER 7);

-- The queue is small and churns: vacuum it early and do not archive.
SELECT pgmq.create('dispatch');
ALTER TABLE pgmq.q_dispatch SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
