-- The subscription of each organization, as its event stream leaves it.
CREATE TABLE subscription (
    organization_id  uuid PRIMARY KEY,
    plan             text,
    monitoring_limit int NOT NULL CHECK (monitoring_limit >= 0),
    spam_check_limit int NOT NULL CHECK (spam_check_limit >= 0),
    active           boolean NOT NULL,
    version          int NOT NULL
);

-- What the process manager needs to say SeatLimitReached once: its own count, and whether it has been said.
CREATE TABLE limit_watch (
    organization_id uuid NOT NULL,
    seat_kind       text NOT NULL,
    used            int NOT NULL,
    reached         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (organization_id, seat_kind)
);

-- Days whose usage was published.
CREATE TABLE closed_day (
    organization_id uuid NOT NULL,
    day             date NOT NULL,
    PRIMARY KEY (organization_id, day)
);
