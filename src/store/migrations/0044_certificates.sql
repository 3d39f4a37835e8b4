-- domains: joined by commas, the common name among them.
-- chain: PEM, leaf first. private_key: sealed, bound to the certificate.
-- due_at: when the daemon does something for it next; NULL when there is nothing to do.
CREATE TABLE certificates (
    id BLOB NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    common_name TEXT NOT NULL,
    domains TEXT NOT NULL,
    comments TEXT NOT NULL,
    organization_id BLOB NOT NULL REFERENCES organizations (id),
    requester TEXT NOT NULL,
    issuer TEXT NOT NULL CHECK (issuer IN ('local', 'acme', 'upload')),
    origin TEXT NOT NULL CHECK (origin IN ('ordered', 'automatic')),
    status TEXT NOT NULL CHECK (status IN ('pending', 'processing', 'issued', 'rejected')),
    reason TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    due_at INTEGER,
    chain TEXT,
    private_key BLOB,
    issued_at INTEGER,
    expires_at INTEGER,
    installed_at INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK ((chain IS NULL) = (private_key IS NULL)),
    CHECK ((chain IS NULL) = (issued_at IS NULL) AND (chain IS NULL) = (expires_at IS NULL)),
    CHECK ((chain IS NOT NULL) = (status = 'issued')),
    CHECK (installed_at IS NULL OR status = 'issued')
) STRICT;
CREATE UNIQUE INDEX certificates_by_name ON certificates (name);
CREATE INDEX certificates_due ON certificates (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX certificates_installed ON certificates (installed_at) WHERE installed_at IS NOT NULL;

-- Which certificate covers a domain explicitly, so that two orders for one domain are told at once.
CREATE TABLE certificate_domains (
    domain TEXT NOT NULL,
    certificate_id BLOB NOT NULL REFERENCES certificates (id) ON DELETE CASCADE,
    PRIMARY KEY (domain, certificate_id)
) STRICT, WITHOUT ROWID;

-- An order that was placed at an ACME server and whose certificate is not here yet.
-- private_key: of the certificate to come; sealed, bound to the certificate.
CREATE TABLE acme_orders (
    certificate_id BLOB NOT NULL PRIMARY KEY REFERENCES certificates (id) ON DELETE CASCADE,
    directory TEXT NOT NULL,
    url TEXT NOT NULL,
    private_key BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

-- credentials: the account's key and address; sealed, bound to the directory.
CREATE TABLE acme_accounts (
    directory TEXT NOT NULL PRIMARY KEY,
    credentials BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
