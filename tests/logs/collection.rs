//! The output of dynos reaches the ring of their app, each line once, whatever restarts.

use std::sync::Arc;
use std::time::Duration;

use akkerisd::clock::Clock;
use akkerisd::engine::{ContainerEngine, ContainerId, ContainerSpec, NetworkName};
use akkerisd::logs::{Collector, CollectorParts, Rings};
use akkerisd::model::build::ImageId;
use akkerisd::model::ids::{AppId, ReleaseId, SpaceId};
use akkerisd::model::log::{LogLine, LogSource, OutputStream, SourceKind};
use akkerisd::model::names::{AppKey, DynoName, ProcessType};
use akkerisd::tasks::Tasks;
use uuid::Uuid;

use crate::support::fake_engine::{Call, FakeEngine};
use crate::support::wait::wait_until;

const APP: AppId = AppId::new(Uuid::from_u128(7));
pub(super) const WAIT: Duration = Duration::from_secs(10);

pub(super) struct Host {
    pub(super) engine: FakeEngine,
    dir: tempfile::TempDir,
}

/// The part of a daemon that collects; a new one is a restart.
pub(super) struct Daemon {
    rings: Rings,
    tasks: Tasks,
}

impl Host {
    pub(super) fn new() -> Self {
        Self { engine: FakeEngine::new(), dir: tempfile::tempdir().unwrap() }
    }

    pub(super) async fn dyno(&self) -> ContainerId {
        let spec = ContainerSpec {
            app: APP,
            key: AppKey::from_stored("api-default".to_owned()),
            aliases: Vec::new(),
            space: SpaceId::new(Uuid::nil()),
            process_type: ProcessType::web(),
            dyno: DynoName::from_stored("0000000001-abcde".to_owned()),
            release: ReleaseId::new(Uuid::nil()),
            image: ImageId::new("image"),
            command: None,
            env: std::collections::BTreeMap::new(),
            memory_limit: 1,
            fingerprint: String::new(),
            network: NetworkName::new("network"),
            terminal: akkerisd::model::oneoff::Terminal::Detached,
        };
        let id = self.engine.create(&spec).await.unwrap();
        self.engine.start(&id).await.unwrap();
        id
    }

    fn daemon(&self) -> Daemon {
        self.daemon_with_rate(1 << 20)
    }

    fn daemon_with_rate(&self, dyno_rate: u64) -> Daemon {
        self.daemon_with(dyno_rate, true)
    }

    pub(super) fn daemon_with(&self, dyno_rate: u64, slow_floods: bool) -> Daemon {
        let (rings, tasks) = (Rings::new(self.dir.path(), 1 << 20), Tasks::new());
        let engine = Arc::new(self.engine.clone());
        let clock = Clock::system();
        let parts = CollectorParts { engine, rings: rings.clone(), clock, dyno_rate, slow_floods };
        Collector::new(parts, tasks.clone()).start();
        Daemon { rings, tasks }
    }
}

impl Daemon {
    pub(super) async fn lines(&self) -> Vec<LogLine> {
        let mut reader = self.rings.reader(APP, 0).await.unwrap();
        let mut lines = Vec::new();
        loop {
            let chunk = reader.available().await.unwrap();
            if chunk.lines.is_empty() {
                return lines;
            }
            lines.extend(chunk.lines);
        }
    }

    async fn texts(&self) -> Vec<String> {
        self.lines().await.iter().map(|line| line.text().to_owned()).collect()
    }

    async fn has(&self, expected: &[&str]) {
        let texts = async || {
            let texts = self.texts().await;
            (texts.len() >= expected.len()).then_some(texts)
        };
        assert_eq!(wait_until("the lines are there", WAIT, texts).await, expected);
    }

    pub(super) async fn stop(self) {
        assert!(self.tasks.stop(WAIT).await);
    }
}

