//! Requests of an app that wait while none of its dynos runs, because two must never run together.
//!
//! Invariant: waiting requests are bounded in number, bytes and time; what is beyond is refused at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::Request;
use http_body::Body;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::body::RequestBody;
use super::destination::Destination;
use super::rescue::ProxyError;
use super::table::{AppRoute, Service};
use super::worker::Worker;

/// Requests of one app that may wait.
const MOST_REQUESTS: usize = 1_000;
/// Bytes of their heads, and of what may have come of their bodies, together.
const MOST_BYTES: usize = 64 << 20;
/// What is read of a body before an upstream takes it: the connection's buffer.
const BODY_BUFFER: u64 = 64 << 10;

/// The waiting requests of one app. The control plane tells it of each new state of the app.
#[derive(Debug)]
pub struct Hold {
    limit: Duration,
    changed: Notify,
    requests: AtomicUsize,
    bytes: AtomicUsize,
}

/// A waiting request's place.
#[derive(Debug)]
struct Place<'a> {
    hold: &'a Hold,
    bytes: usize,
}

impl Hold {
    /// Lets requests wait for at most `limit`.
    pub fn new(limit: Duration) -> Arc<Self> {
        let (requests, bytes) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Arc::new(Self { limit, changed: Notify::new(), requests, bytes })
    }

    /// How long a request may wait.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Lets the waiting requests look again, after a table was published.
    pub fn look_again(&self) {
        self.changed.notify_waiters();
    }

    fn enter(&self, bytes: usize) -> Result<Place<'_>, ProxyError> {
        // The place gives both back, also when there is no room.
        let requests = self.requests.fetch_add(1, Ordering::SeqCst);
        let before = self.bytes.fetch_add(bytes, Ordering::SeqCst);
        let place = Place { hold: self, bytes };
        if requests >= MOST_REQUESTS || before.saturating_add(bytes) > MOST_BYTES {
            return Err(ProxyError::Backlog);
        }
        Ok(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.hold.requests.fetch_sub(1, Ordering::SeqCst);
        self.hold.bytes.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

/// Waits until the app has a dyno, where its requests are held; fails at once where they are not.
pub(super) async fn park(
    worker: &Worker,
    destination: &mut Destination,
    request: &Request<RequestBody>,
) -> Result<(), ProxyError> {
    let hold = held(destination).ok_or(ProxyError::NoUpstream)?;
    let _place = hold.enter(weight(request))?;
    let deadline = Instant::now() + hold.limit;
    loop {
        let mut changed = std::pin::pin!(hold.changed.notified());
        // From here on no change is missed.
        changed.as_mut().enable();
        destination.refresh(&worker.table.load())?;
        let Some(app) = app(destination) else { return Ok(()) };
        match &app.service {
            Service::Upstreams(upstreams) if upstreams.iter().all(|one| one.is_retired()) => {}
            Service::Upstreams(_) | Service::Maintenance => return Ok(()),
        }
        if app.hold.is_none() || timeout_at(deadline, changed).await.is_err() {
            return Err(ProxyError::NoUpstream);
        }
    }
}

fn app(destination: &Destination) -> Option<&AppRoute> {
    match destination {
        Destination::App { app, .. } => Some(app),
        Destination::Api(_) => None,
    }
}

fn held(destination: &Destination) -> Option<Arc<Hold>> {
    app(destination)?.hold.clone()
}

/// The bytes that a waiting request holds, roughly.
fn weight(request: &Request<RequestBody>) -> usize {
    let headers = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len());
    let body = request.body().size_hint().upper().unwrap_or(BODY_BUFFER).min(BODY_BUFFER);
    headers.sum::<usize>() + request.uri().path().len() + usize::try_from(body).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_in_number_and_bytes_and_are_given_back() {
        let hold = Hold::new(Duration::ZERO);
        let places: Vec<_> = (0..MOST_REQUESTS).map(|_| hold.enter(1).unwrap()).collect();
        assert!(matches!(hold.enter(1), Err(ProxyError::Backlog)));
        drop(places);
        let large = hold.enter(MOST_BYTES).unwrap();
        assert!(matches!(hold.enter(1), Err(ProxyError::Backlog)));
        drop(large);
        assert!(hold.enter(1).is_ok());
        assert_eq!(hold.bytes.load(Ordering::SeqCst), 0);
    }
}
