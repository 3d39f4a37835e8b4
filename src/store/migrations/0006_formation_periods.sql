-- How many dynos of what size ran from when to when; what invoices are made of.
CREATE TABLE formation_periods (
    id INTEGER PRIMARY KEY,
    formation_id BLOB NOT NULL REFERENCES formations (id),
    size TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    started_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE UNIQUE INDEX formation_periods_open ON formation_periods (formation_id) WHERE ended_at IS NULL;
CREATE INDEX formation_periods_by_formation ON formation_periods (formation_id);

INSERT INTO formation_periods (formation_id, size, quantity, started_at)
SELECT formations.id, size, quantity, formations.updated_at
FROM formations JOIN apps ON apps.id = formations.app_id
WHERE formations.deleted_at IS NULL AND apps.deleted_at IS NULL AND quantity > 0;
