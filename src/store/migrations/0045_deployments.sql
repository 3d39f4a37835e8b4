-- version, number: `<version>-rc<number>`.
-- app_id: the app whose builds it is cut from.
-- commit_sha: lower case. slug: NULL while no build of that commit has succeeded.
CREATE TABLE release_candidates (
    id BLOB NOT NULL PRIMARY KEY,
    pipeline_id BLOB NOT NULL REFERENCES pipelines (id),
    version TEXT NOT NULL,
    number INTEGER NOT NULL,
    app_id BLOB NOT NULL REFERENCES apps (id),
    repository TEXT NOT NULL,
    commit_sha TEXT NOT NULL,
    slug BLOB REFERENCES builds (id),
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (pipeline_id, version, number)
) STRICT;
CREATE INDEX release_candidates_by_pipeline ON release_candidates (pipeline_id, created_at);
CREATE INDEX release_candidates_by_slug ON release_candidates (slug) WHERE slug IS NOT NULL;
CREATE INDEX release_candidates_waiting ON release_candidates (app_id) WHERE slug IS NULL;

-- sequence: the order of the deployments.
-- stage, app_id: the environment is one or the other.
-- reported_*: what an outside pipeline said. The status of any other deployment is that of its releases, so that it
-- is stored once.
CREATE TABLE deployments (
    sequence INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    pipeline_id BLOB NOT NULL REFERENCES pipelines (id),
    stage TEXT CHECK (stage IN ('review', 'development', 'staging', 'production')),
    app_id BLOB REFERENCES apps (id),
    candidate_id BLOB NOT NULL REFERENCES release_candidates (id),
    from_candidate_id BLOB REFERENCES release_candidates (id),
    canceled_at INTEGER,
    reported_status TEXT CHECK (reported_status IN
        ('pending', 'in_progress', 'success', 'failure', 'canceling', 'canceled', 'error', 'unknown')),
    reported_end_at INTEGER,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK ((stage IS NULL) <> (app_id IS NULL))
) STRICT;
CREATE INDEX deployments_by_environment ON deployments (pipeline_id, stage, app_id, sequence);
CREATE INDEX deployments_reported_active ON deployments (pipeline_id, stage, app_id)
    WHERE reported_status IN ('pending', 'in_progress', 'canceling');

CREATE TABLE deployment_releases (
    release_id BLOB NOT NULL PRIMARY KEY REFERENCES releases (id),
    deployment_id BLOB NOT NULL REFERENCES deployments (id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deployment_releases_by_deployment ON deployment_releases (deployment_id);

CREATE TABLE frozen_environments (
    pipeline_id BLOB NOT NULL REFERENCES pipelines (id),
    stage TEXT CHECK (stage IN ('review', 'development', 'staging', 'production')),
    app_id BLOB REFERENCES apps (id),
    frozen_by TEXT NOT NULL,
    frozen_at INTEGER NOT NULL,
    CHECK ((stage IS NULL) <> (app_id IS NULL))
) STRICT;
CREATE INDEX frozen_environments_by_pipeline ON frozen_environments (pipeline_id);
