-- What SmartLead's clients have beside accounts.

-- Campaigns are run elsewhere; which accounts each one has is all that is known of them here.
CREATE TABLE campaign_account (
    account_id uuid NOT NULL REFERENCES account,
    project_id uuid NOT NULL REFERENCES project,
    campaign   int NOT NULL,                  -- the caller's own number
    number     bigint GENERATED ALWAYS AS IDENTITY,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (account_id, campaign)
);
CREATE INDEX campaign_account_campaign ON campaign_account (project_id, campaign);

-- When a project had all of its failed accounts tried again, which it may not do often.
CREATE TABLE bulk_reconnect (
    project_id uuid NOT NULL REFERENCES project,
    asked_at   timestamptz NOT NULL
);
CREATE INDEX bulk_reconnect_project ON bulk_reconnect (project_id, asked_at);
