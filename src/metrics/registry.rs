//! Every metric that `/metrics` shows, by name.

use std::collections::BTreeMap;

use super::exposition::{Distribution, Exposition, Kind};
use super::router::{AppFigures, BOUNDS};
use super::{Shared, process};
use crate::model::addon_volume::AddonVolume;
use crate::model::dyno::Dyno;
use crate::model::ids::AppId;
use crate::model::metric::{DynoSample, Metric, float};
use crate::model::names::AppKey;
use crate::model::principal::Reach;
use crate::store::{self, Connection, StoreError};

/// What the database knows; apps out of reach are in none of it but `builds`.
struct Stored {
    apps: BTreeMap<AppId, AppKey>,
    dynos: Vec<Dyno>,
    releases: BTreeMap<AppId, u32>,
    builds: BTreeMap<String, u64>,
    /// With the names of their addons, and the apps that these belong to.
    volumes: Vec<(AppId, String, AddonVolume)>,
}

/// The name and help of a metric of each dyno, and what it is made of, each with the `mode` that tells it apart.
type DynoFamily = (&'static str, &'static str, &'static [(Metric, &'static str)]);

const DYNO_FAMILIES: &[DynoFamily] = &[
    (
        "akkerisd_dyno_cpu_seconds_total",
        "Processor time that a dyno used, by mode.",
        &[(Metric::CpuUser, "user"), (Metric::CpuSystem, "system")],
    ),
    (
        "akkerisd_dyno_memory_usage_bytes",
        "Memory of a dyno with its page cache.",
        &[(Metric::MemoryUsage, "")],
    ),
    ("akkerisd_dyno_memory_rss_bytes", "Anonymous memory of a dyno.", &[(Metric::MemoryRss, "")]),
    ("akkerisd_dyno_memory_cache_bytes", "Page cache of a dyno.", &[(Metric::MemoryCache, "")]),
    (
        "akkerisd_dyno_memory_working_set_bytes",
        "Memory of a dyno that cannot be reclaimed at once.",
        &[(Metric::MemoryWorkingSet, "")],
    ),
    (
        "akkerisd_dyno_file_system_usage_bytes",
        "Bytes that a dyno has written into its own layer.",
        &[(Metric::FsUsage, "")],
    ),
    (
        "akkerisd_dyno_file_system_io_time_seconds_total",
        "Time that a dyno's input and output took.",
        &[(Metric::FsIoTime, "")],
    ),
    (
        "akkerisd_dyno_network_receive_bytes_total",
        "Bytes that a dyno received.",
        &[(Metric::NetworkReceiveBytes, "")],
    ),
    (
        "akkerisd_dyno_network_receive_errors_total",
        "Errors while a dyno received.",
        &[(Metric::NetworkReceiveErrors, "")],
    ),
    (
        "akkerisd_dyno_network_transmit_bytes_total",
        "Bytes that a dyno sent.",
        &[(Metric::NetworkTransmitBytes, "")],
    ),
    (
        "akkerisd_dyno_network_transmit_errors_total",
        "Errors while a dyno sent.",
        &[(Metric::NetworkTransmitErrors, "")],
    ),
];

/// Collects all figures.
pub(super) async fn collect(shared: &Shared, reach: Reach) -> Result<Exposition, StoreError> {
    let everything = reach == Reach::Everything;
    let stored = shared.store.read(move |c| load(c, &reach)).await?;
    let mut text = Exposition::default();
    add_daemon(&mut text, shared);
    add_edge(&mut text, shared);
    add_store(&mut text, shared);
    add_telemetry(&mut text, shared);
    add_work(&mut text, shared, &stored);
    if everything {
        add_certificates(&mut text, shared);
    }
    add_drains(&mut text, shared);
    add_apps(&mut text, &stored);
    add_volumes(&mut text, &stored);
    add_requests(&mut text, shared, &stored);
    let latest = shared.latest.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    add_dynos(&mut text, &stored, &latest);
    Ok(text)
}

