//! Decides how much CPU a dyno may have that writes more than `logs.dyno_rate` allows. Pure.
//!
//! Invariants: who writes within the rate is not slowed; who writes once so much as [`BURST`] seconds may bring, at
//! whatever speed, is slowed for two seconds or so; a limit stays for half a second or more; who uses less CPU than its limit
//! gives, and writes within the rate, is free.

use std::time::Duration;

use tokio::time::Instant;

use crate::engine::CpuLimit;

/// Who writes beyond its rate as much as it may in so many seconds is slowed.
const BURST: f64 = 1.5;
/// Who writes [`FAST`] times its rate is doubted after so many seconds' worth beyond it: it is held at its rate for a
/// moment, which shows whether that was a burst, long before a flood has harmed its neighbours.
const DOUBT: f64 = 0.15;
const FAST: f64 = 3.0;
/// Who goes on to write a second's worth of this part of its rate while it is doubted floods: an eighth of what it is
/// held at.
const GOES_ON: f64 = 0.1;
/// How long is looked at what a doubted dyno writes. The kernel may let it overrun its quota by some ticks, and then not
/// run for a second or two.
const DOUBT_WINDOW: Duration = Duration::from_secs(1);
/// All of it is read when nothing more comes for so long.
const ALL_READ: Duration = Duration::from_millis(1_500);
/// So many times as much is read of a slowed dyno as it is held at.
const READ: f64 = 5.0;
/// Shorter pauses of the reading cost more than they spare.
const SHORTEST_BREATH: Duration = Duration::from_millis(20);
/// Longer ones would put off what else is to be done about the dyno.
const LONGEST_BREATH: Duration = Duration::from_millis(500);
/// How long a dyno is doubted at most, since what it wrote before may still be on its way.
const LONGEST_DOUBT: Duration = Duration::from_secs(6);
/// How long is looked at what a slowed dyno writes before its limit changes, at least.
const WINDOW: Duration = Duration::from_secs(1);
/// Seconds by which the kernel may let a dyno overrun its quota: a tick. A window is long enough for that not to matter.
const OVERRUN: f64 = 0.004;
/// Until a new limit shows in what is read.
const SETTLE: Duration = Duration::from_millis(500);
/// Who writes so many times its rate floods.
const FLOOD: f64 = 2.0;
/// The part of its rate at which a flood is held: each burst of it costs the engine, and so its neighbours, more than the
/// dyno itself. Who writes somewhat too much is held at the rate.
const HELD: f64 = 0.1;
/// The part of what it is held at that a limit is meant to lead to, so that it need not change again.
const AIM: f64 = 0.8;
/// Below this part of it a limit is too tight.
const TOO_LITTLE: f64 = 0.6;
/// Who is held for so long is let go, since it may want to write within its rate by now; who floods again is held for
/// longer each time.
const TRIAL: Duration = Duration::from_mins(1);
/// What a program that does nothing else writes with a core in a second, in bytes (measured: 740 MB). The first limit is
/// for such a one whatever the dyno wrote, which says little while the engine is short of CPU: each moment of a flood
/// harms its neighbours, and a limit that is too tight for it grows.
const WRITTEN_BY_A_CORE: f64 = 750e6;
/// A limit changes at once at most by these factors: up, down.
const MOST_UP: f64 = 4.0;
const MOST_DOWN: f64 = 0.125;
/// Who uses less than this part of its limit is not held back by it.
const HELD_BACK: f64 = 0.5;
/// A limit of so many cores is none.
const NO_LIMIT: f64 = 4.0;
/// Who floods again so soon is slowed without a doubt, and set free later the next time.
const SOON: Duration = Duration::from_secs(30);
/// How long a slowed dyno must be quiet before it is free.
const QUIET: Duration = Duration::from_secs(3);
/// So many times as long at most must be quiet, or waits for its trial, who floods again and again.
const MOST_PATIENCE: u32 = 10;
/// The shortest time over which bytes make a rate, in seconds.
const LEAST_SPAN: f64 = 0.05;
const NANOS_PER_SECOND: f64 = 1e9;

/// What is to be with a dyno's CPU.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Wanted {
    pub limit: Option<CpuLimit>,
    /// Bytes a second that it wrote when this was decided, as far as that is known.
    pub rate: Option<f64>,
}

