//! Where backups of addons lie, as the configuration says.

use super::DaemonError;
use crate::addons::backups::s3::{Pace, S3Storage};
use crate::addons::backups::{BackupFolder, BackupStorages};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::ids::InstallationId;

/// Blocks while it reads the secret access key.
pub(super) fn open(
    config: &Config,
    installation: InstallationId,
    clock: Clock,
) -> Result<BackupStorages, DaemonError> {
    let s3 = match &config.backups.s3 {
        Some(s3) => Some(S3Storage::open(s3, Some(installation), (clock, Pace::DEFAULT))?),
        None => None,
    };
    Ok(BackupStorages::new(BackupFolder::new(config.backups_dir()), s3))
}
