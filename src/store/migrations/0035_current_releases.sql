-- What `GET /apps` shows of the current release of each app, without a visit to the rows of all releases and builds.
CREATE INDEX releases_succeeded ON releases (app_id, version, slug) WHERE status = 'succeeded';
CREATE INDEX builds_images ON builds (id, image) WHERE image IS NOT NULL;
