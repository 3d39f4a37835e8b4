-- Signals that a user asked to be sent to all processes of a dyno. One that was sent is gone; a row goes with its dyno.
CREATE TABLE dyno_signals (
    name TEXT NOT NULL REFERENCES dynos (name) ON DELETE CASCADE,
    signal INTEGER NOT NULL CHECK (signal BETWEEN 1 AND 64),
    PRIMARY KEY (name, signal)
) STRICT, WITHOUT ROWID;
