//! A copy of a database file, and the way back to it.
//!
//! Invariant: each is one transaction of SQLite's, so that a crash leaves the one state or the other.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::backup::Backup;

use super::{StoreError, open_reader, open_writer};

/// Copies the database at `path`, which may be in use, to `copy`, in the place of what is there. Blocks.
pub fn copy(path: &Path, copy: &Path) -> Result<(), StoreError> {
    copy_of(&open_reader(path)?, copy)
}

/// Makes the database at `path` what `copy` is, schema and all; nobody else may use it. Blocks.
pub fn restore(path: &Path, copy: &Path) -> Result<(), StoreError> {
    /// Small databases take one step; between two steps the writer's lock is kept.
    const PAGES: i32 = 4096;
    let from = open_reader(copy)?;
    let mut to = open_writer(path)?;
    Backup::new(&from, &mut to)?.run_to_completion(PAGES, Duration::ZERO, None)?;
    Ok(())
}

/// As [`copy`], from a connection.
pub(super) fn copy_of(connection: &Connection, copy: &Path) -> Result<(), StoreError> {
    match std::fs::remove_file(copy) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::Copy(error)),
    }
    connection.execute("VACUUM INTO ?1", [copy.to_string_lossy()])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::{Store, StoreError, inspect, schema};

    #[tokio::test]
    async fn a_database_that_a_newer_version_migrated_is_what_it_was_after_the_restore() {
        let dir = tempfile::tempdir().unwrap();
        let (path, aside) = (dir.path().join("akkerisd.db"), dir.path().join("aside"));
        std::fs::write(&aside, "of an earlier upgrade").unwrap();
        let store = Store::open(&path, Clock::system()).unwrap();
        assert!(store.close(Duration::from_secs(10)).await);
        copy(&path, &aside).unwrap();
        let newer = open_writer(&path).unwrap();
        newer
            .execute_batch("DROP TABLE installation; CREATE TABLE newer (x); PRAGMA user_version = 9999")
            .unwrap();
        drop(newer);
        assert!(matches!(Store::open(&path, Clock::system()), Err(StoreError::Newer { .. })));
        restore(&path, &aside).unwrap();
        let found = schema(&inspect(&path).unwrap()).unwrap();
        assert_eq!(found.found, found.known);
        let store = Store::open(&path, Clock::system()).unwrap();
        let tables = "SELECT group_concat(name) FROM sqlite_schema WHERE name IN ('newer', 'installation')";
        let named: String = store
            .read(move |c| Ok::<_, StoreError>(c.query_row(tables, [], |row| row.get(0))?))
            .await
            .unwrap();
        assert_eq!(named, "installation");
    }
}
