//! Outgoing connections, HTTP above all; the only place that names reqwest. What a user's URL may reach is decided here.
//!
//! Invariant: no connection is made to an address that the policy refuses, whatever a name resolves to and
//! wherever a redirect points.

mod api_client;
mod connect;
mod transfer;

use std::collections::BTreeMap;
use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use http::header::AUTHORIZATION;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, ClientBuilder, Response, Url};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

pub use self::api_client::{ApiClient, ApiClientError, Lines};
pub use self::transfer::{Incoming, Transfer, TransferBody, Transfers};
use crate::model::address::{AddressKind, embedded};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest silence in the middle of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
const REDIRECTS: usize = 3;
/// Bytes of names and values that are kept of an answer's headers.
const HEADERS_KEPT: usize = 8 * 1024;
/// Bytes that are gathered before the file is written to.
const BUFFER: usize = 256 * 1024;

/// A client for addresses that users name. Clones share its connections.
#[derive(Debug, Clone)]
pub struct Outbound {
    client: Client,
    /// Follows no redirect.
    poster: Client,
    policy: AddressPolicy,
}

/// How much one download may take.
#[derive(Debug, Clone, Copy)]
pub struct DownloadLimits {
    /// Bytes of the body.
    pub bytes: u64,
    /// From the first step to the last byte.
    pub total: Duration,
}

/// How much one request and its answer may take.
#[derive(Debug, Clone, Copy)]
pub struct PostLimits {
    /// From the first step to the last byte of the answer that is kept.
    pub total: Duration,
    /// Bytes of the answer's body that are kept; the rest is not read.
    pub body: usize,
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case; values that are no text are left out, and so is what exceeds 8 KiB.
    pub headers: BTreeMap<String, String>,
    /// As much as was asked for, and as came in time.
    pub body: Vec<u8>,
}

/// Why a request did not end well. No text holds the URL, which may carry a password.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    #[error("the address is not a valid http:// or https:// URL")]
    Url,
    #[error(
        "the address {0} is refused: it belongs to this machine or a private network (the operator can allow those)"
    )]
    Private(IpAddr),
    #[error("the address {0} is refused: it is link-local, multicast or a cloud's metadata service")]
    Forbidden(IpAddr),
    #[error("the server answered {0}")]
    Status(String),
    #[error("the content is larger than {0} bytes, which is the limit")]
    TooLarge(u64),
    #[error("it did not end within {0:?}")]
    TimedOut(Duration),
    #[error("{0}")]
    Transport(String),
    #[error("the content cannot be stored: {0}")]
    Io(#[from] std::io::Error),
}

impl Outbound {
    /// A client that reaches loopback and private addresses only with `allow_private`.
    pub fn new(allow_private: bool) -> Result<Self, OutboundError> {
        let policy = AddressPolicy { allow_private };
        let client = build(policy, Policy::custom(move |attempt| follow(attempt, policy)), None)?;
        Ok(Self { client, poster: build(policy, Policy::none(), None)?, policy })
    }

    /// Fetches `url` into a new file at `to` and returns its length. Follows up to three redirects; the header
    /// `Authorization` goes to the host of `url` only.
    ///
    /// On an error or when the future is dropped, a part of the content may be left at `to`.
    pub async fn download(
        &self,
        url: &str,
        authorization: Option<&str>,
        (to, limits): (&Path, DownloadLimits),
    ) -> Result<u64, OutboundError> {
        tokio::time::timeout(limits.total, self.fetch((url, authorization), to, limits.bytes))
            .await
            .unwrap_or(Err(OutboundError::TimedOut(limits.total)))
    }

    /// Fetches `url` into memory. Follows up to three redirects.
    pub async fn get(&self, url: &str, limits: DownloadLimits) -> Result<Vec<u8>, OutboundError> {
        let read = async {
            let mut response = self.open((url, None), limits.bytes).await?;
            let mut content = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(transport)? {
                content.extend_from_slice(&chunk);
                if content.len() as u64 > limits.bytes {
                    return Err(OutboundError::TooLarge(limits.bytes));
                }
            }
            Ok(content)
        };
        tokio::time::timeout(limits.total, read).await.unwrap_or(Err(OutboundError::TimedOut(limits.total)))
    }

