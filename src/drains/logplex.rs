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

/// The frame that is to be sent again, if any: what it held, and its id.
#[derive(Debug, Default)]
pub(super) struct Frame {
    first: u64,
    messages: usize,
    id: Uuid,
}

impl Frame {
    /// The id of the frame that begins with the line at `first`: the same when the very same is sent again.
    pub(super) fn id(&mut self, first: u64, batch: &Batch) -> Uuid {
        if self.id.is_nil() || self.first != first || self.messages != batch.len() {
            *self = Self { first, messages: batch.len(), id: Uuid::new_v4() };
        }
        self.id
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
