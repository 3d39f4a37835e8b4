//! Batches over HTTP as Logplex sends them (`behaviour.md` §20).
//!
//! Invariant: a batch that is sent again has the frame id it had before, so that a receiver can tell.

use std::time::Duration;

use uuid::Uuid;

use super::error::DrainError;
use super::message::Batch;
use crate::model::log_drain::DrainToken;
use crate::outbound::{Outbound, PostLimits};

/// The answer's body is of no interest.
const LIMITS: PostLimits = PostLimits { total: Duration::from_secs(30), body: 0 };

/// Posts batches to one address.
pub(super) struct Batches {
    outbound: Outbound,
    url: String,
    token: DrainToken,
}

/// The frame that was sent last: what it held, and its id.
#[derive(Debug, Default)]
pub(super) struct Frame {
    first: u64,
    messages: usize,
    id: Uuid,
}

impl Frame {
    /// How many of the `present` lines from `first` on the next frame holds, and its id: those of the last frame
    /// when that is sent again.
    pub(super) fn next(&mut self, first: u64, present: usize) -> (usize, Uuid) {
        if self.messages == 0 || self.first != first || self.messages > present {
            *self = Self { first, messages: present, id: Uuid::new_v4() };
        }
        (self.messages, self.id)
    }
}

impl Batches {
    pub(super) fn new(outbound: Outbound, url: String, token: DrainToken) -> Self {
        Self { outbound, url, token }
    }

    /// Posts a batch; it was taken when the answer is a success.
    pub(super) async fn send(&self, batch: &Batch, frame: Uuid) -> Result<(), DrainError> {
        let headers = [
            ("content-type", "application/logplex-1".to_owned()),
            ("logplex-msg-count", batch.len().to_string()),
            ("logplex-frame-id", frame.to_string()),
            ("logplex-drain-token", self.token.reveal().to_owned()),
            ("user-agent", "Logplex/v72".to_owned()),
        ];
        let answer = self.outbound.post(&self.url, &headers, batch.text().to_owned(), LIMITS).await?;
        match answer.status {
            200..=299 => Ok(()),
            status => Err(DrainError::Status(status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_is_sent_again_is_the_same_although_more_has_come() {
        let mut frame = Frame::default();
        let (messages, id) = frame.next(7, 10);
        assert_eq!(messages, 10);
        assert_eq!(frame.next(7, 25), (10, id));
        let (messages, other) = frame.next(17, 15);
        assert_eq!(messages, 15);
        assert_ne!(other, id);
    }
}
