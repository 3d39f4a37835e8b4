-- details: JSON, never queried.
CREATE TABLE recommendations (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    service TEXT NOT NULL,
    resource_type TEXT NOT NULL CHECK (resource_type IN ('formation')),
    action TEXT NOT NULL CHECK (action IN ('resize', 'scale')),
    details TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app_id, service, resource_type, action)
) STRICT;
