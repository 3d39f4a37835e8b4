//! What is on its way: lines that a connection has taken and that are not known to have been read.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::log_drain::Loss;
use crate::model::time::Timestamp;

/// A line that a connection took so long ago, and that did not break it, was acknowledged by the other kernel (which
/// has [`super::stream::UNACKNOWLEDGED`] for it), and is taken for read.
pub(super) const SETTLED: Duration = Duration::from_secs(45);

/// The lines of one connection, oldest first. Its length is bounded by the bytes after which a connection is asked.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: VecDeque<Entry>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    messages: u64,
    /// Lines whose loss one of these messages told of.
    told: u64,
    bytes: usize,
    since: Timestamp,
    taken_at: Instant,
}

/// What is lost with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unsettled {
    /// Lines of the log.
    pub(super) lines: u64,
    /// These lines, and those whose loss was told of in vain.
    pub(super) loss: Loss,
}

impl Ledger {
    /// Notes messages of a log, or with `told` the one that tells of a loss.
    pub(super) fn take(
        &mut self,
        (messages, bytes): (u64, usize),
        told: Option<u64>,
        (since, taken_at): (Timestamp, Instant),
    ) {
        let (messages, told) = told.map_or((messages, 0), |told| (0, told));
        self.entries.push_back(Entry { messages, told, bytes, since, taken_at });
        self.bytes += bytes;
    }

    /// Bytes of what is not settled.
    pub(super) fn bytes(&mut self, now: Instant) -> usize {
        self.settle(now);
        self.bytes
    }

    /// What is lost when the connection broke just now.
    pub(super) fn unsettled(&mut self, now: Instant) -> Option<Unsettled> {
        self.settle(now);
        let since = self.entries.front()?.since;
        let lines = self.entries.iter().map(|entry| entry.messages).sum();
        let told: u64 = self.entries.iter().map(|entry| entry.told).sum();
        Some(Unsettled { lines, loss: Loss { lines: lines + told, since } })
    }

    fn settle(&mut self, now: Instant) {
        while let Some(entry) =
            self.entries.front().filter(|entry| now.duration_since(entry.taken_at) >= SETTLED)
        {
            self.bytes -= entry.bytes;
            self.entries.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_forgets_what_is_settled() {
        let (at, start) = (Timestamp::from_millis, Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut ledger = Ledger::default();
        assert_eq!(ledger.unsettled(start), None);
        ledger.take((2, 100), None, (at(1), start));
        ledger.take((1, 80), Some(7), (at(2), after(40)));
        ledger.take((3, 200), None, (at(3), after(40)));
        assert_eq!(ledger.bytes(after(44)), 380);
        let loss = Loss { lines: 12, since: at(1) };
        assert_eq!(ledger.unsettled(after(44)), Some(Unsettled { lines: 5, loss }));
        assert_eq!(ledger.bytes(after(45)), 280);
        let loss = Loss { lines: 10, since: at(2) };
        assert_eq!(ledger.unsettled(after(45)), Some(Unsettled { lines: 3, loss }));
        assert_eq!((ledger.bytes(after(85)), ledger.unsettled(after(85))), (0, None));
    }
}
