-- Times are UTC microseconds since 1970-01-01. A migration that was released is never edited: add the next one.

CREATE TABLE tenants (
    tenant     TEXT PRIMARY KEY NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

INSERT INTO tenants (tenant, created_at) VALUES ('default', 0);

CREATE TABLE sites (
    tracking_id           TEXT PRIMARY KEY NOT NULL,
    tenant                TEXT NOT NULL REFERENCES tenants (tenant),
    name                  TEXT NOT NULL,
    url                   TEXT,
    timezone              TEXT NOT NULL,
    currency              TEXT NOT NULL,
    writer_token_required INTEGER NOT NULL CHECK (writer_token_required IN (0, 1)),
    created_at            INTEGER NOT NULL
) STRICT;

-- `seq` is the order of creation, whatever the clock did meanwhile.
CREATE TABLE tokens (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    secret_hash BLOB NOT NULL UNIQUE CHECK (length(secret_hash) = 32), -- SHA-256; the secret itself is nowhere
    role        TEXT NOT NULL CHECK (role IN ('admin', 'reader', 'writer')),
    all_sites   INTEGER NOT NULL CHECK (all_sites IN (0, 1)),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER,
    revoked_at  INTEGER
) STRICT;

-- The sites of a token whose `all_sites` is 0.
CREATE TABLE token_sites (
    token_seq   INTEGER NOT NULL REFERENCES tokens (seq) ON DELETE CASCADE,
    tracking_id TEXT NOT NULL REFERENCES sites (tracking_id),
    PRIMARY KEY (token_seq, tracking_id)
) STRICT, WITHOUT ROWID;

-- Definitions are JSON, because their shape belongs to the report that reads them.
CREATE TABLE funnels (
    id          TEXT PRIMARY KEY NOT NULL,
    tracking_id TEXT NOT NULL REFERENCES sites (tracking_id),
    name        TEXT NOT NULL,
    definition  TEXT NOT NULL CHECK (json_valid(definition)),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX funnels_by_site ON funnels (tracking_id);

-- Segments of users; a rollup's segments are files in the lake.
CREATE TABLE user_segments (
    id          TEXT PRIMARY KEY NOT NULL,
    tracking_id TEXT NOT NULL REFERENCES sites (tracking_id),
    name        TEXT NOT NULL,
    definition  TEXT NOT NULL CHECK (json_valid(definition)),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX user_segments_by_site ON user_segments (tracking_id);

CREATE TABLE dashboards (
    id          TEXT PRIMARY KEY NOT NULL,
    tracking_id TEXT NOT NULL REFERENCES sites (tracking_id),
    name        TEXT NOT NULL,
    definition  TEXT NOT NULL CHECK (json_valid(definition)),
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX dashboards_by_site ON dashboards (tracking_id);

-- One writer and one compactor hold a shard at a time. `epoch` grows with every new holder: work that bears an old
-- epoch comes from somebody who lost the lease.
CREATE TABLE shard_leases (
    shard      INTEGER NOT NULL CHECK (shard >= 0),
    role       TEXT NOT NULL CHECK (role IN ('writer', 'compactor')),
    holder     TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (shard, role)
) STRICT, WITHOUT ROWID;
