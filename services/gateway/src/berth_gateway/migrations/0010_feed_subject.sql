-- What happened to one account, without reading what happened to the others.
CREATE INDEX feed_subject ON feed (subject, project_id, position);
