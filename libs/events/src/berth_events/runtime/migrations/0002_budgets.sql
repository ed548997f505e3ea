-- Whose work it is: one organization's import leaves places for the others. The nil UUID: nobody's.
ALTER TABLE work ADD COLUMN organization_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000';
-- A claim has found that its time has come. Claims look at such rows only, however many wait for later.
ALTER TABLE work ADD COLUMN due boolean NOT NULL DEFAULT false;
-- While it is leased: the address that its connections come from.
ALTER TABLE work ADD COLUMN egress text NOT NULL DEFAULT '';
-- bytewise, so that claims can go from one destination to the next in the order of the index
ALTER TABLE work ALTER COLUMN destination TYPE text COLLATE "C";

DROP INDEX work_ready;
CREATE INDEX work_later ON work (run_at) WHERE state = 'ready' AND NOT due;
CREATE INDEX work_due ON work (organization_id, destination, run_at) WHERE state = 'ready' AND due;

-- What an operator has decided. Whatever has no row, or null in it, is as the service ships it.
CREATE TABLE work_limit (
    scope         text NOT NULL,
    name          text NOT NULL,  -- '*': all of the scope that have no row of their own
    max_in_flight int CHECK (max_in_flight >= 0),
    per_minute    int CHECK (per_minute > 0),
    max_refusals  int CHECK (max_refusals > 0),
    PRIMARY KEY (scope, name),
    CHECK (num_nonnulls(max_in_flight, per_minute, max_refusals) > 0)
);
INSERT INTO work_limit (scope, name, max_in_flight)
SELECT CASE WHEN destination LIKE '%.%' THEN 'host' ELSE 'provider' END, destination, max_in_flight
  FROM work_destination WHERE max_in_flight IS NOT NULL;

-- What is known of a destination, as it is seen from one of our addresses: servers count by that.
DROP TABLE work_destination;
CREATE TABLE work_destination (
    destination   text COLLATE "C" NOT NULL,
    egress        text NOT NULL DEFAULT '',
    blocked_until timestamptz,
    next_at       timestamptz,  -- of a limit per minute: when the next run is in time
    refused_at    timestamptz[] NOT NULL DEFAULT '{}',
    let_in        int NOT NULL DEFAULT 0,  -- since the last refusal; is not counted further than it matters
    -- the last of the times that any of this matters to a claim
    until         timestamptz NOT NULL,
    PRIMARY KEY (destination, egress)
);
CREATE INDEX work_destination_until ON work_destination (until);
