-- Addons. service_reference, plan_reference: what the provider calls them. plan_price: cents a month.
-- data: what the provider must know again; sealed, bound to the addon.
CREATE TABLE addons (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB NOT NULL REFERENCES apps (id),
    service_id BLOB NOT NULL,
    service_name TEXT NOT NULL,
    service_reference TEXT NOT NULL,
    provider TEXT NOT NULL,
    plan_id BLOB NOT NULL,
    plan_name TEXT NOT NULL,
    plan_reference TEXT NOT NULL,
    plan_price INTEGER NOT NULL CHECK (plan_price >= 0),
    state TEXT NOT NULL CHECK (state IN ('provisioning', 'provisioned', 'updating', 'failed', 'deprovisioning')),
    reason TEXT NOT NULL,
    web_url TEXT NOT NULL,
    data BLOB,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE INDEX addons_by_app ON addons (app_id, created_at) WHERE deleted_at IS NULL;
CREATE INDEX addons_by_plan ON addons (plan_id) WHERE deleted_at IS NULL;

-- Which app uses which addon; the app that it belongs to is among them (is_owned).
-- variables: sealed JSON, bound to the attachment; NULL before they are known.
CREATE TABLE addon_attachments (
    id BLOB NOT NULL PRIMARY KEY,
    addon_id BLOB NOT NULL REFERENCES addons (id),
    app_id BLOB NOT NULL REFERENCES apps (id),
    service_id BLOB NOT NULL,
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    is_owned INTEGER NOT NULL CHECK (is_owned IN (0, 1)),
    is_primary INTEGER NOT NULL CHECK (is_primary IN (0, 1)),
    state TEXT NOT NULL CHECK (state IN ('binding', 'bound', 'failed')),
    reason TEXT NOT NULL,
    variables BLOB,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;
CREATE UNIQUE INDEX addon_attachments_by_name ON addon_attachments (app_id, name) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX addon_attachments_by_prefix ON addon_attachments (app_id, prefix) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX addon_attachments_of_addon ON addon_attachments (addon_id, app_id) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX addon_owners ON addon_attachments (addon_id) WHERE is_owned = 1;
CREATE UNIQUE INDEX addon_primaries ON addon_attachments (app_id, service_id)
    WHERE is_primary = 1 AND deleted_at IS NULL;

-- What a provider still has to do. plan_*: the plan to come, of a change of plan.
-- operation: what the provider calls the work that it does. accepted: it is asked how far it is.
CREATE TABLE addon_jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    addon_id BLOB NOT NULL REFERENCES addons (id),
    attachment_id BLOB REFERENCES addon_attachments (id),
    work TEXT NOT NULL CHECK (work IN ('provision', 'change_plan', 'bind', 'unbind', 'deprovision', 'upkeep')),
    plan_id BLOB,
    plan_name TEXT,
    plan_reference TEXT,
    plan_price INTEGER,
    operation TEXT,
    accepted INTEGER NOT NULL DEFAULT 0 CHECK (accepted IN (0, 1)),
    attempts INTEGER NOT NULL DEFAULT 0,
    begun_at INTEGER,
    due_at INTEGER NOT NULL,
    CHECK ((work IN ('bind', 'unbind')) = (attachment_id IS NOT NULL)),
    CHECK ((work = 'change_plan') = (plan_id IS NOT NULL))
) STRICT;
CREATE INDEX addon_jobs_due ON addon_jobs (due_at);
CREATE INDEX addon_jobs_by_addon ON addon_jobs (addon_id, number);

-- From when to when an addon had a plan: what invoices are made of. price: cents a month.
CREATE TABLE addon_periods (
    id INTEGER PRIMARY KEY,
    addon_id BLOB NOT NULL REFERENCES addons (id),
    plan_name TEXT NOT NULL,
    price INTEGER NOT NULL CHECK (price >= 0),
    started_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;
CREATE INDEX addon_periods_by_addon ON addon_periods (addon_id, started_at);
CREATE UNIQUE INDEX addon_periods_open ON addon_periods (addon_id) WHERE ended_at IS NULL;

-- The catalogue of each broker as it was last fetched, so that its services are known while it is down.
CREATE TABLE broker_catalogues (
    broker TEXT NOT NULL PRIMARY KEY,
    catalogue TEXT NOT NULL,
    fetched_at INTEGER NOT NULL
) STRICT;
