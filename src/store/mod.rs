//! The state in one SQLite file; the only folder that names rusqlite.
//!
//! Invariants: one thread writes; what a write has answered is on disk; events are visible only after the
//! commit of the change they tell of.

pub mod accounts;
pub mod acme;
pub mod addon_attachments;
pub mod addon_backup_runs;
pub mod addon_backups;
pub mod addon_instances;
pub mod addon_jobs;
pub mod addon_periods;
pub mod addons;
pub mod app_setups;
pub mod apps;
pub mod auto_build_runs;
pub mod auto_builds;
pub mod broker_catalogues;
pub mod builds;
pub mod certificates;
mod column;
pub mod config_var_notes;
pub mod config_vars;
mod copy;
pub mod deployments;
pub mod dyno_signals;
pub mod dynos;
mod error;
pub mod events;
pub mod favorites;
pub mod features;
pub mod filter_attachments;
pub mod filters;
pub mod formation_periods;
pub mod formations;
pub mod frozen_environments;
pub mod hook_deliveries;
pub mod hook_queue;
pub mod hooks;
pub mod installation;
pub mod issuer_keys;
pub mod log_drains;
mod migrate;
pub mod oauth_clients;
pub mod oauth_grants;
pub mod oneoffs;
pub mod organization_members;
pub mod organizations;
pub mod pipeline_couplings;
pub mod pipeline_promotions;
pub mod pipelines;
pub mod plugins;
pub mod previews;
mod readers;
pub mod recommendations;
pub mod release_candidates;
pub mod release_statuses;
pub mod releases;
pub mod routes;
pub mod samples;
pub mod sites;
pub mod spaces;
pub mod stacks;
pub mod tokens;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use rusqlite::Connection;
use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;
use tokio::sync::broadcast;

/// What the nouns' functions read from: a read-only connection or a [`Tx`].
pub use self::copy::{copy, restore};
pub use self::error::StoreError;
pub use self::migrate::{Schema, schema};
pub use self::readers::ReadStore;
use self::writer::Writer;
pub use self::writer::{Outbox, Tx, WriterFigures};
use crate::clock::Clock;
use crate::model::event::Event;
use crate::model::principal::Principal;

/// Events that wait for a slow subscriber; one that falls further behind re-reads the state instead.
const EVENT_BACKLOG: usize = 4096;

/// The write-ahead log grows to so many pages (16 MiB) before they are written into the database: a write that many
/// changes brought up to date together is paid for once.
const CHECKPOINT_PAGES: u32 = 4096;

/// Reads and writes. Clones share one writer thread and one pool of readers.
#[derive(Debug, Clone)]
pub struct Store {
    writer: Writer,
    reads: ReadStore,
    events: broadcast::Sender<Arc<Event>>,
}

impl Store {
    /// Opens the database file, making or migrating it. Blocks: call it before the runtime is busy.
    pub fn open(path: &Path, clock: Clock) -> Result<Self, StoreError> {
        let mut connection = open_writer(path)?;
        migrate::migrate(&mut connection, path)?;
        let (events, _) = broadcast::channel(EVENT_BACKLOG);
        let writer = Writer::start(connection, clock, events.clone())?;
        Ok(Self { writer, reads: ReadStore::open(path)?, events })
    }

    /// Runs `work` in a transaction of its own and returns its result once that is on disk.
    ///
    /// An error of `work` rolls everything back. Writes that wait at the same time share one commit.
    /// Dropping the future does not undo a write that was already sent. `work` runs on the writer thread:
    /// it must not wait for anything.
    pub async fn write<T, E, F>(&self, author: &Principal, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        self.writer.write(author.user.clone(), work).await
    }

    /// Runs a query on a read-only connection, off the runtime's threads.
    pub async fn read<T, E, F>(&self, query: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.reads.read(query).await
    }

    /// Lets an outbox join every later write that records an event; the first one stays.
    pub fn join_outbox(&self, outbox: Arc<dyn Outbox>) {
        self.writer.join_outbox(outbox);
    }

    /// Runs a query of a few rows by their keys, on the calling thread: microseconds, without a wait for the writer.
    /// Lists belong into [`Store::read`].
    pub fn look_up<T, E, F>(&self, query: F) -> Result<T, E>
    where
        E: From<StoreError>,
        F: FnOnce(&Connection) -> Result<T, E>,
    {
        self.reads.look_up(query)
    }

    /// The reading half, for those who must not write.
    pub fn reads(&self) -> ReadStore {
        self.reads.clone()
    }

    /// Events from now on, each after its commit. One who lags gets an error and re-reads the state.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Event>> {
        self.events.subscribe()
    }

    /// What the writer did, and what waits for it.
    pub fn figures(&self) -> WriterFigures {
        self.writer.figures()
    }

    /// Finishes the writes that were sent and closes the database; later writes fail with
    /// [`StoreError::Closed`]. Waits at most `limit`; returns whether it ended in time.
    pub async fn close(&self, limit: Duration) -> bool {
        self.writer.close(limit).await
    }
}

/// A read-only connection for looking into a database, also beside the daemon. Nothing is made or migrated.
pub fn inspect(path: &Path) -> Result<Connection, StoreError> {
    open_reader(path)
}

/// Looks for damage in a database file (`PRAGMA quick_check`); the text is SQLite's own, `ok` when whole.
pub fn quick_check(path: &Path) -> Result<String, StoreError> {
    let connection = open_reader(path)?;
    Ok(connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?)
}

#[expect(clippy::disallowed_methods, reason = "the store is the one that opens the database")]
fn open_writer(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA cache_size = -1024;",
    )?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    connection.set_prepared_statement_cache_capacity(128);
    keep_plans(&connection)?;
    Ok(connection)
}

fn open_reader(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch("PRAGMA cache_size = -256;")?;
    connection.set_prepared_statement_cache_capacity(64);
    keep_plans(&connection)?;
    Ok(connection)
}

/// With the statistics of `PRAGMA optimize`, SQLite would parse and plan a cached statement anew for each value that
/// is bound to it, which costs more than running it.
fn keep_plans(connection: &Connection) -> Result<(), StoreError> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(())
}
