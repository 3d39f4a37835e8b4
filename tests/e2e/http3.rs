//! HTTP/3 before a real app, and how it goes over to the next daemon.

use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3_quinn::{BidiStream, OpenStreams};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, EndpointConfig, TokioRuntime};

use crate::support::archive::Source;
use crate::support::daemon::{Daemon, host};
use crate::support::wait_until;

const LIMIT: Duration = Duration::from_mins(1);

/// A client's connection.
struct Http3 {
    sender: SendRequest<OpenStreams, Bytes>,
    app: String,
    _endpoint: Endpoint,
}

impl Http3 {
    async fn connect(daemon: &Daemon, app: &str) -> Result<Self, String> {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let runtime = Arc::new(TokioRuntime);
        let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, runtime).unwrap();
        let crypto = QuicClientConfig::try_from(daemon.tls(&[b"h3"])).unwrap();
        let config = ClientConfig::new(Arc::new(crypto));
        let address = ([127, 0, 0, 1], daemon.https_port()).into();
        let connecting = endpoint.connect_with(config, address, &host(app)).unwrap();
        let connected = tokio::time::timeout(Duration::from_secs(5), connecting).await;
        let connection = connected.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
        let transport = h3_quinn::Connection::new(connection);
        let (mut driver, sender) = h3::client::new(transport).await.map_err(|error| error.to_string())?;
        tokio::task::spawn(async move { std::future::poll_fn(|cx| driver.poll_close(cx)).await });
        Ok(Self { sender, app: app.to_owned(), _endpoint: endpoint })
    }

    /// Sends a request without a body and waits for a 200.
    async fn begin(&mut self, path: &str) -> RequestStream<BidiStream<Bytes>, Bytes> {
        let request = http::Request::get(format!("https://{}{path}", host(&self.app))).body(()).unwrap();
        let mut stream = self.sender.send_request(request).await.unwrap();
        stream.finish().await.unwrap();
        assert_eq!(stream.recv_response().await.unwrap().status(), 200);
        stream
    }

    async fn get(&mut self, path: &str) -> Vec<u8> {
        let mut stream = self.begin(path).await;
        read(&mut stream, usize::MAX).await
    }
}

/// Reads until so many bytes or the end have come.
async fn read(stream: &mut RequestStream<BidiStream<Bytes>, Bytes>, length: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < length {
        match tokio::time::timeout(LIMIT, stream.recv_data()).await.unwrap().unwrap() {
            Some(data) => read.extend_from_slice(data.chunk()),
            None => break,
        }
    }
    read
}

#[tokio::test(flavor = "multi_thread")]
async fn http3_serves_and_goes_over_to_the_next_daemon_with_no_request_broken() {
    const DOWNLOAD: usize = 20_000_000;
    let mut daemon = Daemon::start_with(&[("AKKERISD_EDGE_HTTP3", "true")]).await;
    let client = daemon.client();
    let app = client.create_app("quick", "default").await;
    client.deploy(&app, &Source::version("one")).await;
    daemon.wait_for_answer(&app, "/", "one").await;
    let offered = daemon.web(&app).get(daemon.url(&app, "/")).send().await.unwrap();
    let offer = format!("h3=\":{}\"; ma=86400", daemon.https_port());
    assert_eq!(offered.headers()["alt-svc"], offer);

    let mut before = Http3::connect(&daemon, &app).await.unwrap();
    assert_eq!(before.get("/").await, b"one");
    let mut download = before.begin(&format!("/download?{DOWNLOAD}")).await;
    let begun = read(&mut download, 1_000_000).await.len();
    let (upgraded, said) = daemon.upgrade(&[]).await;
    assert!(upgraded, "{said}");
    assert_eq!(begun + read(&mut download, usize::MAX).await.len(), DOWNLOAD, "what is open is not broken");
    drop((download, before));
    let mut after =
        wait_until("the next daemon has the socket", LIMIT, || Http3::connect(&daemon, &app)).await;
    assert_eq!(after.get("/").await, b"one");
    daemon.wait_for_end().await;
    assert_eq!(after.get("/").await, b"one", "it is the next daemon's connection");
}
