//! A dyno that floods its log gets less CPU while somebody watches it, and never after.

use std::ops::Range;

use akkerisd::clock::Clock;
use akkerisd::engine::{ContainerEngine, ContainerId, CpuLimit, EngineError};
use akkerisd::model::log::{LogLine, OutputStream, SourceKind};

use super::collection::{Daemon, Host, WAIT};
use crate::support::fake_engine::Call;
use crate::support::wait::wait_until;

/// Bytes a second; what is above it by one and a half seconds' worth is a flood.
const RATE: u64 = 50_000;
/// 150 kB within 0.15 s.
const FLOOD: Range<i64> = 0..150;
/// Enough to be doubted for, and not to be slowed.
const BURST: Range<i64> = 0..30;

/// A dyno that has just been slowed, and the daemon that did it.
async fn slowed() -> (Host, ContainerId, Daemon) {
    limited_after(FLOOD).await
}

/// A dyno that gets less CPU since it wrote so much, and the daemon that saw to it.
async fn limited_after(numbers: Range<i64>) -> (Host, ContainerId, Daemon) {
    let host = Host::new();
    let dyno = host.dyno().await;
    let daemon = host.daemon_with(RATE, true);
    host.write(&dyno, numbers);
    host.is_limited(&dyno, true).await;
    (host, dyno, daemon)
}

impl Host {
    fn flood(&self, dyno: &ContainerId) {
        self.write(dyno, FLOOD);
    }

    /// A kilobyte for each number, one a millisecond.
    fn write(&self, dyno: &ContainerId, numbers: Range<i64>) {
        let now = Clock::system().now().as_millis() * 1_000_000;
        for number in numbers {
            let line = format!("{number:>999}\n");
            self.engine.write(dyno, OutputStream::Stdout, now + number * 1_000_000, &line);
        }
    }

    /// Writes what nobody hears of who reads now.
    fn write_past_readers(&self, dyno: &ContainerId, numbers: Range<i64>) {
        self.engine.overtake_readers(dyno);
        self.write(dyno, numbers);
    }

    /// How often the output was read, from its last lines on.
    fn read_again(&self) -> usize {
        let calls = self.engine.calls();
        calls.iter().filter(|(call, of)| *call == Call::Output && of.contains("Last")).count()
    }

    async fn is_limited(&self, dyno: &ContainerId, limited: bool) {
        let looked = async || (self.engine.limit_of(dyno).is_some() == limited).then_some(());
        wait_until(if limited { "the dyno is slowed" } else { "the dyno is free" }, WAIT, looked).await;
    }
}

impl Daemon {
    /// What the platform says in the log.
    async fn said(&self) -> Vec<String> {
        let lines = self.lines().await.into_iter();
        let said = lines.filter(|line| line.source.kind() == SourceKind::Controller);
        said.map(|line| line.text().to_owned()).collect()
    }

    async fn has_said(&self, count: usize) -> Vec<String> {
        let said = async || {
            let said = self.said().await;
            (said.len() >= count).then_some(said)
        };
        wait_until("the log says so", WAIT, said).await
    }

    async fn has_taken_the_line(&self, number: i64) {
        let number = number.to_string();
        self.has_taken_what(|lines| lines.iter().any(|line| line.text().trim() == number)).await;
    }

    async fn has_taken(&self, count: usize) {
        self.has_taken_what(|lines| lines.len() >= count).await;
    }

    /// Waits until the lines of dynos are so.
    async fn has_taken_what(&self, is_so: impl Fn(&[LogLine]) -> bool) {
        let taken = async || is_so(&self.lines_of_dynos().await).then_some(());
        wait_until("the lines are there", WAIT, taken).await;
    }

    async fn lines_of_dynos(&self) -> Vec<LogLine> {
        let lines = self.lines().await.into_iter();
        lines.filter(|line| line.source.kind() == SourceKind::App).collect()
    }
}

#[tokio::test]
async fn a_dyno_that_floods_is_slowed_until_it_writes_less_and_the_log_says_both() {
    let (host, dyno, daemon) = slowed().await;
    assert!(host.engine.limit_of(&dyno) < Some(CpuLimit::of_cores(0.1)));
    daemon.has_taken(150).await;
    host.is_limited(&dyno, false).await;
    let said = daemon.has_said(2).await;
    assert_eq!(said.len(), 2, "{said:?}");
    let begins = "web.0000000001-abcde is slowed: it writes ";
    let ends = " MB a second, of which logs.dyno_rate allows 0.1 MB, and gets less CPU until it writes less.";
    assert!(said[0].starts_with(begins) && said[0].ends_with(ends), "{said:?}");
    assert_eq!(
        said[1],
        "web.0000000001-abcde is slowed no more: it writes 0.0 MB a second, of which logs.dyno_rate allows 0.1 MB."
    );
    daemon.stop().await;
}

#[tokio::test]
async fn of_a_flood_that_cannot_be_held_tighter_a_sample_is_kept_and_the_rest_told_of() {
    let (host, dyno, daemon) = slowed().await;
    let read_again = async || (host.read_again() == 1).then_some(());
    wait_until("the output is read again", WAIT, read_again).await;
    host.write(&dyno, 150..600);
    let said = daemon.has_said(2).await;
    let dropped = "Error L10 (output buffer overflow): lines of web.0000000001-abcde between ";
    assert!(said[1].starts_with(dropped), "{said:?}");
    let lines = daemon.lines_of_dynos().await;
    let numbers: Vec<i64> = lines.iter().map(|line| line.text().trim().parse().unwrap()).collect();
    assert!(numbers.is_sorted() && numbers.len() < 500, "{numbers:?}");
    assert!(numbers.ends_with(&(500..600).collect::<Vec<_>>()), "{numbers:?}");
    daemon.stop().await;
    assert_eq!(host.engine.limit_of(&dyno), None);
}

