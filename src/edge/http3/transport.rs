//! QUIC as h3 wants it: quinn's connection and streams behind h3's traits, with [`Frames`] between the two.
//!
//! Invariant: a stream that breaks the rules is stopped and reset here with the code that RFC 9114 names, and h3 hears
//! of nothing but an error.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use futures_util::StreamExt;
use futures_util::stream::{self, LocalBoxStream};
use h3::error::Code;
use h3::quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf};
use quinn::{ConnectionError, StoppedError, VarInt, WriteError};

use super::frames::{Frames, Refusal};
use super::receive::ReceiveStream;

/// Ends when the client wants no more of an answer, when it has got all of it, or with the connection.
pub(super) type Stopped = Pin<Box<dyn Future<Output = Result<Option<VarInt>, StoppedError>>>>;

/// The end of the request stream that was accepted last; whoever takes the stream from h3 takes it, too.
pub(super) type LastStopped = Rc<Cell<Option<Stopped>>>;

/// A client's connection.
pub(super) struct Transport {
    opener: Opener,
    requests: LocalBoxStream<'static, Result<(quinn::SendStream, quinn::RecvStream), ConnectionError>>,
    others: LocalBoxStream<'static, Result<quinn::RecvStream, ConnectionError>>,
    longest_section: u64,
    last_stopped: LastStopped,
}

/// Opens the streams of the edge's own.
pub(super) struct Opener {
    connection: quinn::Connection,
    opening: LocalBoxStream<'static, Result<quinn::SendStream, ConnectionError>>,
}

/// Both halves of a request stream.
pub(super) struct RequestStream {
    send: SendStream,
    receive: ReceiveStream,
}

/// What is sent to a client.
pub(super) struct SendStream {
    stream: quinn::SendStream,
    writing: Option<WriteBuf<Bytes>>,
}

impl Transport {
    /// Takes a connection. `longest_section` limits the bytes of an encoded section of headers or trailers.
    pub(super) fn new(connection: quinn::Connection, longest_section: u64) -> (Self, LastStopped) {
        let requests = stream::unfold(connection.clone(), |connection| async {
            Some((connection.accept_bi().await, connection))
        });
        let others = stream::unfold(connection.clone(), |connection| async {
            Some((connection.accept_uni().await, connection))
        });
        let last_stopped = LastStopped::default();
        let transport = Self {
            opener: Opener::new(connection),
            requests: requests.boxed_local(),
            others: others.boxed_local(),
            longest_section,
            last_stopped: Rc::clone(&last_stopped),
        };
        (transport, last_stopped)
    }
}

impl Opener {
    fn new(connection: quinn::Connection) -> Self {
        let opening = stream::unfold(connection.clone(), |connection| async {
            Some((connection.open_uni().await, connection))
        });
        Self { connection, opening: opening.boxed_local() }
    }
}

impl quic::OpenStreams<Bytes> for Opener {
    type BidiStream = RequestStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, _: &mut Context<'_>) -> Poll<Result<RequestStream, StreamErrorIncoming>> {
        Poll::Ready(Err(StreamErrorIncoming::Unknown("a server sends no requests".into())))
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        let opened = ready!(self.opening.poll_next_unpin(cx)).unwrap_or(Err(ConnectionError::LocallyClosed));
        Poll::Ready(opened.map(SendStream::new).map_err(of_lost_connection))
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.connection.close(number(code), reason);
    }
}

impl quic::OpenStreams<Bytes> for Transport {
    type BidiStream = RequestStream;
    type SendStream = SendStream;

    fn poll_open_bidi(&mut self, cx: &mut Context<'_>) -> Poll<Result<RequestStream, StreamErrorIncoming>> {
        self.opener.poll_open_bidi(cx)
    }

    fn poll_open_send(&mut self, cx: &mut Context<'_>) -> Poll<Result<SendStream, StreamErrorIncoming>> {
        self.opener.poll_open_send(cx)
    }

    fn close(&mut self, code: Code, reason: &[u8]) {
        self.opener.close(code, reason);
    }
}

