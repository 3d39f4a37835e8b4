//! Log drains at work: what arrives at servers of each kind, and what happens when one is slow or gone.

mod sites;

use std::time::Duration;

use akkerisd::drains::{DrainFigures, DrainsParts};
use akkerisd::logs::Rings;
use akkerisd::model::ids::AppId;
use akkerisd::model::log::{LogLine, LogSource, OutputStream};
use akkerisd::model::names::{DynoName, ProcessType};
use akkerisd::model::time::Timestamp;
use akkerisd::outbound::Outbound;
use akkerisd::tasks::Tasks;
use base64::Engine as _;
use serde_json::{Value, json};
use tokio::io::AsyncBufReadExt;
use tokio::net::{TcpListener, UdpSocket};

use crate::support::line_sink::{Authority, LineSink};
use crate::support::ports::free_ports;
use crate::support::sink::Sink;
use crate::support::wait::wait_until;
use crate::support::{Client, TestDaemon};

const DRAINS: &str = "/apps/app-default/log-drains";
const WAIT: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(10);

/// An app with a log, and drains that work.
pub(crate) struct Draining {
    pub(crate) daemon: TestDaemon,
    pub(crate) client: Client,
    pub(crate) app: AppId,
    pub(crate) rings: Rings,
    pub(crate) figures: DrainFigures,
    /// The limit of a ring, in bytes.
    ring: u64,
    tasks: Tasks,
}

impl Draining {
    pub(crate) async fn start() -> Self {
        Self::with(64 << 20, true).await
    }

    /// With a log of so many bytes; private addresses may be refused.
    async fn with(ring: u64, allow_private: bool) -> Self {
        let daemon = TestDaemon::start().await;
        let client = daemon.admin();
        let new = json!({ "name": "app", "space": "default", "org": "akkeris" });
        let app = client.post("/apps", new).await.json(201);
        let app = app.get("id").and_then(Value::as_str).unwrap().parse().unwrap();
        let rings = Rings::new(daemon.dir.path().join("drained-logs"), ring);
        let (figures, tasks) = (DrainFigures::default(), Tasks::new());
        let draining = Self { daemon, client, app, rings, figures, ring, tasks };
        draining.parts(allow_private).start(&draining.tasks).await.unwrap();
        draining
    }

    fn parts(&self, allow_private: bool) -> DrainsParts {
        DrainsParts {
            store: self.daemon.state.store.clone(),
            sealer: self.daemon.state.sealer.clone(),
            rings: self.rings.clone(),
            outbound: Outbound::new(allow_private).unwrap(),
            clock: self.daemon.state.clock.clone(),
            figures: self.figures.clone(),
            cas: self.daemon.dir.path().join("drain-cas"),
        }
    }

    /// Ends all drains as a daemon does, and begins anew with rings that have opened nothing yet.
    async fn restart(&mut self, meanwhile: impl AsyncFnOnce(&Self)) {
        assert!(self.tasks.stop(STOP).await, "drains did not stop in time");
        meanwhile(self).await;
        self.rings = Rings::new(self.daemon.dir.path().join("drained-logs"), self.ring);
        self.tasks = Tasks::new();
        self.parts(true).start(&self.tasks).await.unwrap();
    }

    /// The path of a new drain.
    pub(crate) async fn drain(&self, url: &str) -> String {
        let made = self.client.post(DRAINS, json!({ "url": url })).await.json(201);
        format!("{DRAINS}/{}", made.get("id").and_then(Value::as_str).unwrap())
    }

    /// The same, when it is connected.
    pub(crate) async fn connected(&self, url: &str) -> String {
        let drain = self.drain(url).await;
        self.wait_for_state(&drain, "connected").await;
        drain
    }

    /// Waits for a state, and returns its description.
    pub(crate) async fn wait_for_state(&self, drain: &str, state: &str) -> String {
        let what = format!("{drain} is {state}");
        wait_until(&what, WAIT, async || {
            let view = self.client.get(drain).await.json(200);
            let description = view.get("state_description").and_then(Value::as_str).unwrap().to_owned();
            (view.get("state").and_then(Value::as_str) == Some(state)).then_some(description)
        })
        .await
    }

