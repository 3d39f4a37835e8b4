//! Where the body of a message ends (RFC 9112 §6), reading it and writing it.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use super::Http1Error;
use super::chunked::{self, ChunkedReader, Piece};
use super::output::Output;
use crate::edge::headers::named_in;

/// How a message says where its body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(u64),
    Chunked,
    /// Only an answer can.
    UntilClose,
}

/// Reads the body of one message.
#[derive(Debug)]
pub(super) enum BodyReader {
    Length { left: u64 },
    Chunked(ChunkedReader),
    UntilClose { ended: bool },
}

/// Writes the body of one message.
#[derive(Debug)]
pub(super) enum BodyWriter {
    Length {
        left: u64,
    },
    /// With what the message's `Trailer` header names.
    Chunked {
        announced: Vec<HeaderName>,
    },
    UntilClose,
    Ended,
}

/// Why a body was not written whole.
#[derive(Debug)]
pub(super) enum WriteError<E> {
    /// The stream does not take it.
    Stream(std::io::Error),
    /// There is no more of it.
    Body(E),
    /// It is not as long as its head says.
    Length,
}

impl BodyReader {
    pub(super) fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(left) => Self::Length { left },
            Framing::Chunked => Self::Chunked(ChunkedReader::new()),
            Framing::UntilClose => Self::UntilClose { ended: false },
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        match self {
            Self::Length { left } => *left == 0,
            Self::Chunked(reader) => reader.is_ended(),
            Self::UntilClose { ended } => *ended,
        }
    }

    /// The next piece of what has come; nothing when the body has ended, or more has to come first.
    pub(super) fn read(&mut self, input: &mut BytesMut) -> Result<Option<Frame<Bytes>>, Http1Error> {
        match self {
            Self::Chunked(reader) => Ok(match reader.read(input)? {
                Piece::Data(data) => Some(Frame::data(data)),
                Piece::Trailers(trailers) => Some(Frame::trailers(trailers)),
                Piece::End | Piece::More => None,
            }),
            Self::Length { .. } | Self::UntilClose { .. } if input.is_empty() => Ok(None),
            Self::Length { left } => {
                let length = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= length as u64;
                Ok((length > 0).then(|| Frame::data(input.split_to(length).freeze())))
            }
            Self::UntilClose { .. } => Ok(Some(Frame::data(input.split().freeze()))),
        }
    }

    /// The peer sends no more, and the body has not ended yet.
    pub(super) fn close(&mut self) -> Result<(), Http1Error> {
        match self {
            Self::UntilClose { ended } => {
                *ended = true;
                Ok(())
            }
            Self::Length { .. } | Self::Chunked(_) => Err(Http1Error::Closed),
        }
    }

    /// Bytes that are left, as far as is known.
    pub(super) fn left(&self) -> usize {
        match self {
            Self::Length { left } => usize::try_from(*left).unwrap_or(usize::MAX),
            Self::Chunked(_) | Self::UntilClose { .. } => usize::MAX,
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self {
            Self::Length { left } => SizeHint::with_exact(*left),
            Self::Chunked(_) | Self::UntilClose { .. } if self.is_ended() => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilClose { .. } => SizeHint::default(),
        }
    }
}

