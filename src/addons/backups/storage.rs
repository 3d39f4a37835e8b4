//! Where backups lie: on this machine, and in S3 once they were brought there.
//!
//! Invariant: what is given out has the length that was written down, and what is restored has the digest, too.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::folder::{BackupFolder, sum_of};
use super::s3::{S3Error, S3Storage};
use crate::model::addon_backup::{BackupContent, BackupStorage};
use crate::model::ids::AddonBackupId;

/// The bytes of a backup. One that breaks off ends with an error.
pub type BackupBytes = BoxStream<'static, Result<Bytes, StorageError>>;

/// All storages of this installation.
#[derive(Debug, Clone)]
pub struct BackupStorages {
    folder: BackupFolder,
    /// Where backups are brought to; `None` leaves them in the folder.
    s3: Option<S3Storage>,
}

/// Why a backup cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("the backup's file cannot be read or written: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    S3(#[from] S3Error),
    #[error("it lies in S3, and no backups.s3_endpoint is configured")]
    NoS3,
    #[error("it is not the one that was written: its digest differs")]
    Differs,
}

/// A backup on the disk, for as long as this lives.
#[derive(Debug)]
pub(super) struct Fetched(PathBuf);

impl BackupStorages {
    /// A folder of this machine, and the store that backups are brought to from there.
    pub fn new(folder: BackupFolder, s3: Option<S3Storage>) -> Self {
        Self { folder, s3 }
    }

    /// The bytes of a backup from where it lies; their digest is not looked at.
    pub async fn open(
        &self,
        backup: AddonBackupId,
        content: &BackupContent,
    ) -> Result<BackupBytes, StorageError> {
        match content.storage {
            BackupStorage::Local => {
                let file = tokio::fs::File::open(self.folder.path(backup)).await?;
                Ok(ReaderStream::new(file).map_err(StorageError::from).boxed())
            }
            BackupStorage::S3 => {
                let s3 = self.s3.as_ref().ok_or(StorageError::NoS3)?;
                Ok(s3.open_backup(backup, content.size).await?.map_err(StorageError::from).boxed())
            }
        }
    }

    /// A file with exactly what was written down. Each attempt has an id of its own.
    pub(super) async fn fetch(
        &self,
        (backup, attempt): (AddonBackupId, Uuid),
        content: &BackupContent,
    ) -> Result<Fetched, StorageError> {
        let name = format!("{backup}.{attempt}");
        let fetched = match content.storage {
            BackupStorage::Local => {
                let fetched = Fetched(self.folder.beside(&name));
                // It may be brought to S3 meanwhile, which removes the file.
                tokio::fs::hard_link(self.folder.path(backup), fetched.path()).await?;
                fetched
            }
            BackupStorage::S3 => {
                let (path, mut file) = self.folder.begin(&name).await?;
                let fetched = Fetched(path);
                let mut bytes = self.open(backup, content).await?;
                while let Some(chunk) = bytes.try_next().await? {
                    file.write_all(&chunk).await?;
                }
                file.flush().await?;
                fetched
            }
        };
        let sum = sum_of(fetched.0.clone()).await?;
        let is_the_one = sum.sha256 == content.sha256 && sum.size == content.size;
        is_the_one.then_some(fetched).ok_or(StorageError::Differs)
    }

    pub(super) fn folder(&self) -> &BackupFolder {
        &self.folder
    }

    pub(super) fn s3(&self) -> Option<&S3Storage> {
        self.s3.as_ref()
    }
}

impl Fetched {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        // What cannot be removed is swept away later.
        drop(std::fs::remove_file(&self.0));
    }
}