    pub(crate) async fn write(&self, texts: &[String]) {
        let source = LogSource::Dyno {
            process_type: ProcessType::web(),
            dyno: DynoName::from_stored("1562910588-cg82f".to_owned()),
            stream: OutputStream::Stdout,
        };
        let at = Timestamp::from_millis(1_767_225_600_123);
        for block in texts.chunks(1_000) {
            let lines = block.iter().map(|text| LogLine::new(at, source.clone(), text.as_str())).collect();
            self.rings.append(self.app, lines, None).await.unwrap();
        }
    }

    /// Waits until the API says that so many lines were dropped, which it does some seconds later.
    pub(crate) async fn wait_for_dropped(&self, drain: &str, lines: u64) {
        wait_until(&format!("{lines} lines are dropped"), WAIT, async || {
            (self.dropped(drain).await == lines).then_some(())
        })
        .await;
    }

    async fn dropped(&self, drain: &str) -> u64 {
        self.client.get(drain).await.json(200).get("dropped").and_then(Value::as_u64).unwrap()
    }
}

pub(crate) fn numbered(range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|number| format!("line {number:06} {} end", "x".repeat(40))).collect()
}

/// The number of a whole numbered line.
pub(crate) fn number_of(text: &str) -> Option<usize> {
    text.strip_suffix(" end")?.strip_prefix("line ")?.split(' ').next()?.parse().ok()
}

/// The sum of what the markers among these texts count.
pub(crate) fn counted(texts: &[String]) -> u64 {
    let count = |text: &String| {
        let rest = text.strip_prefix("Error L10 (output buffer overflow): drain dropped ")?;
        rest.split_once(" messages since ")?.0.parse::<u64>().ok()
    };
    texts.iter().filter_map(count).sum()
}

/// Each whole line at most once and in order; as many as are missing are counted by markers.
#[track_caller]
pub(crate) fn assert_complete_or_counted(texts: &[String], total: usize) -> usize {
    let numbers: Vec<usize> = texts.iter().filter_map(|text| number_of(text)).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b), "lines came twice or out of order");
    let missing = total - numbers.len();
    let counted = counted(texts);
    assert!(missing as u64 <= counted, "{missing} lines are missing, and {counted} are counted");
    missing
}

#[tokio::test]
async fn tcp_takes_each_line_as_a_message_in_order() {
    let draining = Draining::start().await;
    let sink = LineSink::tcp().await;
    draining.connected(&format!("syslog://{}", sink.address)).await;
    draining.write(&["hi".to_owned(), "there".to_owned()]).await;
    let at = Timestamp::from_millis(1_767_225_600_123);
    let line = LogLine::new(at, LogSource::Router, "path=/");
    draining.rings.append(draining.app, vec![line], None).await.unwrap();
    sink.wait_for(3).await;
    assert_eq!(
        sink.lines(),
        [
            "<14>1 2026-01-01T00:00:00.123000Z app-default web.1562910588-cg82f - - - hi",
            "<14>1 2026-01-01T00:00:00.123000Z app-default web.1562910588-cg82f - - - there",
            "<14>1 2026-01-01T00:00:00.123000Z app-default akkeris/router - - - path=/",
        ]
    );
}

#[tokio::test]
async fn much_is_sent_over_several_connections_whole_and_in_order() {
    let draining = Draining::start().await;
    let authority = Authority::new();
    let (tcp, tls) = (LineSink::tcp().await, LineSink::tls(authority.server()).await);
    let ca = base64::engine::general_purpose::STANDARD.encode(&authority.ca);
    draining.connected(&format!("syslog://{}", tcp.address)).await;
    draining.connected(&format!("syslog+tls://{}?ca={ca}", tls.address)).await;
    let lines = numbered(0..20_000);
    draining.write(&lines).await;
    for sink in [&tcp, &tls] {
        assert!(sink.wait_for(lines.len()).await == lines, "lines are missing, doubled or out of order");
        assert!(sink.connections() > 1, "the server was never asked what it has read");
    }
    assert_eq!(draining.figures.totals().dropped, 0);
}

