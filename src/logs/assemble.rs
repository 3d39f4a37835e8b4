//! Pieces of a dyno's output become lines, each exactly once.
//!
//! Invariant: [`Assembler::taken`] covers exactly the pieces whose text was given out as lines, so that reading on
//! from it after a restart neither leaves out a line nor repeats one.

use super::ring::Taken;
use crate::model::log::{LogLine, LogSource, Part, TEXT_LIMIT};
use crate::model::time::Timestamp;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// The lines of one of the two streams of a dyno.
#[derive(Debug)]
pub(super) struct Assembler {
    source: LogSource,
    /// Up to where the stream was taken when this follower began; pieces before it come again.
    resume: Taken,
    /// Of the pieces at the very time of `resume`, those that came again so far.
    repeated: u32,
    /// The last piece.
    seen: Taken,
    /// Up to where lines were given out.
    taken: Taken,
    /// Begun and not ended.
    pending: Vec<u8>,
    pending_since: i64,
}

impl Assembler {
    /// Goes on after what was taken before.
    pub(super) fn new(source: LogSource, resume: Taken) -> Self {
        Self {
            source,
            resume,
            repeated: 0,
            seen: resume,
            taken: resume,
            pending: Vec::new(),
            pending_since: 0,
        }
    }

    /// The stream is read anew: ends the line that was begun, since what follows is not its rest, and leaves out the
    /// pieces that come again.
    pub(super) fn begin_anew(&mut self, lines: &mut Vec<LogLine>) {
        self.end(lines);
        (self.resume, self.seen, self.repeated) = (self.taken, self.taken, 0);
    }

    /// Up to where lines were given out.
    pub(super) fn taken(&self) -> Taken {
        self.taken
    }

    /// The engine's time (nanoseconds) of the oldest piece that is not given out yet.
    pub(super) fn pending_since(&self) -> Option<i64> {
        (!self.pending.is_empty()).then_some(self.pending_since)
    }

    /// Takes the next piece of the stream, and adds the lines that it completes to `lines`. Returns whether it had not
    /// come before.
    pub(super) fn take(&mut self, nanos: i64, bytes: &[u8], lines: &mut Vec<LogLine>) -> bool {
        if self.was_taken(nanos) {
            return false;
        }
        let before = self.seen;
        let same = nanos == self.seen.nanos && self.seen.count > 0;
        self.seen.count = if same { self.seen.count.saturating_add(1) } else { 1 };
        self.seen.nanos = nanos;
        if self.pending.is_empty() {
            self.pending_since = nanos;
        }
        let (text, ended) = match bytes.strip_suffix(b"\n") {
            Some(text) => (text.strip_suffix(b"\r").unwrap_or(text), true),
            None => (bytes, false),
        };
        for chunk in text.chunks(TEXT_LIMIT) {
            if self.pending.len() + chunk.len() > TEXT_LIMIT {
                self.split(before, lines);
            }
            self.pending.extend_from_slice(chunk);
        }
        if ended {
            self.finish(lines);
        } else if text.len() > TEXT_LIMIT {
            // Half of a piece could not be told apart after a restart.
            self.split(self.seen, lines);
        }
        true
    }

    /// The stream ended: what is left is a line, too.
    pub(super) fn end(&mut self, lines: &mut Vec<LogLine>) {
        if !self.pending.is_empty() {
            self.finish(lines);
        }
    }

    fn was_taken(&mut self, nanos: i64) -> bool {
        // The first new piece ends the comparison: the clock may have been set back since.
        if self.resume.count == 0 || nanos > self.resume.nanos {
            self.resume = Taken::default();
            return false;
        }
        if nanos < self.resume.nanos {
            return true;
        }
        self.repeated = self.repeated.saturating_add(1);
        let repeated = self.repeated <= self.resume.count;
        if !repeated {
            self.resume = Taken::default();
        }
        repeated
    }

    /// Gives out what is pending as a piece of a line that goes on; it came up to `last`. A character that is not
    /// whole yet stays.
    fn split(&mut self, last: Taken, lines: &mut Vec<LogLine>) {
        let whole = self.pending.len() - unfinished(&self.pending);
        let rest = self.pending.split_off(whole);
        let part = if self.seen.within_line { Part::Middle } else { Part::First };
        self.seen.within_line = true;
        self.taken = Taken { within_line: true, ..last };
        self.give_out(part, lines);
        self.pending = rest;
    }

