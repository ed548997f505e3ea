-- Email workspaces: one credential of Google's or Microsoft's that signs in for many accounts. Removed with the workspace.
CREATE TABLE email_workspace (
    workspace_id      uuid PRIMARY KEY,
    organization_id   uuid NOT NULL,
    project_id        uuid NOT NULL,
    provider          text NOT NULL CHECK (provider IN ('google', 'microsoft')),
    credential_id     uuid NOT NULL,
    -- the newest version of the credential, with the public facts that go with it, and what is known of it
    version           int NOT NULL,
    tenant_id         text,
    client_id         text,
    state             text NOT NULL DEFAULT 'unknown' CHECK (state IN ('unknown', 'verified', 'rejected')),
    diagnosis         jsonb,
    failures          int NOT NULL DEFAULT 0,
    -- when a token was had last to prove it: what another replica remembers of a refusal before that is over
    verified_at       timestamptz,
    -- the version that was proven last: accounts go on with it until a newer one is proven
    proven_version    int,
    proven_tenant_id  text,
    proven_client_id  text,
    secret_expires_at timestamptz
);

-- the email workspace that the account signs in through; its credential is the workspace's
ALTER TABLE account ADD COLUMN workspace_id uuid;
CREATE INDEX account_workspace ON account (workspace_id) WHERE workspace_id IS NOT NULL;
