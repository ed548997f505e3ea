-- What the connector last said of each email workspace.
CREATE TABLE workspace_standing (
    workspace_id       uuid PRIMARY KEY,
    status             text CHECK (status IN ('verified', 'rejected')),  -- NULL: only warned of so far
    credential_version int,
    diagnosis          jsonb,
    settled_at         timestamptz,
    warned_of          timestamptz,   -- the expiry that was last warned of
    warned_at          timestamptz
);
