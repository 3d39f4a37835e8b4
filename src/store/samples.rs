//! What dynos used and how apps answered, over time: a database file of its own beside the main one.
//!
//! Invariants: nothing here is needed to run an app, so nothing is waited for to reach the disk, and a damaged
//! file is begun anew; a value is written once into each level, so that no level waits for another; the file
//! does not grow beyond 256 MiB.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use rusqlite::types::Value;
use rusqlite::{Connection, Row, params_from_iter};

use super::StoreError;
use crate::model::ids::AppId;
use crate::model::metric::{
    DynoSample, Level, Metric, MetricKind, Period, Readings, RouterSample, StatusCount,
};
use crate::model::names::{DynoName, ProcessType};
use crate::model::time::Timestamp;

/// Bytes. A week of some 300 dynos fits.
const LARGEST_FILE: i64 = 256 << 20;
const PAGE_SIZE: i64 = 4096;
/// Raised when the tables change; a file of another version is begun anew.
const VERSION: i64 = 1;

/// The kept values. Clones share one connection.
#[derive(Debug, Clone)]
pub struct SampleStore(Arc<Mutex<Connection>>);

/// A kept value of a dyno: the mean of its gauges and the last of its counters since `at`.
#[derive(Debug, Clone, PartialEq)]
pub struct DynoRow {
    /// Seconds since 1970.
    pub at: i64,
    pub process_type: ProcessType,
    pub dyno: DynoName,
    pub readings: Readings,
}

/// The requests that ended from `at` on.
#[derive(Debug, Clone, PartialEq)]
pub struct RouterRow {
    /// Seconds since 1970.
    pub at: i64,
    pub status: u16,
    pub count: StatusCount,
}

/// All that was kept of an app within a period.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct KeptSamples {
    pub dynos: Vec<DynoRow>,
    pub router: Vec<RouterRow>,
}

impl SampleStore {
    /// Opens the file, or begins a new one in the place of a damaged one. Blocks.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let connection = match open(path) {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(path = %path.display(), error = &error as &dyn std::error::Error,
                    "the file of metrics cannot be used; a new one is begun");
                remove(path);
                open(path)?
            }
        };
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    /// Keeps what was measured at an instant.
    pub async fn insert(
        &self,
        at: Timestamp,
        dynos: Vec<DynoSample>,
        router: BTreeMap<AppId, RouterSample>,
    ) -> Result<(), StoreError> {
        self.call(move |connection| match insert(connection, at, &dynos, &router) {
            Err(StoreError::Full(_)) => {
                make_room(connection, at)?;
                insert(connection, at, &dynos, &router)
            }
            other => other,
        })
        .await
    }

    /// What was kept of an app within a period, for each part of it as fine as it is kept and asked for.
    pub async fn read(&self, app: AppId, period: Period, now: Timestamp) -> Result<KeptSamples, StoreError> {
        self.call(move |connection| {
            let mut kept = KeptSamples::default();
            for (level, from, to) in parts(period, now) {
                read_dynos(connection, app, (level, from, to), &mut kept.dynos)?;
                read_router(connection, app, (level, from, to), &mut kept.router)?;
            }
            Ok(kept)
        })
        .await
    }

    /// Forgets what is older than its level is kept.
    pub async fn prune(&self, now: Timestamp) -> Result<(), StoreError> {
        self.call(move |connection| {
            for level in Level::ALL {
                delete_before(connection, level, seconds(now) - kept(level))?;
            }
            Ok(())
        })
        .await
    }

    /// Forgets every app but these.
    pub async fn keep_only(&self, apps: BTreeSet<AppId>) -> Result<(), StoreError> {
        self.call(move |connection| {
            for table in ["dyno_samples", "router_samples"] {
                let mut statement = connection.prepare(&format!("SELECT DISTINCT app_id FROM {table}"))?;
                let found: Vec<AppId> =
                    statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                for app in found.iter().filter(|app| !apps.contains(app)) {
                    connection.execute(&format!("DELETE FROM {table} WHERE app_id = ?1"), [app])?;
                }
            }
            Ok(())
        })
        .await
    }

    /// Runs `work` on the connection, off the runtime's threads.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            work(&mut shared.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.unwrap_or(Err(StoreError::Panicked))
    }
}

