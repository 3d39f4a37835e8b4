//! The edge's listening sockets: bound here, or handed over by systemd or by the process before.
//!
//! Invariant: every listener is served by at least one worker, and every worker serves a listener of each kind
//! that there is.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

const BACKLOG: i32 = 4_096;

/// The sockets that clients connect to, plain and TLS.
#[derive(Debug, Default)]
pub struct EdgeListeners {
    pub http: Vec<TcpListener>,
    pub https: Vec<TcpListener>,
}

impl EdgeListeners {
    /// Binds both addresses once for each worker (`SO_REUSEPORT`), so that the kernel spreads the connections.
    /// Port 0 takes a free port, the same one for all workers.
    pub fn bind(http: SocketAddr, https: SocketAddr, workers: usize) -> io::Result<Self> {
        Ok(Self { http: bind_all(http, workers)?, https: bind_all(https, workers)? })
    }

    /// Binds one address once for each worker, as [`EdgeListeners::bind`] does with both.
    pub fn bind_address(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
        bind_all(address, workers)
    }

    /// The listeners of one worker out of `workers`.
    pub(super) fn share(&self, worker: usize, workers: usize) -> io::Result<Self> {
        Ok(Self { http: share(&self.http, worker, workers)?, https: share(&self.https, worker, workers)? })
    }
}

fn bind_all(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    let first = bind(address)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    for _ in 1..workers {
        listeners.push(bind(address)?);
    }
    Ok(listeners)
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn share(listeners: &[TcpListener], worker: usize, workers: usize) -> io::Result<Vec<TcpListener>> {
    let own: Vec<_> = listeners.iter().skip(worker).step_by(workers.max(1)).collect();
    let shared =
        if own.is_empty() { listeners.iter().cycle().nth(worker).into_iter().collect() } else { own };
    shared
        .into_iter()
        .map(|listener| {
            listener.set_nonblocking(true)?;
            listener.try_clone()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOPBACK: &str = "127.0.0.1:0";

    #[test]
    fn every_worker_gets_its_own_listener_on_the_same_port() {
        let address = LOOPBACK.parse().unwrap();
        let listeners = EdgeListeners::bind(address, address, 3).unwrap();
        let ports: Vec<_> = listeners.http.iter().map(|listener| listener.local_addr().unwrap()).collect();
        assert_eq!(ports.len(), 3);
        assert!(ports.iter().all(|port| *port == ports[0]));
    }

    #[test]
    fn every_listener_is_served_and_every_worker_serves_whatever_their_numbers_are() {
        assert!(share(&[], 0, 2).unwrap().is_empty());
        for (listeners, workers) in
            (1..6).flat_map(|listeners| (1..6).map(move |workers| (listeners, workers)))
        {
            let listeners: Vec<_> = (0..listeners).map(|_| TcpListener::bind(LOOPBACK).unwrap()).collect();
            let mut unserved: Vec<_> =
                listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
            for worker in 0..workers {
                let own = share(&listeners, worker, workers).unwrap();
                assert!(!own.is_empty(), "worker {worker} of {workers}");
                unserved.retain(|address| own.iter().all(|served| served.local_addr().unwrap() != *address));
            }
            assert!(unserved.is_empty(), "{} listeners, {workers} workers: {unserved:?}", listeners.len());
        }
    }
}
