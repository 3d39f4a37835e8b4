//! HTTP/3 to clients: QUIC by quinn, HTTP/3 by h3, and between the two what h3 does not check.
//!
//! A request takes the same way as one of HTTP/2: this room only makes its stream a head and a body, and the answer
//! frames. No tunnels are made (RFC 9220): clients open those over HTTP/1.1.
//!
//! One endpoint on one worker serves all of it. Packets of one client must always reach the same endpoint, also after
//! its address has changed, which `SO_REUSEPORT` cannot see to; the other workers have the more time for TCP.
//!
//! Invariant: a client's address costs nothing before it is proven, when there are many or each may have so many
//! connections.

mod body;
mod frames;
mod pseudo;
mod quic;
mod receive;
mod request;
mod transport;

use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::HandshakeData;
use quinn::{Endpoint, Incoming, ServerConfig, VarInt};
use tokio::sync::{Notify, Semaphore};
use tokio::time::timeout;

pub(super) use self::body::{Http3Body, Http3BodyError};
pub(super) use self::quic::server_config;
use self::transport::{LastStopped, Transport};
use super::census::Room;
use super::connection::{Activity, ClientConnection, drive};
use super::listener::QuicSocket;
use super::proxy::Client;
use super::rescue::Cause;
use super::worker::{MAX_HEADER_BYTES, MAX_STREAMS, Worker};

/// Handshakes that may be open before clients have to prove their addresses, which costs them a round trip.
const UNPROVEN: usize = 64;
/// Bytes of an encoded head; encoded it is hardly ever longer than the edge takes it.
const LONGEST_SECTION: u64 = 64 * 1_024;
/// How long a drain lets open requests go on, however long those over TCP may. In an upgrade the next daemon gets the
/// socket afterwards: two that read from one would take each other's packets.
const DRAIN_LIMIT: Duration = Duration::from_secs(30);
/// At the end of a drain, at most: to tell the clients that are left.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a worker needs to serve HTTP/3.
pub(super) struct Entrance {
    pub(super) socket: QuicSocket,
    pub(super) config: ServerConfig,
}

/// Clients' requests on one connection, accepted until it ends.
struct Requests {
    work: Pin<Box<dyn Future<Output = ()>>>,
    ending: Rc<Notify>,
}

/// Serves until the worker stops and the connections have ended.
pub(super) async fn accept(worker: Rc<Worker>, entrance: Entrance, permits: Arc<Semaphore>) {
    let _over = worker.stop.http3.clone().drop_guard();
    let opened = tokio::select! {
        opened = open(&worker, entrance) => opened,
        () = worker.stop.token.cancelled() => return,
    };
    let endpoint = match opened {
        Ok(Some(endpoint)) => endpoint,
        Ok(None) => return,
        Err(error) => {
            tracing::error!(%error, "there is no HTTP/3: its socket cannot be used");
            return;
        }
    };
    let handshakes = Rc::new(());
    loop {
        let incoming = tokio::select! {
            incoming = endpoint.accept() => incoming,
            () = worker.stop.token.cancelled() => break,
        };
        let Some(incoming) = incoming else { break };
        admit(&worker, incoming, &permits, &handshakes);
    }
    let limit = worker.stop.patience().limit.min(DRAIN_LIMIT);
    if timeout(limit.saturating_sub(FAREWELL.min(limit / 10)), refuse_all(&endpoint)).await.is_err() {
        endpoint.close(VarInt::from_u32(0x100), b"the edge ends");
        endpoint.wait_idle().await;
    }
}

/// Takes the socket, which may come late.
async fn open(worker: &Worker, mut entrance: Entrance) -> io::Result<Option<Endpoint>> {
    let Some(socket) = entrance.socket.come().await? else { return Ok(None) };
    quic::endpoint(entrance.config, socket, worker.upstreams.clone()).map(Some)
}

/// Refuses new connections until the last packet of the open ones is out; those end as they do over TCP.
async fn refuse_all(endpoint: &Endpoint) {
    let mut idle = pin!(endpoint.wait_idle());
    loop {
        tokio::select! {
            () = &mut idle => return,
            incoming = endpoint.accept() => match incoming {
                Some(incoming) => incoming.refuse(),
                None => return idle.await,
            },
        }
    }
}