/// The CPU that a dyno has used since it started.
#[derive(Debug, Clone, Copy)]
pub(super) struct CpuUse {
    pub seconds: f64,
    /// Periods in which its limit held it back, where they are counted.
    pub throttled: Option<u64>,
}

/// A dyno's output and the limit of its CPU.
#[derive(Debug)]
pub(super) struct Slowing {
    /// Bytes a second.
    allowed: f64,
    pace: Pace,
    /// So many times as long must a slowed dyno be quiet, or waits for its trial: it may have flooded again and again.
    patience: u32,
    freed: Option<Instant>,
    /// When it is time to read on of a dyno that is not free.
    paid_at: Instant,
}

#[derive(Debug)]
enum Pace {
    Free(Excess),
    Doubted(Doubt),
    Slowed(Slowed),
}

/// What a dyno wrote beyond its rate, by the time at which the engine took it: a log that is read late is no flood.
#[derive(Debug, Default)]
struct Excess {
    bytes: f64,
    /// All that was written since there is an excess.
    written: f64,
    since: i64,
    newest: i64,
}

/// What a dyno wrote while it is doubted.
#[derive(Debug)]
struct Doubt {
    since: Instant,
    /// When it is judged.
    due: Instant,
    /// The beginning of the window, in the engine's time: what was written before was written without the limit.
    from: i64,
    /// Bytes since the window began.
    written: f64,
    newest: i64,
    /// When something was read last.
    read: Instant,
    /// Bytes a second before.
    rate: f64,
}

#[derive(Debug)]
struct Slowed {
    limit: CpuLimit,
    /// Bytes a second that it is held at.
    held: f64,
    since: Instant,
    /// The beginning of the window.
    from: Instant,
    /// Bytes in the window.
    written: f64,
    /// What it had used, and when.
    used: Option<(Instant, CpuUse)>,
    /// For how long it has been quiet.
    quiet: Duration,
    /// It floods, and cannot be held any tighter.
    at_the_least: bool,
}

/// What became of a slowed dyno in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// It left CPU unused that it may have.
    Rest,
    /// It used all that it may have.
    Work,
    /// It may have waited until the kernel forgave an overrun, or perhaps nothing was seen of it yet: its silence says
    /// nothing.
    Nothing,
}

impl Slowing {
    /// A dyno that may write so many bytes a second, and has the limit that was found, if there was one.
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    pub(super) fn new(allowed: u64, found: Option<CpuLimit>) -> Self {
        let now = Instant::now();
        let pace = found.map_or_else(
            || Pace::Free(Excess::default()),
            // What it wrote when it was slowed is not known.
            |limit| Pace::Slowed(Slowed::new(limit, allowed as f64, now)),
        );
        Self { allowed: allowed as f64, pace, patience: 1, freed: None, paid_at: now }
    }

    /// So many bytes are read now, that the dyno wrote at this time of the engine, in nanoseconds.
    #[expect(clippy::cast_precision_loss, reason = "a piece is far below 2^52 bytes")]
    pub(super) fn take(&mut self, now: Instant, nanos: i64, bytes: usize) {
        let bytes = bytes as f64;
        let pace = match &mut self.pace {
            Pace::Free(excess) => return excess.take(self.allowed, nanos, bytes),
            Pace::Doubted(doubt) => {
                doubt.take(now, nanos, bytes);
                self.allowed
            }
            Pace::Slowed(slowed) => {
                slowed.take(now, self.allowed, bytes);
                READ * slowed.held
            }
        };
        let paid_at = self.paid_at.max(now) + Duration::from_secs_f64(bytes / pace);
        self.paid_at = paid_at.min(now + LONGEST_BREATH);
    }

    /// Slows a dyno that has begun to flood, or may have. `wall` is the engine's time by now, in nanoseconds.
    pub(super) fn flood(&mut self, now: Instant, wall: i64) -> Option<Wanted> {
        let excess = match &self.pace {
            Pace::Free(excess) => excess,
            Pace::Doubted(doubt) if doubt.goes_on(self.allowed) => {
                let rate = doubt.rate;
                return Some(self.slow(now, rate, false));
            }
            Pace::Doubted(_) | Pace::Slowed(_) => return None,
        };
        let rate = excess.rate();
        let again = self.freed.is_some_and(|freed| now.saturating_duration_since(freed) < SOON);
        let fast = excess.bytes > self.allowed * DOUBT && rate >= self.allowed * FAST;
        if excess.bytes > self.allowed * BURST || (fast && again) {
            return Some(self.slow(now, rate, again));
        }
        if !fast {
            return None;
        }
        self.pace = Pace::Doubted(Doubt::new(now, wall, rate));
        Some(Wanted { limit: Some(holding(self.allowed)), rate: Some(rate) })
    }

