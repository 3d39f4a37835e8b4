//! Read-only connections: a small pool, used off the runtime's threads, or on them for what takes microseconds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{StoreError, open_reader};

/// Queries that run at the same time, at most; not more than the machine can work on, because each holds its rows.
const READERS: usize = 4;

/// Reads only. Clones share the pool.
#[derive(Debug, Clone)]
pub struct ReadStore(Arc<Pool>);

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl ReadStore {
    pub(super) fn open(path: &Path) -> Self {
        Self(Arc::new(Pool {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(readers())),
        }))
    }

    /// Runs a query on a read-only connection, off the runtime's threads.
    pub async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        // The permit goes into the closure: a request that is cancelled must not free it while its query runs.
        let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let pool = Arc::clone(&self.0);
        let result = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let connection = pool.take()?;
            let result = query(&connection);
            pool.give_back(connection);
            result
        });
        result.await.unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }
}

impl ReadStore {
    /// Runs a query of a few rows by their keys, on the calling thread.
    ///
    /// Such a query takes some ten microseconds: readers never wait for the writer, and the rows lie in memory.
    /// Handing it to another thread would cost several times as much as the query itself.
    pub fn look_up<T, E, F>(&self, query: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: FnOnce(&Connection) -> Result<T, E>,
    {
        let connection = self.0.take()?;
        let result = query(&connection);
        self.0.give_back(connection);
        result
    }
}

fn readers() -> usize {
    std::thread::available_parallelism().map_or(READERS, |cores| cores.get().clamp(2, READERS))
}

impl Pool {
    fn take(&self) -> Result<Connection, StoreError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some(connection) => Ok(connection),
            None => open_reader(&self.path),
        }
    }

    fn give_back(&self, connection: Connection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
