//! When a silence of the engine's log is doubted.
//!
//! A reader whom the engine's log overtakes, as it is rotated, may never hear of it again (Docker 20.10, `local`: ten
//! megabytes written in a moment are enough), and nothing tells that from a dyno that has nothing more to say. So the
//! log of who was loud of late is opened anew after a silence, and again after longer ones while none ends it. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// Who wrote so many bytes since the last time that it had is loud.
const LOUD: usize = 64 << 10;
/// For how long it was loud of late.
const LATELY: Duration = Duration::from_mins(1);
/// The first silence that is doubted; each that follows it without a word is twice as long.
const FIRST: Duration = Duration::from_secs(2);

/// What was heard of one container's output.
pub(super) struct Silence {
    /// Bytes since it was loud.
    heard: usize,
    loud: Option<Instant>,
    /// The silence that is doubted next.
    longest: Duration,
    /// When that began.
    since: Instant,
}

impl Silence {
    pub(super) fn new(now: Instant) -> Self {
        Self { heard: 0, loud: None, longest: FIRST, since: now }
    }

    /// So many bytes came that had not come before. `floods`: the dyno is known to flood, or may.
    pub(super) fn broken(&mut self, now: Instant, bytes: usize, floods: bool) {
        self.heard = self.heard.saturating_add(bytes);
        (self.longest, self.since) = (FIRST, now);
        if floods || self.heard >= LOUD {
            (self.heard, self.loud) = (0, Some(now));
        }
    }

    /// The output is read anew.
    pub(super) fn begins(&mut self, now: Instant) {
        self.since = now;
    }

    /// It was doubted, and the output is about to be read anew.
    pub(super) fn doubted(&mut self) {
        self.longest = self.longest.saturating_mul(2);
    }

    /// When it is to be doubted; `None` for who was not loud of late.
    pub(super) fn ends(&self) -> Option<Instant> {
        let lately = self.loud.is_some_and(|loud| self.since.saturating_duration_since(loud) < LATELY);
        lately.then(|| self.since + self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets the next silence pass; returns how long it was and when it ended.
    fn pass(silence: &mut Silence, now: Instant) -> Option<(Duration, Instant)> {
        let end = silence.ends()?;
        silence.doubted();
        silence.begins(end);
        Some((end.saturating_duration_since(now), end))
    }

    #[test]
    fn who_is_not_loud_may_be_silent() {
        let now = Instant::now();
        let mut silence = Silence::new(now);
        silence.broken(now, LOUD - 1, false);
        assert_eq!(silence.ends(), None);
        silence.broken(now, 1, false);
        assert_eq!(silence.ends(), Some(now + FIRST));
    }

    #[test]
    fn the_silence_of_who_was_loud_is_doubted_ever_later_and_at_last_believed() {
        let now = Instant::now();
        let mut silence = Silence::new(now);
        silence.broken(now, 1, true);
        let ends = std::iter::successors(Some((FIRST, now)), |(_, now)| pass(&mut silence, *now)).skip(1);
        let seconds: Vec<u64> = ends.map(|(silent, _)| silent.as_secs()).collect();
        assert_eq!(seconds, [2, 4, 8, 16, 32]);
        silence.broken(now + LATELY, 1, false);
        assert_eq!(silence.ends(), None, "it was loud long ago");
    }

    #[test]
    fn a_word_of_who_was_loud_lately_begins_another_silence() {
        let now = Instant::now();
        let mut silence = Silence::new(now);
        silence.broken(now, LOUD, false);
        let (_, now) = pass(&mut silence, now).unwrap();
        let (_, now) = pass(&mut silence, now).unwrap();
        silence.broken(now, 1, false);
        assert_eq!(silence.ends(), Some(now + FIRST));
    }
}
