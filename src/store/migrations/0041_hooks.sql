-- url, secret: sealed, bound to the hook.
-- events: their names, joined by commas.
-- waiting: how many deliveries wait.
-- due_at: when the oldest waiting delivery is to be sent, or when its lease lapses; NULL when none waits.
CREATE TABLE hooks (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    url BLOB NOT NULL,
    secret BLOB NOT NULL,
    events TEXT NOT NULL,
    active INTEGER NOT NULL CHECK (active IN (0, 1)),
    failures INTEGER NOT NULL DEFAULT 0,
    suspensions INTEGER NOT NULL DEFAULT 0,
    suspended_until INTEGER,
    due_at INTEGER,
    waiting INTEGER NOT NULL DEFAULT 0,
    leased INTEGER NOT NULL DEFAULT 0 CHECK (leased IN (0, 1)),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX hooks_by_app ON hooks (app_id, created_at);
CREATE INDEX hooks_due ON hooks (due_at) WHERE due_at IS NOT NULL;

-- number: the order of the events.
-- payload, report: sealed, bound to the delivery; the one may hold config vars, the other what an endpoint answered.
CREATE TABLE hook_deliveries (
    number INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    hook_id BLOB NOT NULL REFERENCES hooks (id) ON DELETE CASCADE,
    event TEXT NOT NULL,
    payload BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'succeeded', 'failed')),
    attempts INTEGER NOT NULL,
    report BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX hook_deliveries_by_hook ON hook_deliveries (hook_id, number);
CREATE INDEX hook_deliveries_waiting ON hook_deliveries (hook_id, number) WHERE state = 'waiting';
CREATE INDEX hook_deliveries_finished ON hook_deliveries (hook_id, number, created_at) WHERE state <> 'waiting';
