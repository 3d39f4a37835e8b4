//! Wildcards from a real ACME server, proved by records in the DNS: through the operator's program, and through signed
//! updates of a real DNS server.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::named::{Named, ZONE};
use crate::support::pebble::{Directory, Manners, Pebble};
use crate::support::wait_until;

/// What an order may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

async fn start(directory: Directory, manners: Manners, more: &[(&'static str, String)]) -> (Daemon, Pebble) {
    let mut variables = directory.variables();
    variables.extend(more.iter().cloned());
    let all: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let daemon = Daemon::start_with(&all).await;
    let pebble = Pebble::start(directory, (daemon.http_port(), daemon.https_port()), manners).await;
    (daemon, pebble)
}

async fn order(client: &Client, name: &str, domains: &[&str]) {
    let body = json!({ "name": name, "common_name": domains[0], "domain_names": domains, "org": "akkeris" });
    client.send("POST", "/ssl-orders", Some(body), 201).await;
}

async fn until(client: &Client, name: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    wait_until(&format!("{name} {what}"), LIMIT, || async {
        let (_, order) = client.try_send("GET", &format!("/ssl-orders/{name}"), None).await?;
        if wanted(&order) { Ok(order) } else { Err(order.to_string()) }
    })
    .await
}

async fn issued(client: &Client, name: &str) -> Value {
    until(client, name, "is issued", |order| order["status"] == "issued").await
}

/// A program that tells the DNS of the ACME server, writes down what it was asked, and fails while there is a file
/// `fail`.
fn program(dir: &tempfile::TempDir, dns_management: u16) -> (&'static str, String) {
    let (path, folder) = (dir.path().join("hook"), dir.path().display());
    let script = format!(
        "#!/bin/sh\n[ -e {folder}/fail ] && exit 7\necho \"$1 $2 $3\" >> {folder}/calls\n\
         case $1 in present) verb=set-txt;; cleanup) verb=clear-txt;; esac\n\
         exec /usr/bin/curl -fsS -X POST -d \"{{\\\"host\\\":\\\"$2.\\\",\\\"value\\\":\\\"$3\\\"}}\" \
         http://127.0.0.1:{dns_management}/$verb\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    ("AKKERISD_ACME_DNS_HOOK", path.display().to_string())
}

/// What the program was asked: names and values that were put there, and those that were taken out.
fn calls(dir: &tempfile::TempDir) -> (Vec<String>, Vec<String>) {
    let text = std::fs::read_to_string(dir.path().join("calls")).unwrap_or_default();
    let of = |verb: &str| {
        let mut all: Vec<String> =
            text.lines().filter_map(|line| line.strip_prefix(verb)).map(str::to_owned).collect();
        all.sort();
        all.dedup();
        all
    };
    (of("present "), of("cleanup "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_is_proved_through_the_program_which_takes_out_what_it_put_there() {
    let (dir, directory) = (tempfile::tempdir().unwrap(), Directory::new());
    let hook = program(&dir, directory.dns_management());
    let (daemon, _pebble) = start(directory, Manners::default(), &[hook]).await;
    let client = daemon.client();
    std::fs::write(dir.path().join("fail"), "").unwrap();
    order(&client, "failing", &["*.failing.test"]).await;
    let told = |order: &Value| {
        let reason = order["reason"].as_str().unwrap_or_default();
        reason.contains("acme.dns_hook failed at present _acme-challenge.failing.test")
            && reason.contains('7')
    };
    let failing = until(&client, "failing", "says why", told).await;
    assert_eq!(failing["status"], "pending", "it is tried again later");
    std::fs::remove_file(dir.path().join("fail")).unwrap();
    order(&client, "wild", &["*.wild.test"]).await;
    issued(&client, "wild").await;
    wait_until("the records are gone", LIMIT, || async {
        let (put, taken) = calls(&dir);
        let wild: Vec<&String> = put.iter().filter(|call| call.contains("wild.test")).collect();
        let gone = !wild.is_empty() && wild.iter().all(|call| taken.contains(call));
        if gone { Ok(()) } else { Err(format!("{put:?} {taken:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_is_proved_by_signed_updates_also_across_a_death_of_the_daemon() {
    let (named, directory) = (Named::start().await, Directory::new());
    let manners = Manners { dns: Some(named.port), ..Manners::default() };
    let mut more = named.variables();
    more.push(("AKKERISD_ACME_CHALLENGE", "dns-01".to_owned()));
    let (mut daemon, _pebble) = start(directory, manners, &more).await;
    let (wild, plain) = (format!("*.a.{ZONE}"), format!("a.{ZONE}"));
    if cfg!(feature = "failpoints") {
        daemon.kill_9();
        daemon.spawn(&[("AKKERISD_ABORT_AT", "acme-challenges-ready")]);
        daemon.wait_for_api().await;
        let client = daemon.client();
        order(&client, "both", &[&wild, &plain]).await;
        daemon.wait_for_end().await;
        daemon.spawn(&[]);
        daemon.wait_for_api().await;
    } else {
        order(&daemon.client(), "both", &[&wild, &plain]).await;
    }
    let client = daemon.client();
    issued(&client, "both").await;
    // Two records of one name, one for each domain, put there and taken out one by one.
    wait_until("the records are gone", LIMIT, || async {
        let log = named.log();
        let count = |what: &str| log.lines().filter(|line| line.contains(what)).count();
        let (added, deleted) = (
            count("adding an RR at '_acme-challenge.a.zone.test' TXT"),
            count("deleting an RR at _acme-challenge.a.zone.test TXT"),
        );
        if added >= 2 && deleted >= 2 { Ok(()) } else { Err(format!("{added} {deleted}")) }
    })
    .await;
    // What is in no zone of ours is told.
    order(&client, "outside", &["*.elsewhere.test"]).await;
    let told =
        |order: &Value| order["reason"].as_str().unwrap_or_default().contains("not in the zone zone.test");
    until(&client, "outside", "says why", told).await;
}