fn load(connection: &Connection, reach: &Reach) -> Result<Stored, StoreError> {
    // Those that wait and run are told even when there are none.
    let mut builds = BTreeMap::from([("queued".to_owned(), 0), ("running".to_owned(), 0)]);
    builds.extend(store::builds::count_by_state(connection)?);
    Ok(Stored {
        apps: store::apps::list(connection)?
            .into_iter()
            .filter(|app| reach.includes(app.organization.id))
            .map(|app| (app.id, app.key()))
            .collect(),
        dynos: store::dynos::list_of_live_apps(connection)?,
        releases: store::releases::count_by_app(connection)?,
        builds,
        volumes: volumes(connection)?,
    })
}

fn volumes(connection: &Connection) -> Result<Vec<(AppId, String, AddonVolume)>, StoreError> {
    let mut volumes = Vec::new();
    for volume in store::addon_volumes::list(connection)? {
        if let Some(addon) = store::addons::find(connection, volume.addon)? {
            volumes.push((addon.app.id, addon.name.as_str().to_owned(), volume));
        }
    }
    Ok(volumes)
}

fn add_one(text: &mut Exposition, name: &'static str, kind: Kind, help: &'static str, value: f64) {
    text.family(name, kind, help).add(&[], value);
}

fn add_daemon(text: &mut Exposition, shared: &Shared) {
    text.family("akkerisd_build_info", Kind::Gauge, "Always 1; the labels tell what runs.")
        .add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 are below 2^53")]
    let started = shared.started_at.as_millis() as f64 / 1000.0;
    add_one(text, "process_start_time_seconds", Kind::Gauge, "When the daemon started, since 1970.", started);
    let process = process::read();
    for (name, kind, help, value) in [
        ("process_cpu_seconds_total", Kind::Counter, "Processor time of the daemon.", process.cpu_seconds),
        (
            "process_resident_memory_bytes",
            Kind::Gauge,
            "Memory of the daemon.",
            process.resident_bytes.map(float),
        ),
        ("process_threads", Kind::Gauge, "Threads of the daemon.", process.threads.map(float)),
        ("process_open_fds", Kind::Gauge, "Open files of the daemon.", process.open_files.map(float)),
    ] {
        if let Some(value) = value {
            add_one(text, name, kind, help, value);
        }
    }
}

fn add_edge(text: &mut Exposition, shared: &Shared) {
    let edge = shared.edge.counters();
    for (name, kind, help, value) in [
        ("akkerisd_edge_connections_total", Kind::Counter, "Accepted connections.", edge.connections),
        ("akkerisd_edge_open_connections", Kind::Gauge, "Open connections.", edge.open_connections),
        (
            "akkerisd_edge_failed_handshakes_total",
            Kind::Counter,
            "TLS handshakes that failed or took too long.",
            edge.failed_handshakes,
        ),
        (
            "akkerisd_edge_handed_over_connections_total",
            Kind::Counter,
            "Client connections that went from one worker to another.",
            edge.handed_over,
        ),
        ("akkerisd_edge_requests_total", Kind::Counter, "Requests that came in.", edge.requests),
        (
            "akkerisd_edge_rescued_requests_total",
            Kind::Counter,
            "Requests that the edge answered itself because it could not forward them.",
            edge.rescued,
        ),
        (
            "akkerisd_edge_upstream_connections_total",
            Kind::Counter,
            "Connections made to dynos.",
            edge.upstream_connections,
        ),
        (
            "akkerisd_edge_stale_connections_total",
            Kind::Counter,
            "Requests that went out again because their pooled connection was closed.",
            edge.stale_connections,
        ),
    ] {
        add_one(text, name, kind, help, float(value));
    }
}

fn add_store(text: &mut Exposition, shared: &Shared) {
    let writer = shared.store.figures();
    for (name, kind, help, value) in [
        ("akkerisd_store_writes_total", Kind::Counter, "Writes to the database.", writer.writes),
        ("akkerisd_store_commits_total", Kind::Counter, "Commits; writes may share one.", writer.commits),
        ("akkerisd_store_failed_commits_total", Kind::Counter, "Commits that failed.", writer.failed_commits),
        ("akkerisd_store_queue_length", Kind::Gauge, "Writes that wait.", writer.waiting as u64),
    ] {
        add_one(text, name, kind, help, float(value));
    }
}