#[tokio::test]
async fn a_server_that_does_not_answer_the_end_of_a_connection_is_asked_once() {
    let draining = Draining::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let drain = draining.connected(&format!("syslog://{}", listener.local_addr().unwrap())).await;
    let lines = numbered(0..10_000);
    draining.write(&lines).await;
    let (mut kept, mut texts) = (Vec::new(), Vec::new());
    while texts.len() < lines.len() {
        let (stream, _) = tokio::time::timeout(WAIT, listener.accept()).await.unwrap().unwrap();
        let mut reader = tokio::io::BufReader::new(stream).lines();
        while texts.len() < lines.len()
            && let Some(line) = tokio::time::timeout(WAIT, reader.next_line()).await.unwrap().unwrap()
        {
            texts.push(line.split_once(" - - - ").unwrap().1.to_owned());
        }
        // Never closed from here.
        kept.push(reader);
    }
    assert!(texts == lines, "lines are missing, doubled or out of order");
    assert_eq!(kept.len(), 2);
    assert_eq!((draining.dropped(&drain).await, draining.figures.totals().dropped), (0, 0));
}

#[tokio::test]
async fn tls_trusts_the_given_authority_alone_or_anybody_when_told_so() {
    let draining = Draining::start().await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let sink = LineSink::tls(authority.server()).await;
    let ca = |authority: &Authority| base64::engine::general_purpose::STANDARD.encode(&authority.ca);
    let port = sink.address.port();
    for (query, trusted) in [
        (format!("?ca={}", ca(&authority)), true),
        (format!("?ca={}", ca(&stranger)), false),
        (String::new(), false),
        ("?insecure=true".to_owned(), true),
    ] {
        let drain = draining.drain(&format!("syslog+tls://localhost:{port}{query}")).await;
        if trusted {
            draining.wait_for_state(&drain, "connected").await;
        } else {
            let why = draining.wait_for_state(&drain, "failing").await;
            assert!(why.starts_with("the TLS handshake failed: invalid peer certificate"), "{why}");
        }
        draining.client.delete(&drain).await.json(200);
    }
}

#[tokio::test]
async fn an_authority_may_lie_in_the_operators_folder() {
    let draining = Draining::start().await;
    let authority = Authority::new();
    let sink = LineSink::tls(authority.server()).await;
    let drain = draining.drain(&format!("syslog+tls://{}?ca=logs.pem", sink.address)).await;
    let why = draining.wait_for_state(&drain, "failing").await;
    assert!(why.starts_with("the authorities in drain-cas/logs.pem cannot be used"), "{why}");
    let folder = draining.daemon.dir.path().join("drain-cas");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("logs.pem"), &authority.ca).unwrap();
    draining.wait_for_state(&drain, "connected").await;
}

#[tokio::test]
async fn udp_takes_each_line_as_a_datagram_of_at_most_1024_bytes() {
    let draining = Draining::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    draining.connected(&format!("syslog+udp://{}", socket.local_addr().unwrap())).await;
    draining.write(&["hi".to_owned(), "y".repeat(3_000)]).await;
    let mut datagram = [0; 4096];
    let mut received = Vec::new();
    for _ in 0..2 {
        let length = tokio::time::timeout(WAIT, socket.recv(&mut datagram)).await.unwrap().unwrap();
        received.push(String::from_utf8(datagram.get(..length).unwrap().to_vec()).unwrap());
    }
    let head = "<14>1 2026-01-01T00:00:00.123000Z app-default web.1562910588-cg82f - - - ";
    assert_eq!(received.first().unwrap(), &format!("{head}hi"));
    assert_eq!(received.last().unwrap(), &format!("{head}{}", "y".repeat(1024 - head.len())));
}

/// The texts of the messages of a batch, each with its count checked.
fn texts_of(batch: &[u8]) -> Vec<String> {
    let (mut rest, mut texts) = (std::str::from_utf8(batch).unwrap(), Vec::new());
    while let Some((count, after)) = rest.split_once(' ') {
        let (message, after) = after.split_at(count.parse().unwrap());
        texts.push(message.trim_end().split_once(" - - - ").unwrap().1.to_owned());
        rest = after;
    }
    texts
}

