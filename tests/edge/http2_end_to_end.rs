//! Apps whose dynos speak HTTP/2 with prior knowledge, such as gRPC servers.

use std::convert::Infallible;
use std::sync::Arc;

use akkerisd::edge::table::{AppRoute, Service, Upstream};
use akkerisd::model::names::DynoName;
use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::harness::{APP, HOST, TestEdge, app};
use super::stream_of;

type Frames = tokio::sync::mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>;

/// A server of HTTP/2 only that echoes each piece as it comes, and ends as gRPC does.
async fn grpc_server(tasks: &mut JoinSet<()>) -> Arc<Upstream> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::new(DynoName::new("1", "grpc"), listener.local_addr().unwrap());
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                drop(server.serve_connection(TokioIo::new(stream), service_fn(echo)).await);
            });
        }
    });
    upstream
}

async fn echo(
    request: Request<Incoming>,
) -> Result<
    Response<StreamBody<impl futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>>>>,
    Infallible,
> {
    let (frames, received): (_, Frames) = tokio::sync::mpsc::channel(4);
    let told = format!("{:?} {} {:?}", request.version(), request.uri(), request.headers().get("te"));
    let mut echoing = JoinSet::new();
    echoing.spawn(async move {
        let mut body = request.into_body();
        while let Some(Ok(frame)) = body.frame().await {
            drop(frames.send(Ok(frame)).await);
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", "0".parse().unwrap());
        drop(frames.send(Ok(Frame::trailers(trailers))).await);
    });
    echoing.detach_all();
    Ok(Response::builder().header("told", told).body(StreamBody::new(stream_of(received))).unwrap())
}

#[tokio::test]
async fn a_stream_of_grpc_passes_both_ways_with_its_trailers() {
    let (edge, mut tasks) = (TestEdge::start(), JoinSet::new());
    let service = Service::Upstreams(vec![grpc_server(&mut tasks).await]);
    edge.change(|table| table.insert_app(HOST, AppRoute { http2: true, ..app(APP, service) }));
    let sender = edge.http2().await;
    for _ in 0..3 {
        let (frames, received): (_, Frames) = tokio::sync::mpsc::channel(1);
        let request = Request::post(format!("https://{HOST}/echo.Echo/Stream")).header("te", "trailers");
        let mut sender = sender.clone();
        frames.send(Ok(Frame::data(Bytes::from_static(b"one")))).await.unwrap();
        let request = request.body(Box::pin(StreamBody::new(stream_of(received)))).unwrap();
        let mut response = sender.send_request(request).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(
            response.headers()["told"],
            format!("HTTP/2.0 http://{HOST}/echo.Echo/Stream Some(\"trailers\")")
        );
        for piece in [&b"one"[..], b"two", b"three"] {
            let echoed = response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
            assert_eq!(echoed, piece);
            let next = if piece == b"one" { "two" } else { "three" };
            if piece != b"three" {
                frames.send(Ok(Frame::data(Bytes::from_static(next.as_bytes())))).await.unwrap();
            }
        }
        drop(frames);
        let rest = response.into_body().collect().await.unwrap();
        assert_eq!(rest.trailers().unwrap()["grpc-status"], "0");
    }
    assert_eq!(edge.handle.counters().rescued, 0);
}