#[expect(clippy::disallowed_methods, reason = "the store is the one that opens databases")]
fn open(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    // A crash of the machine may damage the file, which is then begun anew; one of the daemon may not.
    connection.execute_batch(&format!(
        "PRAGMA page_size = {PAGE_SIZE}; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
         PRAGMA cache_size = -512; PRAGMA journal_size_limit = 4194304;"
    ))?;
    let largest = LARGEST_FILE / PAGE_SIZE;
    connection.query_row(&format!("PRAGMA max_page_count = {largest}"), [], |_| Ok(()))?;
    let sound: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if sound != "ok" || (version != VERSION && version != 0) {
        return Err(StoreError::Content(format!("its check says {sound:?}, its version is {version}")));
    }
    if version == 0 {
        let columns: Vec<String> = Metric::ALL.iter().map(|metric| format!("{metric} REAL")).collect();
        connection.execute_batch(&format!(
            "CREATE TABLE dyno_samples (app_id BLOB NOT NULL, level INTEGER NOT NULL, at INTEGER NOT NULL,
                dyno TEXT NOT NULL, process_type TEXT NOT NULL, samples INTEGER NOT NULL, {},
                PRIMARY KEY (app_id, level, at, dyno)) WITHOUT ROWID;
             CREATE TABLE router_samples (app_id BLOB NOT NULL, level INTEGER NOT NULL, at INTEGER NOT NULL,
                status INTEGER NOT NULL, requests INTEGER NOT NULL, seconds REAL NOT NULL,
                PRIMARY KEY (app_id, level, at, status)) WITHOUT ROWID;
             PRAGMA user_version = {VERSION};",
            columns.join(", ")
        ))?;
    }
    Ok(connection)
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        // What is not there need not go; what cannot go shows when the file is opened again.
        let _missing = std::fs::remove_file(file);
    }
}

fn insert(
    connection: &mut Connection,
    at: Timestamp,
    dynos: &[DynoSample],
    router: &BTreeMap<AppId, RouterSample>,
) -> Result<(), StoreError> {
    let transaction = connection.transaction()?;
    for level in Level::ALL {
        let begin = seconds(at).div_euclid(level.step()) * level.step();
        let mut statement = transaction.prepare_cached(&UPSERT_DYNO)?;
        for sample in dynos {
            let head = [
                Value::from(sample.app.uuid().as_bytes().to_vec()),
                Value::from(level as i64),
                Value::from(begin),
                Value::from(sample.dyno.to_string()),
                Value::from(sample.process_type.to_string()),
            ];
            let readings = Metric::ALL.iter().map(|metric| Value::from(sample.usage.readings.get(*metric)));
            statement.execute(params_from_iter(head.into_iter().chain(readings)))?;
        }
        let mut statement = transaction.prepare_cached(
            "INSERT INTO router_samples (app_id, level, at, status, requests, seconds) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET requests = requests + excluded.requests, seconds = seconds + excluded.seconds",
        )?;
        for (app, sample) in router {
            for (status, count) in &sample.by_status {
                let requests = i64::try_from(count.requests).unwrap_or(i64::MAX);
                statement.execute((app, level as i64, begin, status, requests, count.seconds))?;
            }
        }
    }
    Ok(transaction.commit()?)
}

