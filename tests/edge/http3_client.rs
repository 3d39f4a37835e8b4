//! A client that speaks HTTP/3 to the edge: h3 on quinn, or bare streams.

use std::net::UdpSocket;
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use h3::client::SendRequest;
use h3::error::StreamError;
use h3_quinn::OpenStreams;
use http::{HeaderMap, Request, Response, StatusCode};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, ConnectionError, Endpoint, EndpointConfig, TokioRuntime};

use super::harness::{HOST, TestEdge, in_background};

/// A connection to a test edge.
pub(super) struct Http3Client {
    pub(super) endpoint: Endpoint,
    pub(super) connection: quinn::Connection,
    pub(super) sender: SendRequest<OpenStreams, Bytes>,
}

pub(super) struct Http3Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A QUIC connection without HTTP on it.
pub(super) async fn connect(
    edge: &TestEdge,
    name: &str,
) -> Result<(Endpoint, quinn::Connection), ConnectionError> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let endpoint = Endpoint::new(EndpointConfig::default(), None, socket, Arc::new(TokioRuntime)).unwrap();
    let crypto = QuicClientConfig::try_from(edge.client_config(&[b"h3"])).unwrap();
    let config = ClientConfig::new(Arc::new(crypto));
    let connection = endpoint.connect_with(config, edge.https, name).unwrap().await?;
    Ok((endpoint, connection))
}

impl Http3Client {
    pub(super) async fn connect(edge: &TestEdge) -> Self {
        Self::to(edge, HOST).await
    }

    pub(super) async fn to(edge: &TestEdge, name: &str) -> Self {
        let (endpoint, connection) = connect(edge, name).await.unwrap();
        let transport = h3_quinn::Connection::new(connection.clone());
        let (mut driver, sender) = h3::client::new(transport).await.unwrap();
        in_background(async move { drop(std::future::poll_fn(|cx| driver.poll_close(cx)).await) });
        Self { endpoint, connection, sender }
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Http3Answer, StreamError> {
        self.ask(request("GET", path), Bytes::new()).await
    }

    /// Sends a request with its whole body and waits for the whole answer.
    pub(super) async fn ask(
        &mut self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Http3Answer, StreamError> {
        let stream = self.sender.send_request(request.body(()).unwrap()).await?;
        let (mut send, mut receive) = stream.split();
        let upload = async {
            if !body.is_empty() {
                send.send_data(body).await?;
            }
            send.finish().await
        };
        let answer = async {
            let response = receive.recv_response().await?;
            let mut body = BytesMut::new();
            while let Some(mut data) = receive.recv_data().await? {
                body.extend_from_slice(&data.copy_to_bytes(data.remaining()));
            }
            Ok::<_, StreamError>(whole(response, body.freeze()))
        };
        // An early answer stops the upload.
        let (_, answer) = tokio::join!(upload, answer);
        answer
    }
}

impl Http3Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

/// A request to the app at [`HOST`].
pub(super) fn request(method: &str, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("https://{HOST}{path}"))
}

fn whole(response: Response<()>, body: Bytes) -> Http3Answer {
    let (parts, ()) = response.into_parts();
    Http3Answer { status: parts.status, headers: parts.headers, body }
}