#[tokio::test]
async fn https_takes_batches_and_gets_a_refused_one_again_under_the_same_id() {
    let draining = Draining::start().await;
    let authority = Authority::new();
    let sink = Sink::start_tls(authority.server()).await;
    sink.answer(&[500]);
    let ca = base64::engine::general_purpose::STANDARD.encode(&authority.ca);
    let drain = draining.connected(&format!("{}?key=1&ca={ca}", sink.url)).await;
    let lines = numbered(0..100);
    draining.write(&lines).await;
    sink.wait_for(1).await;
    draining.write(&numbered(100..110)).await;
    let received = sink.wait_for(3).await;
    assert_eq!(texts_of(&received.last().unwrap().body), numbered(100..110));
    let token = draining.client.get(&drain).await.json(200);
    for request in received.iter().take(2) {
        assert_eq!(request.header("content-type"), "application/logplex-1");
        assert_eq!(request.header("user-agent"), "Logplex/v72");
        assert_eq!(request.header("logplex-msg-count"), texts_of(&request.body).len().to_string());
        assert_eq!(request.header("logplex-drain-token"), token["token"].as_str().unwrap());
        assert_eq!(request.header("logplex-frame-id"), received.first().unwrap().header("logplex-frame-id"));
        assert_eq!(texts_of(&request.body), lines);
    }
    assert_eq!((draining.dropped(&drain).await, draining.figures.totals().dropped), (0, 0));
}

#[tokio::test]
async fn http_takes_long_lines_in_requests_that_servers_take() {
    let draining = Draining::start().await;
    let sink = Sink::start().await;
    draining.connected(&sink.url).await;
    let lines: Vec<String> = (0..40).map(|number| format!("{number} {}", "z".repeat(60_000))).collect();
    draining.write(&lines).await;
    let received = sink.wait_for(10).await;
    assert!(received.iter().all(|request| request.body.len() < 300_000));
    assert!(received.iter().flat_map(|request| texts_of(&request.body)).eq(lines));
}

#[tokio::test]
async fn a_batch_that_is_on_its_way_when_the_daemon_stops_comes_once() {
    let mut draining = Draining::start().await;
    let sink = Sink::start().await;
    let drain = draining.connected(&sink.url).await;
    sink.hold(true);
    draining.write(&numbered(0..10)).await;
    sink.wait_for(1).await;
    tokio::join!(draining.restart(async |_| {}), async { sink.hold(false) });
    draining.write(&numbered(10..20)).await;
    let received: Vec<_> = sink.wait_for(2).await.iter().map(|request| texts_of(&request.body)).collect();
    assert_eq!(received, [numbered(0..10), numbered(10..20)]);
    assert_eq!(draining.dropped(&drain).await, 0);
}

#[tokio::test]
async fn a_dead_server_and_one_that_never_reads_delay_no_other() {
    let draining = Draining::start().await;
    let [closed] = free_ports();
    let dead = draining.drain(&format!("syslog://127.0.0.1:{closed}")).await;
    let nowhere = draining.drain("syslog://no-such-host.invalid").await;
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    draining.connected(&format!("syslog://{}", deaf.local_addr().unwrap())).await;
    let sink = LineSink::tcp().await;
    draining.connected(&format!("syslog://{}", sink.address)).await;
    // More than the kernel takes for the one that does not read.
    let lines: Vec<String> = (0..200).map(|number| format!("{number} {}", "z".repeat(60_000))).collect();
    draining.write(&lines).await;
    assert!(sink.wait_for(lines.len()).await == lines);
    let why = draining.wait_for_state(&dead, "failing").await;
    assert!(why.contains("Connection refused"), "{why}");
    let why = draining.wait_for_state(&nowhere, "failing").await;
    assert!(why.contains("no-such-host.invalid cannot be resolved"), "{why}");
}

#[tokio::test]
async fn an_address_that_the_operator_refuses_is_not_connected_to() {
    let draining = Draining::with(1 << 20, false).await;
    let sink = LineSink::tcp().await;
    for host in ["localhost", "127.0.0.1"] {
        let drain = draining.drain(&format!("syslog://{host}:{}", sink.address.port())).await;
        let why = draining.wait_for_state(&drain, "failing").await;
        assert!(why.contains("is refused: it belongs to this machine"), "{why}");
    }
    assert_eq!(sink.connections(), 0);
}

