-- Short locks only: every new column is nullable or has a constant default, which no row is rewritten for.
SET LOCAL lock_timeout = '5s';

ALTER TABLE lane
    ADD COLUMN order_by TEXT,
    ADD COLUMN paused BOOLEAN DEFAULT false NOT NULL,
    ADD COLUMN paused_triggers UUID[] DEFAULT '{}' NOT NULL;

ALTER TABLE waiting
    ADD COLUMN project_trigger_id UUID,
    ADD COLUMN order_key TEXT,
    ADD COLUMN behind BOOLEAN DEFAULT false NOT NULL,
    ADD COLUMN suspended_by TEXT;

CREATE TABLE turn (
    project_id TEXT NOT NULL,
    order_key TEXT NOT NULL,
    delivery_id UUID NOT NULL,
    CONSTRAINT turn_pkey PRIMARY KEY (project_id, order_key),
    CONSTRAINT turn_delivery_id_key UNIQUE (delivery_id),
    CONSTRAINT turn_project_id_fkey FOREIGN KEY(project_id) REFERENCES lane (project_id) ON DELETE CASCADE
) WITH (fillfactor = 50);

ALTER TABLE replay
    ADD COLUMN project_id TEXT,
    ADD COLUMN replay_job_id UUID;

CREATE TABLE replay_job (
    id UUID NOT NULL,
    org_id UUID NOT NULL,
    query JSONB NOT NULL,
    per_second INTEGER NOT NULL,
    to_project_id TEXT,
    requested_by TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    position UUID NOT NULL,
    until UUID NOT NULL,
    replayed INTEGER NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE,
    ended_at TIMESTAMP WITH TIME ZONE,
    cancelled BOOLEAN NOT NULL,
    CONSTRAINT replay_job_pkey PRIMARY KEY (id),
    CONSTRAINT replay_job_org_id_fkey FOREIGN KEY(org_id) REFERENCES org (id) ON DELETE CASCADE
);
CREATE INDEX replay_job_next_at_idx ON replay_job (next_at);
CREATE INDEX replay_job_org_id_id_idx ON replay_job (org_id, id);

-- Not concurrently: what waits is little, and of replays there is nothing yet that these indexes hold.
CREATE INDEX waiting_ready_idx ON waiting (project_id, delivery_id) WHERE suspended_by IS NULL AND NOT behind;
CREATE INDEX waiting_behind_idx ON waiting (project_id, order_key, delivery_id) WHERE behind;
CREATE INDEX waiting_suspended_idx ON waiting (project_id, suspended_by, delivery_id) WHERE suspended_by IS NOT NULL;
CREATE UNIQUE INDEX replay_job_event_idx ON replay (replay_job_id, event_id) WHERE replay_job_id IS NOT NULL;
