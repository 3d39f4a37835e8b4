//! What a client's connection and the body of its present request share. One task polls both.
//!
//! Invariant: an idle connection holds no buffer.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::{Response, StatusCode, Version};
use http_body::{Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::oneshot;

use super::Http1Error;
use super::body::{BodyReader, Framing};
use super::head::{self, RequestHead, Scan};
use super::input::Input;
use super::output::Output;
use super::stream::{self, ClientStream, StillStream};
use crate::edge::connection::Activity;
use crate::edge::headers;

/// Read at once of what is not known to be a body.
const GLANCE: usize = 4 * 1_024;

/// A client's connection.
pub(in crate::edge) struct Wire {
    pub(super) stream: ClientStream,
    pub(super) output: Output,
    input: Input,
    scan: Scan,
    reader: BodyReader,
    /// The client waits for a word before it sends the body of its request.
    expects: bool,
    /// Interim answers can be given: the client understands them, and the answer has not begun.
    takes_interim: bool,
    activity: Rc<Activity>,
}

/// The body of the present request.
pub(in crate::edge) struct Http1Body {
    wire: Rc<RefCell<Wire>>,
    upgrade: Option<ClientSide>,
}

/// The client's stream after an upgrade, and what has come of the other protocol.
pub(in crate::edge) type ClientSide = oneshot::Receiver<(ClientStream, Bytes)>;

impl Wire {
    pub(super) fn new(stream: ClientStream, activity: Rc<Activity>) -> Self {
        Self {
            stream,
            output: Output::default(),
            input: Input::default(),
            scan: Scan::default(),
            reader: BodyReader::new(Framing::Length(0)),
            expects: false,
            takes_interim: false,
            activity,
        }
    }

    /// The head of the next request; nothing when the client has closed instead of sending one.
    pub(super) fn poll_request(
        &mut self,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<RequestHead>, Http1Error>> {
        loop {
            if self.input.bytes.is_empty() {
                self.input.bytes = BytesMut::new();
            } else if let Some(head) = head::read_request(&mut self.input.bytes, &mut self.scan, most)? {
                self.reader = BodyReader::new(head.framing);
                self.takes_interim = head.request.version() == Version::HTTP_11;
                self.expects = self.takes_interim && headers::expects_continue(head.request.headers());
                return Poll::Ready(Ok(Some(head)));
            } else {
                // It may have begun to come while the request before it was open.
                self.activity.note_read();
            }
            if ready!(self.poll_glance(cx))? == 0 {
                return Poll::Ready(if self.input.bytes.is_empty() {
                    Ok(None)
                } else {
                    Err(Http1Error::Closed)
                });
            }
        }
    }

    /// While an answer is waited for: writes what there is for the client, and looks whether it has gone.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Poll::Ready(Err(_)) = self.output.poll_write(&mut self.stream, cx) {
            return Poll::Ready(());
        }
        // What is left of the body is its reader's, and what has come behind it waits for its turn.
        while self.reader.is_ended() && self.input.bytes.is_empty() {
            match ready!(self.poll_glance(cx)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// The answer begins: what is to be written before it, and after which nothing else is.
    pub(super) fn begin_answer(&mut self) -> Output {
        self.takes_interim = false;
        std::mem::take(&mut self.output)
    }

    /// Whether the client still waits for a word before it sends its body: the answer is that word.
    pub(super) fn expects_word(&self) -> bool {
        self.expects
    }

    /// Takes what is there of a body that nobody read, without waiting; whether it has ended, and the next request follows.
    pub(super) fn skip_body(&mut self) -> bool {
        let cx = &mut Context::from_waker(Waker::noop());
        while !self.reader.is_ended() {
            match self.reader.read(&mut self.input.bytes) {
                Ok(Some(_)) => {}
                Ok(None) if self.reader.is_ended() => break,
                Ok(None) => match self.poll_glance(cx) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) | Poll::Pending => return false,
                },
                Err(_) => return false,
            }
        }
        true
    }

    /// Whether nothing is known to be on its way.
    pub(super) fn is_quiet(&self) -> bool {
        self.reader.is_ended() && self.input.bytes.is_empty()
    }

    /// Whether dropping the connection ends it as it should.
    pub(super) fn ends_by_itself(&self) -> bool {
        self.is_quiet() && stream::is_closed(&self.stream)
    }

    /// Whether nothing is on its way in either direction, as far as is known here.
    pub(in crate::edge) fn is_still(&mut self) -> bool {
        self.is_quiet() && self.output.is_empty() && stream::is_still(&mut self.stream)
    }

    /// The stream of a still connection, without its runtime. What has not been read comes where it goes on.
    pub(in crate::edge) fn into_still(self) -> io::Result<StillStream> {
        StillStream::of(self.stream)
    }

    /// Throws away what comes; the number of bytes, which is 0 at the end.
    pub(super) fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.bytes = BytesMut::new();
        self.poll_glance(cx)
    }

    /// The stream, and what has come behind the request.
    pub(super) fn into_parts(self) -> (ClientStream, Bytes) {
        (self.stream, self.input.into_rest())
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Http1Error>>> {
        if std::mem::take(&mut self.expects) && self.takes_interim && self.input.bytes.is_empty() {
            head::write_interim(StatusCode::CONTINUE, &http::HeaderMap::new(), self.output.small());
            // An error shows at the next read.
            let _sent = self.output.poll_write(&mut self.stream, cx);
        }
        loop {
            if let Some(frame) = self.reader.read(&mut self.input.bytes)? {
                return Poll::Ready(Some(Ok(frame)));
            }
            if self.reader.is_ended() {
                return Poll::Ready(None);
            }
            if ready!(self.input.poll_fill(&mut self.stream, self.reader.left(), cx))? == 0 {
                self.reader.close()?;
            }
        }
    }

    /// Reads a little, for which memory is taken only when it has come; 0 at the end.
    fn poll_glance(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut room = [MaybeUninit::uninit(); GLANCE];
        let mut buffer = ReadBuf::uninit(&mut room);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        if !read.is_empty() {
            self.activity.note_read();
            self.input.bytes.extend_from_slice(read);
        }
        Poll::Ready(Ok(read.len()))
    }
}

impl Http1Body {
    pub(super) fn new(wire: &Rc<RefCell<Wire>>, upgrade: Option<ClientSide>) -> Self {
        Self { wire: Rc::clone(wire), upgrade }
    }

    /// Where the client's stream comes when the request upgrades its connection.
    pub(in crate::edge) fn take_upgrade(&mut self) -> Option<ClientSide> {
        self.upgrade.take()
    }

    /// Hands an interim answer on to the client, unless it is of an exchange that the edge has itself.
    pub(in crate::edge) fn hand_on(&self, interim: &Response<()>) {
        let mut wire = self.wire.borrow_mut();
        if wire.takes_interim && wire.output.takes_more() && interim.status() != StatusCode::CONTINUE {
            let mut headers = interim.headers().clone();
            headers::strip_hop_by_hop(&mut headers);
            head::write_interim(interim.status(), &headers, wire.output.small());
        }
    }

    pub(in crate::edge) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Http1Error>>> {
        self.wire.borrow_mut().poll_frame(cx)
    }

    pub(in crate::edge) fn is_end_stream(&self) -> bool {
        self.wire.borrow().reader.is_ended()
    }

    pub(in crate::edge) fn size_hint(&self) -> SizeHint {
        self.wire.borrow().reader.size_hint()
    }
}

impl fmt::Debug for Http1Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http1Body").finish_non_exhaustive()
    }
}
