-- People, what they belong to, and the applications that act for them.

CREATE TABLE accounts (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    email TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'member')),
    -- argon2id in the PHC form.
    password_hash TEXT,
    -- The sealed secret of one-time codes; it counts once it was confirmed.
    two_factor_secret BLOB,
    two_factor_confirmed_at INTEGER,
    -- The newest step whose code was accepted: none is accepted twice.
    two_factor_step INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    last_login_at INTEGER,
    suspended_at INTEGER
) STRICT;

CREATE TABLE organization_members (
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    account_id BLOB NOT NULL REFERENCES accounts (id),
    role TEXT NOT NULL CHECK (role IN ('admin', 'member')),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (account_id, organization_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX organization_members_by_organization ON organization_members (organization_id);

CREATE TABLE oauth_clients (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('confidential', 'public')),
    secret_hash BLOB,
    -- One a line.
    redirect_uris TEXT NOT NULL,
    account_id BLOB NOT NULL REFERENCES accounts (id),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    CHECK ((kind = 'confidential') = (secret_hash IS NOT NULL))
) STRICT;

CREATE TABLE oauth_grants (
    id BLOB NOT NULL PRIMARY KEY,
    client_id BLOB NOT NULL REFERENCES oauth_clients (id),
    account_id BLOB NOT NULL REFERENCES accounts (id),
    scope TEXT NOT NULL CHECK (scope IN ('global', 'read')),
    redirect_uri TEXT NOT NULL,
    challenge TEXT,
    code_hash BLOB NOT NULL UNIQUE,
    code_expires_at INTEGER NOT NULL,
    code_used_at INTEGER,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;
CREATE INDEX oauth_grants_by_client ON oauth_grants (client_id);

CREATE TABLE oauth_refresh_tokens (
    hash BLOB NOT NULL PRIMARY KEY,
    grant_id BLOB NOT NULL REFERENCES oauth_grants (id) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL,
    -- A second use is a theft, and ends the grant.
    used_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX oauth_refresh_tokens_by_grant ON oauth_refresh_tokens (grant_id);

ALTER TABLE tokens ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE tokens ADD COLUMN scope TEXT NOT NULL DEFAULT 'global' CHECK (scope IN ('global', 'read'));
ALTER TABLE tokens ADD COLUMN expires_at INTEGER;
ALTER TABLE tokens ADD COLUMN grant_id BLOB REFERENCES oauth_grants (id) ON DELETE CASCADE;
CREATE INDEX tokens_by_user ON tokens (user);
CREATE INDEX tokens_by_grant ON tokens (grant_id) WHERE grant_id IS NOT NULL;

-- Who has used this installation until now goes on as before: in every organization there is.
INSERT INTO accounts (id, name, email, role, created_at, updated_at)
SELECT randomblob(16), user, '', CASE WHEN max(kind = 'admin' AND revoked_at IS NULL) THEN 'owner' ELSE 'member' END,
       min(created_at), min(created_at)
FROM tokens WHERE kind <> 'service' GROUP BY user;

INSERT INTO organization_members (organization_id, account_id, role, created_at)
SELECT organizations.id, accounts.id, 'member', accounts.created_at
FROM organizations JOIN accounts ON accounts.role = 'member' WHERE organizations.deleted_at IS NULL;
