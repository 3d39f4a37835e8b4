//! What a server refuses: the classes 2 to 7 of Autobahn, as far as they are invalid. The edge passes all of it.

use super::{BINARY, CLOSE, CONTINUATION, Case, FIN, PING, PONG, TEXT, frame};

const PROTOCOL_ERROR: u16 = 1002;
const INVALID_DATA: u16 = 1007;

pub(super) fn cases() -> Vec<Case> {
    [control(), reserved_bits(), opcodes(), fragments(), text(), goodbyes(), masks()]
        .into_iter()
        .flatten()
        .collect()
}

fn hello() -> Vec<u8> {
    frame(FIN | TEXT, b"Hello, world!")
}

fn ping() -> Vec<u8> {
    frame(FIN | PING, b"")
}

/// A mistake, after and before frames without one.
fn wrong(name: impl Into<String>, frames: &[Vec<u8>]) -> Case {
    Case::failing(name, frames, PROTOCOL_ERROR)
}

fn control() -> Vec<Case> {
    vec![
        wrong("2.5 a ping of 126 bytes", &[frame(FIN | PING, &[0xfe; 126])]),
        wrong("2 a pong of 126 bytes", &[frame(FIN | PONG, &[0xfe; 126])]),
        wrong("5.1 a ping in two fragments", &[frame(PING, b"a"), frame(FIN | CONTINUATION, b"b")]),
        wrong("5.2 a pong in two fragments", &[frame(PONG, b"a"), frame(FIN | CONTINUATION, b"b")]),
        wrong("7.3.6 a goodbye of 126 bytes", &[frame(FIN | CLOSE, &[3, 232].repeat(63))]),
        wrong("7 a goodbye in two fragments", &[frame(CLOSE, &[3, 232]), frame(FIN | CONTINUATION, b"b")]),
    ]
}

fn reserved_bits() -> Vec<Case> {
    let bits = |bits: u8, kind: u8| frame(FIN | bits << 4 | kind, b"Hello, world!");
    vec![
        wrong("3.1 the third reserved bit", &[bits(1, TEXT)]),
        wrong("3.2 the second reserved bit after a message", &[hello(), bits(2, TEXT), ping()]),
        wrong("3.3 two reserved bits, in writes of a byte", &[hello(), bits(3, TEXT), ping()]).chopped(1),
        wrong("3.4 the first reserved bit, in writes of a byte", &[hello(), bits(4, TEXT), ping()])
            .chopped(1),
        wrong("3.5 reserved bits of a binary message", &[bits(5, BINARY)]),
        wrong("3.6 reserved bits of a ping", &[bits(6, PING)]),
        wrong("3.7 reserved bits of a goodbye", &[frame(FIN | 7 << 4 | CLOSE, &[3, 232])]),
    ]
}

fn opcodes() -> Vec<Case> {
    let mut cases = Vec::new();
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        cases.push(wrong(format!("4 the opcode {opcode}"), &[frame(FIN | opcode, b"")]));
        let between = [hello(), frame(FIN | opcode, b"reserved"), ping()];
        cases.push(wrong(format!("4 the opcode {opcode} after a message"), &between).chopped(3));
    }
    cases
}

fn fragments() -> Vec<Case> {
    let first = || frame(TEXT, b"fragment1");
    let last = || frame(FIN | CONTINUATION, b"fragment2");
    vec![
        wrong("5.9 a last fragment without a first one", &[last(), hello()]),
        wrong("5.10 a last fragment without a first one, byte by byte", &[last(), hello()]).chopped(1),
        wrong("5.12 a fragment without a first one", &[frame(CONTINUATION, b"no"), hello()]),
        wrong("5.15 a fragment after the last one", &[first(), last(), frame(CONTINUATION, b"3"), hello()]),
        wrong("5.18 a first fragment twice", &[first(), frame(FIN | TEXT, b"fragment2")]),
    ]
}

/// Texts whose coding is not valid.
const INVALID: &[(&str, &[u8])] = &[
    ("6.3.1 a surrogate within text", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64"),
    ("6.8.1 five bytes", b"\xf8\x88\x80\x80\x80"),
    ("6.8.2 six bytes", b"\xfc\x84\x80\x80\x80\x80"),
    ("6.10.1 beyond the last", b"\xf7\xbf\xbf\xbf"),
    ("6.11.5 one beyond the last", b"\xf4\x90\x80\x80"),
    ("6.12.1 a continuation alone", b"\x80"),
    ("6.12.8 all continuations", b"\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\xbf"),
    ("6.13.1 first bytes of two with spaces", b"\xc0\x20\xc1\x20\xc2\x20\xdf\x20"),
    ("6.14.1 the last byte of two missing", b"\xc0"),
    ("6.14.4 the last byte of four missing", b"\xf0\x80\x80"),
    ("6.16.1 impossible bytes", b"\xfe"),
    ("6.16.2 impossible bytes", b"\xff"),
    ("6.17.1 overlong, two bytes", b"\xc0\xaf"),
    ("6.17.3 overlong, four bytes", b"\xf0\x80\x80\xaf"),
    ("6.18.2 the largest overlong, three bytes", b"\xe0\x9f\xbf"),
    ("6.19.1 overlong zero", b"\xc0\x80"),
    ("6.20.1 the first surrogate", b"\xed\xa0\x80"),
    ("6.20.7 the last surrogate", b"\xed\xbf\xbf"),
    ("6.21.1 a pair of surrogates", b"\xed\xa0\x80\xed\xb0\x80"),
];

fn text() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, text) in INVALID {
        cases.push(Case::failing(*name, &[frame(FIN | TEXT, text)], INVALID_DATA));
        let middle = text.len() / 2;
        let (start, end) = text.split_at(middle);
        let halves = [frame(TEXT, start), frame(FIN | CONTINUATION, end)];
        cases.push(Case::failing(format!("{name}, in two fragments"), &halves, INVALID_DATA).chopped(1));
    }
    cases
}

fn goodbyes() -> Vec<Case> {
    let invalid =
        [&[3, 232][..], b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64"].concat();
    let mut cases = vec![
        wrong("7.3.2 a goodbye of one byte", &[frame(FIN | CLOSE, b"a")]),
        Case::failing("7.5.1 a reason that is no text", &[frame(FIN | CLOSE, &invalid)], INVALID_DATA),
    ];
    for code in [0_u16, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        cases.push(wrong(format!("7.9 the code {code}"), &[frame(FIN | CLOSE, &code.to_be_bytes())]));
    }
    cases
}

fn masks() -> Vec<Case> {
    vec![
        wrong("RFC 6455 §5.1 a frame without a mask", &[vec![FIN | TEXT, 2, b'h', b'i']]),
        wrong("RFC 6455 §5.1 a ping without a mask after a message", &[hello(), vec![FIN | PING, 0]]),
    ]
}