    /// Posts `body` to `url` and returns what was answered, whatever its status. Follows no redirect.
    pub async fn post<N: AsRef<str>>(
        &self,
        url: &str,
        headers: &[(N, String)],
        body: String,
        limits: PostLimits,
    ) -> Result<Answer, OutboundError> {
        self.send((Method::POST, url), headers, Some(body), limits).await
    }

    /// Sends a request and returns what was answered, whatever its status. Follows no redirect.
    pub async fn send<N: AsRef<str>>(
        &self,
        (method, url): (Method, &str),
        headers: &[(N, String)],
        body: Option<String>,
        limits: PostLimits,
    ) -> Result<Answer, OutboundError> {
        let deadline = Instant::now() + limits.total;
        let url = Url::parse(url).map_err(|_| OutboundError::Url)?;
        check_url(&url, self.policy)?;
        let mut request = self.poster.request(method, url);
        if let Some(body) = body {
            request = request.body(body);
        }
        for (name, value) in headers {
            request = request.header(name.as_ref(), value);
        }
        let response = tokio::time::timeout_at(deadline, request.send())
            .await
            .map_err(|_| OutboundError::TimedOut(limits.total))?
            .map_err(transport)?;
        let mut answer =
            Answer { status: response.status().as_u16(), headers: kept_headers(&response), body: Vec::new() };
        // The status is the answer: a body that breaks off or never ends takes nothing from it.
        let kept = read_start(response, &mut answer.body, limits.body);
        drop(tokio::time::timeout_at(deadline, kept).await);
        Ok(answer)
    }

    /// The head of an answer with success whose body is not known to be larger than `limit`.
    async fn open(
        &self,
        (url, authorization): (&str, Option<&str>),
        limit: u64,
    ) -> Result<Response, OutboundError> {
        let url = Url::parse(url).map_err(|_| OutboundError::Url)?;
        check_url(&url, self.policy)?;
        let mut request = self.client.get(url);
        if let Some(value) = authorization {
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.send().await.map_err(transport)?;
        if !response.status().is_success() {
            return Err(OutboundError::Status(response.status().to_string()));
        }
        if response.content_length().is_some_and(|length| length > limit) {
            return Err(OutboundError::TooLarge(limit));
        }
        Ok(response)
    }

    async fn fetch(&self, from: (&str, Option<&str>), to: &Path, limit: u64) -> Result<u64, OutboundError> {
        let mut response = self.open(from, limit).await?;
        let file = tokio::fs::File::create(to).await?;
        let mut file = tokio::io::BufWriter::with_capacity(BUFFER, file);
        let mut length = 0_u64;
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            length += chunk.len() as u64;
            if length > limit {
                return Err(OutboundError::TooLarge(limit));
            }
            file.write_all(&chunk).await?;
        }
        file.flush().await?;
        Ok(length)
    }
}

fn build(
    policy: AddressPolicy,
    redirects: Policy,
    tls: Option<rustls::ClientConfig>,
) -> Result<Client, OutboundError> {
    let builder = builder(policy, redirects).read_timeout(READ_TIMEOUT);
    let builder = match tls {
        None => builder,
        Some(tls) => builder.tls_backend_preconfigured(tls),
    };
    builder.build().map_err(transport)
}

fn builder(policy: AddressPolicy, redirects: Policy) -> ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .no_proxy()
        .referer(false)
        .user_agent(concat!("akkerisd/", env!("CARGO_PKG_VERSION")))
        .pool_idle_timeout(Duration::from_secs(5))
        .redirect(redirects)
        .dns_resolver(Arc::new(Resolver { policy }))
}

