-- app_id: NULL is for owners of another kind, each of which gets a column of its own.
-- url, token: sealed, bound to the drain.
-- position: where in the owner's log it goes on; NULL before it was first looked at.
-- dropped: lines lost since it was made; lost: those of them, since lost_since, that the stream was not told of.
CREATE TABLE log_drains (
    id BLOB NOT NULL PRIMARY KEY,
    app_id BLOB REFERENCES apps (id),
    url BLOB NOT NULL,
    token BLOB NOT NULL,
    state TEXT NOT NULL DEFAULT 'connecting' CHECK (state IN ('connecting', 'connected', 'failing')),
    description TEXT NOT NULL DEFAULT '',
    position INTEGER,
    dropped INTEGER NOT NULL DEFAULT 0,
    lost INTEGER NOT NULL DEFAULT 0,
    lost_since INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;
CREATE INDEX log_drains_by_app ON log_drains (app_id, created_at);
