//! What lies where in the data dir.

use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::PathBuf;

use super::Config;

/// Only the daemon's own user may look inside.
pub const DATA_DIR_MODE: u32 = 0o700;

impl Config {
    /// Makes the data dir where there is none, and closes it to other users.
    pub fn prepare_data_dir(&self) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DATA_DIR_MODE).create(&self.data_dir)?;
        std::fs::set_permissions(&self.data_dir, Permissions::from_mode(DATA_DIR_MODE))
    }

    /// The database.
    pub fn database_path(&self) -> PathBuf {
        self.data_dir.join("akkerisd.db")
    }

    /// The key that seals values in the database.
    pub fn seal_key_path(&self) -> PathBuf {
        self.data_dir.join("seal.key")
    }

    /// The key that signs temporary tokens.
    pub fn token_key_path(&self) -> PathBuf {
        self.data_dir.join("token.key")
    }

    /// The admin token that the first start made.
    pub fn admin_token_path(&self) -> PathBuf {
        self.data_dir.join("admin-token")
    }

    /// A copy of the database from before an upgrade, while that may have to be undone.
    pub fn database_copy_path(&self) -> PathBuf {
        self.data_dir.join("akkerisd.db.before-upgrade")
    }

    /// Where the daemon listens for `akkerisd upgrade`.
    pub fn control_path(&self) -> PathBuf {
        self.data_dir.join("control.sock")
    }

    /// The folder of the local certificate authority.
    pub fn ca_dir(&self) -> PathBuf {
        self.data_dir.join("ca")
    }

    /// The certificate of the local certificate authority, for clients to trust.
    pub fn ca_certificate_path(&self) -> PathBuf {
        self.ca_dir().join("ca.crt")
    }

    /// Certificates that the operator puts there: `NAME.crt` with `NAME.key`, or `NAME.pem` with both.
    pub fn certs_dir(&self) -> PathBuf {
        self.data_dir.join("certs")
    }

    /// Files of authorities that log drains may name (`?ca=name.pem`). Made by the operator, if at all.
    pub fn drain_cas_dir(&self) -> PathBuf {
        self.data_dir.join("drain-cas")
    }

    /// What was measured of dynos and requests.
    pub fn samples_path(&self) -> PathBuf {
        self.data_dir.join("metrics.db")
    }

    /// Sources that were handed over and wait for their build.
    pub fn sources_dir(&self) -> PathBuf {
        self.data_dir.join("sources")
    }

    /// The logs of builds.
    pub fn build_logs_dir(&self) -> PathBuf {
        self.data_dir.join("build-logs")
    }

    /// Backups of addons.
    pub fn backups_dir(&self) -> PathBuf {
        self.data_dir.join("backups")
    }

    /// The repositories of apps, and the socket at which their pushes ask to be let in.
    pub fn git_dir(&self) -> PathBuf {
        self.data_dir.join("git")
    }

    /// The logs of apps, a folder each.
    pub fn logs_dir(&self) -> PathBuf {
        self.data_dir.join("logs")
    }

    /// Where sources are unpacked while they are built; nothing in it outlives a build.
    pub fn build_work_dir(&self) -> PathBuf {
        self.data_dir.join("build-work")
    }
}