fn kept_headers(response: &Response) -> BTreeMap<String, String> {
    let mut left = HEADERS_KEPT;
    let mut kept = BTreeMap::new();
    for (name, value) in response.headers() {
        let Ok(value) = value.to_str() else { continue };
        let size = name.as_str().len() + value.len();
        if size <= left {
            left -= size;
            kept.insert(name.as_str().to_owned(), value.to_owned());
        }
    }
    kept
}

/// Reads up to `limit` bytes; an error ends it like the end of the body.
async fn read_start(mut response: Response, body: &mut Vec<u8>, limit: usize) {
    while let Ok(Some(chunk)) = response.chunk().await {
        let room = limit.saturating_sub(body.len());
        body.extend(chunk.iter().take(room));
        if chunk.len() >= room {
            return;
        }
    }
}

/// Which addresses may be reached.
#[derive(Debug, Clone, Copy)]
struct AddressPolicy {
    allow_private: bool,
}

impl AddressPolicy {
    fn check(self, address: IpAddr) -> Result<(), OutboundError> {
        match AddressKind::of(address) {
            AddressKind::Forbidden => Err(OutboundError::Forbidden(embedded(address))),
            AddressKind::Private if !self.allow_private => Err(OutboundError::Private(embedded(address))),
            AddressKind::Private | AddressKind::Public => Ok(()),
        }
    }
}

/// A literal address never passes the resolver, so it is checked here.
fn check_url(url: &Url, policy: AddressPolicy) -> Result<(), OutboundError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(OutboundError::Url);
    }
    let host = url.host_str().ok_or(OutboundError::Url)?;
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(address) => policy.check(address),
        Err(_) => Ok(()),
    }
}

fn follow(attempt: Attempt<'_>, policy: AddressPolicy) -> reqwest::redirect::Action {
    if attempt.previous().len() > REDIRECTS {
        return attempt.error(OutboundError::Transport(format!("more than {REDIRECTS} redirects")));
    }
    match check_url(attempt.url(), policy) {
        Ok(()) => attempt.follow(),
        Err(error) => attempt.error(error),
    }
}

/// Resolves through the system and leaves only the addresses that the policy allows.
struct Resolver {
    policy: AddressPolicy,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy;
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            let mut refused = None;
            let mut allowed = Vec::with_capacity(found.len());
            for address in found {
                match policy.check(address.ip()) {
                    Ok(()) => allowed.push(address),
                    Err(error) => refused = Some(error),
                }
            }
            match refused {
                Some(error) if allowed.is_empty() => Err(error.into()),
                _ => Ok(Box::new(allowed.into_iter()) as Addrs),
            }
        })
    }
}

