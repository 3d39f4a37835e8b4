-- The options are sealed JSON, whatever the type: some hold what tells a password.
CREATE TABLE filters (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    description TEXT NOT NULL,
    options BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX filters_by_name ON filters (name) WHERE deleted_at IS NULL;

-- A row goes with its app's deletion; a filter with rows is not deleted.
CREATE TABLE filter_attachments (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    filter_id BLOB NOT NULL REFERENCES filters (id),
    type TEXT NOT NULL,
    scope TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app_id, type)
) STRICT;
CREATE INDEX filter_attachments_by_filter ON filter_attachments (filter_id);
