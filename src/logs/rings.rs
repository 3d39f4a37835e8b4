//! The rings of all apps and of the sites with drains, opened when they are first asked for.

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use super::frame::NewFrame;
use super::reader::Reader;
use super::ring::{Checkpoint, Ring};
use crate::model::ids::{AppId, SiteId};
use crate::model::log::{LogFilter, LogLine, LogOwner};

/// Nobody outside chooses the owners, so the quickest of hashes does.
type Cells = HashMap<LogOwner, Arc<OnceCell<Arc<Ring>>>, foldhash::fast::RandomState>;

/// What the name of a site's folder begins with; that of an app is its id.
const SITE: &str = "site-";

/// The rings of all apps and sites. Clones share them.
#[derive(Debug, Clone)]
pub struct Rings(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    limit: u64,
    open: Mutex<Cells>,
    closed: CancellationToken,
}

impl Rings {
    /// Uses `folder`, in which each owner of a log gets a folder of at most `limit` bytes with its first line.
    pub fn new(folder: impl Into<PathBuf>, limit: u64) -> Self {
        let (folder, closed) = (folder.into(), CancellationToken::new());
        Self(Arc::new(Shared { folder, limit, open: Mutex::default(), closed }))
    }

    /// Ends all readers that wait for more, because the daemon stops. What is appended is still kept.
    pub fn close(&self) {
        self.0.closed.cancel();
    }

    /// The ring of an app or a site; an empty one is made where there is none.
    pub async fn ring(&self, owner: impl Into<LogOwner>) -> io::Result<Arc<Ring>> {
        let owner = owner.into();
        let cell = Arc::clone(self.lock().entry(owner).or_default());
        let open = || {
            let (folder, limit) = (self.folder(owner), self.0.limit);
            blocking(move || Ok(Arc::new(Ring::open(&folder, limit)?)))
        };
        cell.get_or_try_init(open).await.cloned()
    }

    /// The ring of a site, which is open only while a drain reads it; no other call than theirs makes one.
    pub(super) fn opened(&self, site: SiteId) -> Option<Arc<Ring>> {
        self.lock().get(&LogOwner::Site(site)).and_then(|cell| cell.get().cloned())
    }

    /// Adds lines to a log. The lines of one call stay together. Not undone when the future is dropped.
    pub async fn append(
        &self,
        owner: impl Into<LogOwner>,
        lines: Vec<LogLine>,
        checkpoint: Option<Checkpoint>,
    ) -> io::Result<()> {
        let ring = self.ring(owner).await?;
        blocking(move || ring.append(&lines, checkpoint)).await
    }

    /// Adds to several logs at once what `frame` makes of each owner's part; gives those to which none were added. Not
    /// undone when the future is dropped. The log of a site gets none when it went with its last drain meanwhile.
    pub(super) async fn append_all<T: Send + 'static>(
        &self,
        owners: Vec<(LogOwner, T)>,
        frame: impl Fn(T) -> io::Result<NewFrame> + Send + 'static,
    ) -> Vec<(LogOwner, io::Error)> {
        let (mut failed, mut appends) = (Vec::new(), Vec::with_capacity(owners.len()));
        for (owner, part) in owners {
            let ring = match owner {
                LogOwner::App(app) => self.ring(app).await.map(Some),
                LogOwner::Site(site) => Ok(self.opened(site)),
            };
            match ring {
                Ok(ring) => appends.extend(ring.map(|ring| (owner, ring, part))),
                Err(error) => failed.push((owner, error)),
            }
        }
        // One thread for all of them: handing each to a thread costs more than its write.
        let append = move || {
            let append = |(owner, ring, part): (_, Arc<Ring>, T)| {
                Some((owner, frame(part).and_then(|frame| ring.append_frame(frame)).err()?))
            };
            Ok(appends.into_iter().filter_map(append).collect::<Vec<_>>())
        };
        match blocking(append).await {
            Ok(unwritten) => failed.extend(unwritten),
            Err(error) => tracing::error!(%error, "lines of several logs are lost"),
        }
        failed
    }

    /// A reader of a log from a position on.
    pub async fn reader(&self, owner: impl Into<LogOwner>, position: u64) -> io::Result<Reader> {
        Ok(Reader::until(self.ring(owner).await?, position, self.0.closed.clone()))
    }

    /// A reader of the last `count` lines that `filter` wants, and of what follows them. It reads the other lines, too.
    pub async fn tail(&self, app: AppId, count: usize, filter: LogFilter) -> io::Result<Reader> {
        let ring = self.ring(app).await?;
        let of = Arc::clone(&ring);
        let position = blocking(move || of.position_of_last(count, &filter)).await?;
        Ok(Reader::until(ring, position, self.0.closed.clone()))
    }

    /// Removes a log; its readers end. What comes late for that of an app is dropped.
    pub async fn remove(&self, owner: impl Into<LogOwner>) -> io::Result<()> {
        let owner = owner.into();
        let ring = self.ring(owner).await?;
        blocking(move || ring.remove()).await?;
        // The id of an app never comes again, so its ring stays as one that takes nothing. A site may get a drain again.
        if let LogOwner::Site(_) = owner {
            self.lock().remove(&owner);
        }
        Ok(())
    }

    /// Removes the logs whose owners do not exist (a crash came between).
    pub async fn sweep(&self, exist: HashSet<LogOwner>) -> io::Result<()> {
        let folder = self.0.folder.clone();
        blocking(move || sweep(&folder, &exist)).await
    }

    fn folder(&self, owner: LogOwner) -> PathBuf {
        self.0.folder.join(match owner {
            LogOwner::App(app) => app.to_string(),
            LogOwner::Site(site) => format!("{SITE}{site}"),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Cells> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sweep(folder: &Path, exist: &HashSet<LogOwner>) -> io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let owner = entry.file_name().to_str().and_then(owner_of);
        if owner.is_some_and(|owner| !exist.contains(&owner)) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// Whose folder has that name; `None` for a folder that is no ring's.
fn owner_of(name: &str) -> Option<LogOwner> {
    match name.strip_prefix(SITE) {
        Some(site) => site.parse::<SiteId>().ok().map(LogOwner::Site),
        None => name.parse::<AppId>().ok().map(LogOwner::App),
    }
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::model::log::LogSource;
    use crate::model::time::Timestamp;

    #[tokio::test]
    async fn what_comes_late_does_not_bring_the_log_of_a_deleted_app_back() {
        let dir = tempfile::tempdir().unwrap();
        let rings = Rings::new(dir.path(), 1 << 20);
        let (app, site) = (AppId::new(Uuid::from_u128(1)), SiteId::new(Uuid::from_u128(2)));
        let line = || vec![LogLine::new(Timestamp::from_millis(0), LogSource::Router, "a request")];
        for owner in [LogOwner::App(app), LogOwner::Site(site)] {
            rings.append(owner, line(), None).await.unwrap();
            rings.remove(owner).await.unwrap();
            rings.append(owner, line(), None).await.unwrap();
        }
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [rings.folder(LogOwner::Site(site))], "a site may get a drain again");
        assert_eq!(rings.reader(app, 0).await.unwrap().next().await.unwrap(), None);
    }
}
