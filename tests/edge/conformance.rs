//! The edge judged as the h2spec program judges a server of HTTP/2: its cases, told as facts, and our own runner.
//!
//! Each case sends its frames on a connection of its own over TLS (the edge speaks no HTTP/2 without it) and reads until
//! the answer is decided. As with h2spec, a closed connection counts as a connection error and as a stream error; other
//! than with h2spec, a GOAWAY or `RST_STREAM` with another code than the wanted one fails the case. Section numbers are
//! those of RFC 9113; "generic" and "hpack" are h2spec's names for what must be accepted, and for RFC 7541.
//!
//! A case that the h2 crate is known not to meet says what it does instead, and why. The test fails when it does anything
//! else: when the deviation is gone, too.

mod frame_definitions;
mod generic;
mod hpack;
mod messages;
mod streams;

use std::fmt::Write as _;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::LIMIT;
use super::backend::Backend;
use super::frames::{
    ACK, DATA, END_HEADERS, END_STREAM, Frame, GOAWAY, HEADERS, Heard, PING, PREFACE, RST_STREAM, SETTINGS,
    frame, hear, text,
};
use super::harness::{HOST, TestEdge};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const CANCEL: u32 = 8;
const COMPRESSION_ERROR: u32 = 9;

const UNPARSED: &str = "h2 ends the connection with PROTOCOL_ERROR, whatever it was that it could not parse \
    (`FramedRead` has one answer for all errors of a frame but its size)";
const AFTER_THE_END: &str = "h2 ends the connection with PROTOCOL_ERROR for frames after END_STREAM or RST_STREAM, \
    where the stream alone, or STREAM_CLOSED, would do";

const NOTHING: [u8; 8] = [0; 8];

/// How an answer begins whose field `:status` is 400, which is in the static table, or 421.
const REFUSALS: [&[u8]; 2] = [&[0x8c], b"\x48\x82\x68\x41"];

/// Answered at once with a body of more than five bytes.
const HOME: &str = "/";
/// Answered never: its streams stay open.
const NEVER: &str = "/wait";

/// What a client does, and what it must get for it.
struct Case {
    name: &'static str,
    script: Vec<Step>,
    wanted: Wanted,
    deviation: Option<Deviation>,
}

struct Deviation {
    instead: Wanted,
    reason: &'static str,
}

