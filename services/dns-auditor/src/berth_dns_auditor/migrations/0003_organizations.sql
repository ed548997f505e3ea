-- Whose account it is: what one organization's messages show of a domain that others share does not count alone.
-- Null in rows from before it was kept, which then count as those of nobody known.
ALTER TABLE domain_account ADD COLUMN organization_id uuid;
ALTER TABLE domain_mail ADD COLUMN organization_id uuid;
