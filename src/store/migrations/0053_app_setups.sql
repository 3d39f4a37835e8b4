-- build_id: the id that the build of the setup gets; there may be no such build yet.
-- done, total: steps; step: the next one, for people.
-- failures, manifest_errors: JSON.
-- work: sealed, bound to the setup: who asked for what; NULL once nothing more is done.
CREATE TABLE app_setups (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    build_id BLOB NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'succeeded', 'failed')),
    done INTEGER NOT NULL,
    total INTEGER NOT NULL,
    step TEXT NOT NULL,
    failures TEXT NOT NULL,
    manifest_errors TEXT NOT NULL,
    success_url TEXT,
    postdeploy TEXT,
    work BLOB,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK ((status = 'pending') = (work IS NOT NULL))
) STRICT;
CREATE INDEX app_setups_by_app ON app_setups (app_id);
CREATE INDEX app_setups_pending ON app_setups (created_at) WHERE status = 'pending';
