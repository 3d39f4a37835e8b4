//! The `sources` folder, and how a `source_blob.url` becomes a [`BuildSource`].
//!
//! Invariant: a file under a build's id is whole; an upload that was interrupted leaves only a `.new` file.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt};

use super::data_uri::{self, DataError};
use crate::model::RuleError;
use crate::model::build::{BuildSource, ImageReference, RegistryLogin};
use crate::model::ids::BuildId;
use crate::model::rule::shown;

/// Longest URL of an archive or an image, in bytes.
const URL_LIMIT: usize = 8 * 1024;

/// The folder in which uploaded archives lie, each under its build's id. Clones share it.
#[derive(Debug, Clone)]
pub struct SourceFolder(Arc<Path>);

/// Why a source was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// What the client sent cannot be a source.
    #[error(transparent)]
    Rule(#[from] RuleError),
    /// The content could not be written to disk.
    #[error("the source cannot be stored: {0}")]
    Io(#[from] io::Error),
}

impl SourceFolder {
    /// Uses `path`, which is made with the first source.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(Arc::from(path.into()))
    }

    /// Where the upload of a build lies, if it has one.
    pub fn path(&self, id: BuildId) -> PathBuf {
        self.0.join(id.to_string())
    }

    /// Reads a `source_blob.url` (`behaviour.md` §7). The content of a `data:` URI is on disk, flushed,
    /// when this returns; anything else is only checked and fetched when the build runs.
    ///
    /// Cancelling leaves at most a file that [`SourceFolder::sweep`] removes.
    pub async fn receive(&self, id: BuildId, url: impl Into<String>) -> Result<BuildSource, SourceError> {
        let url = url.into();
        let trimmed = url.trim_start();
        let Some((scheme, rest)) = trimmed.split_once(':') else {
            return Err(unknown_scheme(trimmed).into());
        };
        match scheme.to_ascii_lowercase().as_str() {
            "data" => {
                let start = url.len() - rest.len();
                self.store(id, url, start).await.map(|()| BuildSource::Upload)
            }
            "http" | "https" => Ok(archive(trimmed.trim_end())?),
            "docker" => Ok(image(rest.trim_end())?),
            _ => Err(unknown_scheme(trimmed).into()),
        }
    }

    /// Stores what a reader gives, at most `limit` bytes of it, as the upload of a build. It is on disk, flushed, when
    /// this returns.
    ///
    /// Cancelling leaves at most a file that [`SourceFolder::sweep`] removes.
    pub async fn receive_stream(
        &self,
        id: BuildId,
        reader: impl AsyncRead + Unpin,
        limit: u64,
    ) -> Result<(), SourceError> {
        let (folder, path) = (Arc::clone(&self.0), self.path(id));
        let beside = path.with_extension("new");
        let at = beside.clone();
        let file = blocking(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(at)
        });
        let mut file = tokio::fs::File::from_std(file.await?);
        let copied = copy_within(reader, &mut file, limit).await;
        if copied.is_err() {
            // The reason of the failure is what the client needs; the sweep removes the file otherwise.
            drop(tokio::fs::remove_file(&beside).await);
        }
        copied?;
        let folder = Arc::clone(&self.0);
        Ok(blocking(move || {
            fs::rename(&beside, &path)?;
            File::open(&folder)?.sync_all()
        })
        .await?)
    }

    /// Removes the upload of a build; nothing when it has none.
    pub async fn remove(&self, id: BuildId) -> io::Result<()> {
        let path = self.path(id);
        blocking(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }

    /// Gives a new build the upload of an old one (a rebuild); `false` when that is not there any more.
    pub async fn copy(&self, from: BuildId, to: BuildId) -> io::Result<bool> {
        let (from, to, folder) = (self.path(from), self.path(to), Arc::clone(&self.0));
        blocking(move || match fs::hard_link(from, to) {
            Ok(()) => File::open(folder)?.sync_all().map(|()| true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        })
        .await
    }

    /// Removes every file whose build is not in `keep`, also what an interrupted upload left. Returns how
    /// many were removed. Only for the start, before the API takes uploads: an upload precedes its build.
    pub async fn sweep(&self, keep: HashSet<BuildId>) -> io::Result<usize> {
        let folder = Arc::clone(&self.0);
        blocking(move || {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
                other => other?,
            };
            let mut removed = 0;
            for entry in entries {
                let entry = entry?;
                let id = entry.file_name().to_str().and_then(|name| name.parse::<BuildId>().ok());
                if !id.is_some_and(|id| keep.contains(&id)) {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
            Ok(removed)
        })
        .await
    }

    async fn store(&self, id: BuildId, url: String, start: usize) -> Result<(), SourceError> {
        let (folder, path) = (Arc::clone(&self.0), self.path(id));
        let written = tokio::task::spawn_blocking(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let beside = path.with_extension("new");
            let result = write_content(url.get(start..).unwrap_or_default(), &beside);
            if result.is_err() {
                // The reason of the failure is what the client needs; the sweep removes the file otherwise.
                drop(fs::remove_file(&beside));
            }
            result?;
            fs::rename(&beside, &path)?;
            Ok(File::open(&folder)?.sync_all()?)
        });
        written.await.map_err(|error| SourceError::Io(io::Error::other(error)))?
    }
}

async fn copy_within(
    reader: impl AsyncRead + Unpin,
    file: &mut tokio::fs::File,
    limit: u64,
) -> Result<(), SourceError> {
    // One byte more tells a content that is too long.
    let copied = tokio::io::copy(&mut reader.take(limit.saturating_add(1)), file).await?;
    if copied > limit {
        return Err(
            RuleError::new(format!("The source is larger than {limit} bytes, which is the limit.")).into()
        );
    }
    Ok(file.sync_all().await?)
}

fn write_content(uri: &str, path: &Path) -> Result<(), SourceError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut writer = BufWriter::with_capacity(256 * 1024, file);
    let length = data_uri::decode(uri, &mut writer).map_err(|error| match error {
        DataError::Rule(rule) => SourceError::Rule(rule),
        DataError::Io(error) => SourceError::Io(error),
    })?;
    if length == 0 {
        return Err(RuleError::new(
            "The source is empty: the data URI holds no bytes. Send a zip, tar.gz or tar of the source code.",
        )
        .into());
    }
    writer.flush()?;
    writer.get_ref().sync_all()?;
    Ok(())
}

