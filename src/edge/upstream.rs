//! The connections to upstreams: a pool for each worker, by address.
//!
//! Invariant: a pooled connection has no request and no answer on it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

use super::body::RequestBody;
use super::counters::WorkerCounters;
use super::table::Claim;

pub(super) type Sender = http1::SendRequest<RequestBody>;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Idle connections that one worker keeps to one upstream.
const MAX_IDLE: usize = 256;
/// Ticks after which an unused connection is closed: below the 60 s and more after which app servers close theirs.
const IDLE_TICKS: u32 = 50;
const MAX_HEADER_BYTES: usize = 64 * 1_024;

/// The idle connections of one worker.
pub(super) struct Pool {
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>>>,
    ticks: Cell<u32>,
    tasks: TaskTracker,
    counters: Arc<WorkerCounters>,
}

/// One exchange with an upstream: its connection, and the claim that keeps the upstream from being stopped.
pub(super) struct Lease {
    pool: Rc<Pool>,
    address: SocketAddr,
    sender: Sender,
    claim: Option<Claim>,
}

struct Idle {
    sender: Sender,
    since: u32,
}

impl Pool {
    pub(super) fn new(counters: Arc<WorkerCounters>) -> Self {
        Self { idle: RefCell::default(), ticks: Cell::new(0), tasks: TaskTracker::new(), counters }
    }

    /// An idle connection that is known to be open, the last used one first.
    pub(super) fn take(&self, address: SocketAddr) -> Option<Sender> {
        let mut idle = self.idle.borrow_mut();
        let connections = idle.get_mut(&address)?;
        let mut position = connections.len();
        while position > 0 {
            position -= 1;
            let sender = &connections.get(position)?.sender;
            if sender.is_ready() {
                return Some(connections.swap_remove(position).sender);
            }
            if sender.is_closed() {
                connections.swap_remove(position);
            }
        }
        None
    }

    /// A fresh connection.
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<Sender> {
        let stream = tokio::time::timeout(CONNECT_LIMIT, TcpStream::connect(address))
            .await
            .map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "no connection within five seconds"))??;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::Builder::new()
            .max_header_size(MAX_HEADER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        self.counters.upstream_connections.increment();
        self.tasks.spawn_local(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%address, %error, "a connection to an upstream ended");
            }
        });
        Ok(sender)
    }

    /// Moves the time on by one tick (a second) and closes what is closed, unused for long, or leads to an
    /// address that no route has any more.
    pub(super) fn sweep(&self, routed: &HashSet<SocketAddr>) {
        let now = self.ticks.get().wrapping_add(1);
        self.ticks.set(now);
        self.idle.borrow_mut().retain(|address, connections| {
            if !routed.contains(address) {
                return false;
            }
            connections.retain(|idle| !idle.sender.is_closed() && now.wrapping_sub(idle.since) < IDLE_TICKS);
            !connections.is_empty()
        });
    }

    /// Closes all idle connections and takes none back.
    pub(super) fn close(&self) {
        self.tasks.close();
        self.idle.borrow_mut().clear();
    }

    fn put(&self, address: SocketAddr, sender: Sender) {
        if self.tasks.is_closed() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(address).or_default();
        if connections.len() < MAX_IDLE {
            connections.push(Idle { sender, since: self.ticks.get() });
        }
    }
}

impl Lease {
    pub(super) fn new(pool: Rc<Pool>, address: SocketAddr, sender: Sender, claim: Option<Claim>) -> Self {
        Self { pool, address, sender, claim }
    }

    /// Ends an exchange whose answer came whole: the connection can serve the next one.
    pub(super) fn end(self) {
        let retired = self.claim.as_ref().is_some_and(|claim| claim.upstream().is_retired());
        if !retired {
            self.pool.put(self.address, self.sender);
        }
    }

    /// Ends an exchange whose connection became a tunnel; only the claim is left to hold.
    pub(super) fn into_claim(self) -> Option<Claim> {
        self.claim
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("address", &self.address).finish_non_exhaustive()
    }
}
