//! Signed requests to one bucket, tried again while that may help.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use md5::{Digest, Md5};
use rusty_s3::{Bucket, Credentials, Method};

use super::answer;
use super::error::{Fault, S3Error};
use crate::addons::backups::folder::{Hashing, blocking};
use crate::clock::Clock;
use crate::outbound::{Answer, Incoming, PostLimits, Transfer, TransferBody, Transfers};

/// How long a signature holds; a clock that is behind by less does no harm.
const VALID: Duration = Duration::from_hours(1);
/// Some stores put a large object together before they answer.
const COMPLETION_LIMIT: Duration = Duration::from_mins(10);
/// Bytes a second of a file that a server takes at the least.
const SLOWEST: u64 = 64 * 1024;
/// Bytes of an answer; 500 entries of a list are less than half of it.
const ANSWER_LIMIT: usize = 1 << 20;
/// Entries of a page of a list.
pub(super) const PAGE: &str = "500";

/// How large parts are, and how stubbornly requests are repeated.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Bytes that are sent in one request; larger files go in parts of this size, or of more where they would be too
    /// many.
    pub part: u64,
    /// How often a request is sent at most.
    pub attempts: u32,
    /// The pause before the second one; it doubles.
    pub pause: Duration,
    /// Longest wait for an answer, beside what sending a file takes.
    pub limit: Duration,
}

/// A bucket.
pub(super) struct Client {
    pub(super) bucket: Bucket,
    pub(super) credentials: Credentials,
    pub(super) transfers: Transfers,
    pub(super) clock: Clock,
    pub(super) pace: Pace,
}

/// A question or an order, beside what the signature adds.
pub(super) struct Request<'a> {
    /// What fails when it does, for people: "uploading".
    pub(super) doing: &'static str,
    pub(super) method: Method,
    /// Empty where the bucket itself is meant.
    pub(super) key: &'a str,
    /// Sorted by the names.
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: TransferBody<'a>,
}

impl Pace {
    /// That of a daemon.
    pub const DEFAULT: Self =
        Self { part: 16 << 20, attempts: 5, pause: Duration::from_secs(1), limit: Duration::from_mins(1) };
}

impl Client {
    /// What was answered with success.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<Answer, S3Error> {
        let digest = self.digest(request).await?;
        let mut tries = Tries::new(self.pace);
        loop {
            match self.ask_once(request, digest.as_deref()).await {
                Ok(answer) => return Ok(answer),
                Err(fault) if tries.again(&fault).await => {}
                Err(fault) => return Err(self.error(request.doing, fault)),
            }
        }
    }

    /// The body of an object from that byte on, as a stream whose head was answered with success.
    pub(super) async fn read(&self, key: &str, from: u64) -> Result<Incoming, Fault> {
        let url = self.signed(Method::Get, key, &[], &[]);
        let range = (from > 0).then(|| ("range", format!("bytes={from}-")));
        let headers: Vec<_> = range.into_iter().collect();
        let transfer =
            Transfer { method: http::Method::GET, url: &url, headers: &headers, body: TransferBody::Empty };
        let incoming = self.transfers.receive(transfer, self.pace.limit).await?;
        match (incoming.status, from) {
            (200, 0) | (206, 1..) => Ok(incoming),
            (200, _) => Err(Fault::Nonsense("it does not give a part of an object")),
            (status, _) => Err(answer::refusal(status, &incoming.start(ANSWER_LIMIT).await)),
        }
    }

    pub(super) fn error(&self, doing: &'static str, fault: Fault) -> S3Error {
        let host = self.bucket.base_url().host_str().unwrap_or_default();
        let port = self.bucket.base_url().port().map(|port| format!(":{port}")).unwrap_or_default();
        S3Error { bucket: self.bucket.name().to_owned(), server: format!("{host}{port}"), doing, fault }
    }

    async fn ask_once(&self, request: &Request<'_>, digest: Option<&str>) -> Result<Answer, Fault> {
        let signed: Vec<(&'static str, &str)> =
            digest.into_iter().map(|digest| ("content-md5", digest)).collect();
        let url = self.signed(request.method, request.key, &request.query, &signed);
        let headers: Vec<_> = signed.into_iter().map(|(name, value)| (name, value.to_owned())).collect();
        let method = http_method(request.method);
        let transfer = Transfer { method, url: &url, headers: &headers, body: request.body };
        let limits = PostLimits { total: self.limit(request), body: ANSWER_LIMIT };
        let answer = self.transfers.send(transfer, limits).await?;
        if !(200..300).contains(&answer.status) {
            return Err(answer::refusal(answer.status, &answer.body));
        }
        match answer::hidden_refusal(answer.status, &answer.body) {
            Some(fault) => Err(fault),
            None => Ok(answer),
        }
    }

    fn limit(&self, request: &Request<'_>) -> Duration {
        match request.body {
            TransferBody::Part { length, .. } => self.pace.limit + Duration::from_secs(length / SLOWEST),
            TransferBody::Text(_) => COMPLETION_LIMIT,
            TransferBody::Empty => self.pace.limit,
        }
    }

    fn signed(
        &self,
        method: Method,
        key: &str,
        query: &[(&'static str, String)],
        headers: &[(&'static str, &str)],
    ) -> String {
        // No clock of ours shows an instant that jiff does not know.
        let now = jiff::Timestamp::from_millisecond(self.clock.now().as_millis()).unwrap_or_default();
        rusty_s3::signing::sign(
            &now,
            method,
            self.bucket.object_url(key),
            self.credentials.key(),
            self.credentials.secret(),
            None,
            self.bucket.region(),
            VALID.as_secs(),
            query.iter().map(|(name, value)| (*name, value.as_str())),
            headers.iter().copied(),
        )
        .into()
    }

    /// The digest that the server compares a file with, in the form of `Content-MD5`. It is signed, so that what is
    /// kept is what was sent.
    async fn digest(&self, request: &Request<'_>) -> Result<Option<String>, S3Error> {
        let TransferBody::Part { file, offset, length } = request.body else { return Ok(None) };
        let file = file.to_path_buf();
        let digest = blocking(move || digest_of(&file, offset, length)).await;
        digest.map(Some).map_err(|error| self.error(request.doing, error.into()))
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("bucket", &self.bucket.name()).finish_non_exhaustive()
    }
}

/// Counts attempts, and pauses between them.
pub(super) struct Tries {
    left: u32,
    pause: Duration,
}

impl Tries {
    pub(super) fn new(pace: Pace) -> Self {
        Self { left: pace.attempts.saturating_sub(1), pause: pace.pause }
    }

    /// Whether to try again; if so, after a pause.
    pub(super) async fn again(&mut self, fault: &Fault) -> bool {
        if self.left == 0 || !fault.is_transient() {
            return false;
        }
        tokio::time::sleep(self.pause).await;
        self.left -= 1;
        self.pause *= 2;
        true
    }
}

fn http_method(method: Method) -> http::Method {
    match method {
        Method::Head => http::Method::HEAD,
        Method::Get => http::Method::GET,
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Delete => http::Method::DELETE,
    }
}

fn digest_of(file: &Path, offset: u64, length: u64) -> std::io::Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = std::fs::File::open(file)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut digest = Md5::new();
    std::io::copy(&mut file.take(length), &mut Hashing(&mut digest))?;
    Ok(BASE64_STANDARD.encode(digest.finalize()))
}
