//! What every server must accept.

use super::super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, WITH_PRIORITY, field, frame,
};
use super::Wanted::{Closed, Data, Headers, Pong, PongOrClosed, ServerPreface, SettingsAck, StreamEnd};
use super::{
    CANCEL, Case, HOME, NEVER, NOTHING, Step, block, case, get, get_with, post, send, setting, text,
};

/// Depends on the root with the weight 256.
const ROOT: [u8; 5] = [0, 0, 0, 0, 255];

pub(super) fn cases() -> Vec<Case> {
    [connection(), data_and_headers(), priority(), other_frames(), messages(), representations(), literals()]
        .into_iter()
        .flatten()
        .collect()
}

fn connection() -> Vec<Case> {
    let preface = [PREFACE, &frame(SETTINGS, 0, 0, &setting(4, 65_535))].concat();
    let no_window = || send(SETTINGS, 0, 0, &setting(4, 0));
    vec![
        Case {
            name: "generic 1 the first frame of the server is its preface",
            script: vec![Step::Send(preface)],
            wanted: ServerPreface,
            deviation: None,
        },
        case(
            "generic 2 PRIORITY on an idle stream is accepted",
            vec![send(PRIORITY, 0, 1, &ROOT), send(PING, 0, 0, &NOTHING)],
            Pong(NOTHING),
        ),
        case(
            "generic 2 WINDOW_UPDATE on a half-closed stream is accepted",
            vec![no_window(), get(1, HOME), send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])],
            Data(1),
        ),
        case(
            "generic 2 PRIORITY on a half-closed stream is accepted",
            vec![
                no_window(),
                get(1, HOME),
                send(PRIORITY, 0, 1, &ROOT),
                send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
            ],
            Data(1),
        ),
        case(
            "generic 2 RST_STREAM on a half-closed stream is accepted",
            vec![get(1, NEVER), send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()), send(PING, 0, 0, &NOTHING)],
            PongOrClosed(NOTHING),
        ),
        case(
            "generic 2 PRIORITY on a closed stream is accepted",
            vec![
                get(1, HOME),
                Step::Until(StreamEnd),
                send(PRIORITY, 0, 1, &ROOT),
                send(PING, 0, 0, &NOTHING),
            ],
            Pong(NOTHING),
        ),
    ]
}

fn data_and_headers() -> Vec<Case> {
    let padded = [&[6][..], b"test", b"padded"].concat();
    let padded_block = [vec![8], block("GET", HOME), vec![0; 8]].concat();
    let prioritized = [ROOT.to_vec(), block("GET", HOME)].concat();
    vec![
        case("generic 3.1 a DATA frame", vec![post(1, HOME), send(DATA, END_STREAM, 1, b"test")], Headers(1)),
        case(
            "generic 3.1 several DATA frames",
            vec![post(1, HOME), send(DATA, 0, 1, b"test"), send(DATA, END_STREAM, 1, b"test")],
            Headers(1),
        ),
        case(
            "generic 3.1 a DATA frame with padding",
            vec![post(1, HOME), send(DATA, END_STREAM | PADDED, 1, &padded)],
            Headers(1),
        ),
        case("generic 3.2 a HEADERS frame", vec![get(1, HOME)], Headers(1)),
        case(
            "generic 3.2 a HEADERS frame with padding",
            vec![send(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &padded_block)],
            Headers(1),
        ),
        case(
            "generic 3.2 a HEADERS frame with priority",
            vec![send(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, 1, &prioritized)],
            Headers(1),
        ),
    ]
}

fn priority() -> Vec<Case> {
    let then_get = |stream, payload: [u8; 5]| vec![send(PRIORITY, 0, stream, &payload), get(1, HOME)];
    vec![
        case("generic 3.3 PRIORITY with the weight 1", then_get(1, [0, 0, 0, 0, 0]), Headers(1)),
        case("generic 3.3 PRIORITY with the weight 256", then_get(1, ROOT), Headers(1)),
        case("generic 3.3 PRIORITY with a dependency", then_get(3, [0, 0, 0, 1, 0]), Headers(1)),
        case("generic 3.3 PRIORITY, exclusive", then_get(1, [128, 0, 0, 0, 0]), Headers(1)),
        case(
            "generic 3.3 PRIORITY for an idle stream, HEADERS for a lower one",
            then_get(3, ROOT),
            Headers(1),
        ),
    ]
}

fn other_frames() -> Vec<Case> {
    let settings = [
        setting(1, 4_096),
        setting(2, 1),
        setting(3, 100),
        setting(4, 65_535),
        setting(5, 16_384),
        setting(6, 100),
    ]
    .concat();
    let block = block("GET", HOME);
    let (first, rest) = block.split_at(5);
    let (second, third) = rest.split_at(5);
    let begun = || send(HEADERS, END_STREAM, 1, first);
    vec![
        case(
            "generic 3.4 RST_STREAM",
            vec![post(1, NEVER), send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes()), send(PING, 0, 0, &NOTHING)],
            PongOrClosed(NOTHING),
        ),
        case("generic 3.5 SETTINGS", vec![send(SETTINGS, 0, 0, &settings)], SettingsAck),
        case("generic 3.7 PING", vec![send(PING, 0, 0, &NOTHING)], Pong(NOTHING)),
        case("generic 3.8 GOAWAY", vec![send(GOAWAY, 0, 0, &[&[0; 8][..], b"h2spec"].concat())], Closed),
        case(
            "generic 3.9 WINDOW_UPDATE of the connection",
            vec![send(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), send(PING, 0, 0, &NOTHING)],
            Pong(NOTHING),
        ),
        case(
            "generic 3.9 WINDOW_UPDATE of a stream",
            vec![get(1, HOME), send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])],
            Headers(1),
        ),
        case(
            "generic 3.10 a CONTINUATION frame",
            vec![begun(), send(CONTINUATION, END_HEADERS, 1, rest)],
            Headers(1),
        ),
        case(
            "generic 3.10 several CONTINUATION frames",
            vec![begun(), send(CONTINUATION, 0, 1, second), send(CONTINUATION, END_HEADERS, 1, third)],
            Headers(1),
        ),
    ]
}

