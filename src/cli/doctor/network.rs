//! Checks of the listeners and of the apps domain.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ClientConfig, ClientConnection, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};

use super::Finding;
use crate::config::Config;
use crate::model::names::API_HOST_LABEL;

/// On this machine an answer takes a millisecond; more than this is none.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes of an answer about the health.
const HEALTH_LIMIT: u64 = 64 * 1024;

/// Held by our daemon, as its health says, or free.
pub(super) fn api_listener(config: &Config) -> Finding {
    let address = config.api.addr;
    match ask(address, "localhost") {
        Answer::Http => judge_health(address, &health(address)),
        other @ (Answer::SomethingElse | Answer::Free | Answer::Forbidden | Answer::Unusable(_)) => {
            other.finding(address, "--api-addr")
        }
    }
}

pub(super) fn http_listener(config: &Config) -> Finding {
    let address = config.edge.http_addr;
    ask(address, &config.edge.apps_domain).finding(address, "--http-addr")
}

/// Held by our daemon, which shows a certificate of the local authority, or free.
pub(super) fn https_listener(config: &Config) -> Finding {
    let address = config.edge.https_addr;
    let Ok(stream) = connect(address) else {
        return could_listen(address).finding(address, "--https-addr");
    };
    let name = format!("{API_HOST_LABEL}.{}", config.edge.apps_domain);
    match shake_hands(stream, &name, &config.ca_certificate_path()) {
        Ok(()) => Finding::Fine(format!("{address} has a certificate of the local authority for {name}")),
        Err(error) => Finding::Broken(format!(
            "{address} shows no certificate of the local authority for {name} ({error}); stop what else listens there, or use another port with --https-addr"
        )),
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

/// The status line and the body of `GET /octhc`.
fn health(address: SocketAddr) -> std::io::Result<(String, String)> {
    let mut stream = connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /octhc HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(HEALTH_LIMIT).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    Ok((head.lines().next().unwrap_or_default().to_owned(), body.to_owned()))
}

fn judge_health(address: SocketAddr, answer: &std::io::Result<(String, String)>) -> Finding {
    match answer {
        Ok((_, body)) if body == "overall_status=good" => {
            Finding::Fine(format!("{address} answers /octhc: {body}"))
        }
        Ok((status, _)) if status.split(' ').nth(1).is_some_and(|code| code.starts_with('5')) => {
            Finding::Broken(format!("{address} answers /octhc with {status}; read the daemon's log"))
        }
        Ok((status, _)) => Finding::Broken(format!(
            "{address} is held by another server, which answers /octhc with {status}; stop it, or use another port with --api-addr"
        )),
        Err(error) => Finding::Broken(format!(
            "{address} does not answer /octhc ({error}); restart the daemon and read its log"
        )),
    }
}

/// A TLS handshake that trusts only the authority in that file.
fn shake_hands(mut stream: TcpStream, name: &str, authority: &Path) -> anyhow::Result<()> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned())?)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    connection.complete_io(&mut stream)?;
    Ok(())
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
    fn only_our_own_healthy_daemon_is_fine() {
        let address = SocketAddr::from(([127, 0, 0, 1], 5000));
        let judged =
            |status: &str, body: &str| judge_health(address, &Ok((status.to_owned(), body.to_owned())));
        assert!(matches!(judged("HTTP/1.1 200 OK", "overall_status=good"), Finding::Fine(_)));
        let sick = judged("HTTP/1.1 500 Internal Server Error", "{}");
        assert!(matches!(sick, Finding::Broken(text) if text.contains("read the daemon's log")));
        for (status, body) in [("HTTP/1.1 404 Not Found", ""), ("HTTP/1.1 200 OK", "<html>")] {
            assert!(matches!(judged(status, body), Finding::Broken(text) if text.contains("another server")));
        }
    }

    #[test]
    fn a_tls_server_of_another_authority_is_not_taken_for_ours() {
        let dir = tempfile::tempdir().unwrap();
        let ours = dir.path().join("ca.crt");
        let authority = rcgen::generate_simple_self_signed(vec!["api.localhost".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(vec!["api.localhost".to_owned()]).unwrap();
        std::fs::write(&ours, authority.cert.pem()).unwrap();
        for (shown, is_ours) in [(authority, true), (other, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap();
            let key = shown.signing_key.serialize_der();
            let certificate = shown.cert.der().clone();
            let server = std::thread::spawn(move || {
                let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
                let config = rustls::ServerConfig::builder_with_provider(provider)
                    .with_safe_default_protocol_versions()
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(
                        vec![certificate],
                        rustls_pki_types::PrivatePkcs8KeyDer::from(key).into(),
                    )
                    .unwrap();
                let mut connection = rustls::ServerConnection::new(Arc::new(config)).unwrap();
                let (mut stream, _) = listener.accept().unwrap();
                connection.complete_io(&mut stream).is_ok()
            });
            let shaken = shake_hands(connect(address).unwrap(), "api.localhost", &ours);
            assert_eq!(shaken.is_ok(), is_ours, "{shaken:?}");
            assert_eq!(server.join().unwrap(), is_ours);
        }
    }

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
