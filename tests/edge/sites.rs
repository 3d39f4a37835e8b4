//! Sites at the edge: which app a path leads to, what the app is told, and what is refused.

use std::sync::Arc;

use akkerisd::edge::AccessSink;
use akkerisd::edge::table::{AppRoute, HostRoute, PathRoute, Service, SiteRoutes};
use akkerisd::model::ids::{AppId, RouteId, SiteId};
use akkerisd::model::route::RoutePath;
use akkerisd::model::site::SiteDomain;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use uuid::Uuid;

use super::LIMIT;
use super::backend::Backend;
use super::harness::{APP, Answer, HOST, TestEdge, answer, app, in_background};

const SITE: &str = "shop.example";
const SITE_ID: SiteId = SiteId::new(Uuid::from_u128(9));
const HSTS: &str = "strict-transport-security";
const OTHER: AppId = AppId::new(Uuid::from_u128(6));

/// Publishes a site with these routes: source path, target path, app.
fn publish(edge: &TestEdge, routes: &[(&str, &str, AppId)]) {
    let path = |text| RoutePath::parse("path", text).unwrap();
    let mut site = SiteRoutes::new(SITE_ID, &SiteDomain::parse(SITE).unwrap());
    for (number, (source, target, app)) in (0..).zip(routes) {
        let id = RouteId::new(Uuid::from_u128(number));
        site.insert(PathRoute::new(id, *app, &path(source), &path(target)));
    }
    edge.change(|table| table.insert_host(SITE, HostRoute::Site(Arc::new(site))));
}

fn serve(edge: &TestEdge, id: AppId, backend: &Backend) {
    let service = Service::Upstreams(vec![Arc::clone(&backend.upstream)]);
    edge.change(|table| table.insert_app(&format!("{id}.apps.test"), app(id, service)));
}

/// A site with [`APP`] at its root and [`OTHER`] below `/api`, which gets its paths below `/v1`.
async fn two_apps() -> (TestEdge, Backend, Backend) {
    let (edge, front, api) = (TestEdge::start(), Backend::start("front").await, Backend::start("api").await);
    serve(&edge, APP, &front);
    serve(&edge, OTHER, &api);
    publish(&edge, &[("/", "/", APP), ("/api", "/v1", OTHER), ("/told", "/headers", OTHER)]);
    (edge, front, api)
}

fn site_request(path: &str) -> http::request::Builder {
    Request::get(path).header("host", SITE)
}

async fn get(edge: &TestEdge, path: &str) -> Answer {
    edge.ask(site_request(path)).await
}

/// A request over TLS to the host that the certificate was asked for, whatever its header says.
async fn get_secure(edge: &TestEdge, server_name: &str, host: &str, path: &str) -> Answer {
    let stream = edge.tls(server_name, &[b"http/1.1"]).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.unwrap();
    in_background(async { drop(connection.await) });
    let request = Request::get(path).header("host", host).body(Empty::new()).unwrap();
    answer(sender.send_request(request).await.unwrap()).await
}

