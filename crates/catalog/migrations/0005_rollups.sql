-- Configured rollups. A dropped one stays until its folder in the lake is deleted. `revision` is that of its making: it
-- grows with every change and never comes twice, also if an older copy of this file is restored.
CREATE TABLE rollups (
    revision   INTEGER PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    definition TEXT NOT NULL CHECK (json_valid(definition)),
    created_at INTEGER NOT NULL,
    dropped_at INTEGER
) STRICT;
CREATE UNIQUE INDEX rollups_by_name ON rollups (name) WHERE dropped_at IS NULL;

CREATE TABLE rollup_changes (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO rollup_changes (only_row, revision) VALUES (1, 0);