fn archive(url: &str) -> Result<BuildSource, RuleError> {
    let refused = |why: &str| RuleError::new(format!("The source url \"{}\" {why}.", shown(url)));
    if url.len() > URL_LIMIT {
        return Err(refused(&format!("is too long: at most {URL_LIMIT} bytes are taken")));
    }
    let parsed: http::Uri = url.parse().map_err(|_| {
        refused("is not a valid address; write it like https://host/path/source.tar.gz, special characters percent-encoded")
    })?;
    if parsed.host().is_none_or(str::is_empty) {
        return Err(refused("names no host; write it like https://host/path/source.tar.gz"));
    }
    Ok(BuildSource::Archive { url: url.to_owned(), login: None })
}

fn image(rest: &str) -> Result<BuildSource, RuleError> {
    let Some(rest) = rest.strip_prefix("//") else {
        return Err(RuleError::new("The source url is not usable: use docker://registry/repository:tag."));
    };
    if rest.len() > URL_LIMIT {
        return Err(RuleError::new(format!(
            "The source url is too long: at most {URL_LIMIT} bytes are taken."
        )));
    }
    let (userinfo, reference) = split_userinfo(rest);
    let login = userinfo.map(login).transpose()?;
    Ok(BuildSource::Image { reference: ImageReference::parse(reference)?, login })
}

/// The `@` of a userinfo stands before the first slash; that of a digest stands in the last segment.
fn split_userinfo(rest: &str) -> (Option<&str>, &str) {
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((before, after)) if authority.len() == rest.len() && after.starts_with("sha256:") => {
            match before.rsplit_once('@') {
                Some((userinfo, _)) => (Some(userinfo), rest.get(userinfo.len() + 1..).unwrap_or_default()),
                None => (None, rest),
            }
        }
        Some((userinfo, _)) => (Some(userinfo), rest.get(userinfo.len() + 1..).unwrap_or_default()),
        None => (None, rest),
    }
}

fn login(userinfo: &str) -> Result<RegistryLogin, RuleError> {
    let refused = || {
        RuleError::new(
            "The credentials in the docker:// url are not usable: write user:password@ before the registry, \
             special characters percent-encoded.",
        )
    };
    let (user, password) = userinfo.split_once(':').ok_or_else(refused)?;
    let decoded = |text: &str| data_uri::percent_decoded(text).ok_or_else(refused);
    let login = RegistryLogin { user: decoded(user)?, password: decoded(password)? };
    if login.user.is_empty() { Err(refused()) } else { Ok(login) }
}

