//! A daemon without Docker, driven in-process: real SQLite in a folder of its own, the real router.

mod events;
pub(crate) mod fake_engine;
pub(crate) mod fake_instances;
pub(crate) mod line_sink;
pub(crate) mod ports;
pub(crate) mod provider;
pub(crate) mod sink;
pub(crate) mod wait;

use std::sync::Arc;
use std::time::Duration;

use akkerisd::addons::backups::s3::S3Storage;
use akkerisd::addons::backups::{BackupFolder, BackupStorages};
use akkerisd::addons::{AddonParts, Addons, Offer, Providers};
use akkerisd::api::{self, ApiParts, ApiSettings, ApiState};
use akkerisd::builds::log::BuildLogs;
use akkerisd::builds::source::SourceFolder;
use akkerisd::certs::CertificateBook;
use akkerisd::clock::Clock;
use akkerisd::config::Dialect;
use akkerisd::drains::DrainFigures;
use akkerisd::edge::EdgeMeter;
use akkerisd::git::{Git, GitParts, GitSettings};
use akkerisd::hooks::HookOutbox;
use akkerisd::ids::Ids;
use akkerisd::logs::{LogSessions, Rings};
use akkerisd::metrics::{Metrics, MetricsParts, RouterFigures};
use akkerisd::model::account::{Email, Role};
use akkerisd::model::auto_build::ChecksLimits;
use akkerisd::model::catalogue::Catalogue;
use akkerisd::model::names::UserName;
use akkerisd::model::token::{Scope, TokenKind, TokenName};
use akkerisd::outbound::Outbound;
use akkerisd::password::Passwords;
use akkerisd::reconcile::LookCounters;
use akkerisd::seal::Sealer;
use akkerisd::service;
use akkerisd::source_control::{SourceControl, SourceControlParts, SourceServers};
use akkerisd::store::Store;
use akkerisd::store::samples::SampleStore;
use akkerisd::tasks::Tasks;
use akkerisd::telemetry::Telemetry;
use akkerisd::temporary_token::TemporaryTokens;
use akkerisd::terminals::Terminals;
use arc_swap::ArcSwap;
use axum::body::Body;
use base64::Engine as _;
use events::Events;
use fake_engine::FakeEngine;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// The secret of the first token, which is an admin's.
pub(crate) const ADMIN_TOKEN: &str = "admin-secret-of-the-tests";

/// The password of every account of the tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// What the first start of a daemon leaves behind, and its router.
pub(crate) struct TestDaemon {
    pub(crate) state: ApiState,
    /// The engine that terminals are taken of.
    pub(crate) engine: FakeEngine,
    router: axum::Router,
    /// What the work at addons needs; it is begun by [`TestDaemon::work_at_addons`].
    pub(crate) addons: AddonParts,
    /// What the edge would show.
    pub(crate) certificates: CertificateBook,
    /// Removed when the daemon is dropped.
    pub(crate) dir: tempfile::TempDir,
}

/// What a daemon is made with.
struct Around {
    clock: Clock,
    telemetry: Telemetry,
    providers: Providers,
    sources: (SourceServers, ChecksLimits),
    s3: Option<S3Storage>,
}

/// Tasks that are told to stop when the test ends.
pub(crate) struct StoppedOnDrop(pub(crate) Tasks);

/// Sends requests as one principal.
#[derive(Clone)]
pub(crate) struct Client {
    router: axum::Router,
    headers: HeaderMap,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A daemon with the app `app-default`, and its administrator.
pub(crate) async fn with_app() -> (TestDaemon, Client) {
    let daemon = TestDaemon::start().await;
    let client = daemon.admin();
    let body = serde_json::json!({ "name": "app", "space": "default", "org": "akkeris" });
    client.post("/apps", body).await.json(201);
    (daemon, client)
}

/// The code that an authenticator with that secret shows.
pub(crate) fn one_time_code(secret: &str, clock: &Clock) -> String {
    let secret = totp_rs::Secret::try_from_base32(secret).unwrap();
    let app = totp_rs::Builder::new().with_secret(secret).with_account_name("alice").build().unwrap();
    app.generate(u64::try_from(clock.now().as_millis()).unwrap() / 1000).to_string()
}

impl Default for Around {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            telemetry: Telemetry::off(),
            providers: Providers::without_brokers(),
            sources: no_sources(),
            s3: None,
        }
    }
}

impl Drop for StoppedOnDrop {
    fn drop(&mut self) {
        self.0.stopping().cancel();
    }
}

impl TestDaemon {
    /// What happens from now on.
    pub(crate) async fn events(&self) -> Events {
        Events::of(&self.state.store).await
    }

