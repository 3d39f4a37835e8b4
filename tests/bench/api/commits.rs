//! Durable writes over the API beside one-row commits of the bare store, which is the daemon's own without the API, in
//! turns. Beside them is shown what one loop over SQLite does on this disk, and what is left of the bare store's commits
//! when each is asked for over a connection: that is the machine's price of an HTTP request, whatever the API does.

use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use akkerisd::clock::Clock;
use akkerisd::model::principal::Principal;
use akkerisd::store::{Store, StoreError};
use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use crate::connection::{Connection, Request};
use crate::daemon::Daemon;
use crate::fill;

/// Of each turn.
const TURN: Duration = Duration::from_secs(1);
const CLIENTS: usize = 16;
const INSERT: &str = "INSERT INTO bare (value) VALUES (?1)";

/// Commits over the API in percent of the bare store's, medians of the rounds.
#[derive(Debug)]
pub(crate) struct Shares {
    pub(crate) one: f64,
    pub(crate) sixteen: f64,
    /// One row for each request of one client, without the API.
    pub(crate) served: f64,
}

/// All take turns, so that a change of the disk's or the machine's pace reaches all of them.
pub(crate) fn compare(daemon: &Daemon, rounds: usize) -> Result<Shares> {
    let bare = BareStore::open(&daemon.folder().join("bare.db"))?;
    let sqlite = Sqlite::open(&daemon.folder().join("sqlite.db"))?;
    let mut clients: Vec<Client> =
        (0..CLIENTS).map(|number| Client::new(daemon, number)).collect::<Result<_>>()?;
    let (mut one, mut sixteen, mut served) = (Vec::new(), Vec::new(), Vec::new());
    // Fills the caches, and the daemon's write-ahead log to the size at which it is written over from its start.
    together(daemon, &mut clients)?;
    for round in 1..=rounds {
        let (loops, floor) = (sqlite.run()?, bare.run()?);
        let asked = bare.run_served(daemon)?;
        let alone = together(daemon, clients.get_mut(..1).unwrap_or_default())?;
        let all = together(daemon, &mut clients)?;
        println!(
            "round {round}: {loops:.0} commits/s by SQLite, {floor:.0}/s by the store, {asked:.0}/s by it over HTTP, \
             {alone:.0}/s by 1 client, {all:.0}/s by {CLIENTS}"
        );
        one.push(alone / floor * 100.0);
        sixteen.push(all / floor * 100.0);
        served.push(asked / floor * 100.0);
    }
    Ok(Shares { one: median(&mut one)?, sixteen: median(&mut sixteen)?, served: median(&mut served)? })
}

/// The daemon's store, asked by one caller for one row at a time.
struct BareStore {
    store: Store,
    runtime: tokio::runtime::Runtime,
}

impl BareStore {
    fn open(path: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let store = Store::open(path, Clock::system())?;
        let bare = Self { store, runtime };
        bare.write("CREATE TABLE bare (id INTEGER PRIMARY KEY, value TEXT NOT NULL) STRICT", None)?;
        // As with the daemon's, the log has its size before the first turn.
        bare.run()?;
        Ok(bare)
    }

    fn write(&self, statement: &'static str, value: Option<String>) -> Result<()> {
        Ok(self.runtime.block_on(write(&self.store, statement, value))?)
    }

    /// Commits a second.
    fn run(&self) -> Result<f64> {
        let start = Instant::now();
        let mut commits = 0_u32;
        while start.elapsed() < TURN {
            self.write(INSERT, Some(format!("value {commits}")))?;
            commits += 1;
        }
        Ok(f64::from(commits) / start.elapsed().as_secs_f64())
    }

