-- What happened over time: for statistics and usage.
CREATE TABLE check_day (
    account_id  uuid NOT NULL,
    day         date NOT NULL,                -- UTC
    checks      int NOT NULL,
    failures    int NOT NULL,
    duration_ms double precision NOT NULL,    -- of all checks together
    PRIMARY KEY (account_id, day)
);
CREATE INDEX check_day_age ON check_day (day);
CREATE TABLE checkup (
    account_id  uuid PRIMARY KEY,             -- the last one only
    checkup_id  uuid NOT NULL,
    checkup     jsonb NOT NULL,
    finished_at timestamptz NOT NULL
);
CREATE TABLE subscription (
    organization_id uuid NOT NULL,
    sequence        int NOT NULL,
    effective_at    timestamptz NOT NULL,
    monitoring      int NOT NULL,
    spam_check      int NOT NULL,
    subscribed      boolean NOT NULL,
    PRIMARY KEY (organization_id, sequence)
);
