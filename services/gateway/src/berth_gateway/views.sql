-- The read model: what connector and auditor last said.
CREATE TABLE verification (
    account_id         uuid PRIMARY KEY,     -- also of probes, which are no accounts
    status             text NOT NULL CHECK (status IN ('connected', 'failed', 'disconnected')),
    credential_id      uuid NOT NULL,
    credential_version int NOT NULL,
    verification       jsonb NOT NULL,
    verified_at        timestamptz NOT NULL
);
CREATE INDEX verification_age ON verification (verified_at);
CREATE TABLE domain_record (
    domain     text PRIMARY KEY,
    audited_at timestamptz NOT NULL,
    record     jsonb NOT NULL,
    definite   jsonb NOT NULL
);
