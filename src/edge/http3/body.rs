//! The body of a request that came over HTTP/3.
//!
//! Invariant: it is as long as the request says, or it is an error (RFC 9114 §4.1.2).

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::{Code, StreamError};
use h3::server::RequestStream;
use http_body::{Body, Frame, SizeHint};

use super::receive::ReceiveStream;
use crate::edge::headers;

/// A body, read from its stream as the upstream takes it.
pub(in crate::edge) struct Http3Body {
    stream: RequestStream<ReceiveStream, Bytes>,
    part: Part,
    /// What came with the head.
    first: Option<Frame<Bytes>>,
    /// Bytes that are still to come, where the request says so.
    left: Option<u64>,
}

/// Why a body was broken off.
#[derive(Debug, thiserror::Error)]
pub(in crate::edge) enum Http3BodyError {
    #[error("the stream was broken off")]
    Stream(#[source] StreamError),
    #[error("the body is not as long as the request says")]
    Length,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Data,
    Trailers,
    Ended,
}

/// Whether a body is likely behind a head that does not say so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Body,
    /// The next packet most likely ends the stream; without waiting for it each `GET` would have a body of an unknown
    /// length for its app, and could not be sent again.
    NoBody,
}

impl Http3Body {
    /// Looks for what came with the head; waits for it where no body is expected.
    pub(super) async fn begin(
        stream: RequestStream<ReceiveStream, Bytes>,
        length: Option<u64>,
        expected: Expected,
    ) -> Result<Self, Http3BodyError> {
        let mut body = Self { stream, part: Part::Data, first: None, left: length };
        let first = poll_fn(|cx| {
            let polled = body.poll_part(cx);
            if polled.is_pending() && expected == Expected::Body { Poll::Ready(None) } else { polled }
        });
        body.first = first.await.transpose()?;
        Ok(body)
    }

    fn poll_part(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Http3BodyError>>> {
        if self.part == Part::Data {
            let data = match ready!(self.stream.poll_recv_data(cx)) {
                Ok(data) => data.map(|mut data| data.copy_to_bytes(data.remaining())),
                Err(error) => return self.fail(Http3BodyError::Stream(error)),
            };
            match data {
                Some(data) if self.count(data.len()) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                None if self.left.unwrap_or(0) == 0 => self.part = Part::Trailers,
                Some(_) | None => {
                    self.stream.stop_sending(Code::H3_MESSAGE_ERROR);
                    return self.fail(Http3BodyError::Length);
                }
            }
        }
        if self.part == Part::Trailers {
            let trailers = ready!(self.stream.poll_recv_trailers(cx));
            self.part = Part::Ended;
            return Poll::Ready(match trailers {
                Ok(trailers) => trailers.map(|mut trailers| {
                    headers::strip_hop_by_hop(&mut trailers);
                    Ok(Frame::trailers(trailers))
                }),
                Err(error) => Some(Err(Http3BodyError::Stream(error))),
            });
        }
        Poll::Ready(None)
    }

    fn count(&mut self, length: usize) -> bool {
        let Some(left) = self.left else { return true };
        let left = left.checked_sub(length as u64);
        self.left = left.or(self.left);
        left.is_some()
    }

    fn fail(&mut self, error: Http3BodyError) -> Poll<Option<Result<Frame<Bytes>, Http3BodyError>>> {
        self.part = Part::Ended;
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for Http3Body {
    type Data = Bytes;
    type Error = Http3BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Http3BodyError>>> {
        let this = self.get_mut();
        match this.first.take() {
            Some(first) => Poll::Ready(Some(Ok(first))),
            None => this.poll_part(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.part == Part::Ended && self.first.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().and_then(Frame::data_ref).map_or(0, |data| data.len() as u64);
        match (self.part, self.left) {
            (Part::Ended, _) => SizeHint::with_exact(first),
            (Part::Data | Part::Trailers, Some(left)) => SizeHint::with_exact(first + left),
            (Part::Data | Part::Trailers, None) => SizeHint::default(),
        }
    }
}

impl fmt::Debug for Http3Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http3Body")
            .field("part", &self.part)
            .field("left", &self.left)
            .finish_non_exhaustive()
    }
}
