-- One-off dynos: each runs one command once. name: that of its dyno, chosen before the container is made, so that a
-- container is told to be its own whatever happens to the daemon. env: sealed JSON, because it may hold a secret.
CREATE TABLE oneoffs (
    name TEXT NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    purpose TEXT NOT NULL CHECK (purpose IN ('command', 'formation', 'schedule', 'release')),
    formation_id BLOB REFERENCES formations (id),
    process_type TEXT NOT NULL,
    release_id BLOB NOT NULL REFERENCES releases (id),
    size TEXT NOT NULL,
    command TEXT,
    env BLOB NOT NULL,
    image TEXT,
    terminal TEXT NOT NULL CHECK (terminal IN ('detached', 'pipes', 'tty')),
    time_limit INTEGER NOT NULL CHECK (time_limit > 0),
    attached_at INTEGER,
    stopped_by TEXT,
    started_at INTEGER,
    ended_at INTEGER,
    exit_code INTEGER,
    reason TEXT,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    CHECK ((purpose IN ('formation', 'schedule')) = (formation_id IS NOT NULL)),
    CHECK ((ended_at IS NULL) = (reason IS NULL))
) STRICT;
CREATE INDEX oneoffs_by_app ON oneoffs (app_id, created_at);
-- The command of a release is run once.
CREATE UNIQUE INDEX oneoffs_of_release ON oneoffs (release_id) WHERE purpose = 'release';

-- A formation with oneoff = 1 has no dynos of its own: what runs of it is a one-off dyno. schedule: cron.
ALTER TABLE formations ADD COLUMN oneoff INTEGER NOT NULL DEFAULT 0 CHECK (oneoff IN (0, 1));
ALTER TABLE formations ADD COLUMN schedule TEXT;
ALTER TABLE formations ADD COLUMN time_zone TEXT;
ALTER TABLE formations ADD COLUMN overlap TEXT CHECK (overlap IN ('skip', 'allow', 'replace'));
-- When the schedule is due next.
ALTER TABLE formations ADD COLUMN due_at INTEGER;
-- What one-off dynos of the formation are made with instead; env is sealed JSON.
ALTER TABLE formations ADD COLUMN oneoff_image TEXT;
ALTER TABLE formations ADD COLUMN oneoff_env BLOB;
