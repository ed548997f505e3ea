-- Webhooks: where a project's events are sent to, and the queue of what is to be sent.

CREATE TABLE webhook (
    webhook_id      uuid PRIMARY KEY,
    project_id      uuid NOT NULL REFERENCES project,
    number          bigint GENERATED ALWAYS AS IDENTITY,  -- orders lists
    url             text NOT NULL,
    description     text NOT NULL,
    types           text[],                  -- NULL: events of every type
    enabled         boolean NOT NULL,
    disabled_reason text CHECK (disabled_reason IN ('requested', 'gone', 'failing')),
    failures        int NOT NULL DEFAULT 0,  -- attempts that failed since the last success
    failing_since   timestamptz,
    held_until      timestamptz,             -- nothing is sent before
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
-- every event that is published looks here
CREATE INDEX webhook_project ON webhook (project_id, number);

-- AES-256-GCM under BERTH_WEBHOOK_KEY, bound to webhook and secret. Those that have not expired all sign.
CREATE TABLE webhook_secret (
    secret_id  uuid PRIMARY KEY,
    webhook_id uuid NOT NULL REFERENCES webhook ON DELETE CASCADE,
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz                   -- NULL: the present one
);
CREATE INDEX webhook_secret_webhook ON webhook_secret (webhook_id, created_at);

-- One event for one webhook. What waits is claimed by moving run_at behind the lease: a lease that ran out is due again.
CREATE TABLE webhook_delivery (
    delivery_id  uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    webhook_id   uuid NOT NULL REFERENCES webhook ON DELETE CASCADE,
    number       bigint GENERATED ALWAYS AS IDENTITY,  -- orders the log
    position     bigint NOT NULL,            -- of the event in the feed, which orders what is sent; 0: a test, in no feed
    event_id     uuid NOT NULL,
    type         text NOT NULL,
    subject      uuid NOT NULL,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'delivered', 'failed')),
    tries        int NOT NULL DEFAULT 0,     -- of the present round: a redelivery begins anew
    run_at       timestamptz NOT NULL,
    lease_token  uuid,
    attempts     jsonb NOT NULL DEFAULT '[]',
    created_at   timestamptz NOT NULL,
    finished_at  timestamptz
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (webhook_id, run_at, position) WHERE state = 'pending';
CREATE INDEX webhook_delivery_order ON webhook_delivery (webhook_id, subject, position) WHERE state = 'pending';
CREATE INDEX webhook_delivery_leased ON webhook_delivery (webhook_id) WHERE lease_token IS NOT NULL;
CREATE INDEX webhook_delivery_log ON webhook_delivery (webhook_id, number);
CREATE INDEX webhook_delivery_failed ON webhook_delivery (webhook_id, created_at) WHERE state = 'failed';
CREATE INDEX webhook_delivery_age ON webhook_delivery (state, finished_at) WHERE state <> 'pending';
