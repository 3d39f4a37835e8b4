//! Certificates from a real ACME server that refuses half of all nonces: ordered, proved, installed, served, renewed,
//! and the daemon killed on the way.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::StreamExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::support::client::Client;
use crate::support::daemon::Daemon;
use crate::support::pebble::{BLOCKED, Directory, EAB_KID, Manners, Pebble};
use crate::support::wait_until;

/// What an order may take on a busy machine.
const LIMIT: Duration = Duration::from_mins(3);

/// A daemon that orders from a pebble of its own, and more variables.
async fn start(manners: Manners, more: &[(&str, &str)]) -> (Daemon, Pebble) {
    let directory = Directory::new();
    let mut variables = directory.variables();
    if manners.binding {
        variables.push(("AKKERISD_ACME_EAB_KID", EAB_KID.to_owned()));
        variables.push(("AKKERISD_ACME_EAB_KEY_FILE", directory.eab_key_file()));
    }
    let own = variables.iter().map(|(name, value)| (*name, value.as_str()));
    let all: Vec<(&str, &str)> = own.chain(more.iter().copied()).collect();
    let daemon = Daemon::start_with(&all).await;
    let pebble = Pebble::start(directory, (daemon.http_port(), daemon.https_port()), manners).await;
    (daemon, pebble)
}

fn order(name: &str, domains: &[&str]) -> Value {
    json!({ "name": name, "common_name": domains[0], "domain_names": domains, "org": "akkeris" })
}

async fn wait_for(client: &Client, name: &str, status: &str) -> Value {
    wait_until(&format!("{name} is {status}"), LIMIT, || async {
        let (_, order) = client.try_send("GET", &format!("/ssl-orders/{name}"), None).await?;
        if order["status"] == status { Ok(order) } else { Err(order.to_string()) }
    })
    .await
}

/// Settings of a client that trusts nothing but this root.
fn trusting(root: CertificateDer<'static>) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root).unwrap();
    Arc::new(rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
}

/// The leaf that the edge shows for a name, checked by the client.
async fn shown(
    client: &Arc<rustls::ClientConfig>,
    port: u16,
    name: &str,
) -> Result<CertificateDer<'static>, String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let handshake = async {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(Arc::clone(client)).connect(name, stream).await
    };
    let stream = tokio::time::timeout(Duration::from_secs(20), handshake).await;
    let stream = stream.map_err(|_| "no handshake within 20 s".to_owned())?.map_err(|e| format!("{e:?}"))?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned())
}

