//! JSON as the body of an answer, in pieces.
//!
//! Invariant: no piece is larger than [`PIECE`]. A list of a mebibyte in one piece would be copied each time it
//! grows, and the allocator keeps room for the largest piece there ever was.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use serde::Serialize;

/// Bytes; less than what the allocator maps on its own.
const PIECE: usize = 64 * 1024;

/// The body that shows a value; its length is known.
pub(super) fn json_body<T: Serialize>(value: &T) -> Result<Body, serde_json::Error> {
    let mut pieces = Pieces::default();
    serde_json::to_writer(&mut pieces, value)?;
    let Pieces { mut full, last } = pieces;
    if full.is_empty() {
        return Ok(Body::from(last));
    }
    full.push_back(Bytes::from(last));
    Ok(Body::new(InPieces(full)))
}

#[derive(Default)]
struct Pieces {
    full: VecDeque<Bytes>,
    last: Vec<u8>,
}

impl io::Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.len() == PIECE {
            let full = std::mem::replace(&mut self.last, Vec::with_capacity(PIECE));
            self.full.push_back(Bytes::from(full));
        }
        let (fitting, _) = bytes.split_at(bytes.len().min(PIECE - self.last.len()));
        self.last.extend_from_slice(fitting);
        Ok(fitting.len())
    }

    /// Nearly every token of the JSON fits into the piece.
    #[inline]
    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while bytes.len() > PIECE - self.last.len() {
            let written = self.write(bytes)?;
            bytes = bytes.split_at(written).1;
        }
        self.last.extend_from_slice(bytes);
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct InPieces(VecDeque<Bytes>);

impl http_body::Body for InPieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left: usize = self.0.iter().map(Buf::remaining).sum();
        SizeHint::with_exact(left as u64)
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn a_body_in_pieces_is_the_value_and_knows_its_length() {
        for length in [0, 1, PIECE - 3, PIECE - 2, PIECE - 1, PIECE, 3 * PIECE + 7] {
            let text = "x".repeat(length);
            let mut body = json_body(&text).unwrap();
            assert_eq!(body.size_hint().exact(), Some(length as u64 + 2));
            let mut read = Vec::new();
            while let Some(frame) = body.frame().await {
                let piece = frame.unwrap().into_data().unwrap();
                assert!(!piece.is_empty() && piece.len() <= PIECE);
                read.extend_from_slice(&piece);
            }
            assert_eq!(read, serde_json::to_vec(&text).unwrap());
        }
    }
}
