-- Tenants and their keys, accounts, seats, and what makes a repeated request harmless.

CREATE TABLE organization (
    organization_id uuid PRIMARY KEY,
    name            text NOT NULL,
    created_at      timestamptz NOT NULL
);

CREATE TABLE project (
    project_id      uuid PRIMARY KEY,
    organization_id uuid NOT NULL REFERENCES organization,
    name            text NOT NULL,
    next_number     int NOT NULL DEFAULT 1,   -- of accounts: MailReach's ids are 32-bit
    created_at      timestamptz NOT NULL
);
CREATE INDEX project_organization ON project (organization_id);

CREATE TABLE api_key (
    key_id       uuid PRIMARY KEY,
    project_id   uuid NOT NULL REFERENCES project,
    name         text NOT NULL,
    prefix       text NOT NULL UNIQUE,        -- the key's public part
    secret_hash  bytea NOT NULL,              -- SHA-256 of 256 random bits: nothing slower is needed
    scopes       text[] NOT NULL,
    created_at   timestamptz NOT NULL,
    revoked_at   timestamptz,
    last_used_at timestamptz
);

-- The domains of all accounts; the number is what dialects show as the domain's id.
CREATE TABLE domain (
    domain     text PRIMARY KEY,
    number     int GENERATED ALWAYS AS IDENTITY UNIQUE,
    created_at timestamptz NOT NULL
);

CREATE TABLE account (
    account_id         uuid PRIMARY KEY,
    organization_id    uuid NOT NULL,
    project_id         uuid NOT NULL REFERENCES project,
    number             int NOT NULL,
    address            text NOT NULL,
    address_key        text NOT NULL,         -- the address in lower case
    domain             text NOT NULL REFERENCES domain,
    provider           text NOT NULL,
    first_name         text NOT NULL,
    last_name          text NOT NULL,
    imap               jsonb,                 -- MailServer; never a secret
    smtp               jsonb,
    imap_issue         boolean NOT NULL,      -- IMAP is known not to work: it is not tried
    seat_kind          text NOT NULL CHECK (seat_kind IN ('monitoring', 'spam_check')),
    on_failure         text NOT NULL CHECK (on_failure IN ('keep', 'remove')),
    suspended          boolean NOT NULL DEFAULT false,
    credential_id      uuid NOT NULL,
    credential_version int NOT NULL,
    version            int NOT NULL,          -- of the event stream
    created_at         timestamptz NOT NULL,
    removed_at         timestamptz,
    UNIQUE (project_id, number)
);
CREATE UNIQUE INDEX account_address ON account (project_id, address_key) WHERE removed_at IS NULL;
CREATE INDEX account_domain ON account (domain, project_id) WHERE removed_at IS NULL;

-- Seats that are taken, under the limit that billing's events set. No row: no subscription yet.
CREATE TABLE seat_ledger (
    organization_id uuid NOT NULL,
    seat_kind       text NOT NULL CHECK (seat_kind IN ('monitoring', 'spam_check')),
    used            int NOT NULL DEFAULT 0 CHECK (used >= 0),
    seat_limit      int NOT NULL CHECK (seat_limit >= 0),
    subscribed      boolean NOT NULL,
    sequence        int NOT NULL,             -- of the billing event that set the limit
    PRIMARY KEY (organization_id, seat_kind)
);

CREATE TABLE idempotency (
    principal   uuid NOT NULL,                -- the API key
    key         text NOT NULL,
    fingerprint bytea NOT NULL,               -- HMAC of the request: its body may hold a password
    status      int,                          -- NULL only inside the transaction that is at work
    headers     jsonb,
    body        text,                         -- JSON; text keeps the order of its keys
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (principal, key)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- Everything that happened to a project's accounts, in one order. Positions are drawn before their transactions commit, so it
-- is read with the drain of berth_gateway.feed, never by `position > last` alone.
CREATE TABLE feed (
    position   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project_id uuid NOT NULL,
    event_id   uuid NOT NULL,
    source     text NOT NULL,
    type       text NOT NULL,
    subject    uuid NOT NULL,
    sequence   int NOT NULL,
    time       timestamptz NOT NULL,
    data       jsonb NOT NULL,
    UNIQUE (project_id, event_id)
);
CREATE INDEX feed_project ON feed (project_id, position);
