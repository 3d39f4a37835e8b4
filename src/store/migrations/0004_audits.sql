CREATE INDEX events_by_user ON events (username, id);
