-- The seats projection: billing's own fold of the account events. Each seat with its time, and no counter: what was taken at
-- any moment follows from these rows, in whatever order the partitions were read.
CREATE TABLE seat (
    account_id      uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    seat_kind       text NOT NULL,
    taken_at        timestamptz NOT NULL,
    freed_at        timestamptz CHECK (freed_at >= taken_at)
);
CREATE INDEX seat_taken ON seat (organization_id, seat_kind) WHERE freed_at IS NULL;
CREATE INDEX seat_history ON seat (organization_id, taken_at);
