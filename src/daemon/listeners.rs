//! The listeners: those that systemd or the daemon before passed, and those that the daemon binds itself.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use tokio::sync::watch;

use super::DaemonError;
use crate::config::{Config, PassedSockets};
use crate::edge::{EdgeListeners, QuicSocket};

/// Every listener of the daemon.
#[derive(Debug)]
pub(super) struct Listeners {
    api: TcpListener,
    pub(super) edge: EdgeListeners,
    pub(super) workers: usize,
    /// There when the daemon before this one has the socket of HTTP/3.
    awaited: Option<AwaitedSocket>,
}

/// The place of a UDP socket that the daemon before this one still reads.
#[derive(Debug)]
pub(super) struct AwaitedSocket {
    address: SocketAddr,
    place: watch::Sender<Option<Arc<UdpSocket>>>,
}

impl Listeners {
    /// Takes the sockets that were passed, and binds the others. What a predecessor has for HTTP/3 comes later.
    pub(super) fn open(
        config: &Config,
        mut passed: PassedSockets,
        succeeds: bool,
    ) -> Result<Self, DaemonError> {
        let workers = config
            .edge
            .workers
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
        let failed = |setting, address| move |source| DaemonError::Listen { setting, address, source };
        let (http, https, api) = (config.edge.http_addr, config.edge.https_addr, config.api.addr);
        let mut of_edge = |setting, address| match passed.claim(address) {
            none if none.is_empty() => {
                EdgeListeners::bind_address(address, workers).map_err(failed(setting, address))
            }
            some => Ok(some),
        };
        let mut edge = EdgeListeners {
            http: of_edge("edge.http_addr", http)?,
            https: of_edge("edge.https_addr", https)?,
            quic: None,
        };
        let mut awaited = None;
        if config.edge.http3 {
            let address = SocketAddr::new(https.ip(), https_port(config, &edge));
            edge.quic = Some(match passed.claim_datagrams(https) {
                Some(socket) => QuicSocket::ready(socket),
                None => match QuicSocket::bind(address) {
                    Err(_) if succeeds => {
                        let (place, socket) = QuicSocket::awaited();
                        awaited = Some(AwaitedSocket { address, place });
                        socket
                    }
                    bound => bound.map_err(failed("edge.http3", address))?,
                },
            });
        }
        let own = match passed.claim(api).into_iter().next() {
            Some(listener) => listener,
            None => TcpListener::bind(api).map_err(failed("api.addr", api))?,
        };
        own.set_nonblocking(true).map_err(failed("api.addr", api))?;
        let unclaimed = passed.unclaimed();
        if !unclaimed.is_empty() {
            tracing::warn!(
                ?unclaimed,
                "sockets were passed at addresses that no setting names; they are closed"
            );
        }
        Ok(Self { api: own, edge, workers, awaited })
    }

    /// Whoever hears of the predecessor takes this.
    pub(super) fn awaited(&mut self) -> Option<AwaitedSocket> {
        self.awaited.take()
    }

    /// The API's listener, for one who serves it.
    pub(super) fn api(&self) -> Result<tokio::net::TcpListener, DaemonError> {
        let own = self.api.try_clone().map_err(DaemonError::Api)?;
        tokio::net::TcpListener::from_std(own).map_err(DaemonError::Api)
    }

    /// Where this machine reaches the API, whose listener may be bound to every address.
    pub(super) fn api_address(&self) -> Result<SocketAddr, DaemonError> {
        let address = self.api.local_addr().map_err(DaemonError::Api)?;
        Ok(if address.ip().is_unspecified() {
            SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
        } else {
            address
        })
    }

    /// All of them. Each has a queue of connections, which is lost when nobody has the socket any more.
    pub(super) fn all(&self) -> Vec<&TcpListener> {
        self.edge.http.iter().chain(&self.edge.https).chain([&self.api]).collect()
    }
}

impl AwaitedSocket {
    /// Takes what the predecessor handed on, or binds the address when it ended without doing so.
    pub(super) fn fill(self, handed_on: Option<UdpSocket>) {
        match handed_on.map_or_else(|| QuicSocket::bind_address(self.address), Ok) {
            // Nobody waits any more when the edge has ended.
            Ok(socket) => drop(self.place.send(Some(Arc::new(socket)))),
            Err(error) => tracing::error!(%error, address = %self.address, "there is no HTTP/3"),
        }
    }
}

/// The port that links and redirects name: the one that was really bound.
pub(super) fn https_port(config: &Config, edge: &EdgeListeners) -> u16 {
    let bound = edge.https.first().and_then(|listener| listener.local_addr().ok());
    bound.map_or(config.edge.public_https_port(), |address| address.port())
}
