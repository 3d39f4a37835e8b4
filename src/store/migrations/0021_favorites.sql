-- A favorite of a deleted app is hidden with the app, and goes when the app is purged.
CREATE TABLE favorites (
    id BLOB NOT NULL PRIMARY KEY,
    user TEXT NOT NULL,
    app_id BLOB NOT NULL REFERENCES apps (id),
    created_at INTEGER NOT NULL,
    UNIQUE (user, app_id)
) STRICT;
CREATE INDEX favorites_by_app ON favorites (app_id);
