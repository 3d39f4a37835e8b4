//! One request and the head of its answer, with whichever dyno gives one.
//!
//! Invariant: a request of which something was sent is sent again once at most, and only when it is idempotent, has no
//! body, and its dyno closed the connection instead of answering.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::{Request, Response};

use super::access::Access;
use super::balance::{ATTEMPTS, Target, choose};
use super::body::{Progress, RequestBody};
use super::destination::Destination;
use super::health;
use super::pace::Terms;
use super::pause::park;
use super::rescue::ProxyError;
use super::upstream::{Connection, Lease, SendError};
use super::worker::Worker;

/// At least: a terminal waits a minute for its dyno to be made.
const API_FIRST_BYTE: Duration = Duration::from_secs(90);
/// At least: a log that is followed may say nothing for half an hour (`behaviour.md` §10).
const API_ROLLING: Duration = Duration::from_mins(31);

/// Sends a request to an upstream and waits for the head of its answer.
pub(super) async fn exchange(
    worker: &Rc<Worker>,
    mut destination: Destination,
    (mut request, progress): (Box<Request<RequestBody>>, Option<Progress>),
    access: &mut Access,
) -> Result<(Response<()>, Lease), ProxyError> {
    let terms = terms(worker, &destination);
    let mut replayable = progress.is_none() && request.method().is_idempotent();
    let mut failed: Vec<SocketAddr> = Vec::new();
    let mut failure = None;
    for _ in 0..ATTEMPTS {
        let Some(target) = choose(worker, &mut destination, &failed, access)? else {
            if !failed.is_empty() {
                break;
            }
            Box::pin(park(worker, &mut destination, &request)).await?;
            continue;
        };
        let http2 = speaks_http2(&destination);
        let mut pooled = worker.pool.take(target.address).filter(|one| one.is_http2() == http2);
        loop {
            let was_pooled = pooled.is_some();
            let opened = match pooled.take() {
                Some(connection) => Ok(connection),
                None => Box::pin(open(worker, &target, http2, access)).await,
            };
            let mut connection = match opened {
                Ok(connection) => connection,
                Err(error) => {
                    failure = Some(ProxyError::Connect(error));
                    break;
                }
            };
            let sent = Instant::now();
            match connection.send(request, sent, (terms, progress.clone())).await {
                Ok(response) => {
                    access.answered(sent);
                    let (Target { address, claim }, pool) = (target, Rc::clone(&worker.pool));
                    return Ok((response, Lease { pool, address, connection, claim }));
                }
                Err(SendError::Closed(again, cause)) if replayable => {
                    (request, replayable, failure) = (again, false, Some(ProxyError::Upstream(cause)));
                }
                Err(SendError::Closed(_, cause)) => return Err(ProxyError::Upstream(cause)),
                Err(SendError::Failed(error)) => return Err(error),
                Err(SendError::Unsent(unsent, cause)) => {
                    request = unsent;
                    failure = Some(ProxyError::Upstream(cause));
                }
            }
            if !was_pooled {
                break;
            }
            worker.counters.stale_connections.increment();
        }
        failed.push(target.address);
        destination.refresh(&worker.table.load())?;
    }
    Err(failure.unwrap_or(ProxyError::NoUpstream))
}

fn speaks_http2(destination: &Destination) -> bool {
    matches!(destination, Destination::App { app, .. } if app.http2)
}

/// An app's own limits, or the edge's. The API ends its answers itself.
fn terms(worker: &Worker, destination: &Destination) -> Terms {
    let limits = worker.settings.limits;
    let own = match destination {
        Destination::App { app, .. } => app.limits,
        Destination::Api(_) => {
            return Terms {
                first_byte: limits.first_byte.max(API_FIRST_BYTE),
                sending: limits.rolling,
                rolling: limits.rolling.max(API_ROLLING),
            };
        }
    };
    let rolling = own.idle.unwrap_or(limits.rolling);
    Terms { first_byte: own.first_byte.unwrap_or(limits.first_byte), sending: rolling, rolling }
}

async fn open(
    worker: &Rc<Worker>,
    target: &Target,
    http2: bool,
    access: &mut Access,
) -> io::Result<Connection> {
    let began = Instant::now();
    let opened = if http2 {
        Connection::open_http2(target.address, &worker.upstreams).await
    } else {
        Connection::open(target.address).await
    };
    if let Some(claim) = &target.claim {
        match opened {
            Ok(_) => claim.upstream().health().came_up(),
            Err(_) => health::refused(worker, claim.upstream()),
        }
    }
    let connection = opened?;
    access.connected(began);
    worker.counters.upstream_connections.increment();
    Ok(connection)
}
