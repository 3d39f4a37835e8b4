//! Bodies.
//!
//! Invariants: a body is JSON whatever its content type says (reading 2); none is read past its limit or
//! waited for past its deadline.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, header};
use http_body_util::BodyExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::bad;
use crate::api::json_body::json_body;
use crate::api::{ApiState, Error};
use crate::model::RuleError;
use crate::model::rule::shown;
use crate::service;

/// A body that is held in memory without asking.
pub(super) const SMALL_BODY: u64 = 1024 * 1024;
pub(super) const SMALL_BODY_DEADLINE: Duration = Duration::from_mins(1);
/// What providers send at most (`behaviour.md` §12).
const SIGNED_BODY: u64 = 25 * 1024 * 1024;
const LARGE_BODY_DEADLINE: Duration = Duration::from_mins(15);
/// How long a large body waits for its turn.
const TURN_DEADLINE: Duration = Duration::from_mins(5);
/// What is read and dropped of a body that is too large, so that a client that only sends gets to read why.
const DRAINED: u64 = 1024 * 1024 * 1024;

/// A JSON object of at most 1 MiB as the body, and any 200 answer.
#[derive(Debug)]
pub(in crate::api) struct Json<T>(pub(in crate::api) T);

/// A JSON object of at most 1 MiB in which a value of the wrong type is 400, whatever the method (`behaviour.md` §32).
#[derive(Debug)]
pub(in crate::api) struct StrictJson<T>(pub(in crate::api) T);

/// A JSON object of at most 1 MiB as the body, or no body.
#[derive(Debug)]
pub(in crate::api) struct OptionalJson<T>(pub(in crate::api) Option<T>);

/// A JSON array of at most 1 MiB as the body.
#[derive(Debug)]
pub(in crate::api) struct JsonArray<T>(pub(in crate::api) Vec<T>);

/// A JSON object that may hold an uploaded source. Keep the permit until the memory is given back.
#[derive(Debug)]
pub(in crate::api) struct LargeJson<T> {
    pub(in crate::api) value: T,
    /// One of two turns; `None` when the body was small.
    pub(in crate::api) permit: Option<OwnedSemaphorePermit>,
}

/// A body of any form and its headers, as they were signed. Keep the permit until the memory is given back.
#[derive(Debug)]
pub(in crate::api) struct SignedBody {
    pub(in crate::api) headers: HeaderMap,
    pub(in crate::api) body: Vec<u8>,
    /// One of few turns, not those of sources: anybody can take one. `None` when the body was small.
    pub(in crate::api) permit: Option<OwnedSemaphorePermit>,
}

impl FromRequest<ApiState> for SignedBody {
    type Rejection = Error;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Error> {
        let headers = request.headers().clone();
        let declared = declared_length(&headers);
        let permit = match declared {
            Some(length) if length <= SMALL_BODY || length > SIGNED_BODY => None,
            Some(_) | None => Some(take_turn(&state.signed_bodies, SMALL_BODY_DEADLINE).await?),
        };
        let body = read_body(request, SIGNED_BODY, SMALL_BODY_DEADLINE).await?;
        Ok(Self { headers, body, permit })
    }
}

impl<T: DeserializeOwned> FromRequest<ApiState> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &ApiState) -> Result<Self, Error> {
        let method = request.method().clone();
        let bytes = read_body(request, SMALL_BODY, SMALL_BODY_DEADLINE).await?;
        parse(&bytes, Outermost::Object, &method).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<ApiState> for StrictJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &ApiState) -> Result<Self, Error> {
        let bytes = read_body(request, SMALL_BODY, SMALL_BODY_DEADLINE).await?;
        parse(&bytes, Outermost::Object, &Method::PATCH).map(Self)
    }
}

impl<T: DeserializeOwned> FromRequest<ApiState> for OptionalJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &ApiState) -> Result<Self, Error> {
        let method = request.method().clone();
        let bytes = read_body(request, SMALL_BODY, SMALL_BODY_DEADLINE).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(None));
        }
        parse(&bytes, Outermost::Object, &method).map(|value| Self(Some(value)))
    }
}

impl<T: DeserializeOwned> FromRequest<ApiState> for JsonArray<T> {
    type Rejection = Error;

    async fn from_request(request: Request, _state: &ApiState) -> Result<Self, Error> {
        let method = request.method().clone();
        let bytes = read_body(request, SMALL_BODY, SMALL_BODY_DEADLINE).await?;
        parse(&bytes, Outermost::Array, &method).map(Self)
    }
}

