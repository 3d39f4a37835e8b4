-- The last set of keys of each issuer that a filter of the type jwt trusts, as it came.
-- uri_digest: SHA-256 of its address, which may hold a token of its own.
CREATE TABLE issuer_keys (
    uri_digest BLOB NOT NULL PRIMARY KEY,
    document BLOB NOT NULL,
    fetched_at INTEGER NOT NULL
) STRICT;
