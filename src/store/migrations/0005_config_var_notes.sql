CREATE TABLE config_var_notes (
    app_id BLOB NOT NULL REFERENCES apps (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    required INTEGER NOT NULL CHECK (required IN (0, 1)),
    PRIMARY KEY (app_id, name)
) STRICT, WITHOUT ROWID;
