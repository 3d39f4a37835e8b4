//! Requests that carry files, to addresses that the operator named: sent from the disk, received piece by piece.

use std::io::SeekFrom;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::CONTENT_LENGTH;
use reqwest::redirect::Policy;
use reqwest::{Body, Certificate, Client, Response, Url};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::{
    AddressPolicy, Answer, OutboundError, PostLimits, READ_TIMEOUT, builder, check_url, kept_headers,
    read_start, transport,
};

/// Bytes that are read from a file at once.
const CHUNK: usize = 64 * 1024;

/// A client for files. Follows no redirect; clones share its connections.
#[derive(Debug, Clone)]
pub struct Transfers {
    client: Client,
    policy: AddressPolicy,
}

/// A request.
#[derive(Debug)]
pub struct Transfer<'a> {
    pub method: Method,
    pub url: &'a str,
    pub headers: &'a [(&'static str, String)],
    pub body: TransferBody<'a>,
}

/// What a request carries.
#[derive(Debug, Clone, Copy)]
pub enum TransferBody<'a> {
    Empty,
    Text(&'a str),
    /// `length` bytes of a file, which must be there.
    Part {
        file: &'a Path,
        offset: u64,
        length: u64,
    },
}

/// An answer whose body comes piece by piece.
#[derive(Debug)]
pub struct Incoming {
    pub status: u16,
    /// As the server declares it.
    pub length: Option<u64>,
    response: Response,
}

impl Transfers {
    /// A client that trusts the machine's authorities, or only those of a PEM file's content.
    pub fn new(authorities: Option<&[u8]>) -> Result<Self, OutboundError> {
        let policy = AddressPolicy { allow_private: true };
        // A limit on reading would count while a body is sent.
        let builder = builder(policy, Policy::none());
        let builder = match authorities {
            None => builder,
            Some(pem) => builder.tls_certs_only(Certificate::from_pem_bundle(pem).map_err(transport)?),
        };
        Ok(Self { client: builder.build().map_err(transport)?, policy })
    }

    /// Sends a request and returns what was answered, whatever its status.
    pub async fn send(&self, transfer: Transfer<'_>, limits: PostLimits) -> Result<Answer, OutboundError> {
        let exchange = async {
            let response = self.begin(transfer).await?;
            let (status, headers) = (response.status().as_u16(), kept_headers(&response));
            let mut answer = Answer { status, headers, body: Vec::new() };
            read_start(response, &mut answer.body, limits.body).await;
            Ok(answer)
        };
        tokio::time::timeout(limits.total, exchange)
            .await
            .unwrap_or(Err(OutboundError::TimedOut(limits.total)))
    }

    /// Sends a request and returns the head of the answer, which must come within `limit`.
    pub async fn receive(&self, transfer: Transfer<'_>, limit: Duration) -> Result<Incoming, OutboundError> {
        let response = tokio::time::timeout(limit, self.begin(transfer))
            .await
            .unwrap_or(Err(OutboundError::TimedOut(limit)))?;
        Ok(Incoming { status: response.status().as_u16(), length: response.content_length(), response })
    }

    async fn begin(&self, transfer: Transfer<'_>) -> Result<Response, OutboundError> {
        let url = Url::parse(transfer.url).map_err(|_| OutboundError::Url)?;
        check_url(&url, self.policy)?;
        let mut request = self.client.request(transfer.method, url);
        for (name, value) in transfer.headers {
            request = request.header(*name, value);
        }
        let request = match transfer.body {
            TransferBody::Empty => request,
            TransferBody::Text(text) => request.body(text.to_owned()),
            TransferBody::Part { file, offset, length } => {
                request.header(CONTENT_LENGTH, length).body(part(file, offset, length).await?)
            }
        };
        request.send().await.map_err(transport)
    }
}

impl Incoming {
    /// The next piece of the body; `None` at its end. One that breaks off, or that is silent for half a minute, is an
    /// error. Cancel-safe.
    pub async fn next(&mut self) -> Result<Option<Bytes>, OutboundError> {
        let chunk = tokio::time::timeout(READ_TIMEOUT, self.response.chunk()).await;
        chunk.map_err(|_| OutboundError::TimedOut(READ_TIMEOUT))?.map_err(transport)
    }

    /// The body as far as `limit` bytes, as long as it comes without silence.
    pub async fn start(self, limit: usize) -> Vec<u8> {
        let mut body = Vec::new();
        drop(tokio::time::timeout(READ_TIMEOUT, read_start(self.response, &mut body, limit)).await);
        body
    }
}

async fn part(file: &Path, offset: u64, length: u64) -> Result<Body, OutboundError> {
    let mut file = tokio::fs::File::open(file).await?;
    file.seek(SeekFrom::Start(offset)).await?;
    Ok(Body::wrap_stream(ReaderStream::with_capacity(file.take(length), CHUNK)))
}
