-- A drain is an app's or a site's.
ALTER TABLE log_drains ADD COLUMN site_id BLOB REFERENCES sites (id)
    CHECK ((app_id IS NULL) <> (site_id IS NULL));
CREATE INDEX log_drains_by_site ON log_drains (site_id, created_at) WHERE site_id IS NOT NULL;
