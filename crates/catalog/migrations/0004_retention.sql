-- How many days a site's events are kept; NULL: as the server is configured.
ALTER TABLE sites ADD COLUMN retention_days INTEGER CHECK (retention_days > 0);
