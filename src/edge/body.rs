//! The bodies that pass through the edge, streamed as they come.
//!
//! Invariant: an upstream connection goes back to its pool when the body on it has ended cleanly, and only then.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::code::RouterCode;
use super::connection::OpenRequest;
use super::http1::{ClientSide, Http1Body, Http1Error};
use super::http3::{Http3Body, Http3BodyError};
use super::rescue::Cause;
use super::upstream::Lease;

/// What the edge sends to a client.
#[derive(Debug)]
pub(super) enum EdgeBody {
    /// A text of the edge's own.
    Full(Option<Bytes>),
    /// What an upstream sends, with the hold on it and the client's open request; nothing of them once it has ended.
    Proxied(Option<(Lease, OpenRequest)>),
}

/// What a client sends, by its protocol.
#[derive(Debug)]
pub(super) enum ClientBody {
    Http1(Http1Body),
    Http2(Incoming),
    Http3(Box<Http3Body>),
}

/// What a client sends to an upstream.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: ClientBody,
    progress: Option<Progress>,
    /// Bytes that may still come.
    left: u64,
}

/// Why a client's body was broken off, by its protocol.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientBodyError {
    #[error(transparent)]
    Http1(Http1Error),
    #[error(transparent)]
    Http2(hyper::Error),
    #[error(transparent)]
    Http3(Http3BodyError),
}

/// Why the body of a request was broken off.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestBodyError {
    #[error("the client broke off its request, or its body is not well formed")]
    Client(#[source] ClientBodyError),
    #[error("the body is larger than the app takes")]
    TooLarge,
}

/// Why the body of an answer was broken off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the dyno broke off its answer")]
    Upstream(#[source] Cause),
    #[error("neither the dyno nor the client sent anything for too long")]
    Idle,
}

/// When a request body last moved: an upload is not a slow answer.
#[derive(Debug, Clone)]
pub(super) struct Progress(Rc<Moves>);

#[derive(Debug)]
struct Moves {
    last: Cell<Instant>,
    /// The client has to send more before anything can go on.
    awaited: Cell<bool>,
}

impl EdgeBody {
    pub(super) fn empty() -> Self {
        Self::Full(None)
    }

    pub(super) fn full(content: Bytes) -> Self {
        Self::Full(Some(content))
    }

    /// The body of the answer whose head the lease's connection gave.
    pub(super) fn proxied(lease: Lease, mut open: OpenRequest) -> Self {
        if lease.connection.is_end_stream() {
            lease.end();
            return Self::Proxied(None);
        }
        open.give();
        Self::Proxied(Some((lease, open)))
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Full(content) => Poll::Ready(content.take().map(|content| Ok(Frame::data(content)))),
            Self::Proxied(holds) => {
                let Some((lease, open)) = holds else { return Poll::Ready(None) };
                open.take();
                let frame = ready!(poll_exchange(lease, cx));
                let over = match &frame {
                    Some(Ok(_)) => lease.connection.is_end_stream(),
                    Some(Err(_)) | None => true,
                };
                if !over {
                    open.give();
                } else if let Some((lease, _open)) = holds.take()
                    && !matches!(frame, Some(Err(_)))
                {
                    lease.end();
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(content) => content.is_none(),
            Self::Proxied(holds) => holds.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(content) => {
                SizeHint::with_exact(content.as_ref().map_or(0, |content| content.len() as u64))
            }
            Self::Proxied(Some((lease, _))) => lease.connection.size_hint(),
            Self::Proxied(None) => SizeHint::with_exact(0),
        }
    }
}

/// The next piece of an answer, or that it is waited for no longer.
fn poll_exchange(lease: &mut Lease, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
    let frame = lease.connection.poll_frame(cx);
    if frame.is_ready() {
        lease.connection.pace.note_move();
    } else if lease.connection.pace.poll_body(cx) {
        return Poll::Ready(Some(Err(BodyError::Idle)));
    }
    frame.map_err(BodyError::Upstream)
}

impl BodyError {
    pub(super) fn code(&self) -> RouterCode {
        match self {
            Self::Upstream(_) => RouterCode::ServerInterrupted,
            Self::Idle => RouterCode::Idle,
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ClientBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientBodyError>>> {
        match self.get_mut() {
            Self::Http1(body) => body.poll_frame(cx).map_err(ClientBodyError::Http1),
            Self::Http2(incoming) => Pin::new(incoming).poll_frame(cx).map_err(ClientBodyError::Http2),
            Self::Http3(body) => Pin::new(&mut **body).poll_frame(cx).map_err(ClientBodyError::Http3),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(incoming) => incoming.is_end_stream(),
            Self::Http3(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(incoming) => incoming.size_hint(),
            Self::Http3(body) => body.size_hint(),
        }
    }
}

impl ClientBody {
    /// Where the client's stream comes when the request upgrades its connection; only HTTP/1.1 has such.
    pub(super) fn take_upgrade(&mut self) -> Option<ClientSide> {
        match self {
            Self::Http1(body) => body.take_upgrade(),
            Self::Http2(_) | Self::Http3(_) => None,
        }
    }
}

impl RequestBody {
    /// Hands an interim answer on to the client, where its protocol lets the edge do so.
    pub(super) fn hand_on(&self, interim: &Response<()>) {
        if let ClientBody::Http1(body) = &self.incoming {
            body.hand_on(interim);
        }
    }

    /// The body, and its progress when there is something to send.
    pub(super) fn new(incoming: ClientBody, limit: Option<u64>) -> (Self, Option<Progress>) {
        let left = limit.unwrap_or(u64::MAX);
        let progress = (!incoming.is_end_stream()).then(Progress::new);
        (Self { incoming, progress: progress.clone(), left }, progress)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.incoming).poll_frame(cx);
        if let Some(progress) = &this.progress {
            progress.note(frame.is_pending());
        }
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            let Some(left) = this.left.checked_sub(length) else {
                return Poll::Ready(Some(Err(RequestBodyError::TooLarge)));
            };
            this.left = left;
        }
        frame.map_err(RequestBodyError::Client)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Progress {
    fn new() -> Self {
        Self(Rc::new(Moves { last: Cell::new(Instant::now()), awaited: Cell::new(false) }))
    }

    fn note(&self, awaited: bool) {
        self.0.awaited.set(awaited);
        if !awaited {
            self.0.last.set(Instant::now());
        }
    }

    /// When the last piece came.
    pub(super) fn last(&self) -> Instant {
        self.0.last.get()
    }

    /// Whether the client has to send the next piece.
    pub(super) fn is_awaited(&self) -> bool {
        self.0.awaited.get()
    }
}
