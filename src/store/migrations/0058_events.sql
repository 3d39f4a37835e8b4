-- No query uses these: audits are read from the newest event back, past those that the filter does not let through.
-- Each was a page more in every commit.
DROP INDEX events_by_app;
DROP INDEX events_by_user;
