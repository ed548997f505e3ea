-- What an operator enters without `berth-connector limits` is checked too: a row of no scope would hold nothing, and nobody would notice.
ALTER TABLE work_limit ADD CHECK (scope IN ('provider', 'address', 'host', 'organization', 'egress'));
ALTER TABLE work_limit ADD CHECK (scope NOT IN ('organization', 'egress') OR (per_minute IS NULL AND max_refusals IS NULL));

-- What waits already counts for its organization too.
UPDATE work SET organization_id = account.organization_id FROM account WHERE work.key = account.account_id;
