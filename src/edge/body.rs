//! The bodies that pass through the edge, streamed as they come.
//!
//! Invariant: an upstream connection goes back to its pool when the body on it has ended cleanly, and only then.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::connection::OpenRequest;
use super::upstream::Lease;

/// What the edge sends to a client.
#[derive(Debug)]
pub(super) enum EdgeBody {
    /// A text of the edge's own.
    Full(Option<Bytes>),
    /// What an upstream sends; with it go the hold on the upstream and the client's open request.
    Proxied { incoming: Incoming, holds: Option<(Lease, OpenRequest)> },
}

/// What a client sends to an upstream.
#[derive(Debug)]
pub(super) struct RequestBody {
    incoming: Incoming,
    progress: Option<Progress>,
}

/// When a request body last moved: an upload is not a slow answer.
#[derive(Debug, Clone)]
pub(super) struct Progress(Rc<Cell<Instant>>);

impl EdgeBody {
    pub(super) fn empty() -> Self {
        Self::Full(None)
    }

    pub(super) fn full(content: Bytes) -> Self {
        Self::Full(Some(content))
    }

    pub(super) fn proxied(incoming: Incoming, lease: Lease, open: OpenRequest) -> Self {
        if incoming.is_end_stream() {
            lease.end();
            return Self::Proxied { incoming, holds: None };
        }
        Self::Proxied { incoming, holds: Some((lease, open)) }
    }
}

impl Body for EdgeBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Full(content) => Poll::Ready(content.take().map(|content| Ok(Frame::data(content)))),
            Self::Proxied { incoming, holds } => {
                let frame = ready!(poll_driven(incoming, holds, cx));
                let ended = frame.is_none() || (matches!(frame, Some(Ok(_))) && incoming.is_end_stream());
                if ended && let Some((lease, _open)) = holds.take() {
                    lease.end();
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(content) => content.is_none(),
            Self::Proxied { incoming, .. } => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(content) => {
                SizeHint::with_exact(content.as_ref().map_or(0, |content| content.len() as u64))
            }
            Self::Proxied { incoming, .. } => incoming.size_hint(),
        }
    }
}

/// The next frame of a body whose connection is driven here too. Without a connection the body has ended.
fn poll_driven(
    incoming: &mut Incoming,
    holds: &mut Option<(Lease, OpenRequest)>,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
    let nobody = &mut Context::from_waker(Waker::noop());
    if let Poll::Ready(frame) = Pin::new(&mut *incoming).poll_frame(nobody) {
        return Poll::Ready(frame);
    }
    if let Some((lease, _)) = holds {
        lease.connection.drive(cx);
    }
    Pin::new(incoming).poll_frame(nobody)
}

impl RequestBody {
    /// The body, and its progress when there is something to send.
    pub(super) fn new(incoming: Incoming) -> (Self, Option<Progress>) {
        let progress = (!incoming.is_end_stream()).then(|| Progress(Rc::new(Cell::new(Instant::now()))));
        (Self { incoming, progress: progress.clone() }, progress)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.incoming).poll_frame(cx));
        if let Some(progress) = &this.progress {
            progress.0.set(Instant::now());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

impl Progress {
    pub(super) fn last(&self) -> Instant {
        self.0.get()
    }
}
