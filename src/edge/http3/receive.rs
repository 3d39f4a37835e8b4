//! What a client sends on a stream, cut into what h3 may have of it.

use std::future::Future;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h3::error::Code;
use h3::quic::{self, StreamErrorIncoming, StreamId};
use quinn::{ReadError, VarInt};

use super::frames::{Frames, Refusal, read_number};
use super::transport::{number, of_lost_connection, stream_id};

/// The type of the stream with the settings.
const CONTROL: u64 = 0;

/// What a client sends.
pub(super) struct ReceiveStream {
    connection: quinn::Connection,
    stream: quinn::RecvStream,
    kind: Kind,
    /// What came and is not cut yet.
    came: Bytes,
}

/// What is known of a stream that a client opened.
enum Kind {
    /// Its first bytes say it.
    Unknown(Vec<u8>),
    /// The one with the settings, or a request.
    Frames(Box<Frames>),
    /// Others are h3's business; it reads no more of them than their type.
    Other,
}

impl ReceiveStream {
    /// The client's half of a request.
    pub(super) fn of_request(
        connection: quinn::Connection,
        stream: quinn::RecvStream,
        frames: Frames,
    ) -> Self {
        Self::new(connection, stream, Kind::Frames(Box::new(frames)))
    }

    /// A stream that only its client sends on.
    pub(super) fn of_unknown_kind(connection: quinn::Connection, stream: quinn::RecvStream) -> Self {
        Self::new(connection, stream, Kind::Unknown(Vec::new()))
    }

    fn new(connection: quinn::Connection, stream: quinn::RecvStream, kind: Kind) -> Self {
        Self { connection, stream, kind, came: Bytes::new() }
    }

    /// A piece of what came, cut; `None` when more has to come.
    fn cut(&mut self) -> Result<Option<Bytes>, Refusal> {
        if self.came.is_empty() {
            return Ok(None);
        }
        match &mut self.kind {
            Kind::Frames(frames) => frames.next(&mut self.came),
            Kind::Other => Ok(Some(std::mem::take(&mut self.came))),
            Kind::Unknown(first) => {
                first.push(self.came.get_u8());
                let Some((kind, _)) = read_number(first) else { return Ok(None) };
                let first = Bytes::from(std::mem::take(first));
                self.kind =
                    if kind == CONTROL { Kind::Frames(Box::new(Frames::of_control())) } else { Kind::Other };
                Ok(Some(first))
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal) -> StreamErrorIncoming {
        match refusal {
            // An error of the connection (RFC 9114 §7.1).
            Refusal::Truncated => self.connection.close(number(Code::H3_FRAME_ERROR), b"a frame has no end"),
            Refusal::TooLong | Refusal::Malformed => {
                quic::RecvStream::stop_sending(self, refusal.code().value());
            }
        }
        StreamErrorIncoming::Unknown(Box::new(refusal))
    }
}

impl Drop for ReceiveStream {
    /// What is not read by now is not wanted (RFC 9114 §4.1.1).
    fn drop(&mut self) {
        quic::RecvStream::stop_sending(self, Code::H3_NO_ERROR.value());
    }
}

impl Refusal {
    /// The code of RFC 9114 §8.1.
    pub(super) fn code(self) -> Code {
        match self {
            Self::TooLong => Code::H3_EXCESSIVE_LOAD,
            Self::Malformed => Code::H3_MESSAGE_ERROR,
            Self::Truncated => Code::H3_FRAME_ERROR,
        }
    }
}

impl quic::RecvStream for ReceiveStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        loop {
            while !self.came.is_empty() {
                match self.cut() {
                    Ok(Some(piece)) => return Poll::Ready(Ok(Some(piece))),
                    Ok(None) => {}
                    Err(refusal) => return Poll::Ready(Err(self.refuse(refusal))),
                }
            }
            // quinn remembers who waits, so that the future need not be kept.
            let chunk = std::pin::pin!(self.stream.read_chunk(usize::MAX, true)).poll(cx);
            let Some(chunk) = ready!(chunk).map_err(of_read)? else {
                let ended = match &self.kind {
                    Kind::Frames(frames) => frames.end(),
                    Kind::Unknown(_) | Kind::Other => Ok(()),
                };
                return Poll::Ready(ended.map(|()| None).map_err(|refusal| self.refuse(refusal)));
            };
            self.came = chunk.bytes;
        }
    }

    fn stop_sending(&mut self, code: u64) {
        // One that has come whole, or was stopped before, needs no stopping.
        self.stream.stop(VarInt::from_u64(code).unwrap_or(VarInt::MAX)).ok();
    }

    fn recv_id(&self) -> StreamId {
        stream_id(self.stream.id())
    }
}

fn of_read(error: ReadError) -> StreamErrorIncoming {
    match error {
        ReadError::Reset(code) => StreamErrorIncoming::StreamTerminated { error_code: code.into() },
        ReadError::ConnectionLost(error) => of_lost_connection(error),
        ReadError::ClosedStream | ReadError::IllegalOrderedRead | ReadError::ZeroRttRejected => {
            StreamErrorIncoming::Unknown(Box::new(error))
        }
    }
}