impl BodyWriter {
    /// The writer for a message with these headers.
    pub(super) fn new(framing: Framing, headers: &HeaderMap) -> Self {
        match framing {
            Framing::Length(0) => Self::Ended,
            Framing::Length(left) => Self::Length { left },
            Framing::Chunked => Self::Chunked { announced: announced(headers) },
            Framing::UntilClose => Self::UntilClose,
        }
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Gathers what there is of a body, and not more than is written at once; says whether the body has to be waited for
    /// before there is more. A body that is longer or shorter than its head said is an error, and then the stream cannot
    /// be used any more.
    pub(super) fn gather<B>(
        &mut self,
        body: &mut B,
        output: &mut Output,
        cx: &mut Context<'_>,
    ) -> Result<bool, WriteError<B::Error>>
    where
        B: Body<Data = Bytes> + Unpin,
    {
        while !self.is_ended() && output.takes_more() {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.write(frame, output)?;
                    if body.is_end_stream() {
                        self.end(output)?;
                    }
                }
                Poll::Ready(None) => self.end(output)?,
                Poll::Ready(Some(Err(error))) => return Err(WriteError::Body(error)),
                Poll::Pending => return Ok(true),
            }
        }
        Ok(false)
    }

    fn write<E>(&mut self, frame: Frame<Bytes>, output: &mut Output) -> Result<(), WriteError<E>> {
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => match self {
                Self::Length { left } => {
                    *left = left.checked_sub(data.len() as u64).ok_or(WriteError::Length)?;
                    output.push(data, b"");
                }
                Self::Chunked { .. } => {
                    chunked::write_size(data.len(), output.small());
                    output.push(data, b"\r\n");
                }
                Self::UntilClose => output.push(data, b""),
                Self::Ended => return Err(WriteError::Length),
            },
            Err(frame) => {
                if let (Self::Chunked { announced }, Ok(trailers)) = (&*self, frame.into_trailers()) {
                    let output = output.small();
                    output.extend_from_slice(b"0\r\n");
                    for (name, value) in trailers.iter().filter(|(name, _)| announced.contains(name)) {
                        write_field(name, value, output);
                    }
                    output.extend_from_slice(b"\r\n");
                    *self = Self::Ended;
                }
            }
        }
        Ok(())
    }

    fn end<E>(&mut self, output: &mut Output) -> Result<(), WriteError<E>> {
        match self {
            Self::Length { left: 1.. } => return Err(WriteError::Length),
            // Behind a large piece there is no room; the next turn asks once more.
            Self::Chunked { .. } if !output.takes_more() => return Ok(()),
            Self::Chunked { .. } => output.small().extend_from_slice(b"0\r\n\r\n"),
            Self::Length { left: 0 } | Self::UntilClose | Self::Ended => {}
        }
        *self = Self::Ended;
        Ok(())
    }
}

/// Writes one line of a head or a trailer section.
pub(super) fn write_field(name: &HeaderName, value: &HeaderValue, output: &mut Vec<u8>) {
    output.extend_from_slice(name.as_str().as_bytes());
    output.extend_from_slice(b": ");
    output.extend_from_slice(value.as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// The fields that may come behind a body: those that are named before it, and say nothing about the message itself
/// (RFC 9110 §6.5.1).
fn announced(headers: &HeaderMap) -> Vec<HeaderName> {
    let of_the_message = [CONTENT_LENGTH, HOST, TRAILER, TRANSFER_ENCODING];
    named_in(headers, TRAILER).filter(|name| !of_the_message.contains(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use futures_util::stream;
    use http_body_util::StreamBody;

    use super::*;

    /// What is written of a body in these pieces, and behind it these trailers; an error when it has another length.
    fn written(
        framing: Framing,
        headers: &HeaderMap,
        pieces: &[&str],
        trailers: &HeaderMap,
    ) -> Option<String> {
        let data = pieces.iter().map(|piece| Frame::data(Bytes::copy_from_slice(piece.as_bytes())));
        let trailers = (!trailers.is_empty()).then(|| Frame::trailers(trailers.clone()));
        let frames: Vec<_> = data.chain(trailers).map(Ok::<_, std::convert::Infallible>).collect();
        let mut body = StreamBody::new(stream::iter(frames));
        let (mut writer, mut output) = (BodyWriter::new(framing, headers), Output::default());
        let waits = writer.gather(&mut body, &mut output, &mut Context::from_waker(Waker::noop()));
        assert!(!waits.ok()? && writer.is_ended());
        Some(String::from_utf8(output.small().clone()).unwrap())
    }

    #[test]
    fn a_body_is_written_as_its_head_says() {
        let none = HeaderMap::new();
        let written = |framing, pieces: &[&str]| written(framing, &none, pieces, &HeaderMap::new());
        assert_eq!(written(Framing::Length(5), &["ab", "", "cde"]).unwrap(), "abcde");
        assert_eq!(written(Framing::UntilClose, &["ab", "cde"]).unwrap(), "abcde");
        assert_eq!(
            written(Framing::Chunked, &["ab", "", "cde"]).unwrap(),
            "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n"
        );
        assert_eq!(written(Framing::Chunked, &[]).unwrap(), "0\r\n\r\n");
        assert_eq!(written(Framing::Length(5), &["abcd"]), None, "too short");
        assert_eq!(written(Framing::Length(5), &["abc", "def"]), None, "too long");
    }

    #[test]
    fn only_announced_trailers_are_written() {
        let fields = |pairs: &[(&'static str, &'static str)]| -> HeaderMap {
            let field = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            pairs.iter().map(field).collect()
        };
        let headers = fields(&[("trailer", "X-Sum, content-length, Transfer-Encoding")]);
        let trailers = fields(&[("x-sum", "7"), ("x-other", "8"), ("content-length", "9")]);
        let chunked = written(Framing::Chunked, &headers, &["ab"], &trailers).unwrap();
        assert_eq!(chunked, "2\r\nab\r\n0\r\nx-sum: 7\r\n\r\n");
    }
}