#[tokio::test]
async fn who_is_slowed_is_heard_again_after_the_engines_log_overtook_the_reading() {
    let (host, dyno, daemon) = slowed().await;
    let read_again = async || (host.read_again() == 1).then_some(());
    wait_until("the output is read again", WAIT, read_again).await;
    host.write(&dyno, 150..151);
    daemon.has_taken(151).await;
    host.write_past_readers(&dyno, 151..400);
    daemon.has_taken_the_line(399).await;
    let said = daemon.said().await;
    let dropped = "Error L10 (output buffer overflow): lines of web.0000000001-abcde between ";
    assert!(said.iter().any(|text| text.starts_with(dropped)), "{said:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_burst_that_the_engines_log_overtook_the_reading_of_is_read_to_its_end() {
    let (host, dyno, daemon) = limited_after(BURST).await;
    host.write_past_readers(&dyno, 30..60);
    daemon.has_taken(60).await;
    daemon.stop().await;
}

#[tokio::test]
async fn who_is_free_again_is_heard_after_the_engines_log_overtook_the_reading() {
    let (host, dyno, daemon) = limited_after(BURST).await;
    host.is_limited(&dyno, false).await;
    host.write(&dyno, 30..33);
    daemon.has_taken(33).await;
    host.write_past_readers(&dyno, 33..60);
    daemon.has_taken(60).await;
    daemon.stop().await;
}

#[tokio::test]
async fn of_who_was_never_slowed_nothing_is_missing_after_the_engines_log_overtook_the_reading() {
    let host = Host::new();
    let dyno = host.dyno().await;
    let daemon = host.daemon_with(10 * RATE, false);
    host.write(&dyno, 0..70);
    daemon.has_taken(70).await;
    host.write_past_readers(&dyno, 70..300);
    daemon.has_taken(300).await;
    assert_eq!(daemon.said().await, Vec::<String>::new());
    daemon.stop().await;
}

#[tokio::test]
async fn what_was_written_long_ago_is_no_flood_now() {
    let host = Host::new();
    let dyno = host.dyno().await;
    for number in 0..150 {
        let line = format!("{number:>999}\n");
        host.engine.write(&dyno, OutputStream::Stdout, 1_000_000_000 + number, &line);
    }
    let daemon = host.daemon_with(RATE, true);
    daemon.has_taken(150).await;
    daemon.stop().await;
    assert_eq!(host.engine.count(Call::LimitCpu), 0);
}

#[tokio::test]
async fn a_dyno_that_a_killed_daemon_left_slowed_is_free_after_the_restart() {
    let host = Host::new();
    let dyno = host.dyno().await;
    host.engine.limit_cpu(&dyno, Some(CpuLimit::LEAST)).await.unwrap();
    let daemon = host.daemon_with(RATE, true);
    host.is_limited(&dyno, false).await;
    let said = daemon.has_said(1).await;
    assert!(said[0].starts_with("web.0000000001-abcde is slowed no more: "), "{said:?}");
    daemon.stop().await;
}

#[tokio::test]
async fn a_daemon_that_stops_leaves_no_dyno_slowed() {
    let (host, dyno, daemon) = slowed().await;
    daemon.stop().await;
    assert_eq!(host.engine.limit_of(&dyno), None);
}

#[tokio::test]
async fn a_dyno_that_ends_while_it_is_slowed_is_free_when_it_is_started_again() {
    let (host, dyno, daemon) = slowed().await;
    host.engine.die(&dyno, 1, false);
    host.is_limited(&dyno, false).await;
    daemon.stop().await;
}

#[tokio::test]
async fn where_no_cpu_can_be_limited_a_flood_is_followed_all_the_same() {
    let host = Host::new();
    let dyno = host.dyno().await;
    let refusal = EngineError::Refused("there is no CPU controller".to_owned());
    host.engine.fail_next(Call::LimitCpu, refusal);
    let daemon = host.daemon_with(RATE, true);
    host.flood(&dyno);
    daemon.has_taken(150).await;
    let asked = async || (host.engine.count(Call::LimitCpu) == 1).then_some(());
    wait_until("the engine is asked", WAIT, asked).await;
    host.engine.write(&dyno, OutputStream::Stdout, i64::MAX, "after\n");
    daemon.has_taken(151).await;
    host.engine.die(&dyno, 0, false);
    daemon.stop().await;
    assert_eq!(host.engine.count(Call::LimitCpu), 1, "it is asked once");
}

#[tokio::test]
async fn an_engine_that_does_not_answer_is_asked_to_free_the_dyno_in_any_case() {
    let host = Host::new();
    let dyno = host.dyno().await;
    let fault = EngineError::TimedOut(WAIT);
    host.engine.fail_next(Call::LimitCpu, fault);
    let daemon = host.daemon_with(RATE, true);
    host.flood(&dyno);
    let asked = async || (host.engine.count(Call::LimitCpu) == 2).then_some(());
    wait_until("the engine is asked again", WAIT, asked).await;
    daemon.stop().await;
    assert_eq!(host.engine.limit_of(&dyno), None);
}

#[tokio::test]
async fn nobody_is_slowed_where_that_is_turned_off_and_who_is_becomes_free() {
    let host = Host::new();
    let dyno = host.dyno().await;
    host.engine.limit_cpu(&dyno, Some(CpuLimit::LEAST)).await.unwrap();
    let daemon = host.daemon_with(RATE, false);
    host.is_limited(&dyno, false).await;
    host.flood(&dyno);
    daemon.has_taken(150).await;
    host.engine.die(&dyno, 0, false);
    daemon.stop().await;
    assert_eq!(host.engine.count(Call::LimitCpu), 2, "by this test and to free it");
}
