//! RFC 9113 §3.4 to §5.5: the preface, frames as such, the states of streams, and errors.

use super::super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS,
    WINDOW_UPDATE, WITH_PRIORITY, field, frame,
};
use super::Wanted::{
    Closed, ConnectionError, GoAway, Headers, Pong, Reset, ServerPreface, StreamEnd, StreamError,
};
use super::{
    AFTER_THE_END, CANCEL, COMPRESSION_ERROR, Case, FRAME_SIZE_ERROR, HOME, NEVER, NOTHING, PROTOCOL_ERROR,
    REFUSED_STREAM, STREAM_CLOSED, Step, UNPARSED, block, case, get, post, send, setting,
};

const FORGOTTEN: &str = "h2 does not remember how a stream ended, and resets it again";

/// A type that no frame has.
const UNKNOWN: u8 = 0x16;

pub(super) fn cases() -> Vec<Case> {
    [
        preface(),
        frame_format(),
        header_blocks(),
        idle(),
        half_closed(),
        reset(),
        closed(),
        identifiers(),
        others(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn preface() -> Vec<Case> {
    let raw = |name, bytes: &[u8], wanted| Case {
        name,
        script: vec![Step::Send(bytes.to_vec())],
        wanted,
        deviation: None,
    };
    let valid = [PREFACE, &frame(SETTINGS, 0, 0, &setting(4, 65_535))].concat();
    vec![
        raw("3.4 the server's preface is its first frame", &valid, ServerPreface),
        raw("3.4 an invalid preface ends the connection", b"INVALID CONNECTION PREFACE\r\n\r\n", Closed),
    ]
}

fn frame_format() -> Vec<Case> {
    let reserved = [&[0, 0, 8, PING, 0x16, 128, 0, 0, 0][..], &NOTHING].concat();
    let large_block = [block("GET", HOME), field("x-dummy", &"y".repeat(4_000)).repeat(5)].concat();
    vec![
        case(
            "4.1 a frame of an unknown type is ignored",
            vec![send(UNKNOWN, 0, 0, &[0; 8]), send(PING, 0, 0, &NOTHING)],
            Pong(NOTHING),
        ),
        case("4.1 undefined flags are ignored", vec![send(PING, 0x16, 0, &NOTHING)], Pong(NOTHING)),
        case("4.1 the reserved bit is ignored", vec![Step::Send(reserved)], Pong(NOTHING)),
        case(
            "4.2 a DATA frame of 16,384 bytes is processed",
            vec![post(1, HOME), send(DATA, END_STREAM, 1, &[b'x'; 16_384])],
            Headers(1),
        ),
        case(
            "4.2 a larger DATA frame is an error FRAME_SIZE_ERROR",
            vec![post(1, NEVER), send(DATA, END_STREAM, 1, &[b'x'; 16_385])],
            StreamError(&[FRAME_SIZE_ERROR]),
        ),
        case(
            "4.2 a larger HEADERS frame is a connection error FRAME_SIZE_ERROR",
            vec![send(HEADERS, END_STREAM | END_HEADERS, 1, &large_block)],
            ConnectionError(&[FRAME_SIZE_ERROR]),
        ),
    ]
}

fn header_blocks() -> Vec<Case> {
    let begun = || send(HEADERS, 0, 1, &block("GET", HOME));
    let ended = || send(CONTINUATION, END_HEADERS, 1, &field("x-dummy", "y"));
    vec![
        case(
            "4.3 a block that cannot be decoded is a connection error COMPRESSION_ERROR",
            vec![send(HEADERS, END_STREAM | END_HEADERS, 1, &[0x40])],
            ConnectionError(&[COMPRESSION_ERROR]),
        )
        .deviates(GoAway(PROTOCOL_ERROR), UNPARSED),
        case(
            "4.3 PRIORITY within a block is a connection error PROTOCOL_ERROR",
            vec![begun(), send(PRIORITY, 0, 1, &[0, 0, 0, 0, 255]), ended()],
            ConnectionError(&[PROTOCOL_ERROR]),
        ),
        case(
            "4.3 HEADERS of another stream within a block are a connection error PROTOCOL_ERROR",
            vec![begun(), get(3, HOME), ended()],
            ConnectionError(&[PROTOCOL_ERROR]),
        ),
    ]
}

fn idle() -> Vec<Case> {
    let error = ConnectionError(&[PROTOCOL_ERROR]);
    vec![
        case(
            "5.1 idle: DATA is a connection error PROTOCOL_ERROR",
            vec![send(DATA, END_STREAM, 1, b"test")],
            error,
        ),
        case(
            "5.1 idle: RST_STREAM is a connection error PROTOCOL_ERROR",
            vec![send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())],
            error,
        ),
        case(
            "5.1 idle: WINDOW_UPDATE is a connection error PROTOCOL_ERROR",
            vec![send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 100])],
            error,
        ),
        case(
            "5.1 idle: CONTINUATION is a connection error PROTOCOL_ERROR",
            vec![send(CONTINUATION, END_HEADERS, 1, &block("GET", HOME))],
            error,
        ),
    ]
}

