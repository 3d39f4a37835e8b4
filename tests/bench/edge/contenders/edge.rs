//! Our edge, in a process of its own.

use std::collections::HashMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use akkerisd::certs::{
    CertificateBook, CertificateStore, EdgeCertificates, InstalledCertificate, LocalAuthority,
};
use akkerisd::chain::Chain;
use akkerisd::clock::Clock;
use akkerisd::edge::table::{AppRoute, RoutingTable, Service, Upstream};
use akkerisd::edge::{AccessSink, Edge, EdgeListeners, EdgeSettings};
use akkerisd::logs::{Rings, RouterLines};
use akkerisd::model::domain::{CertificateDomain, Domains};
use akkerisd::model::ids::{AppId, CertificateId};
use akkerisd::model::names::{AppKey, DynoName};
use akkerisd::model::router_limits::RouterLimits;
use anyhow::{Context, Result};
use arc_swap::ArcSwap;
use rcgen::{CertificateParams, Issuer, KeyPair};
use uuid::Uuid;

use super::{Contender, HOST, again, free_ports};

/// How many of each a large installation has.
pub(crate) const MANY: usize = 10_000;

/// What the edge holds and does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Variant {
    /// As the daemon runs it.
    Usual,
    /// Nobody is told of requests.
    WithoutLines,
    /// Ten thousand hosts, each an app.
    ManyHosts,
    /// Ten thousand installed certificates.
    ManyCertificates,
}

impl Variant {
    const ALL: [Self; 4] = [Self::Usual, Self::WithoutLines, Self::ManyHosts, Self::ManyCertificates];

    fn name(self) -> &'static str {
        match self {
            Self::Usual => "edge",
            Self::WithoutLines => "no lines",
            Self::ManyHosts => "hosts",
            Self::ManyCertificates => "certs",
        }
    }
}

pub(crate) fn start(folder: &Path, backend: SocketAddr, variant: Variant) -> Result<Contender> {
    let [http, https] = free_ports()?;
    let addresses = [backend, http, https].map(|address| address.to_string());
    let [backend, plain, tls] = addresses.each_ref().map(String::as_str);
    let folder = folder.to_str().context("the folder has a strange name")?;
    let process = again(&["serve-edge", variant.name(), folder, backend, plain, tls])?;
    Ok(Contender { name: variant.name(), http, https, process, stop: None })
}

/// Serves as the edge until the process is ended.
pub(crate) fn serve(variant: &str, folder: &Path, [backend, http, https]: [&str; 3]) -> Result<()> {
    let variant =
        Variant::ALL.into_iter().find(|known| known.name() == variant).context("no such variant")?;
    let authority = LocalAuthority::open(folder, Clock::system())?;
    let certificates =
        EdgeCertificates::new(book(variant, folder)?, CertificateStore::new(authority, "localhost")?);
    let mut settings = EdgeSettings::new(Clock::system());
    (settings.workers, settings.no_redirect) = (2, true);
    if variant != Variant::WithoutLines {
        settings.access = Some(keep_router_lines(folder)?);
    }
    let listeners = EdgeListeners::bind(http.parse()?, https.parse()?, 2)?;
    let table = Arc::new(ArcSwap::from_pointee(table(variant, backend.parse()?)));
    let _handle = Edge::start(settings, &listeners, &table, Arc::new(certificates))?;
    drop(listeners);
    loop {
        std::thread::park();
    }
}

/// The host of an app among many.
pub(crate) fn host(number: usize) -> String {
    format!("bench{number}.localhost")
}

/// The route of an app with one dyno.
pub(crate) fn route(number: usize, backend: SocketAddr) -> AppRoute {
    AppRoute {
        id: AppId::new(Uuid::from_u128(number as u128)),
        key: AppKey::from_stored(format!("bench{number}-default")),
        released: true,
        limits: RouterLimits::default(),
        http2: false,
        hold: None,
        service: Service::Upstreams(vec![Upstream::new(DynoName::new("1", "a"), backend)]),
        filters: None,
    }
}

fn table(variant: Variant, backend: SocketAddr) -> RoutingTable {
    let mut table = RoutingTable::default();
    table.insert_app(HOST, route(MANY, backend));
    if variant == Variant::ManyHosts {
        for number in 0..MANY {
            table.insert_app(&host(number), route(number, backend));
        }
    }
    table
}

fn book(variant: Variant, folder: &Path) -> Result<CertificateBook> {
    let book = CertificateBook::default();
    if variant != Variant::ManyCertificates {
        return Ok(book);
    }
    let key = KeyPair::from_pem(&fs::read_to_string(folder.join("ca.key"))?)?;
    let issuer = Issuer::from_ca_cert_pem(&fs::read_to_string(folder.join("ca.crt"))?, key)?;
    let mut installed = HashMap::new();
    for number in 0..MANY {
        let name = format!("site{number}.example.com");
        let leaf_key = KeyPair::generate()?;
        let leaf = CertificateParams::new(vec![name.clone()])?.signed_by(&leaf_key, &issuer)?;
        let certificate = InstalledCertificate {
            domains: Domains::of(CertificateDomain::parse(&name)?),
            chain: Chain::parse(&leaf.pem(), &leaf_key.serialize_pem())?,
            name,
        };
        installed.insert(CertificateId::new(Uuid::from_u128(number as u128)), certificate);
    }
    book.replace_installed(installed);
    Ok(book)
}

/// Writes the line of each request to a log of the bench's own, as the daemon does.
fn keep_router_lines(folder: &Path) -> Result<AccessSink> {
    let mut lines = RouterLines::new(Rings::new(folder.join("logs"), 64 << 20));
    let (sink, mut records) = AccessSink::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    Some(records) = records.recv() => lines.write(records).await,
                    () = lines.due() => lines.flush().await,
                    else => break,
                }
            }
        });
    });
    Ok(sink)
}
