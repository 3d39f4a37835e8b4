-- storage: where a backup that succeeded lies. upload_failure: why it is not in S3 yet.
ALTER TABLE addon_backups ADD COLUMN storage TEXT CHECK (storage IN ('local', 's3'));
ALTER TABLE addon_backups ADD COLUMN upload_failure TEXT NOT NULL DEFAULT '';
UPDATE addon_backups SET storage = 'local' WHERE status = 'succeeded';
CREATE INDEX addon_backups_local ON addon_backups (created_at) WHERE storage = 'local';

-- Backups without a row whose objects in S3 are to be removed.
CREATE TABLE removed_addon_backups (
    backup_id BLOB NOT NULL PRIMARY KEY
) STRICT;