    /// A daemon after its first start, on the machine's clock.
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn with(change: impl FnOnce(&mut ApiSettings)) -> Self {
        Self::made(Around::default(), change).await
    }

    /// The same on another clock.
    pub(crate) async fn at(clock: Clock) -> Self {
        Self::made(Around { clock, ..Around::default() }, |_| {}).await
    }

    /// The same on another clock, with a store that backups are brought to.
    pub(crate) async fn with_s3(clock: Clock, s3: S3Storage) -> Self {
        Self::made(Around { clock, s3: Some(s3), ..Around::default() }, |_| {}).await
    }

    /// The same with telemetry.
    pub(crate) async fn traced(telemetry: Telemetry) -> Self {
        Self::made(Around { telemetry, ..Around::default() }, |_| {}).await
    }

    /// The same with these providers of addons.
    pub(crate) async fn with_providers(providers: Providers) -> Self {
        Self::made(Around { providers, ..Around::default() }, |_| {}).await
    }

    /// The same with servers of repositories.
    pub(crate) async fn with_sources(servers: SourceServers, limits: ChecksLimits) -> Self {
        Self::made(Around { sources: (servers, limits), ..Around::default() }, |_| {}).await
    }

    /// Lets providers do what they are asked for; ends when the tasks are dropped.
    pub(crate) fn work_at_addons(&self) -> StoppedOnDrop {
        let tasks = Tasks::new();
        akkerisd::addons::start(self.addons.clone(), &tasks);
        StoppedOnDrop(tasks)
    }

    async fn made(around: Around, change: impl FnOnce(&mut ApiSettings)) -> Self {
        let (clock, telemetry) = (around.clock, around.telemetry);
        let dir = tempfile::tempdir().unwrap();
        let ids = Ids::random();
        let store = Store::open(&dir.path().join("akkerisd.db"), clock.clone()).unwrap();
        let catalogue = Catalogue::parse(include_str!("../../assets/catalogue.toml")).unwrap();
        service::bootstrap::run(&store, &ids, &catalogue, Some(ADMIN_TOKEN)).await.unwrap();
        let (sealer, catalogue) = (Sealer::from_key(&[7; 32]), Arc::new(ArcSwap::from_pointee(catalogue)));
        let outbox = HookOutbox::new(sealer.clone(), Arc::clone(&catalogue), ids.clone());
        store.join_outbox(Arc::new(outbox));
        let mut settings = api_settings();
        change(&mut settings);
        let certificates = CertificateBook::default();
        let rings = Rings::new(dir.path().join("logs"), 1 << 20);
        let metrics = Metrics::new(MetricsParts {
            store: store.clone(),
            samples: SampleStore::open(&dir.path().join("metrics.db")).unwrap(),
            rings: rings.clone(),
            router: RouterFigures::default(),
            edge: EdgeMeter::default(),
            looks: LookCounters::default(),
            certificates: certificates.clone(),
            telemetry: telemetry.clone(),
            drains: DrainFigures::default(),
            tasks: Tasks::new(),
            clock: clock.clone(),
        });
        let engine = FakeEngine::new();
        let terminals = terminals(&store, &engine);
        let addons = addon_parts(&store, (&sealer, &clock), &catalogue, around.providers);
        let source_control = source_control(&store, &sealer, &clock, (around.sources, addons.clone()));
        let git = git((&store, &sealer), &ids, &rings, &dir);
        let state = ApiState::new(ApiParts {
            store,
            sealer,
            clock: clock.clone(),
            ids,
            catalogue,
            sources: sources(&dir),
            build_logs: build_logs(&dir),
            rings,
            log_sessions: LogSessions::new(clock),
            metrics,
            addons: Addons::new(addons.clone()),
            backups: BackupStorages::new(BackupFolder::new(dir.path().join("backups")), around.s3),
            terminals,
            git,
            telemetry,
            temporary_tokens: temporary_tokens(&dir),
            source_control,
            settings,
        });
        Self { router: api::router(state.clone()), state, engine, certificates, addons, dir }
    }

    /// A client without a token.
    pub(crate) fn anonymous(&self) -> Client {
        Client { router: self.router.clone(), headers: HeaderMap::new() }
    }

    /// A client with the first token: elevated.
    pub(crate) fn admin(&self) -> Client {
        self.with_secret(ADMIN_TOKEN)
    }

    /// A client with a new personal token of that user.
    pub(crate) async fn personal(&self, user: &str) -> Client {
        self.with_secret(&self.token(user, TokenKind::Personal).await)
    }

    /// A client with a new service token of that user.
    pub(crate) async fn service(&self, user: &str) -> Client {
        self.with_secret(&self.token(user, TokenKind::Service).await)
    }

