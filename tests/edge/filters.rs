//! Filters at the edge: what each lets pass, what the refused are told, and what answers are given.

use std::sync::Arc;

use akkerisd::edge::filters::Filters;
use akkerisd::edge::table::{AppRoute, HostRoute, PathRoute, Service, SiteRoutes};
use akkerisd::model::feature::Feature;
use akkerisd::model::filter::{
    BasicAuthOptions, CorsOptions, Credential, CspOptions, Filter, FilterAttachment, FilterName,
    FilterOptions, FilterOrganization, IpOptions, NewCors, PathScope, RateLimitOptions, feature_policy,
};
use akkerisd::model::ids::{FilterAttachmentId, FilterId, OrganizationId, RouteId, SiteId};
use akkerisd::model::names::{AppName, OrganizationName, SpaceName};
use akkerisd::model::pipeline::AppReference;
use akkerisd::model::route::RoutePath;
use akkerisd::model::site::SiteDomain;
use akkerisd::model::time::Timestamp;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use uuid::Uuid;

use super::LIMIT;
use super::backend::Backend;
use super::harness::{APP, Answer, HOST, TestEdge, answer, app};
use super::issuer::{Issuer, token};
use super::issuer_keys::{Keeping, ON_DEMAND};
use crate::support::wait::wait_until;

fn texts(items: &[&str]) -> Vec<String> {
    items.iter().map(|&item| item.to_owned()).collect()
}

/// A filter that is in force outside of the excluded paths.
pub(super) fn attached(options: FilterOptions, excludes: &[&str]) -> FilterAttachment {
    let (at, organization) = (Timestamp::from_millis(0), OrganizationId::new(Uuid::from_u128(1)));
    let filter = Filter {
        id: FilterId::new(Uuid::from_u128(2)),
        name: FilterName::from_stored("filter".to_owned()),
        organization: FilterOrganization {
            id: organization,
            name: OrganizationName::from_stored("akkeris".to_owned()),
        },
        description: String::new(),
        options,
        created_at: at,
        updated_at: at,
    };
    let app = AppReference {
        id: APP,
        name: AppName::from_stored("web".to_owned()),
        space: SpaceName::from_stored("default".to_owned()),
        organization,
    };
    let scope = PathScope::parse(&[], &texts(excludes)).unwrap();
    let id = FilterAttachmentId::new(Uuid::from_u128(3));
    FilterAttachment { id, app, filter, scope, created_at: at, updated_at: at }
}

/// An app of which an edge asks what its filters say.
pub(super) struct Filtered {
    edge: TestEdge,
    backend: Backend,
    keeping: Keeping,
    present: Option<Arc<Filters>>,
}

impl Filtered {
    async fn start(attachments: &[FilterAttachment]) -> Self {
        Self::with(attachments, Keeping::new(ON_DEMAND)).await
    }

    /// With these keys.
    pub(super) async fn with(attachments: &[FilterAttachment], keeping: Keeping) -> Self {
        let (edge, backend) = (TestEdge::start(), Backend::start("app").await);
        let mut this = Self { edge, backend, keeping, present: None };
        this.put(attachments);
        this
    }

    /// Publishes other filters.
    pub(super) fn put(&mut self, attachments: &[FilterAttachment]) {
        let filters =
            Filters::new(attachments, None, self.present.as_deref(), |uri| self.keeping.keys.keys(uri));
        self.publish(filters);
    }