impl<T: DeserializeOwned + Send + 'static> FromRequest<ApiState> for LargeJson<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Error> {
        let method = request.method().clone();
        let limit = state.settings.max_upload;
        let small = declared_length(request.headers()).is_some_and(|length| length <= SMALL_BODY);
        let permit = if small { None } else { Some(take_turn(&state.large_bodies, TURN_DEADLINE).await?) };
        let bytes = read_body(request, limit, LARGE_BODY_DEADLINE).await?;
        let value = tokio::task::spawn_blocking(move || parse(&bytes, Outermost::Object, &method))
            .await
            .map_err(service::Error::internal)??;
        Ok(Self { value, permit })
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match json_body(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => Error::from(service::Error::internal(error)).into_response(),
        }
    }
}

async fn take_turn(turns: &Arc<Semaphore>, deadline: Duration) -> Result<OwnedSemaphorePermit, Error> {
    let turn = Arc::clone(turns).acquire_owned();
    let busy = || {
        service::Error::Unavailable(
            "Other large bodies are being received; nothing was changed. Try again in a moment.".to_owned(),
        )
    };
    Ok(tokio::time::timeout(deadline, turn).await.map_err(|_| busy())?.map_err(|_| busy())?)
}

pub(super) async fn read_body(request: Request, limit: u64, deadline: Duration) -> Result<Vec<u8>, Error> {
    let (parts, body) = request.into_parts();
    let declared = declared_length(&parts.headers);
    let read = collect(&parts.headers, body, limit);
    match tokio::time::timeout(deadline, read).await {
        Ok(result) => result,
        Err(_) if declared.is_some_and(|length| length > limit) => Err(Error::TooLarge { limit }),
        Err(_) => Err(Error::TooSlow { seconds: deadline.as_secs() }),
    }
}

async fn collect(headers: &HeaderMap, mut body: Body, limit: u64) -> Result<Vec<u8>, Error> {
    let declared = declared_length(headers);
    let mut bytes = Vec::new();
    let mut received = 0_u64;
    let mut too_large = declared.is_some_and(|length| length > limit);
    if too_large && headers.contains_key(header::EXPECT) {
        return Err(Error::TooLarge { limit });
    }
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            service::Error::BadRequest(format!("The body ended before it was complete: {error}"))
        })?;
        let Some(data) = frame.data_ref() else { continue };
        received = received.saturating_add(data.len() as u64);
        too_large = too_large || received > limit;
        if !too_large {
            bytes.extend_from_slice(data);
        } else if received > DRAINED {
            break;
        } else {
            bytes = Vec::new();
        }
    }
    if too_large { Err(Error::TooLarge { limit }) } else { Ok(bytes) }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The outermost form of a body. Serde alone would take an array for a struct.
#[derive(Debug, Clone, Copy)]
enum Outermost {
    Object,
    Array,
}

/// A value of the wrong type is 400 in a `PATCH` and 422 elsewhere (`behaviour.md` §2); all else that is not
/// the JSON asked for is 400.
fn parse<T: DeserializeOwned>(bytes: &[u8], outermost: Outermost, method: &Method) -> Result<T, Error> {
    let (start, wanted) = match outermost {
        Outermost::Object => (b'{', "object"),
        Outermost::Array => (b'[', "array"),
    };
    match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => return Err(bad(format!("The request has no body; send a JSON {wanted}."))),
        // A batch that is no array is well formed and breaks a rule (`behaviour.md` §5).
        Some(first) if *first != start && matches!(outermost, Outermost::Array) && is_json(bytes) => {
            return Err(RuleError::new("The body is not a JSON array; put the object into brackets.").into());
        }
        Some(first) if *first != start => {
            return Err(bad(format!(
                "The body is not a JSON {wanted}: it does not begin with {}.",
                char::from(start)
            )));
        }
        Some(_) => {}
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        refusal(&path, &error.into_inner(), method)
    })?;
    reader.end().map_err(|error| refusal(".", &error, method))?;
    Ok(value)
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

fn refusal(path: &str, error: &serde_json::Error, method: &Method) -> Error {
    use serde_json::error::Category;
    let text = shown_error(error);
    let message = match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => {
            return bad(format!("The body is not valid JSON: {text}."));
        }
        Category::Data if path == "." => format!("The body is not what is expected: {text}."),
        Category::Data => format!("The field \"{}\" is not what is expected: {text}.", shown(path)),
    };
    if method == Method::PATCH { bad(message) } else { RuleError::new(message).into() }
}