#[tokio::test]
async fn the_paths_of_a_site_lead_to_its_apps_and_what_no_route_covers_is_404() {
    let (edge, _front, _api) = two_apps().await;
    for (path, app) in [("/", "front"), ("/apifoo", "front"), ("/api", "api"), ("/api/x?y=/z", "api")] {
        assert_eq!(get(&edge, path).await.body, app, "{path}");
    }
    publish(&edge, &[("/api", "/v1", OTHER)]);
    let none = get(&edge, "/").await;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert!(none.body.contains("No app of this site"), "{}", none.body);
    publish(&edge, &[]);
    assert_eq!(get(&edge, "/api").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_app_on_a_site_gets_its_own_path_and_learns_of_the_one_that_was_asked_for() {
    let (edge, _front, _api) = two_apps().await;
    let request = site_request("/told?a=/told&b=%2F")
        .header("x-orig-path", "/claimed")
        .header("x-orig-host", "claimed")
        .header("x-orig-more", "kept")
        .header("x-forwarded-path", "/claimed");
    let told = edge.ask(request).await.body;
    assert!(told.starts_with("GET /headers?a=/told&b=%2F\n"), "{told}");
    let port = edge.http.port();
    for expected in [
        "\"host\": \"shop.example\"".to_owned(),
        "\"x-orig-host\": \"shop.example\"".to_owned(),
        "\"x-orig-path\": \"/told\"".to_owned(),
        "\"x-forwarded-path\": \"/told\"".to_owned(),
        "\"x-orig-proto\": \"http\"".to_owned(),
        format!("\"x-orig-port\": \"{port}\""),
        "\"x-orig-more\": \"kept\"".to_owned(),
        "\"x-forwarded-host\": \"shop.example\"".to_owned(),
    ] {
        assert!(told.contains(&expected), "{expected} in {told}");
    }
    assert!(!told.contains("claimed"), "{told}");
}

#[tokio::test]
async fn a_client_cannot_claim_a_site_at_the_host_of_an_app() {
    let (edge, backend) = (TestEdge::start(), Backend::start("one").await);
    edge.route_to(&[&backend.upstream]);
    let mut request = super::app_request("/headers");
    for name in ["x-orig-path", "x-orig-host", "x-orig-proto", "x-orig-port", "x-forwarded-path"] {
        request = request.header(name, "claimed");
    }
    let told = edge.ask(request).await.body;
    assert!(!told.contains("claimed") && !told.contains("x-orig"), "{told}");
}

#[tokio::test]
async fn a_path_that_could_be_read_as_that_of_another_app_reaches_none() {
    let (edge, front, api) = two_apps().await;
    for hostile in ["/x/../api", "/%2e%2e/api", "//api", "/%61pi", "/api/..%2fsecret", "/api/..;/x"] {
        let refused = get(&edge, hostile).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{hostile}: {}", refused.body);
    }
    assert_eq!((front.connections(), api.connections()), (0, 0));
    assert_eq!(get(&edge, "/api/a%2fb//c").await.body, "api");
}

#[tokio::test]
async fn maintenance_of_an_app_shows_on_its_routes_and_leaves_the_other_app_alone() {
    let (edge, _front, _api) = two_apps().await;
    edge.change(|table| table.insert_app("other.apps.test", app(OTHER, Service::Maintenance)));
    let closed = get(&edge, "/api/x").await;
    assert_eq!(
        (closed.status, &closed.headers["retry-after"]),
        (StatusCode::SERVICE_UNAVAILABLE, &"60".parse().unwrap())
    );
    assert_eq!(get(&edge, "/").await.body, "front");
}

#[tokio::test]
async fn a_route_to_an_app_without_a_release_is_passed_over_until_it_has_one() {
    let (edge, _front, api) = two_apps().await;
    let state = |released| {
        let service = Service::Upstreams(vec![Arc::clone(&api.upstream)]);
        AppRoute { released, ..app(OTHER, service) }
    };
    edge.change(|table| table.insert_app("other.apps.test", state(false)));
    assert_eq!(get(&edge, "/api/x").await.body, "front");
    edge.change(|table| table.insert_app("other.apps.test", state(true)));
    assert_eq!(get(&edge, "/api/x").await.body, "api");
    edge.change(|table| table.remove_app("other.apps.test", OTHER));
    assert_eq!(get(&edge, "/api/x").await.body, "front");
}

#[tokio::test]
async fn a_site_has_a_certificate_of_its_own_and_tells_browsers_to_use_https() {
    let (edge, _front, _api) = two_apps().await;
    let secure = get_secure(&edge, SITE, SITE, "/").await;
    assert_eq!(
        (secure.body.as_str(), &secure.headers[HSTS]),
        ("front", &"max-age=31536000; includeSubDomains".parse().unwrap())
    );
    assert!(!get(&edge, "/").await.headers.contains_key(HSTS), "not over plain HTTP (RFC 6797 §7.2)");
    let own_host = format!("{APP}.apps.test");
    assert!(!get_secure(&edge, &own_host, &own_host, "/").await.headers.contains_key(HSTS));
    let told = get_secure(&edge, SITE, SITE, "/told").await.body;
    assert!(
        told.contains("\"x-orig-proto\": \"https\"") && told.contains("\"x-orig-port\": \"443\""),
        "{told}"
    );
    assert!(edge.tls("unknown.example", &[b"http/1.1"]).await.is_err(), "nothing is signed for a stranger");
}

#[tokio::test]
async fn a_request_for_another_host_than_its_connection_is_misdirected() {
    let (edge, front, api) = two_apps().await;
    edge.route_to(&[&front.upstream]);
    let misdirected = get_secure(&edge, HOST, SITE, "/api").await;
    assert_eq!(misdirected.status, StatusCode::MISDIRECTED_REQUEST, "{}", misdirected.body);
    assert_eq!(get_secure(&edge, SITE, HOST, "/").await.status, StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(get_secure(&edge, SITE, "SHOP.example:443", "/").await.status, StatusCode::OK);
    let mut sender = edge.http2().await;
    for (authority, host) in [(SITE, None), (HOST, Some(SITE))] {
        let mut request = Request::get(format!("https://{authority}/"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        sender.ready().await.unwrap();
        let answered = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(answered.status(), StatusCode::MISDIRECTED_REQUEST, "{authority} {host:?}");
    }
    assert_eq!(api.connections(), 0);
}

#[tokio::test]
async fn a_request_by_a_site_is_told_to_its_app_with_the_path_that_was_asked_for() {
    let (sink, mut records) = AccessSink::new();
    let edge = TestEdge::with(|settings| (settings.no_redirect, settings.access) = (true, Some(sink)));
    let api = Backend::start("api").await;
    serve(&edge, OTHER, &api);
    publish(&edge, &[("/api", "/v1", OTHER)]);
    get(&edge, "/api/x?y=1").await;
    let batch = tokio::time::timeout(LIMIT, records.recv()).await.unwrap().unwrap();
    let (record, line) = batch.get(0).unwrap();
    assert_eq!((record.app, record.site, record.status), (OTHER, Some(SITE_ID), 200));
    assert!(line.starts_with("host=shop.example fwd=127.0.0.1 method=GET path=/api/x?y=1 "), "{}", line);
}
