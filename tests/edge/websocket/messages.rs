//! What a server accepts: the classes 1, 2, 5, 6, 7, 9 and 10 of Autobahn, as far as they are valid.

use super::{BINARY, CLOSE, CONTINUATION, Case, FIN, PING, PONG, TEXT, frame};

pub(super) fn cases() -> Vec<Case> {
    [sizes(), pings(), fragments(), text(), goodbyes(), large(), many()].into_iter().flatten().collect()
}

fn sizes() -> Vec<Case> {
    let mut cases = Vec::new();
    for (class, kind, byte) in [(1, TEXT, b'*'), (2, BINARY, 0xfe)] {
        for size in [0, 125, 126, 127, 128, 65_535, 65_536] {
            let message = frame(FIN | kind, &vec![byte; size]);
            cases.push(Case::closing(format!("1.{class} a message of {size} bytes"), &[message]));
        }
        let message = frame(FIN | kind, &vec![byte; 65_536]);
        cases.push(
            Case::closing(format!("1.{class} a message in writes of 997 bytes"), &[message]).chopped(997),
        );
    }
    cases
}

fn pings() -> Vec<Case> {
    let ping = |payload: &[u8]| frame(FIN | PING, payload);
    let ten: Vec<_> = (0..10).map(|number| ping(format!("payload-{number}").as_bytes())).collect();
    let pong = frame(FIN | PONG, b"unsolicited");
    vec![
        Case::closing("2.1 a ping without payload", &[ping(b"")]),
        Case::closing("2.2 a ping with text", &[ping(b"Hello, world!")]),
        Case::closing(
            "2.3 a ping with binary payload",
            &[ping(&[0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff])],
        ),
        Case::closing("2.4 a ping of 125 bytes", &[ping(&[0xfe; 125])]),
        Case::closing("2.6 a ping of 125 bytes, byte by byte", &[ping(&[0xfe; 125])]).chopped(1),
        Case::closing("2.7 an unsolicited pong without payload", &[frame(FIN | PONG, b"")]),
        Case::closing("2.8 an unsolicited pong", std::slice::from_ref(&pong)),
        Case::closing("2.9 an unsolicited pong and a ping", &[pong, ping(b"ping payload")]),
        Case::closing("2.10 ten pings", &ten),
        Case::closing("2.11 ten pings, byte by byte", &ten).chopped(1),
    ]
}

fn fragments() -> Vec<Case> {
    let ping = || frame(FIN | PING, b"ping payload");
    let first = |kind| frame(kind, b"fragment1");
    let next = || frame(CONTINUATION, b"fragment2");
    let last = |text: &[u8]| frame(FIN | CONTINUATION, text);
    vec![
        Case::closing("5.3 a text in two fragments", &[first(TEXT), last(b"fragment2")]),
        Case::closing("5.4 a text in two fragments, in small writes", &[first(TEXT), last(b"fragment2")])
            .chopped(1),
        Case::closing("5.6 a ping between two fragments", &[first(TEXT), ping(), last(b"fragment2")]),
        Case::closing(
            "5.7 a ping between two fragments, byte by byte",
            &[first(TEXT), ping(), last(b"fragment2")],
        )
        .chopped(1),
        Case::closing("5 a binary message in three fragments", &[first(BINARY), next(), last(b"fragment3")]),
        Case::closing(
            "5.19 five fragments with pings between them",
            &[first(TEXT), next(), ping(), next(), next(), ping(), last(b"fragment5")],
        ),
        Case::closing("1 empty fragments", &[frame(TEXT, b""), frame(CONTINUATION, b""), last(b"")]),
        Case::closing("1 empty fragments around text", &[frame(TEXT, b""), next(), last(b"")]),
    ]
}

/// Texts whose coding is valid, up to the ends of each length.
const VALID: &[(&str, &[u8])] = &[
    ("6.2.1 text beyond ASCII", "Hello-µ@ßöäüàá-UTF-8!!".as_bytes()),
    ("6.5.1 the Greek word kosme", "κόσμε".as_bytes()),
    ("6.7.1 the first of one byte", b"\x00"),
    ("6.7.2 the first of two bytes", b"\xc2\x80"),
    ("6.7.3 the first of three bytes", b"\xe0\xa0\x80"),
    ("6.7.4 the first of four bytes", b"\xf0\x90\x80\x80"),
    ("6.9.1 the last of one byte", b"\x7f"),
    ("6.9.2 the last of two bytes", b"\xdf\xbf"),
    ("6.9.3 the last of three bytes", b"\xef\xbf\xbf"),
    ("6.9.4 the last of all", b"\xf4\x8f\xbf\xbf"),
    ("6.11.1 the last before the surrogates", b"\xed\x9f\xbf"),
    ("6.11.2 the first after the surrogates", b"\xee\x80\x80"),
    ("6.11.3 the replacement character", b"\xef\xbf\xbd"),
    ("6.22.1 a noncharacter", b"\xef\xbf\xbe"),
];

