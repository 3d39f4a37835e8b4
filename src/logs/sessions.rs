//! Log sessions: addresses that show an app's log to whoever has them, for a short time.
//!
//! Invariant: an address cannot be guessed, holds nothing of the app, and is forgotten when it expires or the daemon
//! ends.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::Clock;
use crate::ids::random_secret;
use crate::model::ids::AppId;
use crate::model::log::LogFilter;
use crate::model::names::AppKey;
use crate::model::time::Timestamp;

/// How long an address can be opened (`behaviour.md` §10). What is open stays open.
pub(super) const VALID_FOR: Duration = Duration::from_mins(5);
/// Sessions that are kept; the oldest goes for a new one.
const MOST: usize = 10_000;

/// What a reader of a log asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRequest {
    pub app: AppId,
    pub key: AppKey,
    /// Lines of the past.
    pub lines: usize,
    /// Whether to go on with the lines to come.
    pub tail: bool,
    pub filter: LogFilter,
}

/// The sessions that can be opened. Clones share them.
#[derive(Debug, Clone)]
pub struct LogSessions {
    clock: Clock,
    open: Arc<Mutex<HashMap<String, (Timestamp, LogRequest)>>>,
}

impl LogSessions {
    /// No sessions yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, open: Arc::default() }
    }

    /// Keeps a request; returns the secret that opens it.
    pub fn create(&self, request: LogRequest) -> String {
        let (now, secret) = (self.clock.now(), random_secret());
        let mut open = self.lock();
        open.retain(|_, (expires, _)| *expires > now);
        if open.len() >= MOST {
            let oldest =
                open.iter().min_by_key(|(_, (expires, _))| *expires).map(|(secret, _)| secret.clone());
            oldest.and_then(|secret| open.remove(&secret));
        }
        open.insert(secret.clone(), (now.plus(VALID_FOR), request));
        secret
    }

    /// The request of a session that has not expired.
    pub fn find(&self, secret: &str) -> Option<LogRequest> {
        let now = self.clock.now();
        let open = self.lock();
        open.get(secret).filter(|(expires, _)| *expires > now).map(|(_, request)| request.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Timestamp, LogRequest)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
