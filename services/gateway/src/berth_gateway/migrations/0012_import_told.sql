-- What was last published of the import; of those that were there before this nothing more is said.
ALTER TABLE import ADD COLUMN told text NOT NULL DEFAULT 'finished';
ALTER TABLE import ALTER COLUMN told SET DEFAULT 'nothing';
CREATE INDEX import_untold ON import (created_at) WHERE told <> 'finished';
