-- Email workspaces, and imports of many addresses: through a workspace, or with passwords of their own.

ALTER TABLE project
    ADD COLUMN next_workspace_number int NOT NULL DEFAULT 1,
    ADD COLUMN next_import_number    int NOT NULL DEFAULT 1;

CREATE TABLE workspace (
    workspace_id       uuid PRIMARY KEY,
    organization_id    uuid NOT NULL,
    project_id         uuid NOT NULL REFERENCES project,
    number             int NOT NULL,
    name               text NOT NULL,
    provider           text NOT NULL CHECK (provider IN ('google', 'microsoft')),
    identity           jsonb NOT NULL,        -- what may be shown of the credential; never a secret
    secret_expires_at  timestamptz,
    credential_id      uuid NOT NULL,
    credential_version int NOT NULL,
    version            int NOT NULL,          -- of the event stream
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL,
    removed_at         timestamptz,
    UNIQUE (project_id, number)
);

CREATE TABLE import (
    import_id       uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    project_id      uuid NOT NULL REFERENCES project,
    number          int NOT NULL,
    workspace_id    uuid REFERENCES workspace,     -- NULL: each account has a password of its own
    mode            text NOT NULL CHECK (mode IN ('per_row', 'all_or_nothing')),
    seat_kind       text NOT NULL CHECK (seat_kind IN ('monitoring', 'spam_check')),
    on_failure      text NOT NULL CHECK (on_failure IN ('keep', 'remove')),
    created_at      timestamptz NOT NULL,
    UNIQUE (project_id, number)
);
CREATE INDEX import_age ON import (created_at);
CREATE INDEX import_workspace ON import (workspace_id) WHERE workspace_id IS NOT NULL;

-- What became of each row, written once: it stays when the account changes, or goes.
CREATE TABLE import_row (
    import_id           uuid NOT NULL REFERENCES import ON DELETE CASCADE,
    row                 int NOT NULL,         -- as whoever sent it counts
    email               text NOT NULL,
    state               text NOT NULL CHECK (state IN ('rejected', 'pending', 'connected', 'failed', 'removed')),
    account_id          uuid,                 -- NULL: rejected
    existing_account_id uuid,                 -- the account that has the address already
    code                text,                 -- why it was rejected, or the code of the diagnosis
    detail              text,
    remedy              text,
    diagnosis           jsonb,
    settled_at          timestamptz,          -- NULL: pending
    PRIMARY KEY (import_id, row),
    CHECK ((state = 'pending') = (settled_at IS NULL)),
    CHECK ((state = 'rejected') = (account_id IS NULL))
);
-- progress is counted, never kept: consumers of twelve partitions settle rows of one import side by side
CREATE INDEX import_row_state ON import_row (import_id, state, row);
CREATE UNIQUE INDEX import_row_account ON import_row (account_id) WHERE account_id IS NOT NULL;
