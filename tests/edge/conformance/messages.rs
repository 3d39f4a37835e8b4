//! RFC 9113 §8: requests that are malformed are refused, and no app hears of them.

use super::super::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, PUSH_PROMISE, field, text};
use super::Wanted::{ConnectionError, Malformed, StreamError};
use super::{Case, HOME, HOST, NEVER, PROTOCOL_ERROR, Step, Wanted, block, case, get_with, post, send};

const PROTOCOL: Wanted = StreamError(&[PROTOCOL_ERROR]);

pub(super) fn cases() -> Vec<Case> {
    [framing(), fields(), pseudo_fields(), request_pseudo_fields(), values()].into_iter().flatten().collect()
}

/// A complete request of these fields.
fn request(fields: &[Vec<u8>]) -> Vec<Step> {
    vec![send(HEADERS, END_STREAM | END_HEADERS, 1, &fields.concat())]
}

fn method() -> Vec<u8> {
    vec![0x82]
}

fn scheme() -> Vec<u8> {
    vec![0x87]
}

fn path(path: &str) -> Vec<u8> {
    [vec![0x04], text(path)].concat()
}

fn authority() -> Vec<u8> {
    [vec![0x01], text(HOST)].concat()
}

fn framing() -> Vec<Case> {
    let trailers =
        |block: &[u8]| vec![post(1, NEVER), send(DATA, 0, 1, b"test"), send(HEADERS, END_HEADERS, 1, block)];
    let of_length = |length| {
        let block = [block("POST", NEVER), field("content-length", length)].concat();
        send(HEADERS, END_HEADERS, 1, &block)
    };
    let promise = [vec![0, 0, 0, 3], block("GET", HOME)].concat();
    let last = || send(DATA, END_STREAM, 1, b"test");
    vec![
        case("8.1 trailers without END_STREAM are malformed", trailers(&field("x-test", "ok")), PROTOCOL),
        case(
            "8.1 a pseudo-header field in trailers is malformed",
            trailers(&field(":method", "POST")),
            PROTOCOL,
        ),
        case(
            "8.1.1 a content-length other than the length of DATA is malformed",
            vec![of_length("1"), last()],
            PROTOCOL,
        ),
        case(
            "8.1.1 a content-length other than the length of several DATA frames is malformed",
            vec![of_length("1"), send(DATA, 0, 1, b"test"), last()],
            PROTOCOL,
        ),
        case(
            "8.1.1 a content-length above the length of DATA is malformed",
            vec![of_length("9"), last()],
            PROTOCOL,
        ),
        case(
            "8.4 PUSH_PROMISE is a connection error PROTOCOL_ERROR",
            vec![send(PUSH_PROMISE, END_HEADERS, 1, &promise)],
            ConnectionError(&[PROTOCOL_ERROR]),
        ),
    ]
}

fn fields() -> Vec<Case> {
    let with = |name, value| vec![get_with(&field(name, value))];
    let te = [field("trailers", "test"), field("te", "trailers, deflate")].concat();
    vec![
        case("8.2.1 a name with capitals is malformed", with("X-TEST", "ok"), PROTOCOL),
        case("8.2.2 the field connection is malformed", with("connection", "keep-alive"), PROTOCOL),
        case(
            "8.2.2 the field transfer-encoding is malformed",
            with("transfer-encoding", "chunked"),
            PROTOCOL,
        ),
        case("8.2.2 the field keep-alive is malformed", with("keep-alive", "timeout=5"), PROTOCOL),
        case("8.2.2 the field proxy-connection is malformed", with("proxy-connection", "close"), PROTOCOL),
        case("8.2.2 the field upgrade is malformed", with("upgrade", "websocket"), PROTOCOL),
        case("8.2.2 te with more than trailers is malformed", vec![get_with(&te)], PROTOCOL),
    ]
}

fn pseudo_fields() -> Vec<Case> {
    let first = [field("x-test", "ok"), block("GET", HOME)].concat();
    vec![
        case(
            "8.3 an unknown pseudo-header field is malformed",
            vec![get_with(&field(":test", "ok"))],
            PROTOCOL,
        ),
        case(
            "8.3 a pseudo-header field of answers is malformed",
            vec![get_with(&field(":status", "200"))],
            PROTOCOL,
        ),
        case(
            "8.3 a pseudo-header field after another field is malformed",
            vec![send(HEADERS, END_STREAM | END_HEADERS, 1, &first)],
            PROTOCOL,
        ),
    ]
}

fn request_pseudo_fields() -> Vec<Case> {
    let again = |more: Vec<u8>| vec![get_with(&more)];
    vec![
        case(
            "8.3.1 an empty :path is malformed",
            request(&[method(), scheme(), path(""), authority()]),
            PROTOCOL,
        ),
        case(
            "8.3.1 a request without :method is malformed",
            request(&[scheme(), path(HOME), authority()]),
            PROTOCOL,
        ),
        case(
            "8.3.1 a request without :scheme is malformed",
            request(&[method(), path(HOME), authority()]),
            PROTOCOL,
        ),
        case(
            "8.3.1 a request without :path is malformed",
            request(&[method(), scheme(), authority()]),
            PROTOCOL,
        ),
        case("8.3.1 two :method are malformed", again(method()), PROTOCOL),
        case("8.3.1 two :scheme are malformed", again(scheme()), PROTOCOL),
        case("8.3.1 two :path are malformed", again(path(HOME)), PROTOCOL),
        case("8.3.1 two :authority are malformed", again(authority()), PROTOCOL),
    ]
}

/// Beyond h2spec: what RFC 9113 has added to RFC 7540.
fn values() -> Vec<Case> {
    let with = |name, value| vec![get_with(&field(name, value))];
    vec![
        case("8.2.1 a line feed in a value is malformed", with("x-test", "a\nb"), Malformed),
        case("8.2.1 a carriage return in a value is malformed", with("x-test", "a\rb"), Malformed),
        case("8.2.1 a zero byte in a value is malformed", with("x-test", "a\0b"), Malformed),
        case("8.2.1 a space in a name is malformed", with("x test", "ok"), Malformed),
        case("8.2.1 an empty name is malformed", with("", "ok"), Malformed),
        case("8.2.1 a value that begins with a space is malformed", with("x-test", " ok"), Malformed),
        case("8.2.1 a value that ends with a space is malformed", with("x-test", "ok "), Malformed),
        case("8.3.1 a host other than :authority is malformed", with("host", "other.apps.test"), Malformed),
        case(
            "8.3.1 a :path that begins with no slash is malformed",
            request(&[method(), scheme(), path("x"), authority()]),
            Malformed,
        ),
        case(
            "8.1.1 two different content-length are malformed",
            vec![get_with(&[field("content-length", "0"), field("content-length", "1")].concat())],
            Malformed,
        ),
    ]
}
