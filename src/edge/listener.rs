//! The edge's listening sockets: bound here, or handed over by systemd or by the process before.
//!
//! Invariant: every listener is served by at least one worker, and every worker serves a listener of each kind
//! that there is.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use nix::sys::socket::setsockopt;
use nix::{setsockopt_impl, sockopt_impl};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::sync::watch;

const BACKLOG: i32 = 4_096;
/// Seconds.
const SILENCE: u32 = 1;
const QUIC_BUFFER: usize = 2 << 20;

sockopt_impl!(DeferAccept, SetOnly, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, u32);

/// The sockets that clients connect to, plain and TLS.
#[derive(Debug, Default)]
pub struct EdgeListeners {
    pub http: Vec<TcpListener>,
    pub https: Vec<TcpListener>,
    /// For HTTP/3; `None` is the edge without it.
    pub quic: Option<QuicSocket>,
}

/// The UDP socket of HTTP/3: there, or still with the daemon before this one. Clones share it.
#[derive(Debug, Clone)]
pub struct QuicSocket(watch::Receiver<Option<Arc<UdpSocket>>>);

impl EdgeListeners {
    /// Binds both addresses once for each worker (`SO_REUSEPORT`), so that the kernel spreads the connections.
    /// Port 0 takes a free port, the same one for all workers.
    pub fn bind(http: SocketAddr, https: SocketAddr, workers: usize) -> io::Result<Self> {
        Ok(Self { http: bind_all(http, workers)?, https: bind_all(https, workers)?, quic: None })
    }

    /// Binds one address once for each worker, as [`EdgeListeners::bind`] does with both.
    pub fn bind_address(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
        bind_all(address, workers)
    }

    /// The listeners of one worker out of `workers`; the first has the socket for HTTP/3.
    pub(super) fn share(&self, worker: usize, workers: usize) -> io::Result<Self> {
        let quic = self.quic.clone().filter(|_| worker == 0);
        let (http, https) = (share(&self.http, worker, workers)?, share(&self.https, worker, workers)?);
        Ok(Self { http, https, quic })
    }
}

impl QuicSocket {
    /// Binds the address of the TLS listeners.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        Ok(Self::ready(Self::bind_address(address)?))
    }

    /// Binds an address, for one that is awaited.
    pub fn bind_address(address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind(&address.into())?;
        // As much as the system allows: one socket takes the packets of all clients.
        socket.set_recv_buffer_size(QUIC_BUFFER)?;
        socket.set_send_buffer_size(QUIC_BUFFER)?;
        Ok(socket.into())
    }

    /// One that is there.
    pub fn ready(socket: UdpSocket) -> Self {
        Self(watch::channel(Some(Arc::new(socket))).1)
    }

    /// One that is to be sent later; without it there is no HTTP/3.
    pub fn awaited() -> (watch::Sender<Option<Arc<UdpSocket>>>, Self) {
        let (sender, receiver) = watch::channel(None);
        (sender, Self(receiver))
    }

    /// The socket, when it is there.
    pub fn get(&self) -> Option<Arc<UdpSocket>> {
        self.0.borrow().clone()
    }

    /// A socket of the edge's own, once there is one; `None` when none will come.
    pub(super) async fn come(&mut self) -> io::Result<Option<UdpSocket>> {
        let come = self.0.wait_for(Option::is_some).await.ok().and_then(|socket| socket.clone());
        come.map(|socket| socket.try_clone()).transpose()
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

/// Lets a connection wait with the system until its client has sent something, or [`SILENCE`] has passed: it comes with
/// its first request then, for one wake-up instead of two, and who connects and is silent costs nothing.
fn defer(listener: &TcpListener) -> io::Result<()> {
    Ok(setsockopt(listener, DeferAccept, &SILENCE)?)
}

fn share(listeners: &[TcpListener], worker: usize, workers: usize) -> io::Result<Vec<TcpListener>> {
    let own: Vec<_> = listeners.iter().skip(worker).step_by(workers.max(1)).collect();
    let shared =
        if own.is_empty() { listeners.iter().cycle().nth(worker).into_iter().collect() } else { own };
    shared
        .into_iter()
        .map(|listener| {
            listener.set_nonblocking(true)?;
            // What is accepted inherits it, which spares a call for each connection.
            SockRef::from(listener).set_tcp_nodelay(true)?;
            defer(listener)?;
            listener.try_clone()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpStream;

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
    fn what_is_accepted_sends_without_waiting_for_more() {
        let listeners = [TcpListener::bind(LOOPBACK).unwrap()];
        let listener = share(&listeners, 0, 1).unwrap().remove(0);
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"hello").unwrap();
        listener.set_nonblocking(false).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        assert!(accepted.nodelay().unwrap());
    }

    #[test]
    fn who_connects_comes_with_what_it_sends_or_when_it_has_been_silent() {
        let listeners = [TcpListener::bind(LOOPBACK).unwrap()];
        let listener = share(&listeners, 0, 1).unwrap().remove(0);
        let connect = || TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut speaks, silent) = (connect(), connect());
        let none = listener.accept().map(drop).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::WouldBlock);
        speaks.write_all(b"hello").unwrap();
        listener.set_nonblocking(false).unwrap();
        for client in [speaks, silent] {
            let (_, peer) = listener.accept().unwrap();
            assert_eq!(peer, client.local_addr().unwrap());
        }
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