#[tokio::test]
async fn output_is_followed_from_the_first_byte_and_its_streams_are_told_apart() {
    let host = Host::new();
    let dyno = host.dyno().await;
    host.engine.write(&dyno, OutputStream::Stdout, 1_000_000, "first\n");
    let daemon = host.daemon();
    daemon.has(&["first"]).await;
    host.engine.write(&dyno, OutputStream::Stderr, 2_000_000, "second\n");
    daemon.has(&["first", "second"]).await;
    let lines = daemon.lines().await;
    let shown = lines[1].shown(&AppKey::from_stored("api-default".to_owned())).to_string();
    assert_eq!(shown, "1970-01-01T00:00:00.002Z api-default app[web.0000000001-abcde]: second");
    let is_stderr =
        |line: &LogLine| matches!(line.source, LogSource::Dyno { stream: OutputStream::Stderr, .. });
    assert_eq!(lines.iter().map(is_stderr).collect::<Vec<_>>(), [false, true]);
    daemon.stop().await;
}

#[tokio::test]
async fn a_restart_of_the_daemon_neither_loses_nor_repeats_a_line() {
    let host = Host::new();
    let dyno = host.dyno().await;
    let mut expected = Vec::new();
    for round in 0..6_i64 {
        // Several lines have the same time, and one is half written when the daemon goes.
        for number in 0..5 {
            let line = format!("{round}.{number}");
            let half = if number == 0 && round > 0 { format!("of {line}") } else { line.clone() };
            host.engine.write(&dyno, OutputStream::Stdout, 5_000_000_000 + round / 2, &format!("{half}\n"));
            expected.push(if number == 0 && round > 0 { format!("half of {line}") } else { line });
        }
        host.engine.write(&dyno, OutputStream::Stdout, 5_000_000_000 + round / 2, "half ");
        let daemon = host.daemon();
        daemon.has(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
        daemon.stop().await;
    }
    host.engine.die(&dyno, 0, false);
    expected.push("half ".to_owned());
    let daemon = host.daemon();
    daemon.has(&expected.iter().map(String::as_str).collect::<Vec<_>>()).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_dyno_that_is_started_again_is_followed_again() {
    let host = Host::new();
    let daemon = host.daemon();
    let dyno = host.dyno().await;
    host.engine.write(&dyno, OutputStream::Stdout, 1, "one\n");
    daemon.has(&["one"]).await;
    host.engine.die(&dyno, 1, false);
    host.engine.start(&dyno).await.unwrap();
    host.engine.write(&dyno, OutputStream::Stdout, 2, "two\n");
    daemon.has(&["one", "two"]).await;
    daemon.stop().await;
}

#[tokio::test]
async fn a_stream_that_breaks_is_followed_again_where_it_was_left() {
    let host = Host::new();
    let dyno = host.dyno().await;
    host.engine.write(&dyno, OutputStream::Stdout, 1, "one\n");
    let fault = akkerisd::engine::EngineError::Unavailable("gone".to_owned());
    host.engine.fail_next(Call::Output, fault);
    let daemon = host.daemon();
    daemon.has(&["one"]).await;
    assert_eq!(host.engine.count(Call::Output), 2);
    daemon.stop().await;
}

#[tokio::test]
async fn a_burst_is_taken_whole_and_what_a_flood_is_ahead_of_is_left_out_with_a_word() {
    let host = Host::new();
    let dyno = host.dyno().await;
    // The allowance is 200 kB at once and 50 kB a second.
    let line = |number| format!("{number:>999}\n");
    for number in 0..1_000 {
        host.engine.write(&dyno, OutputStream::Stdout, number + 1, &line(number));
    }
    host.engine.die(&dyno, 0, false);
    let daemon = host.daemon_with_rate(50_000);
    let kept = async || {
        let lines = daemon.lines().await;
        lines.last().is_some_and(|line| line.text().ends_with(" 999")).then_some(lines)
    };
    let lines = wait_until("the last line is there", Duration::from_mins(1), kept).await;
    let (markers, lines): (Vec<_>, Vec<_>) =
        lines.iter().partition(|line| line.source.kind() == SourceKind::Controller);
    let numbers: Vec<usize> = lines.iter().map(|line| line.text().trim().parse().unwrap()).collect();
    let first = numbers.iter().zip(0..).take_while(|(number, place)| **number == *place).count();
    assert!((200..600).contains(&first), "the burst is there from its first line: {first}");
    assert!(numbers.ends_with(&(900..1_000).collect::<Vec<_>>()), "the last lines are: {numbers:?}");
    assert_eq!(markers.len(), 1, "{markers:?}");
    let text = markers[0].text();
    assert!(
        text.starts_with("Error L10 (output buffer overflow): lines of web.0000000001-abcde between "),
        "{text}"
    );
    daemon.stop().await;
}
