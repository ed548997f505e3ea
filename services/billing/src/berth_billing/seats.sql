-- The seats projection: billing's own fold of the account events.
CREATE TABLE seat (
    account_id      uuid PRIMARY KEY,
    organization_id uuid NOT NULL,
    seat_kind       text NOT NULL
);
CREATE TABLE seat_count (
    organization_id uuid NOT NULL,
    seat_kind       text NOT NULL,
    used            int NOT NULL CHECK (used >= 0),
    PRIMARY KEY (organization_id, seat_kind)
);
-- Per day with a change: the most seats taken at once, and how many at the end of the day.
CREATE TABLE seat_day (
    organization_id uuid NOT NULL,
    seat_kind       text NOT NULL,
    day             date NOT NULL,
    peak            int NOT NULL,
    closing         int NOT NULL,
    PRIMARY KEY (organization_id, seat_kind, day)
);
