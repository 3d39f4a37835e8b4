CREATE TABLE plugins (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    repo TEXT NOT NULL,
    owner_name TEXT NOT NULL,
    owner_email TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX plugins_by_name ON plugins (name) WHERE deleted_at IS NULL;
