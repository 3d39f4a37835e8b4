//! One request over HTTP/3: its stream is read into a request as the other protocols make it, and the answer written.
//!
//! Invariant: an answer that did not come whole never looks whole: its stream is reset.

use std::cell::Cell;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h3::error::{Code, StreamError};
use h3::server::{RequestResolver, RequestStream};
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TE, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderName, Method, Request, Response};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::time::timeout;

use super::body::{Expected, Http3Body, Http3BodyError};
use super::transport::{SendStream, Stopped, Transport};
use crate::edge::access::ToldBody;
use crate::edge::body::{BodyError, ClientBody};
use crate::edge::headers;
use crate::edge::proxy::{self, Client};
use crate::edge::worker::Worker;

/// What concerns a connection of HTTP/1.1, and has no place in HTTP/3 (RFC 9114 §4.2).
static OF_CONNECTIONS: [HeaderName; 5] = [
    CONNECTION,
    TRANSFER_ENCODING,
    UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Why a request has no whole answer.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("the client wants no answer any more")]
    Gone,
    #[error("the head of the request did not come in time")]
    Slow,
    #[error("the client takes nothing of the answer")]
    Stuck,
    #[error("the request is malformed")]
    Malformed,
    #[error("the request cannot be read, or the answer not be written")]
    Stream(#[from] StreamError),
    #[error("the body cannot be read")]
    Body(#[from] Http3BodyError),
    #[error("the answer was broken off")]
    Answer(#[from] BodyError),
}

/// The client's side of an answer. Dropped before its end it resets the stream.
struct Answer {
    stream: RequestStream<SendStream, Bytes>,
    whole: bool,
    otherwise: Code,
}

/// Serves a request until the client has all of its answer, or wants it no more.
pub(super) async fn serve(
    client: Rc<Client>,
    resolver: RequestResolver<Transport, Bytes>,
    mut stopped: Stopped,
) {
    let _open = client.activity.keep_open();
    let limits = client.worker.settings.limits;
    let begun = Cell::new(false);
    let work = async {
        let read = timeout(limits.header, Box::pin(read(resolver)));
        let (request, mut answer) = read.await.map_err(|_| RequestError::Slow)??;
        begun.set(true);
        let method = request.method().clone();
        let request = request.map(|body| ClientBody::Http3(Box::new(body)));
        let Ok(response) = proxy::answer(Rc::clone(&client), request).await;
        answer.give(&client.worker, response, &method).await?;
        Ok(answer)
    };
    let served = tokio::select! {
        biased;
        _ = &mut stopped => Err(RequestError::Gone),
        served = Box::pin(work) => served,
    };
    match served {
        // What is not acknowledged would be lost if the connection ended now.
        Ok(answer) => {
            drop(timeout(limits.rolling, stopped).await);
            drop(answer);
        }
        Err(error) => {
            tracing::debug!(%error, cause = ?std::error::Error::source(&error), "a request over HTTP/3 ended");
            if !begun.get() {
                client.activity.break_off();
            }
        }
    }
}

/// The request, as far as it must have come to be served.
async fn read(
    resolver: RequestResolver<Transport, Bytes>,
) -> Result<(Request<Http3Body>, Answer), RequestError> {
    let (request, stream) = resolver.resolve_request().await?;
    let (send, mut receive) = stream.split();
    let mut answer = Answer { stream: send, whole: false, otherwise: Code::H3_MESSAGE_ERROR };
    let length = check(request.headers())
        .and_then(|()| length(request.headers()))
        .inspect_err(|_| receive.stop_sending(Code::H3_MESSAGE_ERROR))?;
    let expected = match (length, request.method()) {
        (None, &(Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE)) => {
            Expected::NoBody
        }
        _ => Expected::Body,
    };
    let body = Http3Body::begin(receive, length, expected).await?;
    answer.otherwise = Code::H3_INTERNAL_ERROR;
    Ok((request.map(|()| body), answer))
}

impl Answer {
    async fn give(
        &mut self,
        worker: &Worker,
        response: Response<ToldBody>,
        method: &Method,
    ) -> Result<(), RequestError> {
        let limit = worker.settings.limits.rolling;
        let (mut parts, mut body) = response.into_parts();
        headers::strip_hop_by_hop(&mut parts.headers);
        if !parts.headers.contains_key(DATE) {
            parts.headers.insert(DATE, worker.date());
        }
        let empty = headers::is_bodiless(method, parts.status);
        if let (false, Some(length)) = (empty, body.size_hint().exact()) {
            parts.headers.entry(CONTENT_LENGTH).or_insert(length.into());
        }
        taken(limit, self.stream.send_response(Response::from_parts(parts, ()))).await?;
        while let Some(frame) = if empty { None } else { body.frame().await } {
            match frame?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => taken(limit, self.stream.send_data(data)).await?,
                Err(frame) => {
                    if let Ok(mut trailers) = frame.into_trailers() {
                        headers::strip_hop_by_hop(&mut trailers);
                        taken(limit, self.stream.send_trailers(trailers)).await?;
                    }
                }
            }
        }
        self.stream.finish().await?;
        self.whole = true;
        Ok(())
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        if !self.whole {
            self.stream.stop_stream(self.otherwise);
        }
    }
}

/// Waits for the client to take a piece, which also the last one must not take forever.
async fn taken(
    limit: Duration,
    sent: impl Future<Output = Result<(), StreamError>>,
) -> Result<(), RequestError> {
    Ok(timeout(limit, sent).await.map_err(|_| RequestError::Stuck)??)
}

/// Refuses what has no place in HTTP/3.
fn check(headers: &HeaderMap) -> Result<(), RequestError> {
    let of_connection = headers.keys().any(|name| OF_CONNECTIONS.contains(name));
    let trailers_only = headers.get_all(TE).iter().all(|te| te.as_bytes().eq_ignore_ascii_case(b"trailers"));
    if of_connection || !trailers_only { Err(RequestError::Malformed) } else { Ok(()) }
}

/// The length that a request says its body has, if it says any.
fn length(headers: &HeaderMap) -> Result<Option<u64>, RequestError> {
    let mut said = headers.get_all(CONTENT_LENGTH).iter();
    match (said.next(), said.next()) {
        (None, _) => Ok(None),
        (Some(one), None) => headers::length(one).map(Some).ok_or(RequestError::Malformed),
        (Some(_), _) => Err(RequestError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn what_concerns_a_connection_is_malformed() {
        assert!(check(&map(&[("te", "trailers"), ("x-a", "1")])).is_ok());
        for bad in
            [("connection", "close"), ("transfer-encoding", "chunked"), ("te", "gzip"), ("upgrade", "x")]
        {
            assert!(check(&map(&[bad])).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_length_is_said_once_and_in_digits() {
        assert!(matches!(length(&map(&[])), Ok(None)));
        assert!(matches!(length(&map(&[("content-length", "12")])), Ok(Some(12))));
        for bad in ["", "+1", "1, 1", "-1", "0x1", "99999999999999999999"] {
            assert!(length(&map(&[("content-length", bad)])).is_err(), "{bad}");
        }
        let mut two = map(&[("content-length", "1")]);
        two.append(CONTENT_LENGTH, HeaderValue::from_static("1"));
        assert!(length(&two).is_err());
    }
}
