CREATE TABLE installation (
    id BLOB NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE organizations (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX organizations_by_name ON organizations (name) WHERE deleted_at IS NULL;

CREATE TABLE spaces (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    compliance TEXT NOT NULL,
    stack TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX spaces_by_name ON spaces (name) WHERE deleted_at IS NULL;

-- purged_at: when the containers and images of a deleted app were gone.
CREATE TABLE apps (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    space_id BLOB NOT NULL REFERENCES spaces (id),
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    description TEXT NOT NULL,
    labels TEXT NOT NULL,
    maintenance INTEGER NOT NULL CHECK (maintenance IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    released_at INTEGER,
    deleted_at INTEGER,
    purged_at INTEGER
) STRICT;
CREATE UNIQUE INDEX apps_by_name ON apps (name, space_id) WHERE deleted_at IS NULL;
CREATE INDEX apps_by_space ON apps (space_id) WHERE deleted_at IS NULL;
CREATE INDEX apps_to_purge ON apps (deleted_at) WHERE deleted_at IS NOT NULL AND purged_at IS NULL;

CREATE TABLE app_features (
    app_id BLOB NOT NULL REFERENCES apps (id),
    feature TEXT NOT NULL,
    enabled INTEGER NOT NULL CHECK (enabled IN (0, 1)),
    PRIMARY KEY (app_id, feature)
) STRICT, WITHOUT ROWID;

-- value: sealed, bound to (app, name).
CREATE TABLE config_vars (
    app_id BLOB NOT NULL REFERENCES apps (id),
    name TEXT NOT NULL,
    value BLOB NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE formations (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    process_type TEXT NOT NULL,
    size TEXT NOT NULL,
    quantity INTEGER NOT NULL CHECK (quantity BETWEEN 0 AND 32),
    command TEXT,
    command_origin TEXT CHECK (command_origin IN ('procfile', 'user')),
    port INTEGER,
    healthcheck TEXT,
    origin TEXT NOT NULL CHECK (origin IN ('procfile', 'user')),
    restarts INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    CHECK ((command IS NULL) = (command_origin IS NULL))
) STRICT;
CREATE UNIQUE INDEX formations_by_type ON formations (app_id, process_type) WHERE deleted_at IS NULL;

-- source: sealed, because a URL or a login may hold a secret; NULL for an uploaded archive.
CREATE TABLE builds (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    number INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'succeeded', 'failed', 'stopped')),
    step TEXT CHECK (step IN ('fetching', 'unpacking', 'building', 'recording')),
    attempt INTEGER NOT NULL,
    started_at INTEGER,
    finished_at INTEGER,
    image TEXT,
    reason TEXT,
    stopped_by TEXT,
    source_kind TEXT NOT NULL CHECK (source_kind IN ('upload', 'archive', 'image')),
    source BLOB,
    checksum TEXT NOT NULL,
    repo TEXT NOT NULL,
    sha TEXT NOT NULL,
    branch TEXT NOT NULL,
    version TEXT NOT NULL,
    message TEXT NOT NULL,
    author TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app_id, number)
) STRICT;
CREATE INDEX builds_unfinished ON builds (created_at) WHERE state IN ('queued', 'running');

-- The Procfile of a build; it becomes formations when the build is released.
CREATE TABLE build_process_types (
    build_id BLOB NOT NULL REFERENCES builds (id),
    process_type TEXT NOT NULL,
    command TEXT NOT NULL,
    PRIMARY KEY (build_id, process_type)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    slug BLOB NOT NULL REFERENCES builds (id),
    version INTEGER NOT NULL,
    description TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('slug', 'auto', 'rollback')),
    rollback_of BLOB REFERENCES releases (id),
    status TEXT NOT NULL CHECK (status IN ('queued', 'pending', 'succeeded', 'failed')),
    reason TEXT,
    status_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (app_id, version),
    CHECK ((kind = 'rollback') = (rollback_of IS NOT NULL)),
    CHECK ((status = 'failed') = (reason IS NOT NULL))
) STRICT;
CREATE INDEX releases_unfinished ON releases (app_id) WHERE status IN ('queued', 'pending');
CREATE INDEX releases_by_slug ON releases (slug);

CREATE TABLE dynos (
    name TEXT NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    process_type TEXT NOT NULL,
    release_id BLOB NOT NULL REFERENCES releases (id),
    size TEXT NOT NULL,
    command TEXT NOT NULL,
    state TEXT NOT NULL,
    ready INTEGER NOT NULL CHECK (ready IN (0, 1)),
    restarts INTEGER NOT NULL,
    info TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX dynos_by_app ON dynos (app_id);

-- Dynos that a user asked to be replaced by a new one; a row goes with its dyno.
CREATE TABLE dyno_replacements (
    name TEXT NOT NULL PRIMARY KEY REFERENCES dynos (name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- hash: SHA-256 of the secret, which is 256 random bits.
CREATE TABLE tokens (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('personal', 'service', 'admin')),
    user TEXT NOT NULL,
    hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked_at IS NULL;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    app_id BLOB,
    payload TEXT NOT NULL,
    username TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX events_by_app ON events (app_id, id) WHERE app_id IS NOT NULL;
