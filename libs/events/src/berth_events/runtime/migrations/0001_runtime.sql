-- What every service has: its event store, its outbox, where its consumers are, what is parked, its work.

CREATE TABLE event (
    position       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream_id      uuid NOT NULL,
    version        int NOT NULL CHECK (version > 0),
    event_id       uuid NOT NULL UNIQUE,
    type           text NOT NULL,
    schema_version int NOT NULL,
    data           jsonb NOT NULL,
    metadata       jsonb NOT NULL,
    recorded_at    timestamptz NOT NULL,
    UNIQUE (stream_id, version)
);

-- A queue, never read with a cursor: the relay publishes what is visible, in order, and deletes what was acknowledged.
CREATE TABLE outbox (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic    text NOT NULL,
    key      bytea NOT NULL,
    headers  jsonb NOT NULL,
    value    bytea NOT NULL,
    added_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The offset is written in the transaction of the projection: a consumer that was left behind cannot write.
CREATE TABLE consumer_offset (
    consumer    text NOT NULL,
    topic       text NOT NULL,
    partition   int NOT NULL,
    next_offset bigint NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
);

-- The last event of each stream that a consumer has applied: duplicates are dropped, a gap stops the consumer.
CREATE TABLE consumer_sequence (
    consumer  text NOT NULL,
    topic     text NOT NULL,
    stream_id uuid NOT NULL,
    sequence  int NOT NULL,
    PRIMARY KEY (consumer, topic, stream_id)
);

CREATE TABLE parked_key (
    consumer  text NOT NULL,
    topic     text NOT NULL,
    key       bytea NOT NULL,
    error     text NOT NULL,
    parked_at timestamptz NOT NULL,
    PRIMARY KEY (consumer, topic, key)
);

CREATE TABLE parked_event (
    consumer  text NOT NULL,
    topic     text NOT NULL,
    partition int NOT NULL,
    "offset"  bigint NOT NULL,
    key       bytea NOT NULL,
    headers   bytea NOT NULL,  -- JSON, one character a byte: whatever was sent can be replayed
    value     bytea NOT NULL,
    PRIMARY KEY (consumer, topic, partition, "offset"),
    FOREIGN KEY (consumer, topic, key) REFERENCES parked_key
);
CREATE INDEX parked_event_key ON parked_event (consumer, topic, key);

-- Rebuildable projections: each version has tables in a schema of its own; the views of the active one are in public.
CREATE TABLE projection (
    name    text NOT NULL,
    version int NOT NULL CHECK (version > 0),
    state   text NOT NULL CHECK (state IN ('building', 'active')),
    PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX projection_active ON projection (name) WHERE state = 'active';

CREATE TABLE work (
    id          uuid PRIMARY KEY,
    key         uuid NOT NULL,
    kind        text NOT NULL,
    destination text NOT NULL,
    payload     jsonb NOT NULL,
    event_id    uuid NOT NULL,
    traceparent text,
    state       text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'failed')),
    run_at      timestamptz NOT NULL,
    attempts    int NOT NULL DEFAULT 0,
    lease_token uuid,
    lease_until timestamptz,
    error       text
);
-- The locking policy: a key has at most one run that waits and at most one that runs.
CREATE UNIQUE INDEX work_ready_key ON work (key) WHERE state = 'ready';
CREATE UNIQUE INDEX work_leased_key ON work (key) WHERE state = 'leased';
CREATE INDEX work_ready ON work (run_at) WHERE state = 'ready';
CREATE INDEX work_leased ON work (lease_until) WHERE state = 'leased';

-- Politeness: destinations without a row have the worker pool's default limit.
CREATE TABLE work_destination (
    destination   text PRIMARY KEY,
    max_in_flight int CHECK (max_in_flight >= 0),
    blocked_until timestamptz
);
