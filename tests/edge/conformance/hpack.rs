//! RFC 7541: header blocks that cannot be decoded end the connection.

use super::super::frames::{END_HEADERS, END_STREAM, HEADERS};
use super::Wanted::{ConnectionError, GoAway};
use super::{COMPRESSION_ERROR, Case, HOME, PROTOCOL_ERROR, UNPARSED, block, case, get_with, send};

const UNDECODABLE: super::Wanted = ConnectionError(&[COMPRESSION_ERROR]);

pub(super) fn cases() -> Vec<Case> {
    // One more than the 4,096 bytes that a table has where nobody has said otherwise.
    let too_large = [vec![0x3f, 0xe2, 0x1f], block("GET", HOME)].concat();
    let cases = vec![
        case("hpack 2.3.3 an index beyond both tables", vec![get_with(&[0xfe])], UNDECODABLE),
        case(
            "hpack 2.3.3 a literal whose name is at an index beyond both tables",
            vec![get_with(b"\x7e\x01a")],
            UNDECODABLE,
        ),
        case("hpack 4.2 a size update at the end of a block", vec![get_with(&[0x21])], UNDECODABLE),
        case(
            "hpack 5.2 a Huffman string padded by more than seven bits",
            vec![get_with(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")],
            UNDECODABLE,
        ),
        case(
            "hpack 5.2 a Huffman string padded by zeros",
            vec![get_with(b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")],
            UNDECODABLE,
        ),
        case(
            "hpack 5.2 a Huffman string with the end-of-string symbol",
            vec![get_with(b"\x00\x85\xf2\xb2\x4a\x87\xff\xff\xff\xfd\x25\x42\x7f")],
            UNDECODABLE,
        ),
        case("hpack 6.1 the index 0", vec![get_with(&[0x80])], UNDECODABLE),
        case(
            "hpack 6.3 a size update beyond SETTINGS_HEADER_TABLE_SIZE",
            vec![send(HEADERS, END_STREAM | END_HEADERS, 1, &too_large)],
            UNDECODABLE,
        ),
        case("hpack 5.1 a string longer than its block", vec![get_with(b"\x00\x7f\x01x")], UNDECODABLE),
    ];
    cases.into_iter().map(|case| case.deviates(GoAway(PROTOCOL_ERROR), UNPARSED)).collect()
}
