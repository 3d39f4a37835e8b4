CREATE TABLE pipelines (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX pipelines_by_name ON pipelines (name) WHERE deleted_at IS NULL;

-- required_checks: contexts joined by commas. A row goes with its pipeline's or its app's deletion.
CREATE TABLE pipeline_couplings (
    id BLOB NOT NULL PRIMARY KEY,
    pipeline_id BLOB NOT NULL REFERENCES pipelines (id),
    app_id BLOB NOT NULL UNIQUE REFERENCES apps (id),
    stage TEXT NOT NULL CHECK (stage IN ('review', 'development', 'staging', 'production')),
    required_checks TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX pipeline_couplings_by_pipeline ON pipeline_couplings (pipeline_id);

CREATE TABLE pipeline_promotions (
    id BLOB NOT NULL PRIMARY KEY,
    pipeline_id BLOB NOT NULL REFERENCES pipelines (id),
    source_app_id BLOB NOT NULL REFERENCES apps (id),
    source_release_id BLOB NOT NULL REFERENCES releases (id),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE pipeline_promotion_targets (
    id BLOB NOT NULL PRIMARY KEY,
    promotion_id BLOB NOT NULL REFERENCES pipeline_promotions (id),
    release_id BLOB NOT NULL UNIQUE REFERENCES releases (id)
) STRICT;
CREATE INDEX pipeline_promotion_targets_by_promotion ON pipeline_promotion_targets (promotion_id);

-- Set on the release that a promotion made, whose kind is then 'slug': the list of kinds of an existing table
-- cannot grow without making the table anew.
ALTER TABLE releases ADD COLUMN promotion_of BLOB REFERENCES releases (id);