    /// For how long to read nothing of a dyno that is not free: what it wrote at once, before it was slowed or in a tick
    /// of the kernel, would harm its neighbours if it were read at once, too.
    pub(super) fn breath(&self, now: Instant) -> Option<Duration> {
        let breath = self.paid_at.saturating_duration_since(now);
        (breath >= SHORTEST_BREATH).then_some(breath)
    }

    /// Whether the dyno is known to flood.
    pub(super) fn is_flood(&self) -> bool {
        matches!(self.pace, Pace::Slowed(_))
    }

    /// Until when a sample of its output is enough: what a flood writes under the least limit costs its neighbours as
    /// much again when it is read. Then [`Slowing::judge`] is to be asked.
    pub(super) fn sampled_until(&self) -> Option<Instant> {
        match &self.pace {
            Pace::Slowed(slowed) if slowed.at_the_least => Some(slowed.due()),
            Pace::Free(_) | Pace::Doubted(_) | Pace::Slowed(_) => None,
        }
    }

    /// When [`Slowing::judge`] is to be asked; `None` while the dyno is free.
    pub(super) fn due(&self) -> Option<Instant> {
        match &self.pace {
            Pace::Free(_) => None,
            Pace::Doubted(doubt) => Some(doubt.due),
            Pace::Slowed(slowed) => Some(slowed.due()),
        }
    }

    /// Changes the limit of a slowed dyno to what it wrote in the window, or sets it free.
    pub(super) fn judge(&mut self, now: Instant, used: Option<CpuUse>) -> Option<Wanted> {
        let slowed = match &mut self.pace {
            Pace::Free(_) => return None,
            Pace::Doubted(doubt) => {
                if !doubt.is_read(now) {
                    doubt.due = now + DOUBT_WINDOW;
                    return None;
                }
                let rate = doubt.written / DOUBT_WINDOW.as_secs_f64();
                return Some(self.free(now, rate));
            }
            Pace::Slowed(slowed) => slowed,
        };
        let (before, rate) = (slowed.limit, slowed.rate(now));
        let found = slowed.look(now, used, rate);
        slowed.begin(now);
        match found {
            Found::Nothing => return None,
            Found::Rest if rate <= self.allowed => {
                slowed.quiet += slowed.window();
                let is_quiet = slowed.quiet >= QUIET * self.patience;
                return is_quiet.then(|| self.free(now, rate));
            }
            Found::Rest | Found::Work => slowed.quiet = Duration::ZERO,
        }
        // Of a sample no rate is known.
        let factor = if slowed.at_the_least { 1.0 } else { factor(rate / slowed.held) };
        let cores = before.cores() * factor;
        let tried = now.saturating_duration_since(slowed.since) >= TRIAL * self.patience;
        if tried || cores >= NO_LIMIT {
            return Some(self.free(now, rate));
        }
        slowed.limit = CpuLimit::of_cores(cores);
        if slowed.limit == before {
            return None;
        }
        slowed.from = now + SETTLE;
        Some(Wanted { limit: Some(slowed.limit), rate: Some(rate) })
    }

    /// More was written than may be read, so that the window ends early.
    pub(super) fn overrun(&mut self, now: Instant) -> Option<Wanted> {
        match &self.pace {
            Pace::Slowed(slowed) if now > slowed.from && slowed.rate(now) > self.allowed => {
                self.judge(now, None)
            }
            Pace::Doubted(doubt) => {
                let rate = doubt.rate;
                Some(self.slow(now, rate, false))
            }
            Pace::Free(_) | Pace::Slowed(_) => None,
        }
    }

    /// A sample holds all that was written meanwhile, so that it is no flood by now.
    pub(super) fn calm(&mut self, now: Instant) {
        if let Pace::Slowed(slowed) = &mut self.pace
            && slowed.at_the_least
        {
            slowed.at_the_least = false;
            slowed.begin(now);
        }
    }

