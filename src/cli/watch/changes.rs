//! When the files of a folder have changed, and have come to rest.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::folder;

/// Without a change for so long, the files are at rest.
const QUIET: Duration = Duration::from_millis(300);
/// Files that are never at rest are taken as they are after this.
const LONGEST: Duration = Duration::from_secs(5);

/// Watches a folder. A change that comes while nobody waits is kept.
#[derive(Debug)]
pub(super) struct Changes {
    changed: Arc<Notify>,
    _watcher: RecommendedWatcher,
}

impl Changes {
    /// Changes from now on, in the folder and all below it.
    pub(super) fn of(folder: &Path) -> anyhow::Result<Self> {
        let changed = Arc::new(Notify::new());
        let (told, root) = (Arc::clone(&changed), folder.to_owned());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // An error says that something was missed.
            if event.map_or(true, |event| is_change(&root, event.kind, &event.paths)) {
                told.notify_one();
            }
        })?;
        watcher.watch(folder, RecursiveMode::Recursive).with_context(|| {
            format!(
                "{} cannot be watched; is there a limit on watches (fs.inotify.max_user_watches)?",
                folder.display()
            )
        })?;
        Ok(Self { changed, _watcher: watcher })
    }

    /// Waits for a change and for the rest after it. Cancel-safe but for a change that it has seen already.
    pub(super) async fn settled(&self) {
        self.changed.notified().await;
        rest(&self.changed, QUIET, LONGEST).await;
    }
}

/// Returns when nothing was told for `quiet`, or after `longest`.
async fn rest(changed: &Notify, quiet: Duration, longest: Duration) {
    let end = Instant::now() + longest;
    let moves = async { while timeout(quiet, changed.notified()).await.is_ok() {} };
    drop(timeout_at(end, moves).await);
}

fn is_change(folder: &Path, kind: EventKind, paths: &[PathBuf]) -> bool {
    match kind {
        EventKind::Access(_) => false,
        EventKind::Any
        | EventKind::Create(_)
        | EventKind::Modify(_)
        | EventKind::Remove(_)
        | EventKind::Other => paths.is_empty() || paths.iter().any(|path| folder::concerns(folder, path)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_of_changes_is_one() {
        let changed = Notify::new();
        changed.notify_one();
        let started = Instant::now();
        let burst = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(40)).await;
                changed.notify_one();
            }
        };
        let quiet = Duration::from_secs(1);
        tokio::join!(rest(&changed, quiet, Duration::from_mins(1)), burst);
        assert!(started.elapsed() >= quiet + Duration::from_millis(200));
        assert!(timeout(Duration::from_millis(1), changed.notified()).await.is_err());
    }

    #[tokio::test]
    async fn changes_without_end_are_taken_as_they_are() {
        let changed = Notify::new();
        let endless = async {
            loop {
                changed.notify_one();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = rest(&changed, Duration::from_secs(20), Duration::from_millis(100)) => {}
            () = endless => {}
        }
    }

    #[tokio::test]
    async fn a_file_that_is_written_is_a_change_and_one_that_is_read_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let changes = Changes::of(dir.path()).unwrap();
        std::fs::create_dir(dir.path().join(".git")).unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "x").unwrap();
        timeout(Duration::from_secs(30), changes.settled()).await.expect("the file was written");
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
        assert!(timeout(Duration::from_millis(200), changes.changed.notified()).await.is_err());
    }
}
