//! The operator's folder of certificates (`<data dir>/certs`): read, and watched while the daemon runs.
//!
//! Invariant: a bad file never takes anything from the edge; what was good under its name goes on being shown until
//! the file is good again or gone.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::book::{CertificateBook, FileCertificate};
use crate::chain::{Chain, ChainError};
use crate::clock::Clock;
use crate::model::time::Timestamp;
use crate::tasks::{Activator, Tasks};

/// Files are copied one after the other; the folder is read this long after the first change.
const SETTLE: Duration = Duration::from_millis(300);
/// A chain with its key is a few KiB.
const LARGEST_FILE: u64 = 256 * 1024;

/// What a look into the folder found, by names.
#[derive(Debug, Default)]
pub struct FolderReading {
    pub good: BTreeMap<String, Chain>,
    pub bad: BTreeMap<String, FileFault>,
}

/// Why a file is not shown.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} is larger than {LARGEST_FILE} bytes", .0.display())]
    TooLarge(PathBuf),
    #[error("{}: {error}", path.display())]
    Unusable { path: PathBuf, error: ChainError },
}

/// The folder cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("the folder of certificates {path} cannot be {action}")]
pub struct FolderError {
    action: &'static str,
    path: String,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

/// The folder, with what is shown of it.
#[derive(Debug)]
pub struct CertificateFolder {
    path: PathBuf,
    book: CertificateBook,
    clock: Clock,
    shown: BTreeMap<String, Chain>,
    /// What was said of bad files, so that it is said once.
    told: BTreeMap<String, String>,
}

impl FolderReading {
    /// Reads every `NAME.crt` with its `NAME.key`, and every `NAME.pem`. A folder that is not there is empty. Blocks.
    pub fn of(path: &Path, now: Timestamp) -> io::Result<Self> {
        let mut reading = Self::default();
        let entries = match std::fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(reading),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let file = entry?.path();
            let key = match file.extension().and_then(|extension| extension.to_str()) {
                Some("crt") => file.with_extension("key"),
                Some("pem") => file.clone(),
                Some(_) | None => continue,
            };
            let Some(name) = file.file_stem().map(|stem| stem.to_string_lossy().into_owned()) else {
                continue;
            };
            match read_pair(&file, &key, now) {
                Ok(chain) => drop(reading.good.insert(name, chain)),
                Err(fault) => drop(reading.bad.insert(name, fault)),
            }
        }
        Ok(reading)
    }
}

