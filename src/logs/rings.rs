//! The rings of all apps, opened when they are first asked for.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::reader::Reader;
use super::ring::{Checkpoint, Ring};
use crate::model::ids::AppId;
use crate::model::log::{LogFilter, LogLine};

/// The rings of all apps. Clones share them.
#[derive(Debug, Clone)]
pub struct Rings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    limit: u64,
    open: Mutex<HashMap<AppId, Arc<OnceCell<Arc<Ring>>>>>,
    closed: CancellationToken,
}

impl Rings {
    /// Uses `folder`, in which each app gets a folder of at most `limit` bytes with its first line.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        let (folder, closed) = (folder.into(), CancellationToken::new());
        Self(Arc::new(Shared { folder, limit, open: Mutex::default(), closed }))
    }

    /// Ends all readers that wait for more, because the daemon stops. What is appended is still kept.
    pub fn close(&self) {
        self.0.closed.cancel();
    }

    /// The ring of an app; an empty one is made where there is none.
    pub async fn ring(&self, app: AppId) -> io::Result<Arc<Ring>> {
        let cell = Arc::clone(self.lock().entry(app).or_default());
        let (folder, limit) = (self.folder(app), self.0.limit);
        let open = || blocking(move || Ok(Arc::new(Ring::open(&folder, limit)?)));
        cell.get_or_try_init(open).await.cloned()
    }

    /// Adds lines to an app's log. The lines of one call stay together. Not undone when the future is dropped.
    pub async fn append(
        &self,
        app: AppId,
        lines: Vec<LogLine>,
        checkpoint: Option<Checkpoint>,
    ) -> io::Result<()> {
        let ring = self.ring(app).await?;
        blocking(move || ring.append(&lines, checkpoint)).await
    }

    /// A reader of an app's log from a position on.
    pub async fn reader(&self, app: AppId, position: u64) -> io::Result<Reader> {
        Ok(Reader::until(self.ring(app).await?, position, self.0.closed.clone()))
    }

    /// A reader of the last `count` lines that `filter` wants, and of what follows them. It reads the other lines, too.
    pub async fn tail(&self, app: AppId, count: usize, filter: LogFilter) -> io::Result<Reader> {
        let ring = self.ring(app).await?;
        let of = Arc::clone(&ring);
        let position = blocking(move || of.position_of_last(count, &filter)).await?;
        Ok(Reader::until(ring, position, self.0.closed.clone()))
    }

    /// Removes an app's log; its readers end.
    pub async fn remove(&self, app: AppId) -> io::Result<()> {
        let ring = self.ring(app).await?;
        blocking(move || ring.remove()).await?;
        self.lock().remove(&app);
        Ok(())
    }

    /// Removes the logs of apps that do not exist (a crash came between).
    pub async fn sweep(&self, exist: HashSet<AppId>) -> io::Result<()> {
        let folder = self.0.folder.clone();
        blocking(move || sweep(&folder, &exist)).await
    }

    fn folder(&self, app: AppId) -> PathBuf {
        self.0.folder.join(app.to_string())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AppId, Arc<OnceCell<Arc<Ring>>>>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep(folder: &Path, exist: &HashSet<AppId>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let app = entry.file_name().to_str().and_then(|name| name.parse::<AppId>().ok());
        if app.is_some_and(|app| !exist.contains(&app)) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