/// Adds a value to what its part of a level holds already: gauges as a running mean, counters as the last value.
static UPSERT_DYNO: LazyLock<String> = LazyLock::new(|| {
    let names: Vec<&str> = Metric::ALL.iter().map(|metric| metric.as_str()).collect();
    let places: Vec<String> = (0..names.len()).map(|index| format!("?{}", index + 6)).collect();
    let updates = Metric::ALL.iter().map(|metric| match metric.kind() {
        MetricKind::Counter => format!("{metric} = COALESCE(excluded.{metric}, {metric})"),
        MetricKind::Gauge => format!(
            "{metric} = COALESCE(({metric} * samples + excluded.{metric}) / (samples + 1), excluded.{metric}, {metric})"
        ),
    });
    format!(
        "INSERT INTO dyno_samples (app_id, level, at, dyno, process_type, samples, {})
         VALUES (?1, ?2, ?3, ?4, ?5, 1, {}) ON CONFLICT DO UPDATE SET samples = samples + 1, {}",
        names.join(", "),
        places.join(", "),
        updates.collect::<Vec<_>>().join(", ")
    )
});

/// The parts of a period and the level to read each from: the coarsest that is as fine as asked for, and before
/// what that one keeps the next coarser one.
fn parts(period: Period, now: Timestamp) -> Vec<(Level, i64, i64)> {
    let fine_enough = Level::ALL.into_iter().rev().find(|level| level.step() <= period.resolution.seconds());
    let mut parts = Vec::new();
    let mut end = seconds(period.to);
    for level in Level::ALL.into_iter().filter(|level| Some(*level) >= fine_enough) {
        // The bound lies on a step of the coarsest level, so that no part of the next one is counted twice.
        let coarsest = Level::TenMinutes.step();
        let bound = (seconds(now) - kept(level)).div_euclid(coarsest) * coarsest + coarsest;
        let begin = bound.max(seconds(period.from).div_euclid(level.step()) * level.step());
        if begin <= end {
            parts.push((level, begin, end));
            end = begin - 1;
        }
    }
    parts
}

fn read_dynos(
    connection: &Connection,
    app: AppId,
    (level, from, to): (Level, i64, i64),
    rows: &mut Vec<DynoRow>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM dyno_samples WHERE app_id = ?1 AND level = ?2 AND at BETWEEN ?3 AND ?4",
    )?;
    for row in statement.query_map((app, level as i64, from, to), dyno_row)? {
        rows.push(row?);
    }
    Ok(())
}

fn dyno_row(row: &Row<'_>) -> rusqlite::Result<DynoRow> {
    let mut readings = Readings::default();
    for metric in Metric::ALL {
        readings.set(*metric, row.get(metric.as_str())?);
    }
    Ok(DynoRow {
        at: row.get("at")?,
        process_type: row.get("process_type")?,
        dyno: row.get("dyno")?,
        readings,
    })
}

fn read_router(
    connection: &Connection,
    app: AppId,
    (level, from, to): (Level, i64, i64),
    rows: &mut Vec<RouterRow>,
) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT at, status, requests, seconds FROM router_samples
         WHERE app_id = ?1 AND level = ?2 AND at BETWEEN ?3 AND ?4",
    )?;
    let read = |row: &Row<'_>| {
        let requests = u64::try_from(row.get::<_, i64>(2)?).unwrap_or(0);
        let count = StatusCount { requests, seconds: row.get(3)? };
        Ok(RouterRow { at: row.get(0)?, status: row.get(1)?, count })
    };
    for row in statement.query_map((app, level as i64, from, to), read)? {
        rows.push(row?);
    }
    Ok(())
}

/// Forgets the older half of what is kept finest.
fn make_room(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    tracing::warn!(bytes = LARGEST_FILE, "the file of metrics is full; its older fine values are dropped");
    delete_before(connection, Level::Fine, seconds(now) - kept(Level::Fine) / 2)?;
    delete_before(connection, Level::Minute, seconds(now) - kept(Level::Minute) / 2)
}

fn delete_before(connection: &Connection, level: Level, before: i64) -> Result<(), StoreError> {
    for table in ["dyno_samples", "router_samples"] {
        let sql = format!("DELETE FROM {table} WHERE level = ?1 AND at < ?2");
        connection.prepare_cached(&sql)?.execute((level as i64, before))?;
    }
    Ok(())
}

fn seconds(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(1000)
}

fn kept(level: Level) -> i64 {
    i64::try_from(level.kept().as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
