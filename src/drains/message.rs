//! Lines as syslog messages (`behaviour.md` §20): `<14>1 2026-01-01T00:00:00.123000Z api-default
//! web.1562910588-cg82f - - - hi`.
//!
//! Invariant: a message is one line of valid UTF-8, and no longer than its transport takes.

use std::fmt::Write as _;

use crate::model::log::{LogLine, LogSource, OutputStream};
use crate::model::log_drain::Loss;
use crate::model::time::Timestamp;

/// Longest datagram, in bytes.
pub(super) const DATAGRAM_LIMIT: usize = 1024;
/// Longest message on a connection, in bytes, without its line end.
pub(super) const STREAM_LIMIT: usize = 99_990;
/// Who tells of what a drain lost.
const LOSS_TAG: &str = "akkeris/logplex";
/// `user.info` and `user.err`.
const INFO: u8 = 14;
const ERROR: u8 = 11;

/// How messages are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// By a line end after each.
    Newline,
    /// Each is a datagram.
    Datagram,
    /// By a line end, and its length before it, which counts the line end.
    Counted,
}

/// Some messages in a row.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    text: String,
    /// Where each message ends.
    ends: Vec<usize>,
    /// Lines whose loss the one message tells of.
    told: Option<u64>,
}

impl Batch {
    /// The lines of a log, in order. `host` is the key of its app, or the domain of its site.
    pub(super) fn of(lines: &[LogLine], host: &str, framing: Framing) -> Self {
        let mut batch = Self::default();
        for line in lines {
            let (before, after) = line.part.marks();
            let priority = match &line.source {
                LogSource::Dyno { stream: OutputStream::Stderr, .. } => ERROR,
                LogSource::Dyno { stream: OutputStream::Stdout, .. }
                | LogSource::Build
                | LogSource::Router
                | LogSource::Controller => INFO,
            };
            let head = head(priority, line.at, host, &line.source.tag());
            batch.push(&[&head, before, line.text(), after], framing);
        }
        batch
    }

    /// The message that tells of lost lines.
    pub(super) fn of_loss(loss: Loss, now: Timestamp, host: &str, framing: Framing) -> Self {
        let mut batch = Self { told: Some(loss.lines), ..Self::default() };
        let text = format!(
            "Error L10 (output buffer overflow): drain dropped {} messages since {}.",
            loss.lines, loss.since
        );
        batch.push(&[&head(ERROR, now, host, LOSS_TAG), &text], framing);
        batch
    }

    /// How many messages there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// All messages with their frames.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Where each message ends within the text.
    pub(super) fn ends(&self) -> &[usize] {
        &self.ends
    }

    /// Lines whose loss this batch tells of; `None` when it holds lines of a log.
    pub(super) fn told(&self) -> Option<u64> {
        self.told
    }

    /// The messages one by one, each with its frame.
    pub(super) fn messages(&self) -> impl Iterator<Item = &str> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).map(|(start, end)| self.text.get(*start..*end).unwrap_or_default())
    }

    fn push(&mut self, parts: &[&str], framing: Framing) {
        let limit = if framing == Framing::Datagram { DATAGRAM_LIMIT } else { STREAM_LIMIT };
        let whole: usize = parts.iter().map(|part| part.len()).sum();
        if framing == Framing::Counted {
            // The cut of an overlong message may fall before the limit, so that it is made first.
            let message: String = cut(parts, limit).collect();
            // Writing into a string cannot fail.
            let _infallible = write!(self.text, "{} {message}", message.len() + 1);
        } else {
            self.text.reserve(whole.min(limit) + 1);
            self.text.extend(cut(parts, limit));
        }
        if framing != Framing::Datagram {
            self.text.push('\n');
        }
        self.ends.push(self.text.len());
    }
}

fn head(priority: u8, at: Timestamp, host: &str, tag: &str) -> String {
    // Times are kept in milliseconds, and shown with microseconds.
    let at = at.to_string();
    format!("<{priority}>1 {}000Z {host} {tag} - - - ", at.trim_end_matches('Z'))
}

