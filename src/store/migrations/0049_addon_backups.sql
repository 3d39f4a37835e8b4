-- addon_id: of an addon of a built-in service. Not bound to its row: what runs is taken away after it.
-- secrets: sealed. generation: which volume has the data.
CREATE TABLE addon_instances (
    addon_id BLOB NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    plan TEXT NOT NULL,
    host TEXT NOT NULL UNIQUE,
    image TEXT NOT NULL,
    secrets BLOB NOT NULL,
    generation INTEGER NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('making', 'ready', 'failed', 'removing')),
    reason TEXT NOT NULL,
    memory_mib INTEGER NOT NULL,
    backup_due_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

-- A backup outlives its addon and its app.
CREATE TABLE addon_backups (
    id BLOB NOT NULL PRIMARY KEY,
    addon_id BLOB NOT NULL,
    addon_name TEXT NOT NULL,
    app_id BLOB NOT NULL,
    service TEXT NOT NULL,
    origin TEXT NOT NULL CHECK (origin IN ('manual', 'scheduled', 'final')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    size INTEGER,
    sha256 TEXT,
    reason TEXT,
    ended_at INTEGER,
    expires_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX addon_backups_by_addon ON addon_backups (addon_id, created_at);
CREATE INDEX addon_backups_pending ON addon_backups (created_at) WHERE status = 'pending';
CREATE INDEX addon_backups_expiring ON addon_backups (expires_at) WHERE expires_at IS NOT NULL;

-- target_id: the addon that gets the data, of a restore only.
CREATE TABLE addon_backup_runs (
    id BLOB NOT NULL PRIMARY KEY,
    backup_id BLOB NOT NULL REFERENCES addon_backups (id) ON DELETE CASCADE,
    kind TEXT NOT NULL CHECK (kind IN ('restore', 'drill')),
    target_id BLOB,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    result TEXT,
    ended_at INTEGER,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX addon_backup_runs_by_backup ON addon_backup_runs (backup_id, created_at);
CREATE INDEX addon_backup_runs_pending ON addon_backup_runs (created_at) WHERE status = 'pending';
