//! Checks of the listeners and of the apps domain.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::Duration;

use super::Finding;
use crate::config::Config;

/// On this machine an answer takes a millisecond; more than this is none.
const PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn api_listener(config: &Config) -> Finding {
    let address = config.api.addr;
    ask(address, "localhost").finding(address, "--api-addr")
}

pub(super) fn http_listener(config: &Config) -> Finding {
    let address = config.edge.http_addr;
    ask(address, &config.edge.apps_domain).finding(address, "--http-addr")
}

/// A TLS listener that takes connections is one that serves, as far as can be told without a handshake.
pub(super) fn https_listener(config: &Config) -> Finding {
    let address = config.edge.https_addr;
    match connect(address) {
        Ok(_) => Finding::Fine(format!("{address} takes connections")),
        Err(_) => could_listen(address).finding(address, "--https-addr"),
    }
}

pub(super) fn apps_domain(config: &Config) -> Finding {
    let name = format!("doctor.{}", config.edge.apps_domain);
    match (name.as_str(), config.edge.https_addr.port()).to_socket_addrs().map(|mut found| found.next()) {
        Ok(Some(address)) => Finding::Fine(format!("{name} resolves to {}", address.ip())),
        Ok(None) | Err(_) if config.edge.apps_domain == "localhost" => Finding::Doubtful(format!(
            "{name} does not resolve here; browsers know it, and curl with --resolve"
        )),
        Ok(None) | Err(_) => Finding::Doubtful(format!(
            "{name} does not resolve; point a wildcard record *.{} at this machine",
            config.edge.apps_domain
        )),
    }
}

/// What is at an address.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Http,
    SomethingElse,
    Free,
    Forbidden,
    Unusable(ErrorKind),
}

impl Answer {
    fn finding(self, address: SocketAddr, flag: &str) -> Finding {
        match self {
            Self::Http => Finding::Fine(format!("{address} answers")),
            Self::Free => Finding::Doubtful(format!("{address} is free: the daemon does not run")),
            Self::SomethingElse => Finding::Broken(format!(
                "{address} is taken by something that does not speak HTTP; stop it, or use another port with {flag}"
            )),
            Self::Forbidden => Finding::Doubtful(format!(
                "{address} is not answering, and this user may not listen there; the daemon needs systemd's sockets or another port with {flag}"
            )),
            Self::Unusable(kind) => Finding::Broken(format!(
                "{address} cannot be listened on ({kind}); choose another with {flag}"
            )),
        }
    }
}

fn ask(address: SocketAddr, host: &str) -> Answer {
    let Ok(mut stream) = connect(address) else { return could_listen(address) };
    let mut start = [0_u8; 7];
    let answered = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .and_then(|()| write!(stream, "HEAD / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
        .and_then(|()| stream.read_exact(&mut start));
    if answered.is_ok() && start == *b"HTTP/1." { Answer::Http } else { Answer::SomethingElse }
}

fn connect(address: SocketAddr) -> std::io::Result<TcpStream> {
    TcpStream::connect_timeout(&reachable(address), PATIENCE)
}

/// A listener on every address is reached over loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn could_listen(address: SocketAddr) -> Answer {
    match TcpListener::bind(address) {
        Ok(_) => Answer::Free,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Answer::Forbidden,
        Err(error) if error.kind() == ErrorKind::AddrInUse => Answer::SomethingElse,
        Err(error) => Answer::Unusable(error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_a_silent_one_and_a_web_server_are_told_apart() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = silent.local_addr().unwrap();
        let closes = std::thread::spawn(move || drop(silent.accept()));
        assert_eq!(ask(address, "localhost"), Answer::SomethingElse);
        closes.join().unwrap();
        assert_eq!(ask(address, "localhost"), Answer::Free);

        let web = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = web.local_addr().unwrap();
        let answers = std::thread::spawn(move || {
            let (mut stream, _) = web.accept().unwrap();
            let mut request = [0; 64];
            let read = stream.read(&mut request).unwrap();
            assert!(read > 0);
            stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").unwrap();
        });
        assert_eq!(ask(address, "localhost"), Answer::Http);
        answers.join().unwrap();
    }
}