fn add_telemetry(text: &mut Exposition, shared: &Shared) {
    let Some(telemetry) = shared.telemetry.figures() else { return };
    for (name, help, value) in [
        ("akkerisd_telemetry_spans_total", "Spans that the collector took.", telemetry.sent_spans),
        (
            "akkerisd_telemetry_dropped_spans_total",
            "Spans that did not fit or that the collector did not take.",
            telemetry.dropped_spans,
        ),
        (
            "akkerisd_telemetry_failed_posts_total",
            "Messages that the collector did not take, each attempt.",
            telemetry.failed_posts,
        ),
    ] {
        add_one(text, name, Kind::Counter, help, float(value));
    }
}

fn add_work(text: &mut Exposition, shared: &Shared, stored: &Stored) {
    let (looks, tasks) = (&shared.looks, &shared.tasks);
    for (name, kind, help, value) in [
        ("akkerisd_reconciler_workers", Kind::Gauge, "Apps that are watched.", looks.workers()),
        ("akkerisd_reconciler_looks_total", Kind::Counter, "Looks at an app.", looks.looks()),
        (
            "akkerisd_reconciler_failed_looks_total",
            Kind::Counter,
            "Looks at an app that failed.",
            looks.failed(),
        ),
        ("akkerisd_tasks_running", Kind::Gauge, "Background tasks.", tasks.running() as u64),
        ("akkerisd_task_panics_total", Kind::Counter, "Background tasks that panicked.", tasks.panics()),
    ] {
        add_one(text, name, kind, help, float(value));
    }
    let builds = text.family("akkerisd_builds", Kind::Gauge, "Builds by their state.");
    for (state, count) in &stored.builds {
        builds.add(&[("state", state)], float(*count));
    }
}

/// Their names are not of apps, so only who reaches everything sees them.
fn add_certificates(text: &mut Exposition, shared: &Shared) {
    let family = text.family(
        "akkerisd_certificate_expiry_timestamp_seconds",
        Kind::Gauge,
        "When a certificate that the edge shows ends, since 1970.",
    );
    for expiry in shared.certificates.expiries() {
        let source = if expiry.is_file { "file" } else { "order" };
        let seconds = u64::try_from(expiry.expires.as_millis() / 1000).unwrap_or(0);
        family.add(&[("name", &expiry.name), ("source", source)], float(seconds));
    }
}

fn add_drains(text: &mut Exposition, shared: &Shared) {
    let totals = shared.drains.totals();
    for (name, kind, help, value) in [
        ("akkerisd_log_drains", Kind::Gauge, "Log drains that are followed.", totals.running),
        ("akkerisd_log_drain_lines_total", Kind::Counter, "Lines handed over to log drains.", totals.sent),
        (
            "akkerisd_log_drain_dropped_lines_total",
            Kind::Counter,
            "Lines that log drains lost, or that are not known to have arrived.",
            totals.dropped,
        ),
        (
            "akkerisd_log_drain_connections_total",
            Kind::Counter,
            "Connections that log drains made.",
            totals.connections,
        ),
        (
            "akkerisd_log_drain_failures_total",
            Kind::Counter,
            "Connections of log drains, and attempts at one, that ended badly.",
            totals.failures,
        ),
    ] {
        add_one(text, name, kind, help, float(value));
    }
}

fn add_volumes(text: &mut Exposition, stored: &Stored) {
    let known: Vec<_> = stored
        .volumes
        .iter()
        .filter_map(|(app, addon, volume)| Some((stored.apps.get(app)?, addon, volume)))
        .collect();
    let used = "Bytes that the volume of a built-in addon had when it was measured, once an hour.";
    let family = text.family("akkerisd_addon_volume_bytes", Kind::Gauge, used);
    for (app, addon, volume) in &known {
        family.add(&[("app", app.as_str()), ("addon", addon.as_str())], float(volume.bytes));
    }
    let limit = "Bytes that the plan of a built-in addon allows its volume.";
    let family = text.family("akkerisd_addon_volume_limit_bytes", Kind::Gauge, limit);
    for (app, addon, volume) in &known {
        if let Some(limit) = volume.limit {
            family.add(&[("app", app.as_str()), ("addon", addon.as_str())], float(limit));
        }
    }
}