    /// The secret of a new token, which is named `<user>-<kind>`.
    pub(crate) async fn token(&self, user: &str, kind: TokenKind) -> String {
        let name = TokenName::parse(&format!("{user}-{kind}")).unwrap();
        self.token_named(name, kind, user, Scope::Global).await
    }

    /// A client with a new personal token of that user, which only reads.
    pub(crate) async fn reader(&self, user: &str) -> Client {
        self.with_secret(&self.read_token(user).await)
    }

    /// The secret of a new personal token of that user, which only reads.
    pub(crate) async fn read_token(&self, user: &str) -> String {
        let name = TokenName::parse(&format!("{user}-reader")).unwrap();
        self.token_named(name, TokenKind::Personal, user, Scope::Read).await
    }

    async fn token_named(&self, name: TokenName, kind: TokenKind, user: &str, scope: Scope) -> String {
        let new = service::tokens::NewToken { name, kind, user: UserName::parse(user).unwrap(), scope };
        service::tokens::create(&self.state.store, &self.state.ids, new).await.unwrap().1
    }

    /// Makes an account that logs in with [`PASSWORD`], in those organizations.
    pub(crate) async fn account(&self, name: &str, role: Role, organizations: &[&str]) {
        let new = service::accounts::NewAccount {
            name: UserName::parse(name).unwrap(),
            role,
            email: Email::parse(&format!("{name}@example.com")).unwrap(),
            organizations: organizations.iter().map(|&name| name.to_owned()).collect(),
            password_hash: Some(Passwords::new().hash(PASSWORD.to_owned()).await.unwrap()),
        };
        service::accounts::create(&self.state.store, &self.state.ids, new).await.unwrap();
    }

    /// A client that sends a name and a password.
    pub(crate) fn basic(&self, name: &str, password: &str) -> Client {
        let value = base64::engine::general_purpose::STANDARD.encode(format!("{name}:{password}"));
        self.anonymous().header("authorization", &format!("Basic {value}"))
    }

    /// All that the daemon has written, as text.
    pub(crate) async fn disk(&self) -> String {
        // The write-ahead log is a file of its own.
        let mut text = String::new();
        let mut entries = tokio::fs::read_dir(self.dir.path()).await.unwrap();
        while let Some(entry) = entries.next_entry().await.unwrap() {
            if entry.file_type().await.unwrap().is_file() {
                text += &String::from_utf8_lossy(&tokio::fs::read(entry.path()).await.unwrap());
            }
        }
        text
    }

    /// Changes the database behind the daemon's back.
    pub(crate) fn corrupt(&self, sql: &str) {
        #[expect(clippy::disallowed_methods, reason = "a test spoils what the store wrote")]
        let connection = rusqlite::Connection::open(self.dir.path().join("akkerisd.db")).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    /// How many rows a table has.
    pub(crate) fn count(&self, table: &str) -> u32 {
        #[expect(clippy::disallowed_methods, reason = "a test looks at what no answer shows")]
        let connection = rusqlite::Connection::open(self.dir.path().join("akkerisd.db")).unwrap();
        connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
    }

    /// A client that sends `Authorization: Bearer <secret>`.
    pub(crate) fn with_secret(&self, secret: &str) -> Client {
        self.anonymous().header("authorization", &format!("Bearer {secret}"))
    }
}

fn source_control(
    store: &Store,
    sealer: &Sealer,
    clock: &Clock,
    ((servers, limits), addons): ((SourceServers, ChecksLimits), AddonParts),
) -> SourceControl {
    SourceControl::new(SourceControlParts {
        store: store.clone(),
        sealer: sealer.clone(),
        ids: Ids::random(),
        clock: clock.clone(),
        outbound: Outbound::new(true).unwrap(),
        servers,
        limits,
        addons: Addons::new(addons),
    })
}

/// No server is known.
fn local_orders() -> service::certificates::OrderRules {
    let issuer = akkerisd::model::certificate::IssuerKind::Local;
    service::certificates::OrderRules { issuer, acme: false, dns: false, apps_domain: "localhost".to_owned() }
}

fn no_sources() -> (SourceServers, ChecksLimits) {
    let limits = ChecksLimits { total: Duration::from_hours(1), absence: Duration::from_mins(5) };
    (SourceServers::default(), limits)
}

fn addon_parts(
    store: &Store,
    (sealer, clock): (&Sealer, &Clock),
    catalogue: &Arc<ArcSwap<Catalogue>>,
    providers: Providers,
) -> AddonParts {
    AddonParts {
        store: store.clone(),
        sealer: sealer.clone(),
        clock: clock.clone(),
        offer: Offer::new(Arc::clone(catalogue)),
        providers,
        retry: Duration::from_millis(20),
    }
}

fn api_settings() -> ApiSettings {
    ApiSettings {
        public_url: None,
        apps_domain: "localhost".to_owned(),
        https_port: 443,
        dialect: Dialect::Document,
        public_metrics: false,
        max_upload: 256 * 1024 * 1024,
        orders: local_orders(),
    }
}

fn temporary_tokens(dir: &tempfile::TempDir) -> TemporaryTokens {
    TemporaryTokens::new(dir.path().join("token.key"), "http://api.test".to_owned())
}

fn sources(dir: &tempfile::TempDir) -> SourceFolder {
    SourceFolder::new(dir.path().join("sources"))
}

fn build_logs(dir: &tempfile::TempDir) -> BuildLogs {
    BuildLogs::new(dir.path().join("build-logs"))
}

/// Repositories that hear of pushes once a test starts them.
fn git((store, sealer): (&Store, &Sealer), ids: &Ids, rings: &Rings, dir: &tempfile::TempDir) -> Git {
    let settings = GitSettings {
        folder: dir.path().join("git"),
        program: "git".into(),
        hook: env!("CARGO_BIN_EXE_akkerisd").into(),
        max_push: 1 << 20,
        max_repository: 4 << 20,
        max_archive: 1 << 20,
        limit: Duration::from_mins(5),
    };
    Git::new(GitParts {
        store: store.clone(),
        sealer: sealer.clone(),
        ids: ids.clone(),
        sources: sources(dir),
        build_logs: build_logs(dir),
        rings: rings.clone(),
        tasks: Tasks::new(),
        settings,
    })
}

fn terminals(store: &Store, engine: &FakeEngine) -> Terminals {
    Terminals::new(store.clone(), Arc::new(engine.clone()), Tasks::new().stopping())
}

impl Client {
    /// The same client with one header more.
    pub(crate) fn header(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.insert(name, value.parse().unwrap());
        client
    }

