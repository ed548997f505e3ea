-- MailReach's batches, which its clients ask for by the number of a task, as they do for imports; and probes of accounts that
-- are to sign in through an email workspace, whose credential is not the probe's own.

CREATE TABLE batch_task (
    project_id uuid NOT NULL REFERENCES project,
    number     int NOT NULL,                  -- from the same series as the numbers of imports
    logs       jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (project_id, number)
);
CREATE INDEX batch_task_age ON batch_task (created_at);

ALTER TABLE probe ALTER COLUMN credential_id DROP NOT NULL;
