CREATE TABLE stacks (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('public', 'beta', 'deprecated')),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