impl CertificateFolder {
    /// Makes the folder where there is none, shows what is in it, and follows its changes until the tasks stop.
    /// Blocks.
    pub fn start(
        path: PathBuf,
        book: CertificateBook,
        clock: Clock,
        tasks: &Tasks,
    ) -> Result<(), FolderError> {
        let failed = |action, source: Box<dyn std::error::Error + Send + Sync>| FolderError {
            action,
            path: path.display().to_string(),
            source,
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(|error| failed("made", error.into()))?;
        let changed = Activator::new();
        let watcher = watch(&path, changed.clone()).map_err(|error| failed("watched", error.into()))?;
        let mut folder = Self { path, book, clock, shown: BTreeMap::new(), told: BTreeMap::new() };
        folder.look();
        let stop = tasks.stopping();
        tasks.spawn("certificate folder", async move {
            stop.run_until_cancelled(folder.follow(&changed)).await;
            drop(watcher);
        });
        Ok(())
    }

    async fn follow(mut self, changed: &Activator) {
        loop {
            changed.activated().await;
            tokio::time::sleep(SETTLE).await;
            let looked = tokio::task::spawn_blocking(move || {
                self.look();
                self
            });
            match looked.await {
                Ok(folder) => self = folder,
                Err(error) => {
                    tracing::error!(%error, "the folder of certificates is not followed any more");
                    return;
                }
            }
        }
    }

    fn look(&mut self) {
        let reading = match FolderReading::of(&self.path, self.clock.now()) {
            Ok(reading) => reading,
            Err(error) => {
                tracing::error!(path = %self.path.display(), %error, "the folder of certificates cannot be read");
                return;
            }
        };
        self.tell(&reading);
        let before = std::mem::take(&mut self.shown);
        let kept = before.into_iter().filter(|(name, _)| reading.bad.contains_key(name));
        self.shown = kept.chain(reading.good).collect();
        let files = self.shown.iter();
        let files = files.map(|(name, chain)| FileCertificate { name: name.clone(), chain: chain.clone() });
        self.book.replace_files(files.collect());
    }

    fn tell(&mut self, reading: &FolderReading) {
        for (name, chain) in &reading.good {
            let is_new =
                self.shown.get(name).is_none_or(|old| old.certified().cert != chain.certified().cert);
            if is_new {
                tracing::info!(name, names = ?chain.names(), "a certificate of the folder is shown");
            }
        }
        let bad = reading.bad.iter().map(|(name, fault)| (name.clone(), fault.to_string()));
        let bad: BTreeMap<String, String> = bad.collect();
        for (name, fault) in &bad {
            if self.told.get(name) != Some(fault) {
                tracing::error!(name, fault, "a certificate of the folder cannot be shown");
            }
        }
        self.told = bad;
    }
}

fn watch(path: &Path, changed: Activator) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // An error means that events were lost, which is as good a reason to look as an event.
        if event.map_or(true, |event| !event.kind.is_access()) {
            changed.activate();
        }
    })?;
    watcher.watch(path, RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn read_pair(file: &Path, key: &Path, now: Timestamp) -> Result<Chain, FileFault> {
    let (chain, key) = (read(file)?, read(key)?);
    let unusable = |error| FileFault::Unusable { path: file.to_owned(), error };
    let chain = Chain::parse(&chain, &key).map_err(unusable)?;
    chain.check_time(now).map_err(unusable)?;
    Ok(chain)
}

fn read(path: &Path) -> Result<String, FileFault> {
    let unreadable = |source| FileFault::Unreadable { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::other("it is no file")));
    }
    if metadata.len() > LARGEST_FILE {
        return Err(FileFault::TooLarge(path.to_owned()));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn put(dir: &Path, name: &str, content: &str) {
        std::fs::write(dir.join(name), content).unwrap();
    }

    fn pair(domain: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![domain.to_owned()]).unwrap().self_signed(&key).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    fn folder(dir: &Path) -> CertificateFolder {
        CertificateFolder {
            path: dir.to_owned(),
            book: CertificateBook::default(),
            clock: Clock::system(),
            shown: BTreeMap::new(),
            told: BTreeMap::new(),
        }
    }

    #[test]
    fn pairs_and_single_files_are_read_and_bad_ones_named() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = pair("a.example");
        put(dir.path(), "a.crt", &chain);
        put(dir.path(), "a.key", &key);
        put(dir.path(), "b.pem", &format!("{key}{chain}"));
        put(dir.path(), "alone.crt", &chain);
        put(dir.path(), "mixed.crt", &chain);
        put(dir.path(), "mixed.key", &pair("a.example").1);
        put(dir.path(), "large.pem", &"x".repeat(300 * 1024));
        put(dir.path(), "readme.txt", "nothing");
        let reading = FolderReading::of(dir.path(), Clock::system().now()).unwrap();
        assert_eq!(reading.good.keys().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(reading.bad.keys().collect::<Vec<_>>(), ["alone", "large", "mixed"]);
        assert!(reading.bad["alone"].to_string().contains("alone.key cannot be read"));
        assert!(reading.bad["mixed"].to_string().contains("not the one of the first certificate"));
        assert!(FolderReading::of(&dir.path().join("none"), Clock::system().now()).unwrap().good.is_empty());
    }

    #[test]
    fn a_file_that_turned_bad_leaves_what_was_shown_until_it_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (chain, key) = pair("a.example");
        put(dir.path(), "a.pem", &format!("{chain}{key}"));
        let mut folder = folder(dir.path());
        folder.look();
        assert_eq!(folder.book.expiries().len(), 1);
        put(dir.path(), "a.pem", &chain);
        folder.look();
        assert_eq!(folder.book.expiries().len(), 1, "the good one is still shown");
        std::fs::remove_file(dir.path().join("a.pem")).unwrap();
        folder.look();
        assert!(folder.book.expiries().is_empty());
    }
}
