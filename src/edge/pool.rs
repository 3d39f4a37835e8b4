//! The idle connections of one worker, by upstream address.
//!
//! Invariant: a pooled connection has no request and no answer on it.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use super::upstream::Connection;

/// Idle connections that one worker keeps to one upstream.
const MAX_IDLE: usize = 256;
/// Ticks (seconds) after which an unused connection is closed: below the 5 s after which Node.js closes its own,
/// the shortest of the common app servers.
const IDLE_TICKS: u32 = 4;

/// The pool of one worker.
#[derive(Default)]
pub(super) struct Pool {
    /// Nobody outside chooses the addresses, so the quickest of hashes does.
    idle: RefCell<HashMap<SocketAddr, Vec<Idle>, foldhash::fast::RandomState>>,
    ticks: Cell<u32>,
    closed: Cell<bool>,
}

struct Idle {
    connection: Connection,
    since: u32,
}

impl Pool {
    /// The connection that was used last. It may have been closed since by its upstream.
    pub(super) fn take(&self, address: SocketAddr) -> Option<Connection> {
        let idle = self.idle.borrow_mut().get_mut(&address)?.pop();
        idle.map(|idle| idle.connection)
    }

    /// Keeps a connection for the next request to the same address.
    pub(super) fn put(&self, address: SocketAddr, connection: Connection) {
        if self.closed.get() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(address).or_default();
        if connections.len() < MAX_IDLE {
            connections.push(Idle { connection, since: self.ticks.get() });
        }
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
            connections
                .retain_mut(|idle| now.wrapping_sub(idle.since) < IDLE_TICKS && idle.connection.is_open());
            !connections.is_empty()
        });
    }

    /// Closes all idle connections and takes none back.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.idle.borrow_mut().clear();
    }
}