#[tokio::test]
async fn a_drain_goes_on_after_a_restart_of_the_daemon_where_it_was() {
    let mut draining = Draining::start().await;
    let sink = LineSink::tcp().await;
    let drain = draining.connected(&format!("syslog://{}", sink.address)).await;
    draining.write(&numbered(0..100)).await;
    sink.wait_for(100).await;
    draining.restart(async |stopped| stopped.write(&numbered(100..200)).await).await;
    draining.write(&numbered(200..300)).await;
    assert_eq!(sink.wait_for(300).await, numbered(0..300));
    assert_eq!((draining.dropped(&drain).await, draining.figures.totals().dropped), (0, 0));
}

#[tokio::test]
async fn a_server_that_closes_with_nothing_on_its_way_loses_nothing() {
    let authority = Authority::new();
    for (scheme, query, tls) in
        [("syslog", "", None), ("syslog+tls", "?insecure=true", Some(authority.server()))]
    {
        let draining = Draining::start().await;
        let sink = LineSink::at("127.0.0.1:0".parse().unwrap(), tls.clone(), 0).await;
        let drain = draining.connected(&format!("{scheme}://{}{query}", sink.address)).await;
        draining.write(&numbered(0..100)).await;
        assert_eq!(sink.wait_for(100).await, numbered(0..100));
        let address = sink.address;
        sink.stop().await;
        draining.wait_for_state(&drain, "failing").await;
        draining.write(&numbered(100..200)).await;
        let sink = LineSink::at(address, tls, 0).await;
        assert_eq!(sink.wait_for(100).await, numbered(100..200), "{scheme}");
        assert_eq!((draining.dropped(&drain).await, draining.figures.totals().dropped), (0, 0), "{scheme}");
    }
}

#[tokio::test]
async fn what_a_killed_server_had_not_read_is_counted_in_the_stream() {
    let draining = Draining::start().await;
    let sink = LineSink::at("127.0.0.1:0".parse().unwrap(), None, 500).await;
    let address = sink.address;
    let drain = draining.connected(&format!("syslog://{address}")).await;
    let total = 5_000;
    draining.write(&numbered(0..total)).await;
    let mut texts = sink.wait_for(500).await;
    sink.stop().await;
    let sink = LineSink::at(address, None, 0).await;
    wait_until("the last line", WAIT, async || {
        sink.texts().iter().any(|text| number_of(text) == Some(total - 1)).then_some(())
    })
    .await;
    let rest = sink.texts();
    // What is told comes before what follows it.
    assert!(counted(rest.get(..1).unwrap()) > 0, "{:?}", rest.first());
    texts.extend(rest);
    assert!(assert_complete_or_counted(&texts, total) > 0, "nothing was unread");
    draining.wait_for_dropped(&drain, counted(&texts)).await;
}

#[tokio::test]
async fn what_the_log_overwrites_before_it_was_sent_is_counted_in_the_stream() {
    let draining = Draining::with(256 * 1024, true).await;
    let sink = LineSink::tcp().await;
    let address = sink.address;
    let drain = draining.connected(&format!("syslog://{address}")).await;
    sink.stop().await;
    draining.wait_for_state(&drain, "failing").await;
    let total = 20_000;
    draining.write(&numbered(0..total)).await;
    let sink = LineSink::at(address, None, 0).await;
    wait_until("the last line", WAIT, async || {
        sink.texts().iter().any(|text| number_of(text) == Some(total - 1)).then_some(())
    })
    .await;
    let missing = assert_complete_or_counted(&sink.texts(), total);
    assert_eq!(missing as u64, counted(&sink.texts()), "what the log lost is known exactly");
    assert!(missing > 0, "the log is too large for this test");
    draining.wait_for_dropped(&drain, missing as u64).await;
}

#[tokio::test]
async fn a_removed_drain_gets_nothing_more() {
    let draining = Draining::start().await;
    let (sink, other) = (LineSink::tcp().await, LineSink::tcp().await);
    let drain = draining.connected(&format!("syslog://{}", sink.address)).await;
    draining.connected(&format!("syslog://{}", other.address)).await;
    draining.write(&numbered(0..1)).await;
    sink.wait_for(1).await;
    draining.client.delete(&drain).await.json(200);
    wait_until("the connection is closed", WAIT, async || (sink.open() == 0).then_some(())).await;
    draining.write(&numbered(1..10)).await;
    assert_eq!(other.wait_for(10).await, numbered(0..10));
    assert_eq!(sink.texts(), numbered(0..1));
    assert_eq!(draining.figures.totals().running, 1);
}
