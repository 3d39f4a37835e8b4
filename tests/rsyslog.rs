//! Log drains against a real rsyslog: 100,000 lines over TCP and TLS while it is restarted in the middle, and UDP.
//!
//! Needs the Debian packages `rsyslog` and `rsyslog-gnutls`, which `tests/run.sh` installs.
#![expect(clippy::disallowed_types, reason = "the server is a program")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;

use crate::drains::{Draining, assert_complete_or_counted, counted, number_of, numbered};
use crate::support::line_sink::Authority;
use crate::support::ports::free_ports;
use crate::support::wait::wait_until;

const TOTAL: usize = 100_000;
/// Bytes that a line takes in the file of the server, about.
const LINE: usize = 100;
const WAIT: Duration = Duration::from_mins(2);

/// A server in a folder of its own; killed when it is dropped.
struct Rsyslog {
    folder: tempfile::TempDir,
    port: u16,
    running: Option<Child>,
}

impl Rsyslog {
    /// Takes messages with this input, in which `PORT` and `FOLDER` are replaced.
    async fn start(input: &str, authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [port] = free_ports();
        let at = |name: &str| folder.path().join(name);
        for (name, text) in [
            ("ca.pem", &authority.ca),
            ("certificate.pem", &authority.certificate),
            ("key.pem", &authority.key),
        ] {
            std::fs::write(at(name), text).unwrap();
        }
        let configuration = format!(
            "global(workDirectory=\"FOLDER\" defaultNetstreamDriverCAFile=\"FOLDER/ca.pem\" \
             defaultNetstreamDriverCertFile=\"FOLDER/certificate.pem\" defaultNetstreamDriverKeyFile=\"FOLDER/key.pem\")\n\
             main_queue(queue.type=\"Direct\")\n{input}\n\
             template(name=\"line\" type=\"string\" string=\"%hostname% %app-name% - - - %msg%\\n\")\n\
             action(type=\"omfile\" file=\"FOLDER/received\" template=\"line\")\n"
        );
        let configuration = configuration
            .replace("FOLDER", folder.path().to_str().unwrap())
            .replace("PORT", &port.to_string());
        std::fs::write(at("rsyslog.conf"), configuration).unwrap();
        let mut server = Self { folder, port, running: None };
        server.run().await;
        server
    }

    async fn run(&mut self) {
        let program =
            ["/usr/sbin/rsyslogd", "/usr/bin/rsyslogd"].iter().find(|path| Path::new(path).exists());
        assert!(program.is_some(), "rsyslogd is missing: install the packages rsyslog and rsyslog-gnutls");
        // A copy, because AppArmor keeps the program at its own path away from this folder.
        let copy = self.at("rsyslogd");
        if !copy.exists() {
            std::fs::copy(program.unwrap(), &copy).unwrap();
        }
        let said = std::fs::File::create(self.at("said")).unwrap();
        let child = Command::new(copy)
            .arg("-n")
            .arg("-f")
            .arg(self.at("rsyslog.conf"))
            .arg("-i")
            .arg(self.at("pid"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn()
            .unwrap();
        self.running = Some(child);
        wait_until("rsyslogd has written its pid", WAIT, async || self.at("pid").exists().then_some(()))
            .await;
    }

    /// Ends it with SIGTERM, as an init system does, and starts it again.
    async fn restart(&mut self) {
        let mut child = self.running.take().unwrap();
        let ended = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
        assert!(ended.success());
        wait_until("rsyslogd ends", WAIT, async || child.try_wait().unwrap()).await;
        drop(std::fs::remove_file(self.at("pid")));
        self.run().await;
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it was sent, as texts of messages.
    fn texts(&self) -> Vec<String> {
        let received = std::fs::read(self.at("received")).unwrap_or_default();
        let text = |line: &str| line.split_once(" - - - ").map(|(_, text)| text.trim_start().to_owned());
        String::from_utf8_lossy(&received).lines().filter_map(text).collect()
    }

    /// Waits until it has written about so many lines.
    async fn wait_for_half(&self) {
        wait_until("half of the lines", WAIT, async || {
            let written = std::fs::metadata(self.at("received")).map_or(0, |file| file.len());
            (written > (TOTAL * LINE / 2) as u64).then_some(())
        })
        .await;
    }

    async fn wait_for_number(&self, number: usize) -> Vec<String> {
        wait_until(&format!("line {number}"), WAIT, async || {
            let texts = self.texts();
            let found = texts.iter().rev().any(|text| number_of(text).is_some_and(|found| found >= number));
            found.then_some(texts)
        })
        .await
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        if let Some(child) = &mut self.running {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// Feeds the lines through a drain and restarts the server when it has got about half of them.
async fn survives_a_restart(server: &mut Rsyslog, url: &str) {
    let draining = Draining::start().await;
    let drain = draining.connected(url).await;
    let lines = numbered(0..TOTAL);
    let feed = async {
        for block in lines.chunks(1_000) {
            draining.write(block).await;
        }
    };
    let restart = async {
        server.wait_for_half().await;
        let before = draining.figures.totals().sent;
        server.restart().await;
        before
    };
    let ((), before) = tokio::join!(feed, restart);
    assert!(before < TOTAL as u64, "it was restarted after everything was sent");
    let texts = server.wait_for_number(TOTAL - 1).await;
    assert_complete_or_counted(&texts, TOTAL);
    let counted = counted(&texts);
    // No more than may have been on its way at once.
    assert!(counted < 5_000, "{counted} lines are given up for one restart");
    draining.wait_for_dropped(&drain, counted).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_reaches_rsyslog_over_tcp_across_a_restart_or_is_counted() {
    let input = "module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"PORT\")";
    let mut server = Rsyslog::start(input, &Authority::new()).await;
    let url = format!("syslog://127.0.0.1:{}", server.port);
    survives_a_restart(&mut server, &url).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_line_reaches_rsyslog_over_tls_across_a_restart_or_is_counted() {
    let input = "module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\")\n\
                 input(type=\"imtcp\" address=\"127.0.0.1\" port=\"PORT\")";
    let authority = Authority::new();
    let mut server = Rsyslog::start(input, &authority).await;
    let ca = base64::engine::general_purpose::STANDARD.encode(&authority.ca);
    let url = format!("syslog+tls://localhost:{}?ca={ca}", server.port);
    survives_a_restart(&mut server, &url).await;
}

#[tokio::test]
async fn rsyslog_reads_datagrams_as_they_are_meant() {
    let input = "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"PORT\")";
    let server = Rsyslog::start(input, &Authority::new()).await;
    let draining = Draining::start().await;
    draining.connected(&format!("syslog+udp://127.0.0.1:{}", server.port)).await;
    draining.write(&numbered(0..TOTAL)).await;
    wait_until("all is sent", WAIT, async || (draining.figures.totals().sent == TOTAL as u64).then_some(()))
        .await;
    // The kernel drops what rsyslog is too slow for: that is what datagrams are.
    let numbers: Vec<usize> = wait_until("some arrived", WAIT, async || {
        let numbers: Vec<usize> = server.texts().iter().filter_map(|text| number_of(text)).collect();
        (numbers.len() > 100).then_some(numbers)
    })
    .await;
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let received = std::fs::read_to_string(server.at("received")).unwrap();
    assert!(received.starts_with("app-default web.1562910588-cg82f - - - "), "{:?}", received.lines().next());
}
