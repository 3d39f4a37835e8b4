-- token, secret: sealed, bound to the row.
-- hook: the provider's id of the webhook; with secret. NULL of a preview's, which hears of pushes with another app.
-- removed_at: of one whose webhook is still to be removed at the provider; removal_due_at: when that is tried again.
CREATE TABLE auto_builds (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    provider TEXT NOT NULL CHECK (provider IN ('github', 'gitlab', 'gitea')),
    repo TEXT NOT NULL,
    branch TEXT NOT NULL,
    username TEXT NOT NULL,
    token BLOB NOT NULL,
    hook TEXT,
    secret BLOB,
    hears_with BLOB REFERENCES apps (id),
    status_check INTEGER NOT NULL CHECK (status_check IN (0, 1)),
    auto_deploy INTEGER NOT NULL CHECK (auto_deploy IN (0, 1)),
    origin TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    removed_at INTEGER,
    removal_attempts INTEGER NOT NULL DEFAULT 0,
    removal_due_at INTEGER,
    CHECK ((hook IS NULL) = (secret IS NULL)),
    CHECK ((hook IS NULL) = (hears_with IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX auto_builds_by_app ON auto_builds (app_id) WHERE removed_at IS NULL;
CREATE INDEX auto_builds_hearing ON auto_builds (hears_with) WHERE hears_with IS NOT NULL;
CREATE INDEX auto_builds_removed ON auto_builds (removal_due_at) WHERE removed_at IS NOT NULL;

-- message, author, url: NULL until the provider was asked.
-- due_at: when a waiting one is looked at again.
-- report_due_at: when the provider is told of the commit again; NULL when it is not to be told any more.
CREATE TABLE auto_build_runs (
    id BLOB NOT NULL PRIMARY KEY,
    auto_build_id BLOB NOT NULL REFERENCES auto_builds (id) ON DELETE CASCADE,
    app_id BLOB NOT NULL REFERENCES apps (id),
    run_trigger TEXT NOT NULL,
    branch TEXT NOT NULL,
    sha TEXT NOT NULL,
    message TEXT,
    author TEXT,
    url TEXT,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'built', 'failed', 'superseded')),
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,
    build_id BLOB REFERENCES builds (id),
    reason TEXT,
    reported TEXT,
    report_attempts INTEGER NOT NULL DEFAULT 0,
    report_due_at INTEGER,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK ((state = 'waiting') = (due_at IS NOT NULL)),
    CHECK ((state = 'built') = (build_id IS NOT NULL)),
    CHECK ((state = 'failed') = (reason IS NOT NULL))
) STRICT;
CREATE INDEX auto_build_runs_by_app ON auto_build_runs (app_id, created_at);
CREATE INDEX auto_build_runs_by_auto_build ON auto_build_runs (auto_build_id);
CREATE INDEX auto_build_runs_due ON auto_build_runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX auto_build_runs_reports ON auto_build_runs (report_due_at) WHERE report_due_at IS NOT NULL;
CREATE UNIQUE INDEX auto_build_runs_by_build ON auto_build_runs (build_id) WHERE build_id IS NOT NULL;