    /// Sends a request without a body.
    pub(crate) async fn send(&self, method: Method, path: &str) -> Answer {
        self.send_body(method, path, Body::empty()).await
    }

    /// Sends a request with a body of any form.
    pub(crate) async fn send_body(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        let (parts, body) = self.open(method, path, body).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request and returns when the head of its answer is there.
    pub(crate) async fn open(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> http::Response<Body> {
        let mut request = Request::new(body.into());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap();
        *request.headers_mut() = self.headers.clone();
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send_body(Method::POST, path, body.to_string()).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Answer {
        self.send_body(Method::PATCH, path, body.to_string()).await
    }
}

impl Answer {
    /// The body as JSON; ends the test when the status is another.
    #[track_caller]
    pub(crate) fn json(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The `message` of an error; ends the test when the status is another or the form is not an error's.
    #[track_caller]
    pub(crate) fn error(&self, status: u16) -> String {
        let body = self.json(status);
        assert!(body.get("id").is_some_and(Value::is_string), "{body}");
        body.get("message").and_then(Value::as_str).unwrap().to_owned()
    }

    /// The `error` of an error below `/api/releases`; ends the test when the status or the form is another.
    #[track_caller]
    pub(crate) fn release_error(&self, status: u16) -> String {
        let body = self.json(status);
        assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
        assert_eq!(self.headers.get("content-type").unwrap(), "application/json");
        body.get("error").and_then(Value::as_str).unwrap().to_owned()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Every field of a documented object is there, with a value of the documented kind; those in `nullable` may
/// be null.
#[track_caller]
pub(crate) fn assert_shape(documented: &Value, answered: &Value, nullable: &[&str]) {
    let difference = difference(documented, answered, nullable, "$");
    assert!(difference.is_none(), "{difference:?}\nin {answered}");
}

fn difference(documented: &Value, answered: &Value, nullable: &[&str], at: &str) -> Option<String> {
    match (documented, answered) {
        (Value::Object(fields), Value::Object(found)) => fields.iter().find_map(|(name, value)| {
            let at = format!("{at}.{name}");
            match found.get(name) {
                None => Some(format!("{at} is missing")),
                Some(Value::Null) if nullable.contains(&name.as_str()) => None,
                Some(answered) => difference(value, answered, nullable, &at),
            }
        }),
        (Value::Array(items), Value::Array(found)) => {
            let first = items.first()?;
            found.iter().find_map(|answered| difference(first, answered, nullable, &format!("{at}[]")))
        }
        _ if std::mem::discriminant(documented) == std::mem::discriminant(answered) => None,
        _ => Some(format!("{at} is {answered}, documented as {documented}")),
    }
}
