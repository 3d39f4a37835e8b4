-- limit_bytes: what the plan allowed then.
CREATE TABLE addon_volumes (
    addon_id BLOB NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL,
    limit_bytes INTEGER,
    measured_at INTEGER NOT NULL
) STRICT;
