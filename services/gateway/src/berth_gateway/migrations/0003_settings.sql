-- What accounts carry besides servers and credential: settings, tags, aliases, and the email workspace they sign in through.

ALTER TABLE account
    ADD COLUMN settings       jsonb NOT NULL DEFAULT '{}',  -- AccountSettings, without what was never set
    ADD COLUMN signature      text NOT NULL DEFAULT '',
    ADD COLUMN time_zone      text NOT NULL DEFAULT 'Etc/UTC',
    ADD COLUMN workspace_id   uuid,                         -- NULL: a password of its own
    ADD COLUMN import_id      uuid,
    ADD COLUMN updated_at     timestamptz,
    ADD COLUMN removed_reason text;
UPDATE account SET updated_at = coalesce(removed_at, created_at);
ALTER TABLE account ALTER COLUMN updated_at SET NOT NULL;

-- lists and their filters go through one project's accounts by number, or by the narrower index
CREATE INDEX account_listed ON account (project_id, number) WHERE removed_at IS NULL;
CREATE INDEX account_workspace ON account (workspace_id, number) WHERE removed_at IS NULL AND workspace_id IS NOT NULL;
CREATE INDEX account_seats ON account (organization_id, created_at);

-- Tags belong to a project; names are unique in it whatever their case.
CREATE TABLE tag (
    project_id uuid NOT NULL REFERENCES project,
    number     int NOT NULL,
    name       text NOT NULL,
    color      text NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, number)
);
CREATE UNIQUE INDEX tag_name ON tag (project_id, lower(name));
ALTER TABLE project ADD COLUMN next_tag_number int NOT NULL DEFAULT 1;

CREATE TABLE account_tag (
    account_id uuid NOT NULL REFERENCES account,
    project_id uuid NOT NULL,
    number     int NOT NULL,
    PRIMARY KEY (account_id, number),
    FOREIGN KEY (project_id, number) REFERENCES tag ON DELETE CASCADE
);
CREATE INDEX account_tag_tag ON account_tag (project_id, number, account_id);

-- Addresses that an account may send from besides its own. None of them is an account by that.
CREATE TABLE account_alias (
    account_id  uuid NOT NULL REFERENCES account,
    address     text NOT NULL,
    address_key text NOT NULL,
    name        text NOT NULL,
    PRIMARY KEY (account_id, address_key)
);
