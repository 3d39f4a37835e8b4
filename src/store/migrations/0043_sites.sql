CREATE TABLE sites (
    id BLOB NOT NULL PRIMARY KEY,
    domain TEXT NOT NULL,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    description TEXT NOT NULL,
    labels TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX sites_by_domain ON sites (domain) WHERE deleted_at IS NULL;

-- A row goes with its site's or its app's deletion.
CREATE TABLE routes (
    id BLOB NOT NULL PRIMARY KEY,
    site_id BLOB NOT NULL REFERENCES sites (id),
    app_id BLOB NOT NULL REFERENCES apps (id),
    source_path TEXT NOT NULL,
    target_path TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (site_id, source_path)
) STRICT;
CREATE INDEX routes_by_app ON routes (app_id, created_at);
