//! The check of where backups of addons are brought to.

use std::time::Duration;

use super::{Finding, state, wait};
use crate::addons::backups::s3::{Pace, S3Storage};
use crate::clock::Clock;
use crate::config::{Config, S3Config};
use crate::model::addon_backup::{AddonBackup, BackupState};
use crate::model::time::Timestamp;
use crate::store;

/// A backup that is longer on this machine than this is not brought to S3 as it should be.
const LATE: Duration = Duration::from_hours(1);
/// The store's answers; somebody waits.
const PACE: Pace =
    Pace { attempts: 2, pause: Duration::from_millis(500), limit: Duration::from_secs(15), ..Pace::DEFAULT };

/// Backups have room: that of the data dir was checked. A bucket can be listed and written to.
pub(super) fn storage(config: &Config) -> Finding {
    let Some(s3) = &config.backups.s3 else {
        return Finding::Fine(format!("stay in {}", config.backups_dir().display()));
    };
    let storage = match S3Storage::open(s3, None, (Clock::system(), PACE)) {
        Ok(storage) => storage,
        Err(error) => return Finding::Broken(format!("{:#}", anyhow::Error::from(error))),
    };
    match wait(storage.probe()) {
        Err(error) => Finding::Doubtful(format!(
            "{error}; backups stay on this machine: look at the settings of [backups], and at what the key may do"
        )),
        Ok(()) => state::ask(config, |connection| {
            Ok(judge(s3, &store::addon_backups::list_local(connection)?, Clock::system().now()))
        }),
    }
}

fn judge(s3: &S3Config, local: &[AddonBackup], now: Timestamp) -> Finding {
    let place = format!("the S3 bucket {} at {}", s3.bucket, s3.endpoint);
    let late: Vec<&str> = local.iter().filter_map(|backup| waiting(backup, now)).collect();
    match late.first() {
        None => Finding::Fine(format!("{place} can be listed and written to")),
        Some(failure) => Finding::Doubtful(format!(
            "{} on this machine for longer than an hour wait to be brought to {place}: {}",
            late.len(),
            if failure.is_empty() { "the daemon does not run" } else { failure }
        )),
    }
}

/// Why a backup that should be elsewhere is not.
fn waiting(backup: &AddonBackup, now: Timestamp) -> Option<&str> {
    match &backup.state {
        BackupState::Succeeded(content) => {
            (now.since(content.at) > LATE).then_some(content.upload_failure.as_str())
        }
        BackupState::Pending | BackupState::Failed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::addon_backup::{BackupContent, BackupOrigin, BackupStorage};
    use crate::model::ids::{AddonBackupId, AddonId, AppId};

    fn backup(at: i64, upload_failure: &str) -> AddonBackup {
        AddonBackup {
            id: AddonBackupId::new(Uuid::from_u128(1)),
            addon: AddonId::new(Uuid::from_u128(2)),
            addon_name: "db".to_owned(),
            app: AppId::new(Uuid::from_u128(3)),
            service: "db".to_owned(),
            origin: BackupOrigin::Manual,
            state: BackupState::Succeeded(BackupContent {
                size: 1,
                sha256: String::new(),
                at: Timestamp::from_millis(at),
                storage: BackupStorage::Local,
                upload_failure: upload_failure.to_owned(),
            }),
            created_at: Timestamp::from_millis(at),
            expires_at: None,
        }
    }

    #[test]
    fn backups_that_wait_for_long_are_told_with_the_reason() {
        let s3 = S3Config {
            endpoint: "https://s3.example.com".to_owned(),
            region: "us-east-1".to_owned(),
            bucket: "dumps".to_owned(),
            prefix: String::new(),
            path_style: true,
            access_key_id: "AKIA1".to_owned(),
            secret_access_key_file: "/etc/secret".into(),
            ca: None,
        };
        let now = Timestamp::from_millis(4_000_000);
        assert!(matches!(judge(&s3, &[backup(3_000_000, "")], now), Finding::Fine(_)));
        let Finding::Doubtful(text) = judge(&s3, &[backup(0, "no way")], now) else { panic!("that is late") };
        assert!(text.starts_with("1 on this machine") && text.ends_with(": no way"), "{text}");
    }
}
