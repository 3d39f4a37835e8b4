-- The app of a preview names it, and so does each site that was made with it.
CREATE TABLE previews (
    id BLOB NOT NULL PRIMARY KEY,
    source_app_id BLOB NOT NULL REFERENCES apps (id),
    setup_id BLOB NOT NULL,
    trigger_type TEXT NOT NULL,
    branch TEXT NOT NULL,
    number INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX previews_by_source ON previews (source_app_id, created_at);
ALTER TABLE apps ADD COLUMN preview_id BLOB REFERENCES previews (id);
CREATE UNIQUE INDEX apps_by_preview ON apps (preview_id) WHERE preview_id IS NOT NULL;
ALTER TABLE sites ADD COLUMN preview_id BLOB REFERENCES previews (id);
CREATE INDEX sites_by_preview ON sites (preview_id) WHERE preview_id IS NOT NULL;