impl quic::Connection<Bytes> for Transport {
    type RecvStream = ReceiveStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<ReceiveStream, ConnectionErrorIncoming>> {
        let accepted = ready!(self.others.poll_next_unpin(cx)).unwrap_or(Err(ConnectionError::LocallyClosed));
        let stream = accepted.map_err(incoming)?;
        Poll::Ready(Ok(ReceiveStream::of_unknown_kind(self.opener.connection.clone(), stream)))
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RequestStream, ConnectionErrorIncoming>> {
        let accepted =
            ready!(self.requests.poll_next_unpin(cx)).unwrap_or(Err(ConnectionError::LocallyClosed));
        let (send, receive) = accepted.map_err(incoming)?;
        self.last_stopped.set(Some(Box::pin(send.stopped())));
        let frames = Frames::of_request(self.longest_section);
        let receive = ReceiveStream::of_request(self.opener.connection.clone(), receive, frames);
        Poll::Ready(Ok(RequestStream { send: SendStream::new(send), receive }))
    }

    fn opener(&self) -> Opener {
        Opener::new(self.opener.connection.clone())
    }
}

impl SendStream {
    fn new(stream: quinn::SendStream) -> Self {
        Self { stream, writing: None }
    }
}

impl quic::SendStream<Bytes> for SendStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        if let Some(writing) = &mut self.writing {
            while writing.has_remaining() {
                let stream = Pin::new(&mut self.stream);
                let written = ready!(stream.poll_write(cx, writing.chunk())).map_err(of_write)?;
                writing.advance(written);
            }
        }
        self.writing = None;
        Poll::Ready(Ok(()))
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        if self.writing.is_some() {
            return Err(StreamErrorIncoming::Unknown("what was sent before is not written yet".into()));
        }
        self.writing = Some(data.into());
        Ok(())
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        Poll::Ready(self.stream.finish().map_err(|error| StreamErrorIncoming::Unknown(Box::new(error))))
    }

    fn reset(&mut self, code: u64) {
        // One that is reset or finished already stays as it is.
        self.stream.reset(VarInt::from_u64(code).unwrap_or(VarInt::MAX)).ok();
    }

    fn send_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

impl quic::RecvStream for RequestStream {
    type Buf = Bytes;

    /// Resets the answer, too, when the request is refused.
    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let polled = self.receive.poll_data(cx);
        if let Poll::Ready(Err(StreamErrorIncoming::Unknown(error))) = &polled
            && let Some(refusal) = error.downcast_ref::<Refusal>()
        {
            quic::SendStream::reset(&mut self.send, refusal.code().value());
        }
        polled
    }

    fn stop_sending(&mut self, code: u64) {
        self.receive.stop_sending(code);
    }

    fn recv_id(&self) -> StreamId {
        self.receive.recv_id()
    }
}

impl quic::SendStream<Bytes> for RequestStream {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<Bytes>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.send.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.send.poll_finish(cx)
    }

    fn reset(&mut self, code: u64) {
        self.send.reset(code);
    }

    fn send_id(&self) -> StreamId {
        self.send.send_id()
    }
}

impl quic::BidiStream<Bytes> for RequestStream {
    type SendStream = SendStream;
    type RecvStream = ReceiveStream;

    fn split(self) -> (SendStream, ReceiveStream) {
        (self.send, self.receive)
    }
}

pub(super) fn number(code: Code) -> VarInt {
    VarInt::from_u64(code.value()).unwrap_or(VarInt::MAX)
}

#[expect(clippy::expect_used, reason = "both are numbers of 62 bits")]
pub(super) fn stream_id(id: quinn::StreamId) -> StreamId {
    StreamId::try_from(u64::from(VarInt::from(id))).expect("an id of QUIC")
}

fn incoming(error: ConnectionError) -> ConnectionErrorIncoming {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            ConnectionErrorIncoming::ApplicationClose { error_code: close.error_code.into() }
        }
        ConnectionError::TimedOut => ConnectionErrorIncoming::Timeout,
        ConnectionError::VersionMismatch
        | ConnectionError::TransportError(_)
        | ConnectionError::ConnectionClosed(_)
        | ConnectionError::Reset
        | ConnectionError::LocallyClosed
        | ConnectionError::CidsExhausted => ConnectionErrorIncoming::Undefined(Arc::new(error)),
    }
}

pub(super) fn of_lost_connection(error: ConnectionError) -> StreamErrorIncoming {
    StreamErrorIncoming::ConnectionErrorIncoming { connection_error: incoming(error) }
}

fn of_write(error: WriteError) -> StreamErrorIncoming {
    match error {
        WriteError::Stopped(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into() },
        WriteError::ConnectionLost(error) => of_lost_connection(error),
        WriteError::ClosedStream | WriteError::ZeroRttRejected => {
            StreamErrorIncoming::Unknown(Box::new(error))
        }
    }
}