fn messages() -> Vec<Case> {
    let head = send(HEADERS, END_STREAM | END_HEADERS, 1, &block("HEAD", HOME));
    let announced = [block("POST", HOME), field("trailer", "x-test")].concat();
    vec![
        case("generic 4 a GET request", vec![get(1, HOME)], Headers(1)),
        case("generic 4 a HEAD request", vec![head], Headers(1)),
        case("generic 4 a POST request", vec![post(1, HOME), send(DATA, END_STREAM, 1, b"test")], Headers(1)),
        case(
            "generic 4 a POST request with trailers",
            vec![
                send(HEADERS, END_HEADERS, 1, &announced),
                send(DATA, 0, 1, b"test"),
                send(HEADERS, END_STREAM | END_HEADERS, 1, &field("x-test", "ok")),
            ],
            Headers(1),
        ),
    ]
}

/// `h2spec` in Huffman code.
const H2SPEC: &[u8] = b"\x84\x9c\x48\xac\xa4";
/// `user-agent` in Huffman code.
const USER_AGENT: &[u8] = b"\x87\xb5\x05\xb1\x61\xcc\x5a\x93";
/// `x-test` in Huffman code.
const X_TEST: &[u8] = b"\x85\xf2\xb2\x4a\x84\xff";

fn representations() -> Vec<Case> {
    let resized = |updates: &[u8]| {
        let block = [updates, &block("GET", HOME)].concat();
        vec![send(HEADERS, END_STREAM | END_HEADERS, 1, &block)]
    };
    vec![
        case("generic 5 an indexed field", vec![get_with(&[0xba])], Headers(1)),
        case("generic 5 a dynamic table size update", resized(&[0x20]), Headers(1)),
        case("generic 5 two dynamic table size updates", resized(&[0x20, 0x3f, 0xe1, 0x1f]), Headers(1)),
    ]
}

fn literals() -> Vec<Case> {
    let plain = |first: u8, name| vec![get_with(&[vec![first], text(name), text("h2spec")].concat())];
    let coded = |first: u8, name: &[u8]| vec![get_with(&[&[first], name, H2SPEC].concat())];
    let indexed = |representation: &[u8]| vec![get_with(&[representation, &text("h2spec")].concat())];
    let indexed_coded = |representation: &[u8]| vec![get_with(&[representation, H2SPEC].concat())];
    vec![
        case("generic 5 incremental indexing, a name of the table", indexed(&[0x7a]), Headers(1)),
        case(
            "generic 5 incremental indexing, a name of the table, Huffman",
            indexed_coded(&[0x7a]),
            Headers(1),
        ),
        case("generic 5 incremental indexing, a known name", plain(0x40, "user-agent"), Headers(1)),
        case("generic 5 incremental indexing, a known name, Huffman", coded(0x40, USER_AGENT), Headers(1)),
        case("generic 5 incremental indexing, a new name", plain(0x40, "x-test"), Headers(1)),
        case("generic 5 incremental indexing, a new name, Huffman", coded(0x40, X_TEST), Headers(1)),
        case("generic 5 without indexing, a name of the table", indexed(&[0x0f, 0x2b]), Headers(1)),
        case(
            "generic 5 without indexing, a name of the table, Huffman",
            indexed_coded(&[0x0f, 0x2b]),
            Headers(1),
        ),
        case("generic 5 without indexing, a known name", plain(0, "user-agent"), Headers(1)),
        case("generic 5 without indexing, a known name, Huffman", coded(0, USER_AGENT), Headers(1)),
        case("generic 5 without indexing, a new name", plain(0, "x-test"), Headers(1)),
        case("generic 5 without indexing, a new name, Huffman", coded(0, X_TEST), Headers(1)),
        case("generic 5 never indexed, a name of the table", indexed(&[0x1f, 0x2b]), Headers(1)),
        case(
            "generic 5 never indexed, a name of the table, Huffman",
            indexed_coded(&[0x1f, 0x2b]),
            Headers(1),
        ),
        case("generic 5 never indexed, a known name", plain(0x10, "user-agent"), Headers(1)),
        case("generic 5 never indexed, a known name, Huffman", coded(0x10, USER_AGENT), Headers(1)),
        case("generic 5 never indexed, a new name", plain(0x10, "x-test"), Headers(1)),
        case("generic 5 never indexed, a new name, Huffman", coded(0x10, X_TEST), Headers(1)),
    ]
}
