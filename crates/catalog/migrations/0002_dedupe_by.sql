-- What tells apart events of a site that have no id of their own; NULL: as the server is configured.
ALTER TABLE sites ADD COLUMN dedupe_by TEXT CHECK (dedupe_by IN ('content', 'key'));