enum Step {
    /// The preface and empty settings, and those of the edge acknowledged.
    Handshake,
    Send(Vec<u8>),
    Until(Wanted),
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    /// GOAWAY with one of these codes, or the end of the connection.
    ConnectionError(&'static [u32]),
    /// `RST_STREAM` or GOAWAY with one of these codes, or the end of the connection.
    StreamError(&'static [u32]),
    /// A stream error, or the answer 400 or 421, as RFC 9113 §8.1.1 allows for malformed requests.
    Malformed,
    GoAway(u32),
    Reset(u32),
    Closed,
    Pong([u8; 8]),
    PongOrClosed([u8; 8]),
    /// The head of an answer.
    Headers(u32),
    /// The first DATA frame is this long.
    Data(usize),
    /// The stream is over: `END_STREAM` has come.
    StreamEnd,
    /// The first frame of all is SETTINGS without ACK.
    ServerPreface,
    SettingsAck,
}

#[derive(Debug, PartialEq, Eq)]
enum Judgement {
    Met,
    Refuted,
    Undecided,
}

#[tokio::test]
async fn frames_that_every_server_must_accept_are_accepted() {
    judge(generic::cases()).await;
}

#[tokio::test]
async fn connections_and_streams_are_those_of_rfc_9113() {
    judge(streams::cases()).await;
}

#[tokio::test]
async fn frames_are_those_of_rfc_9113() {
    judge(frame_definitions::cases()).await;
}

#[tokio::test]
async fn messages_are_those_of_rfc_9113() {
    judge(messages::cases()).await;
}

#[tokio::test]
async fn header_compression_is_that_of_rfc_7541() {
    judge(hpack::cases()).await;
}

/// A case that begins with the handshake.
fn case(name: &'static str, script: Vec<Step>, wanted: Wanted) -> Case {
    let mut steps = vec![Step::Handshake];
    steps.extend(script);
    Case { name, script: steps, wanted, deviation: None }
}

impl Case {
    /// The edge does something else, because of the h2 crate.
    fn deviates(self, instead: Wanted, reason: &'static str) -> Self {
        Self { deviation: Some(Deviation { instead, reason }), ..self }
    }
}

fn send(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Step {
    Step::Send(frame(kind, flags, stream, payload))
}

fn setting(id: u8, value: u32) -> Vec<u8> {
    [&[0, id][..], &value.to_be_bytes()].concat()
}

/// The pseudo-header fields of a request.
fn block(method: &str, path: &str) -> Vec<u8> {
    [vec![0x02], text(method), vec![0x87, 0x04], text(path), vec![0x01], text(HOST)].concat()
}

/// `GET` of a path, complete.
fn get(stream: u32, path: &str) -> Step {
    send(HEADERS, END_STREAM | END_HEADERS, stream, &block("GET", path))
}

/// `POST` to a path, whose body is to follow.
fn post(stream: u32, path: &str) -> Step {
    send(HEADERS, END_HEADERS, stream, &block("POST", path))
}

/// `GET /` with more bytes at the end of its header block.
fn get_with(more: &[u8]) -> Step {
    send(HEADERS, END_STREAM | END_HEADERS, 1, &[block("GET", HOME), more.to_vec()].concat())
}

async fn judge(cases: Vec<Case>) {
    let edge = TestEdge::start();
    let backend = Backend::start("conformance").await;
    edge.route_to(&[&backend.upstream]);
    let mut failed = String::new();
    for case in &cases {
        if let Err(why) = run(&edge, case).await {
            writeln!(failed, "{}: {why}", case.name).unwrap();
        }
    }
    assert!(failed.is_empty(), "of {} cases these failed:\n{failed}", cases.len());
}

/// Runs a case, and tells what was wrong.
async fn run(edge: &TestEdge, case: &Case) -> Result<(), String> {
    let mut stream = edge.tls(HOST, &[b"h2"]).await.unwrap();
    for step in &case.script {
        match step {
            Step::Handshake => handshake(&mut stream).await?,
            // An edge that has closed the connection takes no more; what it sent before is read below.
            Step::Send(bytes) => drop(stream.write_all(bytes).await),
            Step::Until(wanted) => {
                decide(&mut stream, *wanted, None).await?;
            }
        }
    }
    drop(stream.flush().await);
    let instead = case.deviation.as_ref().map(|deviation| deviation.instead);
    let met = decide(&mut stream, case.wanted, instead).await?;
    match &case.deviation {
        Some(deviation) if met => Err(format!("meets the rule now; known was: {}", deviation.reason)),
        Some(_) | None => Ok(()),
    }
}

async fn handshake(stream: &mut TlsStream<TcpStream>) -> Result<(), String> {
    let hello = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
    stream.write_all(&hello).await.map_err(|error| error.to_string())?;
    decide(stream, Wanted::ServerPreface, None).await?;
    stream.write_all(&frame(SETTINGS, ACK, 0, &[])).await.map_err(|error| error.to_string())?;
    decide(stream, Wanted::SettingsAck, None).await.map(drop)
}

/// Reads until what is wanted has come (true), or what is known to come instead (false).
async fn decide(
    stream: &mut TlsStream<TcpStream>,
    wanted: Wanted,
    instead: Option<Wanted>,
) -> Result<bool, String> {
    let mut all = Vec::new();
    loop {
        let heard = hear(stream, LIMIT).await;
        let (good, known) = (wanted.judge(&heard), instead.map(|instead| instead.judge(&heard)));
        let over = !matches!(heard, Heard::Frame(_));
        all.push(heard);
        match (good, known) {
            (Judgement::Met, _) => return Ok(true),
            (_, Some(Judgement::Met)) => return Ok(false),
            (Judgement::Undecided, _) | (_, Some(Judgement::Undecided)) if !over => {}
            _ => return Err(format!("wanted {wanted:?}, known {instead:?}, came {all:?}")),
        }
    }
}

impl Wanted {
    fn judge(self, heard: &Heard) -> Judgement {
        match heard {
            Heard::Frame(frame) => self.judge_frame(frame),
            Heard::End => self.judge_end(),
            Heard::Silence => Judgement::Refuted,
        }
    }

    fn judge_end(self) -> Judgement {
        let met = matches!(
            self,
            Self::ConnectionError(_)
                | Self::StreamError(_)
                | Self::Malformed
                | Self::Closed
                | Self::PongOrClosed(_)
        );
        decided(met)
    }

    fn judge_frame(self, frame: &Frame) -> Judgement {
        match (self, frame.kind) {
            (Self::ConnectionError(codes) | Self::StreamError(codes), GOAWAY) => {
                decided(frame.number_at(4).is_some_and(|code| codes.contains(&code)))
            }
            (Self::StreamError(codes), RST_STREAM) => {
                decided(frame.number_at(0).is_some_and(|code| codes.contains(&code)))
            }
            (Self::Malformed, GOAWAY) => decided(frame.number_at(4) == Some(PROTOCOL_ERROR)),
            (Self::Malformed, RST_STREAM) => decided(frame.number_at(0) == Some(PROTOCOL_ERROR)),
            (Self::Malformed, HEADERS) => {
                decided(REFUSALS.iter().any(|status| frame.payload.starts_with(status)))
            }
            (Self::GoAway(code), GOAWAY) => decided(frame.number_at(4) == Some(code)),
            (Self::Reset(code), RST_STREAM) => decided(frame.number_at(0) == Some(code)),
            (Self::Pong(sent) | Self::PongOrClosed(sent), PING) => {
                decided(frame.has(ACK) && frame.payload == sent)
            }
            (Self::Headers(stream), HEADERS) => decided(frame.stream == stream),
            (Self::Data(length), DATA) => decided(frame.payload.len() == length),
            (Self::StreamEnd, DATA | HEADERS) if frame.has(END_STREAM) => Judgement::Met,
            (Self::ServerPreface, kind) => decided(kind == SETTINGS && !frame.has(ACK)),
            (Self::SettingsAck, SETTINGS) => decided(frame.has(ACK) && frame.payload.is_empty()),
            _ => Judgement::Undecided,
        }
    }
}

fn decided(met: bool) -> Judgement {
    if met { Judgement::Met } else { Judgement::Refuted }
}
