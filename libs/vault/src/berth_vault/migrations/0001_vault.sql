-- Sealed credentials. The gateway writes and erases them and sees everything but the sealed bytes; the connector reads them
-- and seals them anew with a newer key. Deleting a row erases the secret.

CREATE SCHEMA IF NOT EXISTS vault;

CREATE TABLE IF NOT EXISTS vault.credential (
    credential_id   uuid        NOT NULL,
    version         integer     NOT NULL CHECK (version >= 1),
    organization_id uuid        NOT NULL,
    owner_id        uuid        NOT NULL,   -- the account or the email workspace
    key_id          text        NOT NULL,
    sealed          bytea       NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (credential_id, version)
);

-- Roles belong to the whole server, so another database may have made them, even at this moment.
DO $$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['berth_gateway', 'berth_connector'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;

REVOKE ALL ON SCHEMA vault FROM PUBLIC;
REVOKE ALL ON vault.credential FROM PUBLIC, berth_gateway, berth_connector;
GRANT USAGE ON SCHEMA vault TO berth_gateway, berth_connector;
GRANT INSERT, DELETE ON vault.credential TO berth_gateway;
GRANT SELECT (credential_id, version, organization_id, owner_id, key_id) ON vault.credential TO berth_gateway;
GRANT SELECT, UPDATE (sealed, key_id) ON vault.credential TO berth_connector;