/// Begins a handshake, unless there is no room for a connection or the client has to prove its address first.
fn admit(worker: &Rc<Worker>, incoming: Incoming, permits: &Arc<Semaphore>, handshakes: &Rc<()>) {
    let many = Rc::strong_count(handshakes) > UNPROVEN || worker.census.is_limited();
    if many && !incoming.remote_address_validated() {
        // One that cannot be asked is refused.
        drop(incoming.retry());
        return;
    }
    let peer = incoming.remote_address().ip();
    let counted = if worker.trusts(peer) { Ok(None) } else { worker.census.admit(peer) };
    let (Ok(permit), Ok(counted)) = (Arc::clone(permits).try_acquire_owned(), counted) else {
        incoming.refuse();
        return;
    };
    worker.counters.connections.increment();
    let entered = enter(Rc::clone(worker), incoming, Rc::clone(handshakes), Room::new(permit, counted));
    worker.clients.spawn_local(entered);
}

async fn enter(worker: Rc<Worker>, incoming: Incoming, handshake: Rc<()>, _room: Room) {
    let handshake_over = tokio::select! {
        over = timeout(worker.settings.limits.header, incoming.into_future()) => over,
        () = worker.handshakes_end() => return worker.counters.closed_connections.increment(),
    };
    match handshake_over {
        Ok(Ok(connection)) => {
            drop(handshake);
            Box::pin(serve(&worker, connection)).await;
        }
        Ok(Err(error)) => {
            worker.counters.failed_handshakes.increment();
            tracing::debug!(%error, "a client's QUIC handshake failed");
        }
        Err(_) => worker.counters.failed_handshakes.increment(),
    }
    worker.counters.closed_connections.increment();
}

async fn serve(worker: &Rc<Worker>, connection: quinn::Connection) {
    let (ending, activity) = (Rc::new(Notify::new()), Activity::new());
    let origin = Origin { worker: Rc::clone(worker), activity: Rc::clone(&activity), connection };
    let requests = Requests { work: Box::pin(accept_all(origin, Rc::clone(&ending))), ending };
    let requests = Box::pin(requests);
    if let Err(error) = drive(requests, activity, Rc::clone(worker)).await {
        tracing::debug!(%error, "a client's connection ended");
    }
}

async fn accept_all(origin: Origin, ending: Rc<Notify>) {
    let (transport, last_stopped) = Transport::new(origin.connection.clone(), LONGEST_SECTION);
    let built = h3::server::builder()
        .max_field_section_size(MAX_HEADER_BYTES.into())
        .send_grease(false)
        .build(transport)
        .await;
    let ended = match built {
        Ok(connection) => accept_requests(&origin, connection, &last_stopped, &ending).await,
        Err(error) => Err(error),
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a client's connection over HTTP/3 ended");
    }
}

async fn accept_requests(
    origin: &Origin,
    mut connection: h3::server::Connection<Transport, Bytes>,
    last_stopped: &LastStopped,
    ending: &Notify,
) -> Result<(), h3::error::ConnectionError> {
    let mut client = origin.client();
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted?,
            () = ending.notified() => {
                // What is under way to the edge is served; more the client sends on another connection.
                connection.shutdown(MAX_STREAMS as usize).await?;
                continue;
            }
        };
        let (Some(resolver), Some(stopped)) = (accepted, last_stopped.take()) else { return Ok(()) };
        if !client.came_by.is_from(origin.peer()) {
            client = origin.client();
        }
        let served = request::serve(Rc::clone(&client), resolver, stopped);
        origin.worker.clients.spawn_local(served);
    }
}

/// Where requests come from.
struct Origin {
    worker: Rc<Worker>,
    activity: Rc<Activity>,
    connection: quinn::Connection,
}

impl Origin {
    /// The address of the client, which may change.
    fn peer(&self) -> IpAddr {
        self.connection.remote_address().ip()
    }

    fn client(&self) -> Rc<Client> {
        let handshake =
            self.connection.handshake_data().and_then(|data| data.downcast::<HandshakeData>().ok());
        let settings = &self.worker.settings;
        let came_by = self.worker.came_by(self.peer(), "https", settings.public_https_port);
        // Who speaks for others over TCP by the PROXY protocol cannot do so here.
        let came_by = if settings.proxy_protocol { came_by.trusted(false) } else { came_by };
        Rc::new(Client {
            worker: Rc::clone(&self.worker),
            activity: Rc::clone(&self.activity),
            came_by,
            redirected: false,
            server_name: handshake.and_then(|data| data.server_name).map(String::into_boxed_str),
        })
    }
}

impl ClientConnection for Requests {
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        self.work.as_mut().poll(cx).map(Ok)
    }

    fn announce_end(self: Pin<&mut Self>) {
        self.ending.notify_one();
    }
}