/// The whole chain of causes without the URL.
fn transport(error: reqwest::Error) -> OutboundError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        match error.downcast_ref::<OutboundError>() {
            Some(OutboundError::Private(address)) => return OutboundError::Private(*address),
            Some(OutboundError::Forbidden(address)) => return OutboundError::Forbidden(*address),
            Some(_) | None => {}
        }
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    OutboundError::Transport(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::Tasks;
    use tokio::io::AsyncReadExt;
    use tokio::net::TcpListener;

    /// A server that gives each connection in turn one answer, and the address it listens on.
    async fn server(answers: Vec<String>) -> (SocketAddr, Tasks) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = Tasks::new();
        tasks.spawn("server", async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 4096];
                assert!(stream.read(&mut request).await.unwrap() > 0);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (address, tasks)
    }

    fn limits() -> DownloadLimits {
        DownloadLimits { bytes: 1_000, total: Duration::from_secs(20) }
    }

    async fn download(url: &str, allow_private: bool) -> Result<Vec<u8>, OutboundError> {
        let dir = tempfile::tempdir().unwrap();
        let to = dir.path().join("content");
        let length = Outbound::new(allow_private)?.download(url, None, (&to, limits())).await?;
        let content = std::fs::read(to)?;
        assert_eq!(content.len() as u64, length);
        Ok(content)
    }

    fn ok(body: &str) -> String {
        format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
    }

    fn redirect(to: &str) -> String {
        format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
    }

    #[tokio::test]
    async fn a_body_is_stored_after_redirects() {
        let (address, _tasks) =
            server(vec![redirect("/b"), redirect("/c"), redirect("/d"), ok("hello")]).await;
        assert_eq!(download(&format!("http://{address}/a"), true).await.unwrap(), b"hello");
    }

    #[tokio::test]
    async fn a_fourth_redirect_ends_the_download() {
        let (address, _tasks) = server((0..5).map(|n| redirect(&format!("/{n}"))).collect()).await;
        let error = download(&format!("http://{address}/a"), true).await.unwrap_err();
        assert!(error.to_string().contains("more than 3 redirects"), "{error}");
    }

    #[tokio::test]
    async fn a_redirect_to_the_metadata_service_or_to_a_file_is_refused() {
        let (address, _tasks) = server(vec![redirect("file:///etc/passwd")]).await;
        assert!(download(&format!("http://{address}/"), true).await.is_err());
        for target in ["http://169.254.169.254/latest", "http://[fe80::1]/"] {
            let (address, _tasks) = server(vec![redirect(target)]).await;
            let error = download(&format!("http://{address}/"), true).await.unwrap_err();
            assert!(error.to_string().contains("is refused"), "{target}: {error}");
        }
    }

    #[tokio::test]
    async fn private_addresses_need_to_be_allowed_also_by_name() {
        let (address, _tasks) = server(vec![ok("inside")]).await;
        let literal = download(&format!("http://{address}/"), false).await.unwrap_err();
        assert!(matches!(literal, OutboundError::Private(_)), "{literal}");
        let name = format!("http://localhost:{}/", address.port());
        let error = download(&name, false).await.unwrap_err();
        assert!(error.to_string().contains("private network"), "{error}");
        assert_eq!(download(&name, true).await.unwrap(), b"inside");
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_with_or_without_a_length() {
        let long = "x".repeat(2_000);
        let (address, _tasks) =
            server(vec![ok(&long), format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{long}")]).await;
        for _ in 0..2 {
            let error = download(&format!("http://{address}/"), true).await.unwrap_err();
            assert!(matches!(error, OutboundError::TooLarge(1_000)), "{error}");
        }
    }

    #[tokio::test]
    async fn an_error_status_is_named_and_no_password_is_shown() {
        let (address, _tasks) =
            server(vec!["HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_owned()]).await;
        let error = download(&format!("http://u:secret@{address}/"), true).await.unwrap_err();
        assert_eq!(error.to_string(), "the server answered 404 Not Found");
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let error = download(&format!("http://u:secret@{closed}/"), true).await.unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn a_server_that_never_answers_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let dir = tempfile::tempdir().unwrap();
        let limits = DownloadLimits { bytes: 10, total: Duration::from_millis(200) };
        let result = Outbound::new(true).unwrap().download(&url, None, (&dir.path().join("x"), limits)).await;
        assert!(matches!(result, Err(OutboundError::TimedOut(_))));
    }

    #[test]
    fn disguised_addresses_are_seen_through() {
        let open = AddressPolicy { allow_private: true };
        let closed = AddressPolicy { allow_private: false };
        for text in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fd00:ec2::254",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "100.100.100.200",
        ] {
            assert!(matches!(open.check(text.parse().unwrap()), Err(OutboundError::Forbidden(_))), "{text}");
        }
        for text in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "172.31.0.1",
            "192.168.1.1",
            "fd12::1",
            "100.64.0.1",
            "::ffff:127.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(open.check(text.parse().unwrap()).is_ok(), "{text}");
            assert!(matches!(closed.check(text.parse().unwrap()), Err(OutboundError::Private(_))), "{text}");
        }
        for text in ["93.184.216.34", "2606:2800:220:1::1"] {
            assert!(closed.check(text.parse().unwrap()).is_ok(), "{text}");
        }
    }
}
