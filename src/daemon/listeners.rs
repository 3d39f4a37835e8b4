//! The listeners: those that systemd passed, and those that the daemon binds itself.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::TcpListener;

use super::DaemonError;
use crate::config::{Config, PassedSockets};
use crate::edge::EdgeListeners;

/// Every listener of the daemon.
pub(super) struct Listeners {
    pub(super) api: TcpListener,
    pub(super) edge: EdgeListeners,
    pub(super) workers: usize,
}

/// Takes the sockets that systemd passed, and binds the others.
pub(super) fn listen(config: &Config) -> Result<Listeners, DaemonError> {
    let workers = config
        .edge
        .workers
        .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));
    let mut passed = PassedSockets::take()?;
    let failed = |setting, address| move |source| DaemonError::Listen { setting, address, source };
    let (http, https, api) = (config.edge.http_addr, config.edge.https_addr, config.api.addr);
    let edge = EdgeListeners {
        http: match passed.claim(http) {
            Some(listener) => vec![listener],
            None => EdgeListeners::bind_address(http, workers).map_err(failed("edge.http_addr", http))?,
        },
        https: match passed.claim(https) {
            Some(listener) => vec![listener],
            None => EdgeListeners::bind_address(https, workers).map_err(failed("edge.https_addr", https))?,
        },
    };
    let own = match passed.claim(api) {
        Some(listener) => listener,
        None => bind_api(api).map_err(failed("api.addr", api))?,
    };
    let unclaimed = passed.unclaimed();
    if !unclaimed.is_empty() {
        tracing::warn!(
            ?unclaimed,
            "systemd passed sockets at addresses that no setting names; they are closed"
        );
    }
    let api = TcpListener::from_std(own).map_err(failed("api.addr", api))?;
    Ok(Listeners { api, edge, workers })
}

fn bind_api(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Where this machine reaches a listener that may be bound to every address.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), address.port())
    } else {
        address
    }
}

/// The port that links and redirects name: the one that was really bound.
pub(super) fn https_port(config: &Config, edge: &EdgeListeners) -> u16 {
    let bound = edge.https.first().and_then(|listener| listener.local_addr().ok());
    bound.map_or(config.edge.public_https_port(), |address| address.port())
}
