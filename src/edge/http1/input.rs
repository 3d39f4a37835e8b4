//! Bytes that have come from a peer, of which bodies and heads are slices.
//!
//! One large read costs less than several, and a buffer that is free again is used again; so a connection on which much
//! comes at once has a larger one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

/// Room for what is read at once: at first, and at most. The most is less than what the allocator asks the system for
/// each time.
const LEAST_ROOM: usize = 8 * 1_024;
const MOST_ROOM: usize = 96 * 1_024;

/// What has come and was not taken.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) bytes: BytesMut,
    room: usize,
}

impl Input {
    /// Reads what is there, up to about `most` bytes; 0 at the end.
    pub(super) fn poll_fill<T>(
        &mut self,
        stream: &mut T,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>>
    where
        T: AsyncRead + Unpin,
    {
        let wanted = self.room.min(most).max(LEAST_ROOM);
        if !self.bytes.is_empty() {
            self.bytes.reserve(wanted);
        } else if !self.bytes.try_reclaim(wanted) {
            // Enlarged, a buffer would get room for what was taken from it, too, and be larger than the most.
            self.bytes = BytesMut::with_capacity(wanted);
        }
        let free = self.bytes.capacity() - self.bytes.len();
        let read = ready!(poll_read_buf(Pin::new(stream), cx, &mut self.bytes))?;
        if read == free {
            self.room = (self.room * 2).min(MOST_ROOM);
        } else if read < self.room / 4 {
            self.room = (self.room / 2).max(LEAST_ROOM);
        }
        Poll::Ready(Ok(read))
    }

    /// What has come and was not taken, without the buffer that it lies in.
    pub(super) fn into_rest(self) -> Bytes {
        Bytes::copy_from_slice(&self.bytes)
    }
}

impl Default for Input {
    fn default() -> Self {
        Self { bytes: BytesMut::new(), room: LEAST_ROOM }
    }
}