fn unknown_scheme(url: &str) -> RuleError {
    let scheme = url.split_once(':').map_or(url, |(scheme, _)| scheme);
    RuleError::new(format!(
        "The source url \"{}\" is not usable: use data:, http://, https:// or docker://registry/repository:tag.",
        shown(scheme)
    ))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(number: u128) -> BuildId {
        BuildId::new(Uuid::from_u128(number))
    }

    async fn received(url: &str) -> Result<(BuildSource, Vec<u8>), SourceError> {
        let dir = tempfile::tempdir().unwrap();
        let folder = SourceFolder::new(dir.path().join("sources"));
        let source = folder.receive(id(1), url).await?;
        Ok((source, fs::read(folder.path(id(1))).unwrap_or_default()))
    }

    #[tokio::test]
    async fn the_three_forms_of_a_data_uri_are_stored_under_the_builds_id() {
        for url in [
            "data:base64,aGVsbG8=",
            "data:application/zip;base64,aGVsbG8",
            "DATA:application/x-tar; charset=x;BASE64,aGVs\n bG8=",
            "data:,hel%6Co",
        ] {
            let (source, content) = received(url).await.unwrap();
            assert_eq!(source, BuildSource::Upload);
            assert_eq!(content, b"hello", "{url}");
        }
    }

    #[tokio::test]
    async fn an_empty_or_broken_data_uri_is_refused_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let folder = SourceFolder::new(dir.path());
        for url in ["data:base64,", "data:base64", "data:base64,a", "data:base64,a§b=", "data:,%4"] {
            let error = folder.receive(id(1), url).await.unwrap_err();
            assert!(matches!(error, SourceError::Rule(_)), "{url}: {error}");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_stream_is_stored_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let folder = SourceFolder::new(dir.path().join("sources"));
        folder.receive_stream(id(1), &b"hello"[..], 5).await.unwrap();
        assert_eq!(fs::read(folder.path(id(1))).unwrap(), b"hello");
        let error = folder.receive_stream(id(2), &b"hello"[..], 4).await.unwrap_err();
        assert!(matches!(error, SourceError::Rule(_)), "{error}");
        assert_eq!(fs::read_dir(dir.path().join("sources")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn an_image_keeps_its_decoded_login_and_its_digest() {
        let (source, _) = received("docker://us%40er:p%2Fw@registry:5000/team/app:1.0").await.unwrap();
        let BuildSource::Image { reference, login } = source else { panic!("an image") };
        assert_eq!(reference.as_str(), "registry:5000/team/app:1.0");
        assert_eq!(login, Some(RegistryLogin { user: "us@er".to_owned(), password: "p/w".to_owned() }));
        let digest = format!("docker://app@sha256:{}", "a".repeat(64));
        let (source, _) = received(&digest).await.unwrap();
        assert!(matches!(source, BuildSource::Image { login: None, .. }));
        assert_eq!(source.shown_url(), digest);
    }

    #[tokio::test]
    async fn a_refused_url_says_what_to_use() {
        for (url, part) in [
            ("ftp://host/x.zip", "use data:, http://"),
            ("nothing", "use data:, http://"),
            ("docker://registry/app", "name a tag"),
            ("docker:registry/app:1", "docker://registry/repository:tag"),
            ("docker://:x@registry/app:1", "credentials"),
            ("http:///x", "https://host"),
            ("https://ho st/x", "https://host"),
        ] {
            let error = received(url).await.unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
    }

    #[tokio::test]
    async fn a_rebuild_shares_the_upload_and_outlives_the_first_build() {
        let dir = tempfile::tempdir().unwrap();
        let folder = SourceFolder::new(dir.path());
        folder.receive(id(1), "data:,x").await.unwrap();
        assert!(folder.copy(id(1), id(2)).await.unwrap());
        assert!(!folder.copy(id(7), id(8)).await.unwrap());
        folder.remove(id(1)).await.unwrap();
        folder.remove(id(1)).await.unwrap();
        assert_eq!(fs::read(folder.path(id(2))).unwrap(), b"x");
        fs::write(dir.path().join("left.new"), b"half").unwrap();
        assert_eq!(folder.sweep(HashSet::from([id(2)])).await.unwrap(), 1);
        assert_eq!(folder.sweep(HashSet::new()).await.unwrap(), 1);
    }
}