async fn install(
    client: &Client,
    daemon: &Daemon,
    (name, domain): (&str, &str),
    trust: &Arc<rustls::ClientConfig>,
) {
    wait_for(client, name, "issued").await;
    client.send("PUT", &format!("/ssl-orders/{name}"), None, 201).await;
    wait_until(&format!("{domain} is shown"), Duration::from_secs(30), || {
        shown(trust, daemon.https_port(), domain)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_proved_over_http_and_served() {
    let (daemon, pebble) = start(Manners { binding: true, ..Manners::default() }, &[]).await;
    let (client, trust) = (daemon.client(), trusting(pebble.root().await));
    let domains = ["www.shop.test", "shop.test", "api.shop.test"];
    client.send("POST", "/ssl-orders", Some(order("shop", &domains)), 201).await;
    shown(&trust, daemon.https_port(), "shop.test").await.unwrap_err();
    install(&client, &daemon, ("shop", "shop.test"), &trust).await;
    for domain in domains {
        shown(&trust, daemon.https_port(), domain).await.unwrap();
    }
    shown(&trust, daemon.https_port(), "other.shop.test").await.unwrap_err();
    // Gone from the edge as soon as it is deleted.
    client.send("DELETE", "/ssl-orders/shop", None, 200).await;
    wait_until("it is not shown any more", Duration::from_secs(30), || async {
        match shown(&trust, daemon.https_port(), "shop.test").await {
            Err(_) => Ok(()),
            Ok(_) => Err("it is shown".to_owned()),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_proved_over_tls_and_one_that_cannot_be_says_why() {
    let challenge = [("AKKERISD_ACME_CHALLENGE", "tls-alpn-01")];
    let (daemon, pebble) = start(Manners::default(), &challenge).await;
    let (client, trust) = (daemon.client(), trusting(pebble.root().await));
    client.send("POST", "/ssl-orders", Some(order("alpn", &["alpn.test", "www.alpn.test"])), 201).await;
    install(&client, &daemon, ("alpn", "www.alpn.test"), &trust).await;
    pebble.lead_elsewhere("elsewhere.test").await;
    client.send("POST", "/ssl-orders", Some(order("elsewhere", &["elsewhere.test"])), 201).await;
    wait_until("it is told why the proof failed", LIMIT, || async {
        let order = client.get("/ssl-orders/elsewhere").await;
        let told =
            order["reason"].as_str().unwrap().contains("could not see that elsewhere.test is served here");
        if told && order["status"] == "pending" { Ok(()) } else { Err(order.to_string()) }
    })
    .await;
    // What the server will never issue is not tried again.
    client.send("POST", "/ssl-orders", Some(order("blocked", &[BLOCKED])), 201).await;
    let rejected = wait_for(&client, "blocked", "rejected").await;
    assert!(rejected["reason"].as_str().unwrap().contains("rejectedIdentifier"), "{rejected}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_gets_its_certificate_by_itself() {
    let (daemon, pebble) = start(Manners::default(), &[("AKKERISD_CERTS_AUTO", "true")]).await;
    let (client, trust) = (daemon.client(), trusting(pebble.root().await));
    let site = json!({ "domain": "site.test", "region": "us-seattle" });
    client.send("POST", "/sites", Some(site), 201).await;
    wait_until("the site is served", LIMIT, || shown(&trust, daemon.https_port(), "site.test")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_under_handshakes_without_one_that_fails() {
    let manners = Manners { lifetime: Some(Duration::from_mins(1)), ..Manners::default() };
    let (daemon, pebble) = start(manners, &[]).await;
    let (client, trust) = (daemon.client(), trusting(pebble.root().await));
    client.send("POST", "/ssl-orders", Some(order("short", &["short.test"])), 201).await;
    install(&client, &daemon, ("short", "short.test"), &trust).await;
    let seen = Arc::new(Mutex::new(Handshakes::default()));
    let (stop, clients) = (CancellationToken::new(), TaskTracker::new());
    for number in 0..4 {
        // Half of the clients resume their sessions, half begin new ones.
        let config = if number % 2 == 0 { Arc::clone(&trust) } else { without_resumption(&trust) };
        clients.spawn(shake_hands(config, daemon.https_port(), stop.clone(), Arc::clone(&seen)));
    }
    wait_until("the renewed certificate is shown", Duration::from_mins(2), || async {
        let leaves = seen.lock().unwrap().leaves.len();
        if leaves >= 2 { Ok(()) } else { Err(format!("{leaves}")) }
    })
    .await;
    stop.cancel();
    clients.close();
    clients.wait().await;
    let seen = seen.lock().unwrap();
    eprintln!("{} handshakes, {} failed", seen.done, seen.failed.len());
    assert!(seen.failed.is_empty(), "{:#?}", seen.failed);
    assert!(seen.done > 100, "{}", seen.done);
}

#[derive(Default)]
struct Handshakes {
    done: u64,
    failed: Vec<String>,
    leaves: BTreeSet<Vec<u8>>,
}

async fn shake_hands(
    config: Arc<rustls::ClientConfig>,
    port: u16,
    stop: CancellationToken,
    seen: Arc<Mutex<Handshakes>>,
) {
    // Some fifty a second each: a load, but not one that keeps others from working.
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    while !stop.is_cancelled() {
        ticks.tick().await;
        let answer = shown(&config, port, "short.test").await;
        let mut seen = seen.lock().unwrap();
        seen.done += 1;
        match answer {
            Ok(leaf) => drop(seen.leaves.insert(leaf.to_vec())),
            Err(error) => seen.failed.push(error),
        }
    }
}

fn without_resumption(config: &Arc<rustls::ClientConfig>) -> Arc<rustls::ClientConfig> {
    let mut config = rustls::ClientConfig::clone(config);
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_any_step_of_an_order_goes_on_with_it() {
    use akkerisd::model::journal::JournalStep;

    let (mut daemon, pebble) = start(Manners::default(), &[]).await;
    let (client, trust) = (daemon.client(), trusting(pebble.root().await));
    let steps = [
        JournalStep::AcmeOrderPlaced,
        JournalStep::AcmeChallengesReady,
        JournalStep::AcmeOrderFinalized,
        JournalStep::CertificateIssued,
    ];
    for (number, step) in steps.into_iter().enumerate() {
        eprintln!("killing at {step}");
        let (name, domain) = (format!("killed{number}"), format!("killed{number}.test"));
        daemon.kill_9();
        daemon.spawn(&[("AKKERISD_ABORT_AT", step.as_str())]);
        daemon.wait_for_api().await;
        client.send("POST", "/ssl-orders", Some(order(&name, &[&domain])), 201).await;
        daemon.wait_for_end().await;
        daemon.spawn(&[]);
        daemon.wait_for_api().await;
        install(&client, &daemon, (&name, &domain), &trust).await;
    }
    // What was installed is shown after every restart.
    shown(&trust, daemon.https_port(), "killed0.test").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn files_in_the_folder_are_shown_and_bad_ones_change_nothing() {
    let daemon = Daemon::start().await;
    let key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["file.test".to_owned()]).unwrap();
    let own = own.self_signed(&key).unwrap();
    let folder = daemon.data_dir().join("certs");
    std::fs::write(folder.join("file.key"), key.serialize_pem()).unwrap();
    std::fs::write(folder.join("file.crt"), own.pem()).unwrap();
    let trust = trusting(own.der().clone());
    wait_until("the file is shown", Duration::from_secs(30), || {
        shown(&trust, daemon.https_port(), "file.test")
    })
    .await;
    std::fs::write(folder.join("file.crt"), "nothing").unwrap();
    wait_until("the bad file is told of", Duration::from_secs(30), || async {
        let log = daemon.log();
        if log.contains("cannot be shown") { Ok(()) } else { Err(log) }
    })
    .await;
    shown(&trust, daemon.https_port(), "file.test").await.unwrap();
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_certificates_cost_at_most_sixty_megabytes() {
    const COUNT: usize = 10_000;
    let mut daemon = Daemon::start().await;
    daemon.restart().await;
    let before = resident(daemon.pid());
    daemon.kill_9();
    let root = fill(&daemon.data_dir(), COUNT).await;
    daemon.spawn(&[]);
    daemon.wait_for_api().await;
    let trust = trusting(root);
    for number in [0, COUNT / 2, COUNT - 1] {
        let name = format!("n{number}.many.test");
        wait_until(&format!("{name} is shown"), Duration::from_mins(1), || {
            shown(&trust, daemon.https_port(), &name)
        })
        .await;
    }
    let more = resident(daemon.pid()).saturating_sub(before);
    eprintln!("{COUNT} certificates: {} KiB, {} bytes each", more >> 10, more / COUNT as u64);
    assert!(more <= 60 << 20, "{more} bytes");
}

/// Puts installed certificates into the database of a daemon that does not run; gives their root.
async fn fill(data: &std::path::Path, count: usize) -> CertificateDer<'static> {
    use akkerisd::certs::LocalAuthority;
    use akkerisd::clock::Clock;
    use akkerisd::ids::Ids;
    use akkerisd::model::principal::Principal;
    use akkerisd::seal::Sealer;
    use akkerisd::service::Error;
    use akkerisd::service::certificates::{self, NewOrder, OrderRules};
    use akkerisd::store::Store;
    use akkerisd::store::certificates::KeyedChain;

    let store = Store::open(&data.join("akkerisd.db"), Clock::system()).unwrap();
    let sealer = Sealer::open(&data.join("seal.key")).unwrap();
    let authority = LocalAuthority::open(&data.join("many-ca"), Clock::system()).unwrap();
    let (ids, admin) = (Ids::random(), Principal::daemon());
    let rules = OrderRules {
        issuer: akkerisd::model::certificate::IssuerKind::Upload,
        acme: false,
        dns: false,
        apps_domain: "localhost".to_owned(),
    };
    let writes = (0..count).map(|number| {
        let domain = format!("n{number}.many.test");
        let new = NewOrder {
            name: format!("n{number}"),
            common_name: domain.clone(),
            domain_names: vec![domain.clone()],
            organization: "akkeris".to_owned(),
            comments: String::new(),
            issuer: None,
        };
        let (store, sealer, ids, rules, admin) = (&store, &sealer, &ids, &rules, &admin);
        let signed: KeyedChain = authority.sign_order(vec![domain]).unwrap();
        async move {
            let made = certificates::create(store, (ids, rules), admin, new).await?;
            certificates::upload(store, sealer, admin, made.id, signed).await?;
            Ok::<_, Error>(())
        }
    });
    let mut writes = futures_util::stream::iter(writes).buffer_unordered(256);
    while let Some(written) = writes.next().await {
        written.unwrap();
    }
    drop(writes);
    let root = CertificateDer::from_pem_slice(authority.ca_pem().as_bytes()).unwrap();
    assert!(store.close(Duration::from_mins(1)).await);
    root
}
