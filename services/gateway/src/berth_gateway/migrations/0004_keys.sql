-- Keys of organizations beside those of projects, which expire, rotate and have limits of their own; projects that go.

ALTER TABLE project ADD COLUMN removed_at timestamptz;
DROP INDEX project_organization;
CREATE INDEX project_organization ON project (organization_id, created_at, project_id) WHERE removed_at IS NULL;
CREATE INDEX organization_age ON organization (created_at, organization_id);

ALTER TABLE api_key
    ALTER COLUMN project_id DROP NOT NULL,                           -- NULL: of the organization, for all its projects
    ADD COLUMN organization_id uuid REFERENCES organization,
    ADD COLUMN rate_limit      text,                                 -- '6000/minute'; NULL: the default
    ADD COLUMN expires_at      timestamptz,
    ADD COLUMN retiring_hash   bytea,                                -- the secret before the last rotation
    ADD COLUMN retiring_until  timestamptz,
    ADD CHECK ((retiring_hash IS NULL) = (retiring_until IS NULL));
UPDATE api_key k SET organization_id = p.organization_id FROM project p WHERE p.project_id = k.project_id;
ALTER TABLE api_key ALTER COLUMN organization_id SET NOT NULL;
CREATE INDEX api_key_owner ON api_key (organization_id, project_id, created_at, key_id);
