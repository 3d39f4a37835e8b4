//! A look into a source before it is built: at its `app.json`.

use std::io;
use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::archive::{ArchiveError, ArchiveLimits};
use super::unpack;

/// The `app.json` at the root of an archive; `None` when there is none, or the archive is refused, which its build
/// tells better. Dropping the future ends the work.
pub async fn read(archive: PathBuf, limits: ArchiveLimits) -> io::Result<Option<Vec<u8>>> {
    let stop = CancellationToken::new();
    let _stop_when_dropped = stop.clone().drop_guard();
    let work = tokio::task::spawn_blocking(move || unpack::inspect(&archive, &limits, &stop));
    match work.await.map_err(io::Error::other)? {
        Ok(inspected) => Ok(inspected.manifest),
        Err(ArchiveError::Refused(_) | ArchiveError::Stopped) => Ok(None),
        Err(ArchiveError::Io(error)) => Err(error),
    }
}
