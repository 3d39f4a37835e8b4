//! The one thread that writes. Jobs that wait together share one commit, each in a savepoint of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::{StoreError, events};
use crate::clock::Clock;
use crate::model::event::Event;
use crate::model::names::UserName;
use crate::model::time::Timestamp;

/// Writes that may wait; one more makes its sender wait.
const QUEUE: usize = 256;
/// Writes that share a commit at most, so that the first of them is not kept waiting for the last.
const BATCH: usize = 64;

/// Turns events into rows that are to be sent, in the transaction of the event: both are committed or neither.
pub trait Outbox: std::fmt::Debug + Send + Sync {
    /// Called once for each event, when the change it tells of is written. An error rolls the write back.
    fn enqueue(&self, tx: &Tx<'_>, event: &Event) -> Result<(), StoreError>;
}

/// A transaction of one write. Dereferences to the connection, so that several nouns' functions join it.
#[derive(Debug)]
pub struct Tx<'c> {
    connection: &'c Connection,
    author: UserName,
    now: Timestamp,
    events: Vec<Arc<Event>>,
    outbox: Option<&'c dyn Outbox>,
}

impl Tx<'_> {
    /// Writes an event beside the change it tells of; it is published after the commit.
    pub fn record(&mut self, event: Event) -> Result<(), StoreError> {
        events::insert(self.connection, &event, &self.author, self.now)?;
        if let Some(outbox) = self.outbox {
            outbox.enqueue(self, &event)?;
        }
        self.events.push(Arc::new(event));
        Ok(())
    }

    /// The instant of this write: the same for every row of it.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Who writes.
    pub fn author(&self) -> &UserName {
        &self.author
    }
}

impl std::ops::Deref for Tx<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// Tells the one who waits, after the commit or its failure.
type Reply = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// What a job left behind: its reply, and whether its changes stay.
enum Done {
    Keep(Reply),
    RollBack(Reply),
}

type Work = Box<dyn FnOnce(Result<&mut Tx<'_>, StoreError>) -> Done + Send>;

impl Done {
    fn reply(self) -> Reply {
        match self {
            Self::Keep(reply) | Self::RollBack(reply) => reply,
        }
    }
}

struct Job {
    author: UserName,
    /// Gets the transaction, or the reason why there is none.
    work: Work,
}

/// What the writer did since it started, and what waits for it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WriterFigures {
    /// Writes that were committed or rolled back.
    pub writes: u64,
    /// Commits; writes that wait together share one.
    pub commits: u64,
    pub failed_commits: u64,
    /// Writes that wait now.
    pub waiting: usize,
}

#[derive(Debug, Default)]
struct Counters {
    writes: AtomicU64,
    commits: AtomicU64,
    failed_commits: AtomicU64,
}

/// The sending end of the writer thread's queue.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Request>,
    counters: Arc<Counters>,
    outbox: Arc<OnceLock<Arc<dyn Outbox>>>,
}

enum Request {
    Job(Job),
    Close(oneshot::Sender<()>),
}

impl Writer {
    /// Starts the thread, which ends when it is closed or the last sender is gone.
    pub(super) fn start(
        connection: Connection,
        clock: Clock,
        published: broadcast::Sender<Arc<Event>>,
    ) -> Result<Self, StoreError> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let counters = Arc::new(Counters::default());
        let outbox = Arc::new(OnceLock::new());
        let thread = WriterThread {
            connection,
            clock,
            published,
            queue,
            counters: Arc::clone(&counters),
            outbox: Arc::clone(&outbox),
        };
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || thread.run())
            .map_err(|_| StoreError::Closed)?;
        Ok(Self { jobs, counters, outbox })
    }

    pub(super) fn join_outbox(&self, outbox: Arc<dyn Outbox>) {
        self.outbox.get_or_init(|| outbox);
    }

    pub(super) async fn write<T, E, F>(&self, author: UserName, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel::<Result<T, E>>();
        let work =
            Box::new(move |tx: Result<&mut Tx<'_>, StoreError>| match tx.map_err(E::from).and_then(work) {
                Ok(value) => Done::Keep(Box::new(move |commit| {
                    // The one who asked may have gone; the write stands all the same.
                    let _gone = answer.send(commit.map(|()| value).map_err(E::from));
                })),
                Err(error) => Done::RollBack(Box::new(move |_| {
                    let _gone = answer.send(Err(error));
                })),
            });
        self.jobs.send(Request::Job(Job { author, work })).await.map_err(|_| StoreError::Closed)?;
        answered.await.unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }

    pub(super) fn figures(&self) -> WriterFigures {
        WriterFigures {
            writes: self.counters.writes.load(Ordering::Relaxed),
            commits: self.counters.commits.load(Ordering::Relaxed),
            failed_commits: self.counters.failed_commits.load(Ordering::Relaxed),
            waiting: self.jobs.max_capacity() - self.jobs.capacity(),
        }
    }

    pub(super) async fn close(&self, limit: Duration) -> bool {
        let (closed, wait) = oneshot::channel();
        let closing = async {
            if self.jobs.send(Request::Close(closed)).await.is_ok() {
                // An error means that the thread is gone already.
                let _gone = wait.await;
            }
        };
        tokio::time::timeout(limit, closing).await.is_ok()
    }
}