    /// The output is read again after a while: what was written meanwhile is not known.
    pub(super) fn resume(&mut self, now: Instant) {
        if let Pace::Slowed(slowed) = &mut self.pace
            && !slowed.at_the_least
        {
            slowed.begin(slowed.from.max(now));
        }
    }

    /// `again`: it was set free too early.
    fn slow(&mut self, now: Instant, rate: f64, again: bool) -> Wanted {
        let held = if rate < FLOOD * self.allowed { self.allowed } else { HELD * self.allowed };
        let limit = holding(held);
        self.patience = if again { (self.patience * 2).min(MOST_PATIENCE) } else { 1 };
        self.pace = Pace::Slowed(Slowed::new(limit, held, now));
        Wanted { limit: Some(limit), rate: Some(rate) }
    }

    fn free(&mut self, now: Instant, rate: f64) -> Wanted {
        self.freed = Some(now);
        self.pace = Pace::Free(Excess::default());
        Wanted { limit: None, rate: Some(rate) }
    }
}

impl Excess {
    fn take(&mut self, allowed: f64, nanos: i64, bytes: f64) {
        let passed = seconds(self.newest, nanos).max(0.0);
        self.newest = self.newest.max(nanos);
        self.bytes = (self.bytes - allowed * passed).max(0.0);
        if self.bytes <= 0.0 {
            (self.since, self.written) = (self.newest, 0.0);
        }
        self.bytes += bytes;
        self.written += bytes;
    }

    fn rate(&self) -> f64 {
        self.written / seconds(self.since, self.newest).max(LEAST_SPAN)
    }
}

impl Doubt {
    fn new(now: Instant, wall: i64, rate: f64) -> Self {
        let due = now + SETTLE + DOUBT_WINDOW;
        Self { since: now, due, from: after(wall, SETTLE), written: 0.0, newest: 0, read: now, rate }
    }

    fn take(&mut self, now: Instant, nanos: i64, bytes: f64) {
        (self.newest, self.read) = (self.newest.max(nanos), now);
        if nanos >= self.from {
            self.written += bytes;
        }
    }

    /// Whether it has written too much for what was a burst.
    fn goes_on(&self, allowed: f64) -> bool {
        self.written > GOES_ON * allowed
    }

    /// Whether all of the window is read.
    fn is_read(&self, now: Instant) -> bool {
        let since = |then| now.saturating_duration_since(then);
        let passed = self.newest >= after(self.from, DOUBT_WINDOW);
        passed || since(self.read) >= ALL_READ || since(self.since) >= LONGEST_DOUBT
    }
}

impl Slowed {
    fn new(limit: CpuLimit, held: f64, now: Instant) -> Self {
        Self {
            limit,
            held,
            since: now,
            from: now + SETTLE,
            written: 0.0,
            used: None,
            quiet: Duration::ZERO,
            at_the_least: false,
        }
    }

    /// What is read before the window was written under another limit.
    fn take(&mut self, now: Instant, allowed: f64, bytes: f64) {
        if now >= self.from {
            self.written += bytes;
        }
        let enough = self.written >= TOO_LITTLE * self.held * self.window().as_secs_f64();
        self.at_the_least |= self.limit == CpuLimit::LEAST && self.held < allowed && enough;
    }

    fn begin(&mut self, from: Instant) {
        (self.from, self.written) = (from, 0.0);
    }

    fn rate(&self, now: Instant) -> f64 {
        self.written / now.saturating_duration_since(self.from).as_secs_f64().max(LEAST_SPAN)
    }

    fn due(&self) -> Instant {
        self.from + self.window()
    }

    /// Long enough to see what it does under its limit.
    fn window(&self) -> Duration {
        WINDOW.max(Duration::from_secs_f64(OVERRUN / self.limit.cores()))
    }

    /// Looks at it at the end of a window. Where its use of CPU cannot be seen, it rests when it is silent.
    fn look(&mut self, now: Instant, used: Option<CpuUse>, rate: f64) -> Found {
        let before = std::mem::replace(&mut self.used, used.map(|used| (now, used)));
        let Some(used) = used else { return if rate > 0.0 { Found::Work } else { Found::Rest } };
        let Some((then, before)) = before else { return Found::Nothing };
        let time = now.saturating_duration_since(then).as_secs_f64().max(LEAST_SPAN);
        let works = (used.seconds - before.seconds) / time >= HELD_BACK * self.limit.cores();
        let throttled = used.throttled > before.throttled;
        match (works, throttled) {
            (true, _) => Found::Work,
            (false, true) => Found::Nothing,
            (false, false) => Found::Rest,
        }
    }
}

