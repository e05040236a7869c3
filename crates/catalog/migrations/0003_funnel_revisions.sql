-- Which definitions the segments of funnels were made of: `revision` grows with every change of a funnel and never comes
-- twice, also if an older copy of this file is restored; `catalog` tells them from those of another file.
CREATE TABLE funnel_changes (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
    catalog  TEXT NOT NULL,
    revision INTEGER NOT NULL
) STRICT;

INSERT INTO funnel_changes (only_row, catalog, revision) VALUES (1, lower(hex(randomblob(16))), 0);

ALTER TABLE funnels ADD COLUMN revision INTEGER NOT NULL DEFAULT 0;
