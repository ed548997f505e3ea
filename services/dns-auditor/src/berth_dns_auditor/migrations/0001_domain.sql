-- What the last audit of each domain found.
CREATE TABLE domain (
    domain_id  uuid PRIMARY KEY,
    domain     text NOT NULL,
    audited_at timestamptz NOT NULL,
    record     jsonb NOT NULL,
    definite   jsonb NOT NULL,
    -- audits in a row that left a question open
    incomplete int NOT NULL DEFAULT 0
);

-- Who needs the domain: it is audited again for as long as an account does.
CREATE TABLE domain_account (
    account_id uuid PRIMARY KEY,
    domain_id  uuid NOT NULL
);
CREATE INDEX domain_account_domain ON domain_account (domain_id);
