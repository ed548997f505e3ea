-- Credentials that are tried out before anything is kept: a dry run, or new credentials for an account that exists.
CREATE TABLE probe (
    probe_id        uuid PRIMARY KEY,         -- the account id of its events
    organization_id uuid NOT NULL,
    project_id      uuid NOT NULL REFERENCES project,
    credential_id   uuid NOT NULL,            -- sealed for the probe; erased when it is settled
    replacement     jsonb,                    -- what becomes of the account when it succeeds; NULL: a dry run
    created_at      timestamptz NOT NULL,
    settled_at      timestamptz
);
CREATE INDEX probe_unsettled ON probe (created_at) WHERE settled_at IS NULL;

-- The last attempt with each set of servers and secrets: a repeated request gets its result, not another login.
CREATE TABLE attempt (
    project_id    uuid NOT NULL,
    fingerprint   bytea NOT NULL,             -- HMAC of address, servers and secrets
    dry_run       boolean NOT NULL,
    subject       uuid NOT NULL,              -- the account or the probe that is verified
    account_id    uuid,                       -- the account that it is for; NULL: a dry run
    credential_id uuid,                       -- what that account has when it succeeds
    started_at    timestamptz NOT NULL,
    PRIMARY KEY (project_id, fingerprint, dry_run)
);
CREATE INDEX attempt_age ON attempt (started_at);
