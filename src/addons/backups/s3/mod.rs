//! Backups in a bucket of an S3-compatible store: an object for each, below a prefix of this installation.
//!
//! Invariants: an object is complete or it is not there; nothing outside of the prefix is touched; no secret and no
//! signed address is in an error.

mod answer;
mod client;
mod error;
mod read;
mod upload;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use rusty_s3::{Bucket, Credentials, Method, UrlStyle};

use self::answer::Object;
pub use self::client::Pace;
use self::client::{Client, PAGE, Request};
pub use self::error::S3Error;
use self::read::Reader;
use crate::clock::Clock;
use crate::config::S3Config;
use crate::model::ids::{AddonBackupId, InstallationId};
use crate::model::time::Timestamp;
use crate::outbound::{OutboundError, TransferBody, Transfers};

/// An object that no row knows is kept for so long: it may be of a database that was restored from before.
const STRAY_KEPT: Duration = Duration::from_hours(7 * 24);

/// The place of backups in a bucket. Clones share its connections.
#[derive(Debug, Clone)]
pub struct S3Storage {
    client: Arc<Client>,
    /// What every key begins with; empty, or with a slash at its end.
    prefix: String,
}

/// Why a store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum S3SetupError {
    #[error("the file of {setting}, {path}, cannot be read")]
    File { setting: &'static str, path: String, source: std::io::Error },
    #[error("the file of backups.s3_secret_access_key_file, {path}, does not hold a secret access key")]
    Secret { path: String },
    #[error(
        "backups.s3_bucket {bucket} makes no host name below backups.s3_endpoint; set backups.s3_path_style = true"
    )]
    Bucket { bucket: String },
    #[error("the file of backups.s3_ca is not usable")]
    Client(#[source] OutboundError),
}

impl S3Storage {
    /// The place of that installation, or of none. Blocks while it reads the files.
    pub fn open(
        config: &S3Config,
        installation: Option<InstallationId>,
        (clock, pace): (Clock, Pace),
    ) -> Result<Self, S3SetupError> {
        let style = if config.path_style { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let unusable = || S3SetupError::Bucket { bucket: config.bucket.clone() };
        let endpoint = config.endpoint.parse().map_err(|_| unusable())?;
        let bucket = Bucket::new(endpoint, style, config.bucket.clone(), config.region.clone())
            .map_err(|_| unusable())?;
        let authorities = config.ca.as_deref().map(|path| read("backups.s3_ca", path)).transpose()?;
        let transfers = Transfers::new(authorities.as_deref()).map_err(S3SetupError::Client)?;
        let credentials =
            Credentials::new(config.access_key_id.clone(), secret(&config.secret_access_key_file)?);
        let installation = installation.map(|id| id.to_string()).unwrap_or_default();
        let parts = [config.prefix.as_str(), &installation];
        let prefix = parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .fold(String::new(), |prefix, part| prefix + part + "/");
        let client = Client { bucket, credentials, transfers, clock, pace };
        Ok(Self { client: Arc::new(client), prefix })
    }

    /// Asks the store to list its bucket, and to let an object be written; nothing is left of it.
    pub async fn probe(&self) -> Result<(), S3Error> {
        self.list_page("1", Vec::new()).await?;
        self.unfinished(&self.prefix).await?;
        let key = format!("{}probe", self.prefix);
        let id = self.begin(&key).await?;
        self.abort(&key, &id).await
    }

    /// Keeps the first `size` bytes of a file as a backup.
    pub(super) async fn keep(&self, backup: AddonBackupId, file: &Path, size: u64) -> Result<(), S3Error> {
        self.upload(&self.key(backup), file, size).await
    }

    /// Reads a backup of that size.
    pub(super) async fn open_backup(
        &self,
        backup: AddonBackupId,
        size: u64,
    ) -> Result<BoxStream<'static, Result<Bytes, S3Error>>, S3Error> {
        Ok(Reader::open(Arc::clone(&self.client), self.key(backup), size).await?.into_stream())
    }

    /// Removes a backup; one that is not there is well.
    pub(super) async fn remove(&self, backup: AddonBackupId) -> Result<(), S3Error> {
        self.remove_object(&self.key(backup)).await
    }

    /// Forgets every unfinished upload, and returns the backups that are older than a row of them needs to be. Call it
    /// only while nothing is uploaded.
    pub(super) async fn sweep(&self) -> Result<Vec<AddonBackupId>, S3Error> {
        for upload in self.unfinished(&self.prefix).await? {
            self.abort(&upload.key, &upload.id).await?;
        }
        let before = self.client.clock.now().minus(STRAY_KEPT);
        let (mut old, mut next) = (Vec::new(), Vec::new());
        loop {
            let page = self.list_page(PAGE, next).await?;
            old.extend(
                page.items.iter().filter(|object| is_before(object, before)).filter_map(|object| {
                    object.key.strip_prefix(&self.prefix)?.parse::<AddonBackupId>().ok()
                }),
            );
            if page.next.is_empty() {
                return Ok(old);
            }
            next = page.next;
        }
    }

    fn key(&self, backup: AddonBackupId) -> String {
        format!("{}{backup}", self.prefix)
    }

    async fn remove_object(&self, key: &str) -> Result<(), S3Error> {
        let doing = "removing a backup";
        let (query, body) = (Vec::new(), TransferBody::Empty);
        match self.client.ask(&Request { doing, method: Method::Delete, key, query, body }).await {
            Err(error) if !error.is_missing() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// How many bytes an object has, as far as the server says it.
    async fn size(&self, key: &str) -> Result<Option<u64>, S3Error> {
        let (query, body) = (Vec::new(), TransferBody::Empty);
        let head = Request { doing: "looking at a backup", method: Method::Head, key, query, body };
        let answer = self.client.ask(&head).await?;
        Ok(answer.headers.get("content-length").and_then(|length| length.parse().ok()))
    }

    /// At most so many objects, from where the page before ended.
    async fn list_page(
        &self,
        most: &str,
        mut query: Vec<(&'static str, String)>,
    ) -> Result<answer::Page<Object>, S3Error> {
        let doing = "listing backups";
        query.push(("max-keys", most.to_owned()));
        query.push(("list-type", "2".to_owned()));
        query.push(("prefix", self.prefix.clone()));
        query.sort_unstable();
        let list = Request { doing, method: Method::Get, key: "", query, body: TransferBody::Empty };
        let answer = self.client.ask(&list).await?;
        answer::objects(&answer.body).map_err(|fault| self.client.error(doing, fault))
    }
}

fn is_before(object: &Object, instant: Timestamp) -> bool {
    object.modified.is_some_and(|at| at < instant.as_millis())
}

fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, S3SetupError> {
    std::fs::read(path).map_err(|source| S3SetupError::File {
        setting,
        path: path.display().to_string(),
        source,
    })
}

fn secret(path: &Path) -> Result<String, S3SetupError> {
    let bytes = read("backups.s3_secret_access_key_file", path)?;
    let text = String::from_utf8(bytes).unwrap_or_default().trim().to_owned();
    let is_usable = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    is_usable.then_some(text).ok_or_else(|| S3SetupError::Secret { path: path.display().to_string() })
}
