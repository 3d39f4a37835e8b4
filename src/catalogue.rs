//! The catalogue file: written on the first start, read, and read again while the daemon runs.
//!
//! Invariant: what [`CatalogueHandle::current`] gives was valid when it was read; an invalid edit changes
//! nothing and is logged once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::durable_file;
use crate::model::RuleError;
use crate::model::catalogue::Catalogue;
use crate::tasks::Tasks;

/// The file's name in the data dir.
const FILE_NAME: &str = "catalogue.toml";
/// What the first start writes.
const FIRST_CONTENT: &str = include_str!("../assets/catalogue.toml");
/// Between two looks at the file. It lies beside the database, of which each commit would wake whoever lets the
/// system watch the folder; and watching the file alone would lose sight of it when an editor replaces it.
const PERIOD: Duration = Duration::from_secs(1);

/// The present catalogue; clones share it.
#[derive(Debug, Clone)]
pub struct CatalogueHandle(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    current: Arc<ArcSwap<Catalogue>>,
    /// The text that was last read, valid or not, so that each edit is judged once.
    last_text: Mutex<String>,
}

/// Why there is no catalogue, or no new one.
#[derive(Debug, thiserror::Error)]
pub enum CatalogueError {
    #[error("the catalogue {path} cannot be read or written")]
    File { path: String, source: io::Error },
    #[error("the catalogue {path} is not valid")]
    Invalid { path: String, source: RuleError },
}

/// What came of reading the file again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reloaded {
    /// The text is the one that was read before.
    Unchanged,
    /// The new catalogue is in force.
    TakenOver,
}

impl CatalogueHandle {
    /// Reads `<data dir>/catalogue.toml`, after writing the default one when there is none. The data dir
    /// must exist.
    pub fn open(data_dir: &Path) -> Result<Self, CatalogueError> {
        let path = data_dir.join(FILE_NAME);
        if !path.exists() {
            durable_file::write_private(&path, FIRST_CONTENT.as_bytes())
                .map_err(|source| CatalogueError::File { path: path.display().to_string(), source })?;
        }
        let text = read(&path)?;
        let catalogue = parse(&path, &text)?;
        Ok(Self(Arc::new(Inner {
            path,
            current: Arc::new(ArcSwap::from_pointee(catalogue)),
            last_text: Mutex::new(text),
        })))
    }

    /// The catalogue in force.
    pub fn current(&self) -> Arc<Catalogue> {
        self.0.current.load_full()
    }

    /// The cell that edits are taken over into, for rooms that only read it.
    pub fn shared(&self) -> Arc<ArcSwap<Catalogue>> {
        Arc::clone(&self.0.current)
    }

    /// Reads the file again; blocking. An invalid file is an error and leaves what is in force.
    pub fn reload(&self) -> Result<Reloaded, CatalogueError> {
        let text = read(&self.0.path)?;
        let mut last_text = self.0.last_text.lock().unwrap_or_else(PoisonError::into_inner);
        if *last_text == text {
            return Ok(Reloaded::Unchanged);
        }
        last_text.clone_from(&text);
        self.0.current.store(Arc::new(parse(&self.0.path, &text)?));
        Ok(Reloaded::TakenOver)
    }

    /// Takes over every valid edit of the file until the tasks stop.
    pub fn watch(&self, tasks: &Tasks) {
        let (handle, stop) = (self.clone(), tasks.stopping());
        tasks.spawn("catalogue", async move {
            stop.run_until_cancelled(handle.follow()).await;
        });
    }

    async fn follow(&self) {
        loop {
            tokio::time::sleep(PERIOD).await;
            self.reload_and_log().await;
        }
    }

    async fn reload_and_log(&self) {
        let handle = self.clone();
        match tokio::task::spawn_blocking(move || handle.reload()).await {
            Ok(Ok(Reloaded::TakenOver)) => tracing::info!("the catalogue was changed and is in force"),
            Ok(Ok(Reloaded::Unchanged)) | Err(_) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the catalogue was changed but is not taken over; the one before stays in force"
            ),
        }
    }
}

fn read(path: &Path) -> Result<String, CatalogueError> {
    std::fs::read_to_string(path)
        .map_err(|source| CatalogueError::File { path: path.display().to_string(), source })
}

fn parse(path: &Path, text: &str) -> Result<Catalogue, CatalogueError> {
    Catalogue::parse(text)
        .map_err(|source| CatalogueError::Invalid { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn until(what: &str, mut holds: impl FnMut() -> bool) {
        let waited = tokio::time::timeout(Duration::from_secs(10), async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
        assert!(waited.await.is_ok(), "{what} did not happen");
    }

    fn price_of(handle: &CatalogueHandle, size: &str) -> Option<u32> {
        handle.current().size(size).map(|size| size.price)
    }

    #[test]
    fn the_first_start_writes_a_catalogue_that_is_valid() {
        let dir = tempfile::tempdir().unwrap();
        let handle = CatalogueHandle::open(dir.path()).unwrap();
        assert_eq!(handle.current().region.name, "us-seattle");
        assert_eq!(std::fs::read_to_string(dir.path().join(FILE_NAME)).unwrap(), FIRST_CONTENT);
    }

    #[test]
    fn an_invalid_catalogue_at_start_is_refused_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE_NAME), "region = 3").unwrap();
        let error = CatalogueHandle::open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("catalogue.toml is not valid"), "{error}");
    }

    #[test]
    fn an_invalid_edit_leaves_what_is_in_force_and_is_judged_once() {
        let dir = tempfile::tempdir().unwrap();
        let handle = CatalogueHandle::open(dir.path()).unwrap();
        std::fs::write(dir.path().join(FILE_NAME), "default_size = \"gp9\"").unwrap();
        assert!(handle.reload().is_err());
        assert_eq!(handle.reload().unwrap(), Reloaded::Unchanged);
        assert_eq!(price_of(&handle, "gp1"), Some(10));
    }

    #[tokio::test]
    async fn an_edit_is_taken_over_also_when_it_is_renamed_into_place() {
        let dir = tempfile::tempdir().unwrap();
        let handle = CatalogueHandle::open(dir.path()).unwrap();
        let tasks = Tasks::new();
        handle.watch(&tasks);

        let path = dir.path().join(FILE_NAME);
        std::fs::write(&path, FIRST_CONTENT.replacen("price = 10", "price = 11", 1)).unwrap();
        until("the edit in place", || price_of(&handle, "gp1") == Some(11)).await;

        std::fs::write(&path, "not a catalogue").unwrap();
        let beside = dir.path().join("catalogue.toml.new");
        std::fs::write(&beside, FIRST_CONTENT.replacen("price = 10", "price = 12", 1)).unwrap();
        std::fs::rename(beside, path).unwrap();
        until("the renamed edit", || price_of(&handle, "gp1") == Some(12)).await;

        assert!(tasks.stop(Duration::from_secs(5)).await);
    }
}
