//! Read-only connections: a small pool, used by threads of its own, or by the caller's for what takes microseconds.
//!
//! Invariants: a long query runs on one of the few reader threads. Each thread that ever held many rows keeps the
//! memory for them, and those of the runtime for blocking work may be busy with archives for minutes. All that one
//! query reads is of one moment: no commit falls between its statements.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{StoreError, open_reader};

/// Reader threads at most; not more than the machine can work on, because each holds its rows.
const READERS: usize = 4;
/// Queries that may wait for a thread; one more makes its sender wait.
const QUEUE: usize = 64;

/// Reads only. Clones share the pool.
#[derive(Debug, Clone)]
pub struct ReadStore(Arc<Reading>);

#[derive(Debug)]
struct Reading {
    pool: Arc<Pool>,
    jobs: mpsc::Sender<Job>,
}

/// Gets a connection, or the reason why there is none, and tells the one who waits.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

#[derive(Debug)]
struct Pool {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl ReadStore {
    /// Starts the threads, which end when the last clone is gone.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let pool = Arc::new(Pool { path: path.to_owned(), idle: Mutex::default() });
        let (jobs, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..readers() {
            let (pool, queue) = (Arc::clone(&pool), Arc::clone(&queue));
            std::thread::Builder::new()
                .name("store-reader".to_owned())
                .spawn(move || work(&pool, &queue))
                .map_err(|_| StoreError::Closed)?;
        }
        Ok(Self(Arc::new(Reading { pool, jobs })))
    }

    /// Runs a query on a read-only connection, off the runtime's threads.
    pub async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // The one who asked may have gone before its turn came.
            if !answer.is_closed() {
                let read =
                    connection.map_err(E::from).and_then(|connection| at_one_moment(connection, query));
                let _gone = answer.send(read);
            }
        });
        self.0.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    /// Runs a query of a few rows by their keys, on the calling thread.
    ///
    /// Such a query takes some ten microseconds: readers never wait for the writer, and the rows lie in memory.
    /// Handing it to another thread would cost several times as much as the query itself.
    pub fn look_up<T, E, F>(&self, query: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: FnOnce(&Connection) -> Result<T, E>,
    {
        let connection = self.0.pool.take()?;
        let result = at_one_moment(&connection, query);
        self.0.pool.give_back(connection);
        result
    }
}

/// Runs a query in a transaction, so that its statements see the same commits.
fn at_one_moment<T, E, F>(connection: &Connection, query: F) -> Result<T, E>
where
    E: From<StoreError>,
    F: FnOnce(&Connection) -> Result<T, E>,
{
    let _snapshot = Snapshot::begin(connection)?;
    query(connection)
}

/// A read transaction that ends with its scope, by a panic too.
struct Snapshot<'c>(&'c Connection);

impl<'c> Snapshot<'c> {
    fn begin(connection: &'c Connection) -> Result<Self, StoreError> {
        connection.prepare_cached("BEGIN").and_then(|mut begin| begin.execute([]))?;
        Ok(Self(connection))
    }
}

impl Drop for Snapshot<'_> {
    fn drop(&mut self) {
        let ended = self.0.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = ended {
            tracing::error!(%error, "a read did not end; its connection is closed");
        }
    }
}

/// Runs queries until nobody can send one any more. The thread that waits for the next holds the lock, the
/// others wait for the lock.
fn work(pool: &Pool, queue: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = job else { return };
        let connection = match pool.take() {
            Ok(connection) => connection,
            Err(error) => {
                job(Err(error));
                continue;
            }
        };
        // The sender notices by itself that its query panicked, and the thread lives on.
        if catch_unwind(AssertUnwindSafe(|| job(Ok(&connection)))).is_ok() {
            pool.give_back(connection);
        } else {
            tracing::error!("a read panicked");
        }
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

    /// One whose read did not end is closed.
    fn give_back(&self, connection: Connection) {
        if !connection.is_autocommit() {
            return;
        }
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