    fn finish(&mut self, lines: &mut Vec<LogLine>) {
        let part = if self.seen.within_line { Part::Last } else { Part::Whole };
        self.seen.within_line = false;
        self.give_out(part, lines);
        self.taken = self.seen;
    }

    fn give_out(&mut self, part: Part, lines: &mut Vec<LogLine>) {
        let at = moment(self.pending_since);
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        lines.push(LogLine::piece(at, self.source.clone(), part, text));
        self.pending.clear();
    }
}

/// The engine's time, in nanoseconds since 1970, as the log has it.
pub(super) fn moment(nanos: i64) -> Timestamp {
    Timestamp::from_millis(nanos.div_euclid(NANOS_PER_MILLI))
}

/// The time of the log as the engine has it, in nanoseconds since 1970.
pub(super) fn nanos(moment: Timestamp) -> i64 {
    moment.as_millis().saturating_mul(NANOS_PER_MILLI)
}

/// Bytes at the end that begin a character and do not end it.
fn unfinished(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(4);
    let tail = bytes.get(tail..).unwrap_or_default();
    let Some(back) = tail.iter().rev().position(|byte| *byte & 0xC0 != 0x80) else { return 0 };
    let length = back + 1;
    let first = tail.get(tail.len() - length).copied().unwrap_or(0);
    let needed = match first.leading_ones() {
        2 => 2,
        3 => 3,
        4 => 4,
        _ => 1,
    };
    if length < needed { length } else { 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines_of(pieces: &[(i64, Vec<u8>)], from: Taken) -> (Vec<LogLine>, Assembler) {
        let mut assembler = Assembler::new(LogSource::Build, from);
        let mut lines = Vec::new();
        for (nanos, bytes) in pieces {
            assembler.take(*nanos, bytes, &mut lines);
        }
        (lines, assembler)
    }

    #[test]
    fn a_long_line_is_split_and_marked_and_loses_no_character() {
        let text = "äöü€😀".repeat(20_000);
        let mut pieces: Vec<(i64, Vec<u8>)> =
            text.as_bytes().chunks(16 * 1024).map(|piece| (5, piece.to_vec())).collect();
        pieces.push((5, b"\n".to_vec()));
        pieces.push((6, b"short\r\n".to_vec()));
        let (lines, _) = lines_of(&pieces, Taken::default());
        let long: String = lines[..lines.len() - 1].iter().map(LogLine::text).collect();
        assert_eq!(long, text);
        assert!(lines.iter().all(|line| line.text().len() <= TEXT_LIMIT));
        let parts: Vec<Part> = lines.iter().map(|line| line.part).collect();
        assert_eq!(parts, [Part::First, Part::Middle, Part::Middle, Part::Middle, Part::Last, Part::Whole]);
        assert_eq!(lines.last().unwrap().text(), "short");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        let (lines, _) = lines_of(&[(1, b"a\xff\xe2b\n".to_vec())], Taken::default());
        assert_eq!(lines[0].text(), "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn what_a_process_left_without_a_line_end_is_a_line() {
        let (mut lines, mut assembler) =
            lines_of(&[(1, b"one\n".to_vec()), (2, b"two".to_vec())], Taken::default());
        assert_eq!(lines.len(), 1);
        assembler.end(&mut lines);
        assert_eq!(lines[1].text(), "two");
        assert_eq!(assembler.taken().nanos, 2);
    }

    fn pieces() -> impl Strategy<Value = Vec<(i64, Vec<u8>)>> {
        // Few times, so that many pieces share one.
        let text = prop_oneof![
            4 => "[a-z€]{0,6}\n".prop_map(String::into_bytes),
            1 => "[a-z]{1,6}".prop_map(String::into_bytes),
            1 => (20_000_usize..70_000).prop_map(|length| vec![b'x'; length]),
        ];
        prop::collection::vec((0_i64..6, text), 1..40).prop_map(|mut pieces| {
            pieces.sort_by_key(|(nanos, _)| *nanos);
            pieces
        })
    }

    proptest! {
        #[test]
        fn a_restart_anywhere_neither_loses_nor_repeats(pieces in pieces(), at in any::<prop::sample::Index>()) {
            let (mut expected, mut whole) = lines_of(&pieces, Taken::default());
            whole.end(&mut expected);
            let at = at.index(pieces.len() + 1);
            let (mut lines, before) = lines_of(&pieces[..at], Taken::default());
            let (rest, mut after) = lines_of(&pieces, before.taken());
            lines.extend(rest);
            after.end(&mut lines);
            prop_assert!(lines == expected, "cut at {at}");
        }
    }
}