/// So much later, in nanoseconds.
#[expect(clippy::cast_possible_truncation, reason = "seconds are far below 2^63 nanoseconds")]
fn after(nanos: i64, time: Duration) -> i64 {
    nanos.saturating_add(time.as_nanos() as i64)
}

/// The first limit for a dyno that is to write at most so many bytes a second.
fn holding(rate: f64) -> CpuLimit {
    CpuLimit::of_cores(AIM * rate / WRITTEN_BY_A_CORE)
}

/// By what a limit changes when so many times as much is written as it is to lead to.
fn factor(excess: f64) -> f64 {
    if excess > 1.0 {
        (AIM / excess).max(MOST_DOWN)
    } else if excess < TOO_LITTLE {
        (AIM / excess).min(MOST_UP)
    } else {
        1.0
    }
}

#[expect(clippy::cast_precision_loss, reason = "some nanoseconds do not matter")]
fn seconds(from: i64, until: i64) -> f64 {
    until.saturating_sub(from) as f64 / NANOS_PER_SECOND
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALLOWED: u64 = 8_000_000;

    /// A dyno that wants to write so much a second, and can write so much with a whole core.
    struct Dyno {
        slowing: Slowing,
        now: Instant,
        nanos: i64,
        limit: Option<CpuLimit>,
        used: f64,
        throttled: u64,
        changes: usize,
    }

    impl Dyno {
        fn new() -> Self {
            let slowing = Slowing::new(ALLOWED, None);
            Self {
                slowing,
                now: Instant::now(),
                nanos: 1 << 40,
                limit: None,
                used: 0.0,
                throttled: 0,
                changes: 0,
            }
        }

        /// Writes for 10 ms; returns bytes a second.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bytes of a test")]
        fn step(&mut self, wanted: f64, by_core: f64) -> f64 {
            let rate = self.limit.map_or(wanted, |limit| wanted.min(limit.cores() * by_core));
            self.throttled += u64::from(rate < wanted);
            self.now += Duration::from_millis(10);
            self.nanos += 10_000_000;
            self.used += rate / by_core / 100.0;
            self.slowing.take(self.now, self.nanos, (rate / 100.0) as usize);
            let judged = self.slowing.due().is_some_and(|due| due <= self.now);
            let decided = if judged {
                let throttled = Some(self.throttled);
                self.slowing.judge(self.now, Some(CpuUse { seconds: self.used, throttled }))
            } else {
                self.slowing.flood(self.now, self.nanos)
            };
            if let Some(decided) = decided {
                self.limit = decided.limit;
                self.changes += 1;
            }
            rate
        }

        /// Writes for so many seconds; returns bytes a second in the last step.
        fn run(&mut self, seconds: usize, wanted: f64, by_core: f64) -> f64 {
            (0..seconds * 100).map(|_| self.step(wanted, by_core)).last().unwrap_or(0.0)
        }
    }

    #[test]
    fn a_hundred_megabytes_a_second_are_slowed_within_a_quarter_of_a_second() {
        let mut dyno = Dyno::new();
        let steps = (0..100).take_while(|_| dyno.limit.is_none() && dyno.step(1e8, 7.5e8) > 0.0).count();
        assert!(dyno.limit.is_some() && steps <= 25, "{steps} x 10 ms, {:?}", dyno.limit);
        dyno.run(1, 1e8, 7.5e8);
        let rate = dyno.run(9, 1e8, 7.5e8);
        assert!((4e5..=8e5).contains(&rate) && dyno.changes <= 2, "{rate}, {} changes", dyno.changes);
    }

    #[test]
    fn a_dump_of_a_megabyte_is_not_slowed() {
        let mut dyno = Dyno::new();
        dyno.run(1, 7e6, 1e8);
        dyno.slowing.take(dyno.now, dyno.nanos, 1_000_000);
        assert_eq!(dyno.slowing.flood(dyno.now, dyno.nanos), None);
        dyno.run(5, 7e6, 1e8);
        assert_eq!(dyno.changes, 0);
    }

    #[test]
    fn a_dump_of_ten_megabytes_is_slowed_for_two_seconds() {
        let mut dyno = Dyno::new();
        dyno.slowing.take(dyno.now, dyno.nanos, 10_000_000);
        dyno.run(2, 5e5, 1e8);
        assert_eq!((dyno.limit, dyno.changes), (None, 2));
        dyno.run(60, 5e5, 1e8);
        assert_eq!(dyno.changes, 2);
    }

    #[test]
    fn who_goes_on_to_write_while_it_is_doubted_floods() {
        let mut dyno = Dyno::new();
        let doubted = (0..100).find(|_| dyno.step(1e8, 7.5e8) > 0.0 && dyno.limit.is_some());
        assert!(doubted < Some(10) && !dyno.slowing.is_flood(), "{doubted:?} x 10 ms");
        dyno.run(2, 1e8, 7.5e8);
        assert!(dyno.slowing.is_flood());
    }

    #[test]
    fn who_has_stopped_flooding_is_free_after_a_few_seconds_whatever_it_writes_within_its_rate() {
        for after in [0.0, 1e5, 1e6, 3e6] {
            let mut dyno = Dyno::new();
            dyno.run(20, 1e8, 7.5e8);
            assert!(dyno.limit.is_some());
            dyno.run(9, after, 7.5e9);
            assert_eq!(dyno.limit, None, "{after}");
        }
    }

    #[test]
    fn who_writes_somewhat_too_much_is_held_at_its_rate() {
        let mut dyno = Dyno::new();
        let rate = dyno.run(60, 1.2e7, 7.5e8);
        assert!(dyno.limit.is_some() && (4e6..=8e6).contains(&rate), "{rate} with {:?}", dyno.limit);
    }

    #[test]
    fn who_is_held_although_it_would_write_within_its_rate_by_now_is_let_go_after_a_while() {
        let mut dyno = Dyno::new();
        dyno.run(20, 1e8, 7.5e8);
        dyno.run(10, 6e6, 7.5e8);
        assert!(dyno.limit.is_some());
        let rate = dyno.run(120, 6e6, 7.5e8);
        assert_eq!((dyno.limit, rate), (None, 6e6));
    }

    #[test]
    fn who_goes_on_to_flood_is_let_go_less_often_each_time() {
        let mut dyno = Dyno::new();
        dyno.run(3_600, 1e8, 7.5e8);
        assert!(dyno.limit.is_some() && dyno.changes <= 30, "{} changes in an hour", dyno.changes);
    }

    #[test]
    fn where_the_use_of_cpu_is_not_known_a_silent_dyno_is_free() {
        let mut slowing = Slowing::new(ALLOWED, Some(CpuLimit::LEAST));
        let judged: Vec<_> =
            (0..3).map_while(|_| slowing.due().map(|due| slowing.judge(due, None))).collect();
        assert_eq!(judged, [Some(Wanted { limit: None, rate: Some(0.0) })]);
        assert_eq!(slowing.due(), None);
    }

    #[test]
    fn one_look_at_a_dyno_of_which_nothing_was_read_yet_does_not_set_it_free() {
        let mut slowing = Slowing::new(ALLOWED, Some(CpuLimit::LEAST));
        let used = CpuUse { seconds: 0.5, throttled: None };
        let judged: Vec<_> =
            (0..3).map_while(|_| slowing.due().map(|due| slowing.judge(due, Some(used)))).collect();
        assert_eq!(judged, [None, Some(Wanted { limit: None, rate: Some(0.0) })]);
    }

    #[test]
    fn who_is_held_back_is_not_free_however_little_it_uses() {
        let mut slowing = Slowing::new(ALLOWED, Some(CpuLimit::LEAST));
        for throttled in 0..30 {
            let used = CpuUse { seconds: 0.5, throttled: Some(throttled) };
            assert_eq!(slowing.judge(slowing.due().unwrap(), Some(used)), None, "{throttled}");
        }
    }

    /// One that floods and cannot be held tighter.
    fn sampled() -> Slowing {
        let mut slowing = Slowing::new(ALLOWED, None);
        let from = slowing.slow(Instant::now(), 1e8, false).limit.and(slowing.due()).unwrap() - 4 * WINDOW;
        slowing.take(from, 0, 1_000_000);
        assert_eq!(slowing.sampled_until(), None, "it may yet be held too tight");
        slowing.take(from, 0, 1_000_000);
        assert_eq!(slowing.sampled_until(), slowing.due());
        slowing
    }

    #[test]
    fn a_sampled_flood_keeps_its_limit_until_it_rests() {
        let mut slowing = sampled();
        for second in 0..5 {
            let used = CpuUse { seconds: f64::from(second), throttled: None };
            assert_eq!(slowing.judge(slowing.due().unwrap(), Some(used)), None);
        }
        let used = CpuUse { seconds: 4.0, throttled: None };
        let wanted = slowing.judge(slowing.due().unwrap(), Some(used)).unwrap();
        assert_eq!((wanted.limit, slowing.sampled_until()), (None, None));
    }

    #[test]
    fn who_works_without_writing_after_a_flood_gets_more_cpu_within_seconds() {
        let mut slowing = sampled();
        slowing.calm(slowing.due().unwrap());
        assert_eq!(slowing.sampled_until(), None);
        let began = slowing.due().unwrap();
        for second in 0..9 {
            let Some(due) = slowing.due() else { break };
            let used = CpuUse { seconds: f64::from(second), throttled: None };
            slowing.judge(due, Some(used));
        }
        assert!(slowing.due().is_none(), "it is free {:?} after {began:?}", slowing.due());
    }

    #[test]
    fn who_floods_again_and_again_is_set_free_later_each_time() {
        let mut dyno = Dyno::new();
        let mut slowed = Vec::new();
        for _ in 0..4 {
            dyno.run(3, 1e8, 7.5e8);
            assert!(dyno.limit.is_some());
            let free = |_: &usize| dyno.step(0.0, 7.5e8) >= 0.0 && dyno.limit.is_some();
            slowed.push((0..10_000).take_while(free).count());
        }
        assert!(slowed.is_sorted() && slowed.last() > Some(&700), "{slowed:?}");
    }

    #[test]
    fn output_that_comes_faster_than_it_may_be_read_ends_the_window() {
        let mut slowing = Slowing::new(ALLOWED, Some(CpuLimit::of_cores(0.1)));
        let from = slowing.due().unwrap() - WINDOW;
        slowing.take(from - WINDOW, 0, 80_000_000);
        assert_eq!(slowing.overrun(from), None, "the limit has not settled");
        slowing.take(from, 0, 8_000_000);
        let wanted = slowing.overrun(from + Duration::from_millis(100)).unwrap();
        assert_eq!(wanted.limit, Some(CpuLimit::of_cores(0.0125)));
        slowing.resume(from + Duration::from_secs(9));
        assert_eq!(slowing.due(), Some(from + Duration::from_secs(10)));
        assert_eq!(slowing.overrun(from + Duration::from_secs(10)), None, "nothing was written since");
    }

    proptest! {
        #[test]
        fn who_writes_within_its_rate_is_never_slowed(rates in prop::collection::vec(0.0..8e6, 1..20)) {
            let mut dyno = Dyno::new();
            for rate in rates {
                dyno.run(1, rate, 1e7);
            }
            prop_assert_eq!(dyno.changes, 0);
        }

        /// Whatever a core can write, from 10 MB to 3 GB a second.
        #[test]
        fn a_steady_flood_settles_within_its_rate_and_its_limit_stays(wanted in 1e7..4e8, by_core in 7.0..9.5) {
            let by_core = 10_f64.powf(by_core);
            let mut dyno = Dyno::new();
            dyno.run(25, wanted, by_core);
            let (before, rate) = (dyno.changes, dyno.run(30, wanted, by_core));
            let least = CpuLimit::LEAST.cores() * by_core;
            // Near the border it depends on the first bytes which of the two it is.
            let held = if wanted < 1.7e7 { 8e6 } else { least.max(8e5) };
            let enough = if wanted < 1.5e7 { 4e6 } else { 4e5 };
            prop_assert!(dyno.limit.is_some() && rate <= held * 1.01 && rate >= enough, "{rate} with {:?}", dyno.limit);
            prop_assert_eq!(dyno.changes, before);
        }
    }
}
