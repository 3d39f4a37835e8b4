//! How the edge speaks QUIC: its limits, and the worker's runtime for quinn.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    AsyncTimer, AsyncUdpSocket, Endpoint, EndpointConfig, Runtime, ServerConfig, TokioRuntime,
    TransportConfig, VarInt,
};
use rustls::server::ResolvesServerCert;
use tokio_util::task::TaskTracker;

use crate::edge::worker::MAX_STREAMS;
use crate::edge::{EdgeError, tls};

/// Streams of the client beside its requests; HTTP/3 needs three.
const OTHER_STREAMS: u32 = 8;
/// Bytes that a connection may have sent before they are read; as many wait to be acknowledged.
const WINDOW: u32 = 1 << 20;
/// After so long without a packet of its client a connection is gone.
const GONE: VarInt = VarInt::from_u32(60_000);
/// While an answer is waited for nobody sends anything; this keeps clients from giving up.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
/// Connections that were not looked at yet, and what is kept of their first packets.
const UNSEEN: usize = 1_024;
const UNSEEN_BYTES: u64 = 16 << 10;
const ALL_UNSEEN_BYTES: u64 = 4 << 20;

/// TLS 1.3 without early data, which could be replayed, and the limits of a connection.
pub(in crate::edge) fn server_config(
    certificates: Arc<dyn ResolvesServerCert>,
) -> Result<ServerConfig, EdgeError> {
    let crypto = QuicServerConfig::try_from(tls::quic_config(certificates)?).map_err(EdgeError::Quic)?;
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(MAX_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(OTHER_STREAMS))
        .max_idle_timeout(Some(GONE.into()))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .stream_receive_window(VarInt::from_u32(WINDOW))
        .receive_window(VarInt::from_u32(WINDOW))
        .send_window(WINDOW.into())
        .datagram_receive_buffer_size(None);
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config
        .transport_config(Arc::new(transport))
        .max_incoming(UNSEEN)
        .incoming_buffer_size(UNSEEN_BYTES)
        .incoming_buffer_size_total(ALL_UNSEEN_BYTES);
    Ok(config)
}

/// An endpoint on this thread, whose tasks are among `tasks`.
pub(super) fn endpoint(config: ServerConfig, socket: UdpSocket, tasks: TaskTracker) -> io::Result<Endpoint> {
    Endpoint::new(EndpointConfig::default(), Some(config), socket, Arc::new(WorkerRuntime(tasks)))
}

/// The runtime of a worker: everything stays on its thread.
struct WorkerRuntime(TaskTracker);

impl Runtime for WorkerRuntime {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn_local(future);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }
}

impl fmt::Debug for WorkerRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerRuntime").finish_non_exhaustive()
    }
}