/// The parts one after the other, up to `limit` bytes, cut between two characters.
fn cut<'p>(parts: &'p [&'p str], limit: usize) -> impl Iterator<Item = &'p str> {
    let mut left = limit;
    parts.iter().map(move |part| {
        let taken = part.get(..part.floor_char_boundary(left)).unwrap_or_default();
        // Nothing may follow what was cut.
        left = if taken.len() < part.len() { 0 } else { left - taken.len() };
        taken
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::log::Part;
    use crate::model::names::{DynoName, ProcessType};

    const KEY: &str = "api-default";

    fn web(stream: OutputStream) -> LogSource {
        let dyno = DynoName::from_stored("1562910588-cg82f".to_owned());
        LogSource::Dyno { process_type: ProcessType::web(), dyno, stream }
    }

    fn line(source: LogSource, text: &str) -> LogLine {
        LogLine::new(Timestamp::from_millis(1_767_225_600_123), source, text)
    }

    #[test]
    fn messages_are_those_of_the_specification() {
        let lines = [
            line(web(OutputStream::Stdout), "a\r\nb\0c"),
            line(web(OutputStream::Stderr), "oh"),
            line(LogSource::Router, "path=/"),
        ];
        let batch = Batch::of(&lines, KEY, Framing::Newline);
        assert_eq!(
            batch.text(),
            "<14>1 2026-01-01T00:00:00.123000Z api-default web.1562910588-cg82f - - - a  b c\n\
             <11>1 2026-01-01T00:00:00.123000Z api-default web.1562910588-cg82f - - - oh\n\
             <14>1 2026-01-01T00:00:00.123000Z api-default akkeris/router - - - path=/\n"
        );
        assert_eq!(batch.len(), 3);
    }

    #[test]
    fn a_count_before_a_message_counts_its_line_end() {
        let batch = Batch::of(&[line(LogSource::Build, "hi")], KEY, Framing::Counted);
        let text = "<14>1 2026-01-01T00:00:00.123000Z api-default akkeris/build - - - hi\n";
        assert_eq!(batch.text(), format!("{} {text}", text.len()));
    }

    #[test]
    fn a_loss_is_told_as_l10() {
        let at = Timestamp::from_millis(1_767_225_600_123);
        let batch = Batch::of_loss(Loss { lines: 5, since: at }, at, KEY, Framing::Newline);
        assert_eq!(
            batch.text(),
            "<11>1 2026-01-01T00:00:00.123000Z api-default akkeris/logplex - - - Error L10 (output buffer overflow): \
             drain dropped 5 messages since 2026-01-01T00:00:00.123Z.\n"
        );
        assert_eq!((batch.len(), batch.told()), (1, Some(5)));
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = line(LogSource::Build, &"é".repeat(60_000));
        let piece = LogLine::piece(long.at, LogSource::Build, Part::First, "é".repeat(60_000));
        for (framing, limit) in [(Framing::Datagram, DATAGRAM_LIMIT), (Framing::Newline, STREAM_LIMIT + 1)] {
            for line in [&long, &piece] {
                let batch = Batch::of(std::slice::from_ref(line), KEY, framing);
                let length = batch.text().len();
                assert!(length <= limit && length >= limit - 2, "{length}");
                assert!(batch.text().trim_end().ends_with('é'));
            }
        }
    }

    proptest! {
        #[test]
        fn counted_messages_can_be_read_back(texts in prop::collection::vec("(?s).{0,80}", 0..8)) {
            let lines: Vec<LogLine> = texts.iter().map(|text| line(LogSource::Router, text)).collect();
            let batch = Batch::of(&lines, KEY, Framing::Counted);
            let (mut rest, mut found) = (batch.text(), Vec::new());
            while let Some((count, after)) = rest.split_once(' ') {
                let (message, after) = after.split_at(count.parse().unwrap());
                found.push(message.strip_suffix('\n').unwrap().split_once(" - - - ").unwrap().1.to_owned());
                rest = after;
            }
            let sent: Vec<&str> = lines.iter().map(LogLine::text).collect();
            prop_assert_eq!(found, sent);
        }

        #[test]
        fn each_line_is_one_message_and_a_line_of_its_own(texts in prop::collection::vec("(?s).{0,80}", 0..8)) {
            let lines: Vec<LogLine> = texts.iter().map(|text| line(web(OutputStream::Stdout), text)).collect();
            let batch = Batch::of(&lines, KEY, Framing::Newline);
            prop_assert_eq!(batch.text().split('\n').count(), lines.len() + 1);
            let messages: Vec<&str> = batch.messages().collect();
            prop_assert_eq!(messages.concat(), batch.text());
            for (message, line) in messages.iter().zip(&lines) {
                let end = format!(" - - - {}\n", line.text());
                prop_assert!(message.ends_with(&end));
            }
        }
    }
}
