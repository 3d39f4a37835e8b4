//! `WebSocket` connections through the edge, by the cases of the Autobahn test suite, told as facts.
//!
//! After the answer 101 the edge passes bytes, so each case is run twice, straight against an echo server and through the
//! edge over TLS: what the client receives, and how the connection ends, must be the same to the byte. What the echo
//! server does is checked by the way, so that a case that does not test what it says fails.

mod echo;
mod ends;
mod messages;
mod violations;

use akkerisd::edge::table::Upstream;
use akkerisd::model::names::DynoName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use self::echo::EchoServer;
use super::LIMIT;
use super::harness::{HOST, TestEdge};

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
const FIN: u8 = 0x80;

/// The handshake's key, and what a server makes of it (RFC 6455 §1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// What a client writes, and how the server's part ends.
struct Case {
    name: String,
    writes: Vec<Vec<u8>>,
    /// The code in the server's Close frame; `None` for one without a code.
    code: Option<u16>,
}

/// What a client saw.
#[derive(PartialEq, Eq)]
struct Transcript {
    /// The status line and the fields of the handshake.
    head: Vec<String>,
    received: Vec<u8>,
    ended: Ended,
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Closed,
    Broken,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Case {
    /// Frames after which the client says goodbye, so that the server does so too.
    fn closing(name: impl Into<String>, frames: &[Vec<u8>]) -> Self {
        let writes = [frames.concat(), frame(FIN | CLOSE, &1000_u16.to_be_bytes())].concat();
        Self { name: name.into(), writes: vec![writes], code: Some(1000) }
    }

    /// Frames of which one is so wrong that the server ends the connection.
    fn failing(name: impl Into<String>, frames: &[Vec<u8>], code: u16) -> Self {
        Self { name: name.into(), writes: vec![frames.concat()], code: Some(code) }
    }

    /// The same bytes in writes of at most this size.
    fn chopped(mut self, size: usize) -> Self {
        self.writes = self.writes.concat().chunks(size).map(<[u8]>::to_vec).collect();
        self
    }
}

/// A masked frame. The first byte has the bit FIN, the reserved bits, and the opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    // A large payload is masked by zeros, which leave it as it is: the mask is the server's to undo, not the edge's.
    let key: [u8; 4] = if payload.len() > 1 << 17 { [0; 4] } else { [0x37, 0xfa, 0x21, 0x3d] };
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..65_536 => {
            frame.push(0x80 | 0x7e);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            frame.push(0x80 | 0x7f);
            frame.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend(key);
    if key == [0; 4] {
        frame.extend(payload);
    } else {
        frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    }
    frame
}

#[tokio::test]
async fn messages_pass_as_they_are() {
    run(messages::cases()).await;
}

#[tokio::test]
async fn violations_are_the_servers_to_judge() {
    run(violations::cases()).await;
}

async fn run(cases: Vec<Case>) {
    let (edge, server) = (TestEdge::start(), EchoServer::start().await);
    edge.route_to(&[&Upstream::new(DynoName::new("1", "echo"), server.address)]);
    for case in &cases {
        let direct = play(Box::new(TcpStream::connect(server.address).await.unwrap()), &case.writes).await;
        let tunnelled = play(Box::new(edge.tls(HOST, &[b"http/1.1"]).await.unwrap()), &case.writes).await;
        assert_eq!(direct.head, tunnelled.head, "{}", case.name);
        assert_eq!(direct.ended, tunnelled.ended, "{}", case.name);
        let lengths = (direct.received.len(), tunnelled.received.len());
        assert!(direct.received == tunnelled.received, "{}: {lengths:?} bytes", case.name);
        assert_eq!(direct.ended, Ended::Closed, "{}", case.name);
        let (_, end) = direct.received.split_at(direct.received.len().saturating_sub(64));
        assert!(says_goodbye(end, case.code), "{}: {end:?}", case.name);
    }
}

/// Shakes hands, writes all and reads to the end at the same time.
async fn play(mut stream: Box<dyn Stream>, writes: &[Vec<u8>]) -> Transcript {
    stream.write_all(request().as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    let (mut read, mut write) = tokio::io::split(stream);
    let writing = async {
        for bytes in writes {
            // A server that has ended takes no more; what it said is read below.
            if write.write_all(bytes).await.is_err() || write.flush().await.is_err() {
                return;
            }
        }
    };
    let mut received = Vec::new();
    let reading = async {
        match read.read_to_end(&mut received).await {
            Ok(_) => Ended::Closed,
            Err(_) => Ended::Broken,
        }
    };
    let both = async { tokio::join!(writing, reading) };
    let ((), ended) = tokio::time::timeout(3 * LIMIT, both).await.unwrap();
    Transcript { head, received, ended }
}

/// Whether there is a Close frame of that code; whatever its reason is.
fn says_goodbye(end: &[u8], code: Option<u16>) -> bool {
    let Some(code) = code else { return end.ends_with(&[FIN | CLOSE, 0]) };
    let frame = |at: &[u8]| matches!(at, [first, 2..126, rest @ ..] if *first == FIN | CLOSE && rest == code.to_be_bytes());
    end.windows(4).any(frame)
}

fn request() -> String {
    format!(
        "GET / HTTP/1.1\r\nhost: {HOST}\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n\r\n"
    )
}

/// Reads the head of an answer: its status line, and the fields that are the server's own, in order of their names.
async fn head<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<String> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let byte = tokio::time::timeout(LIMIT, stream.read_u8()).await.unwrap();
        bytes.push(byte.unwrap());
    }
    let text = String::from_utf8(bytes).unwrap().to_lowercase();
    let mut lines: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with("http/") || line.contains("websocket") || line.contains("connection"))
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}