fn add_apps(text: &mut Exposition, stored: &Stored) {
    let apps = float(stored.apps.len() as u64);
    add_one(text, "akkerisd_apps", Kind::Gauge, "Apps.", apps);
    let releases = text.family("akkerisd_app_releases_total", Kind::Counter, "Releases that an app had.");
    for (app, key) in &stored.apps {
        let count = stored.releases.get(app).copied().unwrap_or(0);
        releases.add(&[("app", key.as_str())], f64::from(count));
    }
    let mut by_state: BTreeMap<(&AppKey, &str, &str), u64> = BTreeMap::new();
    for (key, dyno) in stored.dynos.iter().filter_map(|dyno| Some((stored.apps.get(&dyno.app_id)?, dyno))) {
        *by_state.entry((key, dyno.process_type.as_str(), dyno.state.as_str())).or_default() += 1;
    }
    let states = text.family("akkerisd_app_dynos", Kind::Gauge, "Dynos by their state.");
    for ((key, process_type, state), count) in by_state {
        states.add(&[("app", key.as_str()), ("type", process_type), ("state", state)], float(count));
    }
    let restarts = text.family(
        "akkerisd_dyno_restarts_total",
        Kind::Counter,
        "How often a dyno was started again after it ended by itself.",
    );
    for dyno in &stored.dynos {
        if let Some(labels) = labels_of(stored, dyno.app_id, dyno.process_type.as_str(), dyno.name.as_str()) {
            restarts.add(&labels, f64::from(dyno.restarts));
        }
    }
}

fn labels_of<'l>(
    stored: &'l Stored,
    app: AppId,
    process_type: &'l str,
    dyno: &'l str,
) -> Option<[(&'static str, &'l str); 3]> {
    Some([("app", stored.apps.get(&app)?.as_str()), ("type", process_type), ("dyno", dyno)])
}

fn add_requests(text: &mut Exposition, shared: &Shared, stored: &Stored) {
    let totals = shared.router.totals();
    let figures: BTreeMap<&AppKey, &AppFigures> =
        totals.iter().filter_map(|(app, figures)| Some((stored.apps.get(app)?, figures))).collect();
    let requests =
        text.family("akkerisd_app_requests_total", Kind::Counter, "Requests to an app, by status.");
    for (key, figures) in &figures {
        for (status, count) in &figures.by_status {
            requests.add(&[("app", key.as_str()), ("code", &status.to_string())], float(count.requests));
        }
    }
    let durations = text.family(
        "akkerisd_app_request_duration_seconds",
        Kind::Histogram,
        "Time from the first byte of a request to the last of its answer.",
    );
    for (key, figures) in figures {
        let (counts, sum) = (figures.buckets.to_vec(), figures.seconds);
        let distribution = Distribution { bounds: &BOUNDS, counts, sum };
        durations.add_distribution(&[("app", key.as_str())], distribution);
    }
}

fn add_dynos(text: &mut Exposition, stored: &Stored, latest: &[DynoSample]) {
    for (name, help, parts) in DYNO_FAMILIES {
        let kind = if name.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
        let family = text.family(name, kind, help);
        for sample in latest {
            let dyno = labels_of(stored, sample.app, sample.process_type.as_str(), sample.dyno.as_str());
            let Some(dyno) = dyno else { continue };
            for (metric, mode) in *parts {
                let Some(value) = sample.usage.readings.get(*metric) else { continue };
                let mode = (!mode.is_empty()).then_some(("mode", *mode));
                let labels: Vec<_> = dyno.into_iter().chain(mode).collect();
                family.add(&labels, value);
            }
        }
    }
    let limits = text.family(
        "akkerisd_dyno_memory_limit_bytes",
        Kind::Gauge,
        "Memory at which the kernel ends a dyno.",
    );
    for sample in latest {
        let dyno = labels_of(stored, sample.app, sample.process_type.as_str(), sample.dyno.as_str());
        if let (Some(dyno), Some(limit)) = (dyno, sample.usage.memory_limit) {
            limits.add(&dyno, float(limit));
        }
    }
}
