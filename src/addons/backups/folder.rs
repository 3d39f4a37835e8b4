//! Where backups lie on this machine: a file for each, readable by the daemon alone.

use std::collections::HashSet;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::model::ids::AddonBackupId;

/// The folder of the backups. What has no row is removed from it.
#[derive(Debug, Clone)]
pub struct BackupFolder(PathBuf);

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sum {
    /// In bytes.
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// The end of the name of a file that is being written.
const UNFINISHED: &str = "part";

impl BackupFolder {
    /// The folder at that path; it is made when the first backup is.
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    /// The file of a backup.
    pub fn path(&self, backup: AddonBackupId) -> PathBuf {
        self.0.join(backup.to_string())
    }

    /// A file beside the backups. One that is left behind is swept away, at the latest with the backup whose id its name
    /// begins with.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.{UNFINISHED}"))
    }

    /// Begins a file of that name beside the backups, in place of what an earlier attempt left.
    pub(super) async fn begin(&self, name: &str) -> io::Result<(PathBuf, tokio::fs::File)> {
        let (folder, path) = (self.0.clone(), self.beside(name));
        let made = path.clone();
        let file = blocking(move || {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(made)
        })
        .await?;
        Ok((path, tokio::fs::File::from_std(file)))
    }

    /// Makes a written file the file of a backup; afterwards it survives a power cut.
    pub(super) async fn finish(&self, written: PathBuf, backup: AddonBackupId) -> io::Result<Sum> {
        let (folder, path) = (self.0.clone(), self.path(backup));
        blocking(move || {
            let sum = sum(&written)?;
            std::fs::File::open(&written)?.sync_all()?;
            std::fs::rename(&written, &path)?;
            std::fs::File::open(folder)?.sync_all()?;
            Ok(sum)
        })
        .await
    }

    /// Removes a backup's file; one that is not there is well.
    pub(super) async fn remove(&self, backup: AddonBackupId) -> io::Result<()> {
        self.discard(self.path(backup)).await
    }

    /// Removes a file that was begun; one that is not there is well.
    pub(super) async fn discard(&self, path: PathBuf) -> io::Result<()> {
        match blocking(move || std::fs::remove_file(path)).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Removes the files that are of none of these backups, and those that are not written on.
    pub(super) async fn sweep(&self, kept: HashSet<AddonBackupId>) -> io::Result<()> {
        let folder = self.0.clone();
        blocking(move || {
            let entries = match std::fs::read_dir(folder) {
                Ok(entries) => entries,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            };
            for entry in entries {
                let path = entry?.path();
                if !is_kept(&path, &kept) {
                    std::fs::remove_file(path)?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// Reads a file and sums it up.
pub(super) async fn sum_of(path: PathBuf) -> io::Result<Sum> {
    blocking(move || sum(&path)).await
}

/// Runs what waits for the disk.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// What begins with the id of a backup belongs to it.
fn is_kept(path: &Path, kept: &HashSet<AddonBackupId>) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let id = name.and_then(|name| name.split('.').next()?.parse().ok());
    id.is_some_and(|id| kept.contains(&id))
}

fn sum(path: &Path) -> io::Result<Sum> {
    let mut file = std::fs::File::open(path)?;
    let mut digest = Sha256::new();
    let size = io::copy(&mut file, &mut Hashing(&mut digest))?;
    Ok(Sum { size, sha256: hex::encode(digest.finalize()) })
}

/// Sums up what is written to it.
pub(super) struct Hashing<'a, D>(pub(super) &'a mut D);

impl<D: Digest> io::Write for Hashing<'_, D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn a_finished_file_stays_until_its_backup_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let folder = BackupFolder::new(dir.path().join("backups"));
        folder.sweep(HashSet::new()).await.unwrap();
        let id = AddonBackupId::new(Uuid::from_u128(1));
        let (path, mut file) = folder.begin(&id.to_string()).await.unwrap();
        file.write_all(b"data").await.unwrap();
        file.flush().await.unwrap();
        let written = folder.finish(path, id).await.unwrap();
        assert_eq!(written.size, 4);
        folder.sweep(HashSet::from([id])).await.unwrap();
        assert_eq!(sum_of(folder.path(id)).await.unwrap(), written);
        let mode =
            std::os::unix::fs::PermissionsExt::mode(&folder.path(id).metadata().unwrap().permissions());
        assert_eq!(mode & 0o777, 0o600);
        folder.sweep(HashSet::new()).await.unwrap();
        assert!(!folder.path(id).exists());
    }
}
