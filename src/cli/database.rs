//! The database of the installation, for commands that work on it directly.

use std::time::Duration;

use anyhow::anyhow;

use super::failure::Failure;
use crate::clock::Clock;
use crate::config::Config;
use crate::store::Store;

/// The store's writer has nothing left to do when a command ends.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// Opens the database, which must exist, for one piece of work.
pub(super) fn with_store(
    config: &Config,
    work: impl AsyncFnOnce(&Store) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let path = config.database_path();
    if !path.exists() {
        return Err(Failure::Io(anyhow!(
            "there is no database {}: start the daemon once, or name its data dir with --data-dir",
            path.display()
        )));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&path, Clock::system())?;
        let result = work(&store).await;
        store.close(CLOSE_LIMIT).await;
        result
    })
}
