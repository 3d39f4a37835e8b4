//! An app that sends each message back, and judges what it receives as RFC 6455 says.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::super::LIMIT;
use super::{CLOSE, FIN};

/// Ends when it is dropped.
pub(super) struct EchoServer {
    pub(super) address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl EchoServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(echo(stream));
            }
        });
        Self { address, _tasks: tasks }
    }
}

async fn echo(stream: TcpStream) {
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    let Ok(mut socket) = accept_async_with_config(stream, Some(config)).await else { return };
    while let Some(message) = socket.next().await {
        match message {
            Ok(message) if message.is_text() || message.is_binary() => drop(socket.send(message).await),
            // Pings and goodbyes are answered already.
            Ok(_) => {}
            Err(error) => {
                if let Some(code) = code(&error) {
                    let goodbye = [&[FIN | CLOSE, 2][..], &code.to_be_bytes()].concat();
                    drop(socket.get_mut().write_all(&goodbye).await);
                }
                break;
            }
        }
    }
    // A server that closes with bytes unread resets the connection, and its last words may be lost.
    let stream = socket.get_mut();
    drop(stream.shutdown().await);
    let rest = async { while matches!(stream.read(&mut [0; 4_096]).await, Ok(1..)) {} };
    drop(tokio::time::timeout(LIMIT, rest).await);
}

/// What the server says about a client's mistake (RFC 6455 §7.4.1).
fn code(error: &Error) -> Option<u16> {
    if matches!(error, Error::Protocol(_)) {
        return Some(1002);
    }
    matches!(error, Error::Utf8(_)).then_some(1007)
}