    fn publish(&mut self, filters: Option<Filters>) {
        self.present = filters.map(Arc::new);
        let service = Service::Upstreams(vec![Arc::clone(&self.backend.upstream)]);
        let route = AppRoute { filters: self.present.clone(), ..app(APP, service) };
        self.edge.change(|table| table.insert_app(HOST, route));
    }

    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path).header("host", HOST);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.edge.ask(request).await
    }

    async fn status(&self, path: &str, headers: &[(&str, &str)]) -> u16 {
        self.ask("GET", path, headers).await.status.as_u16()
    }

    /// With a bearer token.
    pub(super) async fn bearing(&self, path: &str, token: &str) -> Answer {
        self.ask("GET", path, &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// Waits until the keys are there.
    pub(super) async fn until_passed(&self, token: &str) {
        wait_until("the token passes", LIMIT, async || {
            (self.bearing("/", token).await.status == StatusCode::OK).then_some(())
        })
        .await;
    }
}

/// All values of a header.
fn values(answer: &Answer, name: &str) -> Vec<String> {
    answer.headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
}

fn basic(excludes: &[&str]) -> FilterAttachment {
    let users = vec![Credential::new("alice", Some("secret"), [9; 16]).unwrap()];
    attached(FilterOptions::BasicAuth(BasicAuthOptions::new(None, users).unwrap()), excludes)
}

/// `alice:secret`
const ALICE: (&str, &str) = ("authorization", "Basic YWxpY2U6c2VjcmV0");

#[tokio::test]
async fn basic_authentication_is_asked_for_and_an_update_holds_from_the_next_request_on() {
    let mut app = Filtered::start(&[basic(&["/public"])]).await;
    let refused = app.ask("GET", "/", &[("accept", "application/json")]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(values(&refused, "www-authenticate"), ["Basic realm=\"Restricted\", charset=\"UTF-8\""]);
    assert!(refused.body.contains("\"unauthorized\""), "{}", refused.body);
    assert!(refused.headers.contains_key("x-request-id"));
    assert_eq!(app.status("/", &[("authorization", "Basic YWxpY2U6U2VjcmV0")]).await, 401);
    assert_eq!(app.backend.connections(), 0, "the refused reach no dyno");
    assert_eq!(app.status("/", &[ALICE]).await, 200);
    assert_eq!((app.status("/public/x", &[]).await, app.status("/publicx", &[]).await), (200, 401));
    for path in
        ["/public/../private", "/public/%2e%2e/private", "/public%2f..%2fprivate", "/PUBLIC", "//public"]
    {
        assert_eq!(app.status(path, &[]).await, 401, "{path}");
    }
    app.put(&[]);
    assert_eq!(app.status("/", &[]).await, 200);
    app.put(&[basic(&[])]);
    assert_eq!(app.status("/public", &[]).await, 401);
}

#[tokio::test]
async fn an_app_that_is_not_open_to_an_address_answers_403() {
    let ip = |allow: &[&str], deny: &[&str]| {
        attached(FilterOptions::Ip(IpOptions::new(&texts(allow), &texts(deny)).unwrap()), &[])
    };
    let mut app = Filtered::start(&[ip(&["127.0.0.0/8"], &[])]).await;
    assert_eq!(app.status("/", &[]).await, 200);
    app.put(&[ip(&["10.0.0.0/8"], &[])]);
    let claimed = app.ask("GET", "/", &[("x-forwarded-for", "10.0.0.1")]).await;
    assert_eq!(claimed.status, StatusCode::FORBIDDEN, "a client cannot claim an address");
    app.put(&[ip(&[], &["127.0.0.1"])]);
    assert_eq!(app.status("/", &[]).await, 403);
}

#[tokio::test]
async fn a_client_over_its_rate_is_told_when_to_come_again_and_a_new_table_forgets_nothing() {
    let rate = |requests| {
        let options = RateLimitOptions::new(requests, Some(3600), None).unwrap();
        attached(FilterOptions::RateLimit(options), &["/health"])
    };
    let mut app = Filtered::start(&[rate(3)]).await;
    // Each request is a connection of its own, and the workers share the count.
    for _ in 0..3 {
        assert_eq!(app.status("/", &[]).await, 200);
    }
    let refused = app.ask("GET", "/", &[]).await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let wait: u64 = values(&refused, "retry-after").concat().parse().unwrap();
    assert!((1..=1200).contains(&wait), "{wait}");
    assert_eq!(app.status("/health", &[]).await, 200);
    app.put(&[rate(3), basic(&[])]);
    assert_eq!(app.status("/", &[ALICE]).await, 429);
    app.put(&[rate(4)]);
    assert_eq!(app.status("/", &[]).await, 200, "another rate begins anew");
}

fn cors(origins: &[&str]) -> FilterAttachment {
    let options = CorsOptions::new(NewCors {
        allow_origin: texts(origins),
        allow_methods: texts(&["get", "PUT"]),
        allow_headers: texts(&["x-one", "x-two"]),
        expose_headers: texts(&["x-end"]),
        max_age: Some(600),
        allow_credentials: true,
    });
    attached(FilterOptions::Cors(options.unwrap()), &[])
}

const PREFLIGHT: (&str, &str) = ("access-control-request-method", "PUT");

#[tokio::test]
async fn a_preflight_of_a_matching_origin_is_answered_by_the_edge_before_credentials_are_asked_for() {
    let app = Filtered::start(&[cors(&["https://*.example.com"]), basic(&[])]).await;
    let origin = ("origin", "https://ui.example.com");
    let preflight = app.ask("OPTIONS", "/", &[origin, PREFLIGHT]).await;
    assert_eq!((preflight.status, preflight.body.as_str()), (StatusCode::OK, ""));
    for (name, value) in [
        ("access-control-allow-origin", "https://ui.example.com"),
        ("access-control-allow-methods", "GET,PUT"),
        ("access-control-allow-headers", "x-one,x-two"),
        ("access-control-max-age", "600"),
        ("access-control-allow-credentials", "true"),
        ("vary", "Origin"),
    ] {
        assert_eq!(values(&preflight, name), [value], "{name}");
    }
    assert_eq!(app.backend.connections(), 0);
    let refused = app.ask("GET", "/", &[origin]).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(values(&refused, "access-control-allow-origin"), ["https://ui.example.com"]);
    let passed = app.ask("GET", "/", &[origin, ALICE]).await;
    assert_eq!(passed.body, "app");
    assert_eq!(values(&passed, "access-control-expose-headers"), ["x-end"]);
    assert!(!passed.headers.contains_key("access-control-max-age"));
}

#[tokio::test]
async fn what_comes_from_another_origin_passes_to_the_app_without_headers() {
    let app = Filtered::start(&[cors(&["https://ui.example.com"])]).await;
    for headers in [
        vec![("origin", "https://evil.example"), PREFLIGHT],
        vec![("origin", "null"), PREFLIGHT],
        vec![PREFLIGHT],
        vec![("origin", "https://ui.example.com"), ("origin", "https://evil.example"), PREFLIGHT],
    ] {
        let answer = app.ask("OPTIONS", "/", &headers).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "app"), "{headers:?}");
        assert!(!answer.headers.keys().any(|name| name.as_str().starts_with("access-control-")));
        assert_eq!(values(&answer, "vary"), ["Origin"]);
    }
    let no_preflight = app.ask("OPTIONS", "/", &[("origin", "https://ui.example.com")]).await;
    assert_eq!(no_preflight.body, "app");
}