    /// Commits a second, each for one request on a kept connection.
    fn run_served(&self, daemon: &Daemon) -> Result<f64> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let request = Request::patch(daemon, "/", "{\"CHANGED\":\"value\"}");
        std::thread::scope(|scope| {
            let server = scope.spawn(move || self.serve(listener));
            let start = Instant::now();
            let mut commits = 0_u32;
            let mut connection = Connection::open(address)?;
            while start.elapsed() < TURN {
                connection.send(&request)?;
                commits += 1;
            }
            let rate = f64::from(commits) / start.elapsed().as_secs_f64();
            drop(connection);
            server.join().map_err(|_| anyhow::anyhow!("the server panicked"))??;
            Ok(rate)
        })
    }

    /// Serves one connection to its end.
    fn serve(&self, listener: TcpListener) -> Result<()> {
        listener.set_nonblocking(true)?;
        let answer = |_request: http::Request<Incoming>| async {
            write(&self.store, INSERT, Some("value".to_owned())).await?;
            Ok::<_, StoreError>(http::Response::new(Full::new(Bytes::from_static(b"{}"))))
        };
        self.runtime.block_on(async {
            let (stream, _) = tokio::net::TcpListener::from_std(listener)?.accept().await?;
            stream.set_nodelay(true)?;
            Ok(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)).await?)
        })
    }
}

async fn write(store: &Store, statement: &'static str, value: Option<String>) -> Result<(), StoreError> {
    let author = Principal::daemon();
    let write = store.write(&author, move |tx| {
        tx.prepare_cached(statement)?.execute(rusqlite::params_from_iter(value))?;
        Ok(())
    });
    write.await
}

/// One loop that commits one row at a time, with the daemon's own guarantees.
struct Sqlite(rusqlite::Connection);

impl Sqlite {
    #[expect(clippy::disallowed_methods, reason = "SQLite alone is what the store is compared with")]
    fn open(path: &Path) -> Result<Self> {
        let connection = rusqlite::Connection::open(path)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE rows (id INTEGER PRIMARY KEY, value TEXT NOT NULL) STRICT;",
        )?;
        // A file that grows costs each commit more than one that is written over, so the log grows before.
        connection.execute_batch(
            "INSERT INTO rows (value)
                WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 2000)
                SELECT hex(zeroblob(4096)) FROM numbers;
             PRAGMA wal_checkpoint(RESTART);",
        )?;
        Ok(Self(connection))
    }

    /// Commits a second.
    fn run(&self) -> Result<f64> {
        let mut insert = self.0.prepare("INSERT INTO rows (value) VALUES (?1)")?;
        let start = Instant::now();
        let mut commits = 0_u32;
        while start.elapsed() < TURN {
            insert.execute([format!("value {commits}")])?;
            commits += 1;
        }
        Ok(f64::from(commits) / start.elapsed().as_secs_f64())
    }
}

/// Sets one config var of an app of its own to ever new values.
struct Client {
    connection: Connection,
    path: String,
    value: u32,
}

impl Client {
    fn new(daemon: &Daemon, number: usize) -> Result<Self> {
        let path = format!("/apps/{}/config-vars", fill::app_key(number));
        Ok(Self { connection: Connection::open(daemon.api)?, path, value: 0 })
    }

    fn run(&mut self, daemon: &Daemon, start: Instant) -> Result<u32> {
        let mut answered = 0;
        while start.elapsed() < TURN {
            self.value += 1;
            let body = format!("{{\"CHANGED\":\"value {}\"}}", self.value);
            self.connection.send(&Request::patch(daemon, &self.path, &body))?;
            answered += 1;
        }
        Ok(answered)
    }
}

/// Answered writes a second.
fn together(daemon: &Daemon, clients: &mut [Client]) -> Result<f64> {
    let start = Instant::now();
    let answered: u32 = std::thread::scope(|scope| {
        let clients: Vec<_> =
            clients.iter_mut().map(|client| scope.spawn(move || client.run(daemon, start))).collect();
        let answered = clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?);
        answered.sum::<Result<u32>>()
    })?;
    Ok(f64::from(answered) / start.elapsed().as_secs_f64())
}

fn median(values: &mut [f64]) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().context("no round was run")
}