fn half_closed() -> Vec<Case> {
    vec![
        case(
            "5.1 half-closed: DATA is a stream error STREAM_CLOSED",
            vec![get(1, NEVER), send(DATA, END_STREAM, 1, b"test")],
            StreamError(&[STREAM_CLOSED]),
        )
        .deviates(GoAway(PROTOCOL_ERROR), AFTER_THE_END),
        case(
            "5.1 half-closed: HEADERS are a stream error STREAM_CLOSED",
            vec![get(1, NEVER), get(1, NEVER)],
            StreamError(&[STREAM_CLOSED]),
        )
        .deviates(GoAway(PROTOCOL_ERROR), AFTER_THE_END),
        case(
            "5.1 half-closed: CONTINUATION is an error STREAM_CLOSED or PROTOCOL_ERROR",
            vec![get(1, NEVER), send(CONTINUATION, END_HEADERS, 1, &block("GET", HOME))],
            StreamError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
    ]
}

fn reset() -> Vec<Case> {
    let reset_stream = || vec![post(1, NEVER), send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())];
    let then = |step| reset_stream().into_iter().chain([step]).collect();
    vec![
        case(
            "5.1 closed by RST_STREAM: DATA is a stream error STREAM_CLOSED",
            then(send(DATA, END_STREAM, 1, b"test")),
            StreamError(&[STREAM_CLOSED]),
        ),
        case(
            "5.1 closed by RST_STREAM: HEADERS are a stream error STREAM_CLOSED",
            then(get(1, HOME)),
            StreamError(&[STREAM_CLOSED]),
        )
        .deviates(GoAway(PROTOCOL_ERROR), AFTER_THE_END),
        case(
            "5.1 closed by RST_STREAM: CONTINUATION is an error STREAM_CLOSED or PROTOCOL_ERROR",
            then(send(CONTINUATION, END_HEADERS, 1, &field("x-dummy", "y"))),
            StreamError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
    ]
}

fn closed() -> Vec<Case> {
    let then = |step| vec![get(1, HOME), Step::Until(StreamEnd), step];
    vec![
        case(
            "5.1 closed: DATA is a connection error STREAM_CLOSED",
            then(send(DATA, END_STREAM, 1, b"test")),
            ConnectionError(&[STREAM_CLOSED]),
        )
        .deviates(Reset(STREAM_CLOSED), FORGOTTEN),
        case(
            "5.1 closed: HEADERS are a connection error STREAM_CLOSED",
            then(get(1, HOME)),
            ConnectionError(&[STREAM_CLOSED]),
        )
        .deviates(GoAway(PROTOCOL_ERROR), AFTER_THE_END),
        case(
            "5.1 closed: CONTINUATION is a connection error STREAM_CLOSED or PROTOCOL_ERROR",
            then(send(CONTINUATION, END_HEADERS, 1, &field("x-dummy", "y"))),
            ConnectionError(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
    ]
}

fn identifiers() -> Vec<Case> {
    // One more than the edge allows.
    let many = (0..=128).map(|number| get(2 * number + 1, NEVER));
    vec![
        case(
            "5.1.1 an even stream identifier is a connection error PROTOCOL_ERROR",
            vec![get(2, HOME)],
            ConnectionError(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.1.1 a stream identifier below an earlier one is a connection error PROTOCOL_ERROR",
            vec![get(5, NEVER), get(3, HOME)],
            ConnectionError(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.1.1 HEADERS again on a half-closed stream are a stream error STREAM_CLOSED",
            vec![get(5, NEVER), get(5, NEVER)],
            StreamError(&[STREAM_CLOSED]),
        )
        .deviates(GoAway(PROTOCOL_ERROR), AFTER_THE_END),
        case(
            "5.1.2 more streams than allowed are a stream error PROTOCOL_ERROR or REFUSED_STREAM",
            std::iter::once(send(SETTINGS, 0, 0, &setting(4, 0))).chain(many).collect(),
            StreamError(&[PROTOCOL_ERROR, REFUSED_STREAM]),
        ),
    ]
}

fn others() -> Vec<Case> {
    let own = [vec![0, 0, 0, 1, 255], block("GET", HOME)].concat();
    vec![
        case(
            "5.3 HEADERS that depend on their own stream are a stream error PROTOCOL_ERROR",
            vec![send(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, 1, &own)],
            StreamError(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.3 PRIORITY that depends on its own stream is a stream error PROTOCOL_ERROR",
            vec![send(PRIORITY, 0, 1, &[0, 0, 0, 1, 255])],
            StreamError(&[PROTOCOL_ERROR]),
        ),
        case("5.4.1 an invalid PING ends the connection", vec![send(PING, 0, 3, &NOTHING)], Closed),
        case(
            "5.4.1 an invalid PING is answered by GOAWAY",
            vec![send(PING, 0, 3, &NOTHING)],
            GoAway(PROTOCOL_ERROR),
        ),
        case(
            "5.5 an extension frame is ignored",
            vec![send(UNKNOWN, 0, 0, &[0; 8]), send(PING, 0, 0, &NOTHING)],
            Pong(NOTHING),
        ),
        case(
            "5.5 an extension frame within a block is a connection error PROTOCOL_ERROR",
            vec![send(HEADERS, END_STREAM, 1, &block("GET", HOME)), send(UNKNOWN, 0, 0, &[0; 8])],
            ConnectionError(&[PROTOCOL_ERROR]),
        ),
    ]
}
