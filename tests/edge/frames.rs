//! Frames of HTTP/2, byte by byte (RFC 9113 §4 and §6), and a connection on which they are sent and read raw.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::harness::{HOST, TestEdge};

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;

pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const WITH_PRIORITY: u8 = 32;

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: Vec<u8>,
}

/// What a raw client hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    Frame(Frame),
    /// The connection is closed, however.
    End,
    Silence,
}

impl Frame {
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The four bytes at this place of the payload as a number.
    pub(super) fn number_at(&self, place: usize) -> Option<u32> {
        let bytes = self.payload.get(place..place + 4)?;
        Some(u32::from_be_bytes(bytes.try_into().ok()?))
    }
}

/// A frame whose length field tells the length of its payload.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// A string of HPACK without Huffman coding (RFC 7541 §5.2).
pub(super) fn text(text: &str) -> Vec<u8> {
    let mut coded = Vec::new();
    match text.len() {
        short @ ..127 => coded.push(u8::try_from(short).unwrap()),
        long => {
            coded.push(127);
            let mut rest = long - 127;
            while rest >= 128 {
                coded.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            coded.push(u8::try_from(rest).unwrap());
        }
    }
    coded.extend(text.as_bytes());
    coded
}

/// A field of a header block, a literal without indexing (RFC 7541 §6.2.2).
pub(super) fn field(name: &str, value: &str) -> Vec<u8> {
    [vec![0], text(name), text(value)].concat()
}

/// `GET https://HOST/…` with literals that are not indexed.
pub(super) fn head(path: &str) -> Vec<u8> {
    [vec![0x82, 0x87, 0x04], text(path), vec![0x01], text(HOST)].concat()
}

/// Starts an HTTP/2 connection with these settings of the client.
pub(super) async fn open(edge: &TestEdge, settings: &[u8]) -> TlsStream<TcpStream> {
    let mut stream = edge.tls(HOST, &[b"h2"]).await.unwrap();
    stream.write_all(PREFACE).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    stream
}

/// Reads what the edge sends next; `Silence` when nothing comes within `limit`.
pub(super) async fn hear(stream: &mut TlsStream<TcpStream>, limit: Duration) -> Heard {
    let read = async {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.ok()?;
        let [l1, l2, l3, kind, flags, s1, s2, s3, s4] = head;
        let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, l1, l2, l3])).unwrap()];
        stream.read_exact(&mut payload).await.ok()?;
        Some(Frame { kind, flags, stream: u32::from_be_bytes([s1 & 127, s2, s3, s4]), payload })
    };
    match tokio::time::timeout(limit, read).await {
        Ok(Some(frame)) => Heard::Frame(frame),
        Ok(None) => Heard::End,
        Err(_) => Heard::Silence,
    }
}