/// The parser's text without the offending value, which may be long or a secret: it stands in quotes or
/// backquotes behind its kind (`invalid type: string "x", expected …`).
fn shown_error(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let Some((before, after)) = text.split_once(": string \"") else { return text };
    match after.rsplit_once("\", expected ") {
        Some((_, expected)) => format!("{before}: a string, expected {expected}"),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use arc_swap::ArcSwap;

    use super::*;
    use crate::addons::backups::{BackupFolder, BackupStorages};
    use crate::addons::{AddonParts, Addons, Offer, Providers};
    use crate::api::{ApiParts, ApiSettings};
    use crate::builds::log::BuildLogs;
    use crate::builds::source::SourceFolder;
    use crate::certs::CertificateBook;
    use crate::clock::Clock;
    use crate::config::Dialect;
    use crate::edge::EdgeMeter;
    use crate::engine::docker::DockerEngine;
    use crate::git::{Git, GitParts, GitSettings};
    use crate::ids::Ids;
    use crate::logs::{LogSessions, Rings};
    use crate::metrics::{Metrics, MetricsParts, RouterFigures};
    use crate::model::auto_build::ChecksLimits;
    use crate::model::catalogue::Catalogue;
    use crate::outbound::Outbound;
    use crate::reconcile::LookCounters;
    use crate::seal::Sealer;
    use crate::source_control::{SourceControl, SourceControlParts, SourceServers};
    use crate::store::Store;
    use crate::store::samples::SampleStore;
    use crate::tasks::Tasks;
    use crate::telemetry::Telemetry;
    use crate::temporary_token::TemporaryTokens;
    use crate::terminals::Terminals;

    #[derive(Debug, serde::Deserialize)]
    struct Form {
        #[expect(dead_code, reason = "only its type matters")]
        flag: Option<bool>,
    }

    fn parse_form(body: &[u8], method: &Method) -> Result<Form, Error> {
        parse(body, Outermost::Object, method)
    }

    #[test]
    fn a_malformed_body_is_refused_with_its_place() {
        let refused = |body: &[u8]| {
            let error = parse_form(body, &Method::POST).unwrap_err();
            assert!(matches!(error, Error::Verb(service::Error::BadRequest(_))));
            error.to_string()
        };
        assert_eq!(refused(b" "), "The request has no body; send a JSON object.");
        assert_eq!(refused(b"[true]"), "The body is not a JSON object: it does not begin with {.");
        assert!(refused(b"{\"flag\":").contains("line 1 column 8"));
        assert!(refused(b"{} x").contains("trailing characters at line 1 column 4"));
        assert!(refused(b"{\"\xff\":1}").contains("line 1 column"));
    }

    #[test]
    fn a_value_of_the_wrong_type_is_refused_with_its_field_and_without_itself() {
        let error = parse_form(b"{\"flag\":\"secret\"}", &Method::PATCH).unwrap_err();
        assert_eq!(
            error.to_string(),
            "The field \"flag\" is not what is expected: invalid type: a string, expected a boolean at line 1 column 16."
        );
        assert!(matches!(error, Error::Verb(service::Error::BadRequest(_))));
        let error = parse_form(b"{\"flag\":1}", &Method::POST).unwrap_err();
        assert!(matches!(error, Error::Verb(service::Error::Invalid(_))));
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(parse_form(b"{\"other\":[1]}\n", &Method::POST).is_ok());
    }

    fn git(store: &Store, dir: &tempfile::TempDir) -> Git {
        Git::new(GitParts {
            store: store.clone(),
            sealer: Sealer::from_key(&[1; 32]),
            ids: Ids::counter(),
            sources: SourceFolder::new(dir.path()),
            build_logs: BuildLogs::new(dir.path()),
            rings: Rings::new(dir.path(), 1 << 20),
            tasks: Tasks::new(),
            settings: GitSettings {
                folder: dir.path().join("git"),
                program: "git".into(),
                hook: "/nowhere".into(),
                max_push: 1 << 20,
                max_repository: 1 << 20,
                max_archive: 1 << 20,
                limit: Duration::from_mins(1),
            },
        })
    }

    fn addons(
        store: &Store,
        (sealer, clock): (&Sealer, &Clock),
        catalogue: &Arc<ArcSwap<Catalogue>>,
    ) -> Addons {
        Addons::new(AddonParts {
            store: store.clone(),
            sealer: sealer.clone(),
            clock: clock.clone(),
            offer: Offer::new(Arc::clone(catalogue)),
            providers: Providers::without_brokers(),
            retry: Duration::from_secs(1),
        })
    }

    fn source_control(store: &Store, (sealer, clock): (&Sealer, &Clock), addons: &Addons) -> SourceControl {
        SourceControl::new(SourceControlParts {
            store: store.clone(),
            sealer: sealer.clone(),
            ids: Ids::counter(),
            clock: clock.clone(),
            outbound: Outbound::new(true).unwrap(),
            servers: SourceServers::default(),
            limits: ChecksLimits { total: Duration::from_secs(1), absence: Duration::from_secs(1) },
            addons: addons.clone(),
        })
    }

    fn state(dir: &tempfile::TempDir) -> ApiState {
        let clock = Clock::system();
        let catalogue = Catalogue::parse(include_str!("../../../assets/catalogue.toml")).unwrap();
        let store = Store::open(&dir.path().join("db"), clock.clone()).unwrap();
        let metrics = Metrics::new(MetricsParts {
            store: store.clone(),
            samples: SampleStore::open(&dir.path().join("metrics.db")).unwrap(),
            rings: Rings::new(dir.path(), 1 << 20),
            router: RouterFigures::default(),
            edge: EdgeMeter::default(),
            looks: LookCounters::default(),
            certificates: CertificateBook::default(),
            telemetry: Telemetry::off(),
            drains: crate::drains::DrainFigures::default(),
            tasks: Tasks::new(),
            clock: clock.clone(),
        });
        let terminals =
            Terminals::new(store.clone(), Arc::new(DockerEngine::nowhere()), Tasks::new().stopping());
        let (sealer, catalogue) = (Sealer::from_key(&[1; 32]), Arc::new(ArcSwap::from_pointee(catalogue)));
        let addons = addons(&store, (&sealer, &clock), &catalogue);
        let source_control = source_control(&store, (&sealer, &clock), &addons);
        let git = git(&store, dir);
        ApiState::new(ApiParts {
            source_control,
            addons,
            backups: BackupStorages::new(BackupFolder::new(dir.path().join("backups")), None),
            store,
            terminals,
            git,
            sealer,
            log_sessions: LogSessions::new(clock.clone()),
            rings: Rings::new(dir.path(), 1 << 20),
            clock,
            ids: Ids::counter(),
            catalogue,
            sources: SourceFolder::new(dir.path()),
            build_logs: BuildLogs::new(dir.path()),
            metrics,
            telemetry: Telemetry::off(),
            temporary_tokens: TemporaryTokens::new(
                dir.path().join("token.key"),
                "http://api.test".to_owned(),
            ),
            settings: ApiSettings {
                public_url: None,
                apps_domain: "localhost".to_owned(),
                https_port: 443,
                dialect: Dialect::Document,
                public_metrics: false,
                max_upload: 2 * SMALL_BODY,
                orders: service::certificates::OrderRules {
                    issuer: crate::model::certificate::IssuerKind::Local,
                    acme: false,
                    dns: false,
                    apps_domain: "localhost".to_owned(),
                },
            },
        })
    }

    /// A request that does not say how long its body is.
    fn chunked(body: String) -> Request {
        let chunks = [Ok::<_, std::io::Error>(body)];
        Request::new(Body::from_stream(futures_util::stream::iter(chunks)))
    }

    async fn large(request: Request, state: &ApiState) -> Result<LargeJson<serde_json::Value>, Error> {
        LargeJson::from_request(request, state).await
    }

    #[tokio::test]
    async fn two_large_bodies_are_in_memory_at_once_and_a_third_waits() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let first = large(chunked("{}".to_owned()), &state).await.unwrap();
        let second = large(chunked("{}".to_owned()), &state).await.unwrap();
        assert!(first.permit.is_some() && second.permit.is_some());
        let mut third = Box::pin(large(chunked("{}".to_owned()), &state));
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut third).await.is_err());
        let mut small = Request::new(Body::from("{}"));
        small.headers_mut().insert(header::CONTENT_LENGTH, 2.into());
        assert!(large(small, &state).await.unwrap().permit.is_none());
        drop(first);
        assert!(third.await.unwrap().value.is_object());
    }

    #[tokio::test]
    async fn a_large_body_has_a_limit_too() {
        let dir = tempfile::tempdir().unwrap();
        let state = state(&dir);
        let of = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length));
        let limit = usize::try_from(state.settings.max_upload).unwrap();
        assert!(large(chunked(of(limit - 10)), &state).await.is_ok());
        assert!(matches!(large(chunked(of(limit)), &state).await, Err(Error::TooLarge { .. })));
    }
}
