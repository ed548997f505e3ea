-- The older version of the credential that accounts go on with while the present one is rejected.
ALTER TABLE workspace ADD COLUMN proven_version int;
