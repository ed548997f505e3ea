-- What the connector knows of each account: how to dial it, and what came out last. Removed with the account.
CREATE TABLE account (
    account_id         uuid PRIMARY KEY,
    organization_id    uuid NOT NULL,
    project_id         uuid NOT NULL,
    address            text NOT NULL,
    imap               jsonb,
    smtp               jsonb,
    imap_issue         boolean NOT NULL DEFAULT false,
    credential_id      uuid NOT NULL,
    credential_version int NOT NULL,
    state              text NOT NULL DEFAULT 'unknown' CHECK (state IN ('unknown', 'connected', 'disconnected', 'failed')),
    -- the retry policy of the last failure, null after a success, and how many failures in a row had it
    retry_policy       text,
    failures           int NOT NULL DEFAULT 0,
    suspended          boolean NOT NULL DEFAULT false
);