struct WriterThread {
    connection: Connection,
    clock: Clock,
    published: broadcast::Sender<Arc<Event>>,
    queue: mpsc::Receiver<Request>,
    counters: Arc<Counters>,
    outbox: Arc<OnceLock<Arc<dyn Outbox>>>,
}

impl WriterThread {
    fn run(mut self) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            match self.queue.blocking_recv() {
                None => return,
                Some(Request::Close(closed)) => return self.finish(closed),
                Some(Request::Job(job)) => batch.push(job),
            }
            let mut close = None;
            while batch.len() < BATCH {
                match self.queue.try_recv() {
                    Ok(Request::Job(job)) => batch.push(job),
                    Ok(Request::Close(closed)) => {
                        close = Some(closed);
                        break;
                    }
                    Err(_) => break,
                }
            }
            while !batch.is_empty() {
                self.commit(&mut batch);
            }
            if let Some(closed) = close {
                return self.finish(closed);
            }
        }
    }

    /// Writes that come from now on find the queue closed.
    fn finish(mut self, closed: oneshot::Sender<()>) {
        self.queue.close();
        drop(self.queue);
        if let Err(error) = self.connection.execute_batch("PRAGMA optimize") {
            tracing::warn!(%error, "the query planner's statistics were not updated");
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the database was not closed cleanly");
        }
        let _gone = closed.send(());
    }

    /// Commits a batch. Where a full or failing disk undoes it in the middle, those that were not begun stay in it.
    fn commit(&mut self, batch: &mut Vec<Job>) {
        if let Err(error) = self.execute("BEGIN IMMEDIATE") {
            tracing::error!(%error, writes = batch.len(), "a transaction could not be begun");
            self.count(batch.len());
            for job in batch.drain(..) {
                (job.work)(Err(StoreError::from(copy_of(&error)))).reply()(Ok(()));
            }
            return;
        }
        let mut replies = Vec::with_capacity(batch.len());
        let mut happened = Vec::new();
        let mut jobs = std::mem::take(batch).into_iter();
        while let Some(job) = jobs.next() {
            self.count(1);
            if let Some(reply) = self.apply(job, &mut happened) {
                replies.push(reply);
            }
            // Upon some errors SQLite rolls the whole transaction back, not the statement alone.
            if self.connection.is_autocommit() {
                self.counters.failed_commits.fetch_add(1, Ordering::Relaxed);
                tracing::error!(writes = replies.len(), "a transaction was rolled back by an error");
                for reply in replies {
                    reply(Err(StoreError::Undone));
                }
                batch.extend(jobs);
                return;
            }
        }
        let commit = self.execute("COMMIT");
        match commit {
            Ok(()) => {
                self.counters.commits.fetch_add(1, Ordering::Relaxed);
                // Those who wait come first; whoever follows the events has work for longer.
                for reply in replies {
                    reply(Ok(()));
                }
                for event in happened {
                    // Nobody listening is no error.
                    let _listeners = self.published.send(event);
                }
            }
            Err(error) => {
                self.counters.failed_commits.fetch_add(1, Ordering::Relaxed);
                self.roll_back();
                // Each waiting write gets an error of its own; SQLite's error cannot be cloned.
                tracing::error!(%error, writes = replies.len(), "a commit failed");
                for reply in replies {
                    reply(Err(StoreError::from(copy_of(&error))));
                }
            }
        }
    }

    /// Runs one job in its savepoint; `None` when it panicked, which its sender notices by itself.
    fn apply(&self, job: Job, happened: &mut Vec<Arc<Event>>) -> Option<Reply> {
        if let Err(error) = self.execute("SAVEPOINT job") {
            tracing::error!(%error, "a savepoint could not be made");
            return None;
        }
        let mut tx = Tx {
            connection: &self.connection,
            author: job.author,
            now: self.clock.now(),
            events: Vec::new(),
            outbox: self.outbox.get().map(Arc::as_ref),
        };
        let work = job.work;
        let done = catch_unwind(AssertUnwindSafe(|| work(Ok(&mut tx))));
        let events = std::mem::take(&mut tx.events);
        let (end, reply) = match done {
            Ok(Done::Keep(reply)) => {
                happened.extend(events);
                (&["RELEASE job"][..], Some(reply))
            }
            Ok(Done::RollBack(reply)) => (&["ROLLBACK TO job", "RELEASE job"][..], Some(reply)),
            Err(_) => {
                tracing::error!("a write panicked and was rolled back");
                (&["ROLLBACK TO job", "RELEASE job"][..], None)
            }
        };
        if let Err(error) = end.iter().try_for_each(|statement| self.execute(statement)) {
            tracing::error!(%error, "a savepoint could not be ended");
        }
        reply
    }

    fn count(&self, writes: usize) {
        self.counters.writes.fetch_add(writes as u64, Ordering::Relaxed);
    }

    /// Runs a statement that was parsed when it first came.
    fn execute(&self, statement: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute([]).map(drop)
    }

    fn roll_back(&self) {
        if let Err(error) = self.connection.execute_batch("ROLLBACK") {
            tracing::debug!(%error, "there was nothing to roll back");
        }
    }
}

fn copy_of(error: &rusqlite::Error) -> rusqlite::Error {
    match error.sqlite_error() {
        Some(code) => rusqlite::Error::SqliteFailure(*code, Some(error.to_string())),
        None => rusqlite::Error::InvalidQuery,
    }
}