#[tokio::test]
async fn a_policy_of_the_features_is_sent_and_a_filter_takes_its_place() {
    let mut app = Filtered::start(&[]).await;
    assert!(!app.ask("GET", "/", &[]).await.headers.contains_key("content-security-policy"));
    let policy = feature_policy(&[Feature::CspEmbedded]);
    app.publish(Filters::new(&[], policy.as_ref(), None, |uri| app.keeping.keys.keys(uri)));
    let sent = values(&app.ask("GET", "/", &[]).await, "content-security-policy").concat();
    assert!(sent.starts_with("default-src https:") && sent.ends_with("frame-src 'none'"), "{sent}");
    let own = attached(FilterOptions::Csp(CspOptions::new("default-src 'self'").unwrap()), &["/free"]);
    app.publish(Filters::new(&[own], policy.as_ref(), None, |uri| app.keeping.keys.keys(uri)));
    assert_eq!(values(&app.ask("GET", "/", &[]).await, "content-security-policy"), ["default-src 'self'"]);
    assert!(!app.ask("GET", "/free", &[]).await.headers.contains_key("content-security-policy"));
}

#[tokio::test]
async fn a_token_of_the_issuer_passes_and_every_other_is_told_what_is_wrong() {
    let issuer = Issuer::start().await;
    issuer.answer(500, "");
    let app = Filtered::start(&[attached(FilterOptions::Jwt(issuer.options()), &["/public"])]).await;
    let good = token("/good/RS256");
    let early = app.bearing("/", &good).await;
    assert_eq!(
        (early.status, values(&early, "retry-after").concat().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "5")
    );
    let keys = super::issuer::tokens().get("jwks").unwrap().to_string();
    issuer.answer(200, &keys);
    app.until_passed(&good).await;
    for name in
        ["RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "no_kid", "audiences"]
    {
        for _ in 0..2 {
            let answer = app.bearing("/headers", &token(&format!("/good/{name}"))).await;
            assert_eq!(answer.status, StatusCode::OK, "{name}");
            assert!(answer.body.contains("Bearer"), "the app gets the token too");
        }
    }
    let broken = super::issuer::tokens();
    for (name, case) in broken.get("bad").unwrap().as_object().unwrap() {
        let answer = app.bearing("/", case.get("token").unwrap().as_str().unwrap()).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{name}");
        let challenge = values(&answer, "www-authenticate").concat();
        assert!(challenge.starts_with("Bearer error=\"invalid_token\", error_description="), "{challenge}");
    }
    let none = app.ask("GET", "/", &[]).await;
    assert_eq!(
        (none.status, values(&none, "www-authenticate")),
        (StatusCode::UNAUTHORIZED, texts(&["Bearer"]))
    );
    assert_eq!(app.status("/", &[ALICE]).await, 401);
    assert_eq!(app.status(&format!("/?access_token={good}"), &[]).await, 401);
    assert_eq!((app.status("/public", &[]).await, app.status("/public/../x", &[]).await), (200, 401));
}

#[tokio::test]
async fn a_token_under_a_new_key_has_the_keys_fetched_and_the_old_ones_end() {
    let issuer = Issuer::start().await;
    let app = Filtered::start(&[attached(FilterOptions::Jwt(issuer.options()), &[])]).await;
    let (old, new) = (token("/good/ES256"), token("/rotated_token"));
    app.until_passed(&old).await;
    issuer.rotate();
    assert_eq!(app.bearing("/", &old).await.status, StatusCode::OK, "nothing has asked for new keys yet");
    app.until_passed(&new).await;
    assert_eq!(app.bearing("/", &old).await.status, StatusCode::UNAUTHORIZED);
    drop(issuer);
    let unknown = token("/bad/unknown_kid/token");
    assert_eq!(app.bearing("/", &unknown).await.status, StatusCode::OK, "it is the new key's");
    assert_eq!(app.bearing("/", &old).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.bearing("/", &new).await.status, StatusCode::OK, "the keys outlive their issuer");
}

#[tokio::test]
async fn filters_look_at_the_path_of_the_site_and_hold_there_too() {
    let app = Filtered::start(&[basic(&["/shop/public"])]).await;
    let path = |text| RoutePath::parse("path", text).unwrap();
    let mut site =
        SiteRoutes::new(SiteId::new(Uuid::from_u128(9)), &SiteDomain::parse("shop.example").unwrap());
    site.insert(PathRoute::new(RouteId::new(Uuid::from_u128(1)), APP, &path("/shop"), &path("/")));
    app.edge.change(|table| table.insert_host("shop.example", HostRoute::Site(Arc::new(site))));
    let status = async |path: &str| {
        app.edge.ask(Request::get(path).header("host", "shop.example")).await.status.as_u16()
    };
    assert_eq!((status("/shop").await, status("/shop/x").await), (401, 401));
    assert_eq!((status("/shop/public/x").await, status("/other").await), (200, 404));
}

#[tokio::test]
async fn filters_hold_over_http_2_too() {
    let app = Filtered::start(&[basic(&[])]).await;
    let mut sender = app.edge.http2::<Empty<Bytes>>().await;
    for (authorization, status) in [(ALICE.1, 200), ("Basic eDp5", 401), (ALICE.1, 200)] {
        sender.ready().await.unwrap();
        let uri = format!("https://{HOST}/");
        let request = Request::get(uri).header("authorization", authorization).body(Empty::new()).unwrap();
        assert_eq!(answer(sender.send_request(request).await.unwrap()).await.status.as_u16(), status);
    }
}
