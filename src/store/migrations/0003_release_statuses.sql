CREATE TABLE release_statuses (
    id BLOB NOT NULL PRIMARY KEY,
    release_id BLOB NOT NULL REFERENCES releases (id),
    context TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('error', 'failure', 'pending', 'success')),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    target_url TEXT NOT NULL,
    image_url TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (release_id, context)
) STRICT;