fn text() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, text) in VALID {
        cases.push(Case::closing(*name, &[frame(FIN | TEXT, text)]));
        let mut bytes: Vec<_> = text.iter().map(|&byte| frame(CONTINUATION, &[byte])).collect();
        bytes.insert(0, frame(TEXT, b""));
        bytes.push(frame(FIN | CONTINUATION, b""));
        cases.push(Case::closing(format!("{name}, a byte a fragment"), &bytes));
    }
    cases
}

fn goodbyes() -> Vec<Case> {
    let close = |payload: &[u8]| frame(FIN | CLOSE, payload);
    let case = |name: String, frames: &[Vec<u8>], code| Case { name, writes: vec![frames.concat()], code };
    let mut cases = vec![
        case(
            "7.1.1 a message and a goodbye".into(),
            &[frame(FIN | TEXT, b"Hello World!"), close(&[3, 232])],
            Some(1000),
        ),
        case("7.1.2 two goodbyes".into(), &[close(&[3, 232]), close(&[3, 232])], Some(1000)),
        case(
            "7.1.3 a ping after the goodbye".into(),
            &[close(&[3, 232]), frame(FIN | PING, b"")],
            Some(1000),
        ),
        case(
            "7.1.4 a message after the goodbye".into(),
            &[close(&[3, 232]), frame(FIN | TEXT, b"no")],
            Some(1000),
        ),
        case(
            "7.1.5 a goodbye between fragments".into(),
            &[frame(TEXT, b"fragment1"), close(&[3, 232]), frame(FIN | CONTINUATION, b"fragment2")],
            Some(1000),
        ),
        case(
            "7.1.6 a goodbye after 256 KiB, and more after it".into(),
            &[frame(FIN | TEXT, &vec![b'*'; 1 << 18]), close(&[3, 232]), frame(FIN | PING, b"")],
            Some(1000),
        ),
        case("7.3.1 a goodbye without a code".into(), &[close(b"")], None),
        case("7.3.3 a goodbye with a code".into(), &[close(&[3, 232])], Some(1000)),
    ];
    for code in [1000_u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        cases.push(case(format!("7.7 the code {code}"), &[close(&code.to_be_bytes())], Some(code)));
    }
    cases
}

fn large() -> Vec<Case> {
    const MIB: usize = 1 << 20;
    let pieces = |kind: u8, size: usize, piece: usize| {
        let kinds = std::iter::once(kind).chain(std::iter::repeat(CONTINUATION)).take(size / piece);
        let mut frames: Vec<_> = kinds.map(|kind| frame(kind, &vec![b'*'; piece])).collect();
        frames.push(frame(FIN | CONTINUATION, b""));
        frames
    };
    vec![
        Case::closing("9.1 a text of 1 MiB", &[frame(FIN | TEXT, &vec![b'*'; MIB])]),
        Case::closing("9.1 a text of 4 MiB", &[frame(FIN | TEXT, &vec![b'*'; 4 * MIB])]),
        Case::closing("9.2 a binary message of 16 MiB", &[frame(FIN | BINARY, &vec![0xfe; 16 * MIB])]),
        Case::closing("9.3 a text of 4 MiB in fragments of 4 KiB", &pieces(TEXT, 4 * MIB, 4_096)),
        Case::closing(
            "9.4 a binary message of 4 MiB in fragments of 256 KiB",
            &pieces(BINARY, 4 * MIB, MIB / 4),
        ),
        Case::closing("9.5 a text of 1 MiB in writes of 2 KiB", &[frame(FIN | TEXT, &vec![b'*'; MIB])])
            .chopped(2_048),
        Case::closing(
            "9.6 a binary message of 1 MiB in writes of 64 bytes",
            &[frame(FIN | BINARY, &vec![0xfe; MIB])],
        )
        .chopped(64),
        Case::closing("10.1.1 a text in fragments of 1,300 bytes", &pieces(TEXT, 65_000, 1_300)),
    ]
}

fn many() -> Vec<Case> {
    let of = |kind: u8, size: usize, count: usize| vec![frame(FIN | kind, &vec![b'*'; size]); count];
    vec![
        Case::closing("9.7 a thousand texts of no bytes", &of(TEXT, 0, 1_000)),
        Case::closing("9.7 a thousand texts of 64 bytes", &of(TEXT, 64, 1_000)),
        Case::closing("9.8 a thousand binary messages of 1 KiB", &of(BINARY, 1_024, 1_000)),
        Case::closing("9.8 five thousand binary messages of 3 bytes", &of(BINARY, 3, 5_000)).chopped(7),
    ]
}
