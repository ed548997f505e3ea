-- The embedded bus: topics, records and consumer groups in a schema of their own. Run again and again, it changes nothing.

CREATE SCHEMA IF NOT EXISTS bus;

CREATE TABLE IF NOT EXISTS bus.topic (
  name       text PRIMARY KEY,
  partitions int  NOT NULL CHECK (partitions > 0)
);

-- Offsets are taken under the lock of this row, which is held until the records are committed: they have no gaps and are
-- never visible out of order.
CREATE TABLE IF NOT EXISTS bus.partition (
  topic       text   NOT NULL REFERENCES bus.topic,
  number      int    NOT NULL,
  next_offset bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (topic, number)
) WITH (fillfactor = 50);

CREATE TABLE IF NOT EXISTS bus.record (
  topic         text        NOT NULL,
  number        int         NOT NULL,
  "offset"      bigint      NOT NULL,
  key           bytea       NOT NULL,
  value         bytea       NOT NULL,
  header_names  text[]      NOT NULL,
  header_values bytea[]     NOT NULL,
  recorded_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (topic, number, "offset")
);

-- The row is locked by whoever changes members or assignments of the group; epoch counts the changes.
CREATE TABLE IF NOT EXISTS bus.consumer_group (
  name  text   PRIMARY KEY,
  epoch bigint NOT NULL DEFAULT 0
);

CREATE TABLE IF NOT EXISTS bus.member (
  id         uuid        PRIMARY KEY,
  group_name text        NOT NULL REFERENCES bus.consumer_group,
  topics     text[]      NOT NULL,
  expires_at timestamptz NOT NULL
);

-- A member may own a partition only while no other does: owner changes from one to the next over NULL.
CREATE TABLE IF NOT EXISTS bus.assignment (
  group_name text NOT NULL REFERENCES bus.consumer_group,
  topic      text NOT NULL,
  number     int  NOT NULL,
  owner      uuid,
  target     uuid,
  PRIMARY KEY (group_name, topic, number)
);

CREATE TABLE IF NOT EXISTS bus.committed (
  group_name   text        NOT NULL,
  topic        text        NOT NULL,
  number       int         NOT NULL,
  next_offset  bigint      NOT NULL,
  committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (group_name, topic, number)
);
