CREATE TABLE upkeep (
    task TEXT NOT NULL,
    next_at TIMESTAMP WITH TIME ZONE NOT NULL,
    state JSONB NOT NULL,
    CONSTRAINT upkeep_pkey PRIMARY KEY (task)
);

-- Rows that come and go, or change all the time. Setting this locks out neither reads nor writes.
ALTER TABLE poll SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE lane SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE waiting SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE retry SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Large, and deleted from once a day.
DO $$
BEGIN
    FOR number IN 0..7 LOOP
        EXECUTE format('ALTER TABLE event_key_%s SET (autovacuum_vacuum_scale_factor = 0.02)', number);
    END LOOP;
END
$$;
