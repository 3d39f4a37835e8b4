//! RFC 9113 §6 and §7: each type of frame, and codes of errors.

use super::super::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, field,
};
use super::Wanted::{Closed, ConnectionError, Data, GoAway, Headers, Pong, Reset, SettingsAck, StreamError};
use super::{
    AFTER_THE_END, CANCEL, Case, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, HOME, NEVER, NOTHING, PROTOCOL_ERROR,
    STREAM_CLOSED, Step, UNPARSED, Wanted, block, case, get, post, send, setting,
};

const PROTOCOL: Wanted = ConnectionError(&[PROTOCOL_ERROR]);
const FRAME_SIZE: Wanted = ConnectionError(&[FRAME_SIZE_ERROR]);
const FLOW_CONTROL: Wanted = ConnectionError(&[FLOW_CONTROL_ERROR]);
/// The most that a window may be.
const MAX_WINDOW: [u8; 4] = [0x7f, 0xff, 0xff, 0xff];

pub(super) fn cases() -> Vec<Case> {
    [
        data(),
        headers(),
        priority_and_reset(),
        settings(),
        defined_settings(),
        ping_and_goaway(),
        window_update(),
        windows(),
        continuation(),
        codes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn data() -> Vec<Case> {
    let with_length = [block("POST", NEVER), field("content-length", "4")].concat();
    vec![
        case(
            "6.1 DATA of the stream 0 is a connection error PROTOCOL_ERROR",
            vec![send(DATA, END_STREAM, 0, b"test")],
            PROTOCOL,
        ),
        case(
            "6.1 DATA of a stream that is not open is a stream error STREAM_CLOSED",
            vec![
                send(HEADERS, END_STREAM | END_HEADERS, 1, &block("POST", NEVER)),
                send(DATA, END_STREAM, 1, b"test"),
            ],
            StreamError(&[STREAM_CLOSED]),
        )
        .deviates(GoAway(PROTOCOL_ERROR), AFTER_THE_END),
        case(
            "6.1 DATA with more padding than payload is a connection error PROTOCOL_ERROR",
            vec![
                send(HEADERS, END_HEADERS, 1, &with_length),
                send(DATA, END_STREAM | PADDED, 1, b"\x06test"),
            ],
            PROTOCOL,
        ),
    ]
}

fn headers() -> Vec<Case> {
    let begun = || send(HEADERS, 0, 1, &block("GET", HOME));
    let ended = || send(CONTINUATION, END_HEADERS, 1, &field("x-dummy", "y"));
    let block = block("GET", HOME);
    let padding = u8::try_from(block.len() + 2).unwrap();
    vec![
        case(
            "6.2 PRIORITY after HEADERS without END_HEADERS is a connection error PROTOCOL_ERROR",
            vec![begun(), send(PRIORITY, 0, 1, &[0, 0, 0, 0, 255]), ended()],
            PROTOCOL,
        ),
        case(
            "6.2 HEADERS of another stream after HEADERS without END_HEADERS are a connection error PROTOCOL_ERROR",
            vec![begun(), get(3, HOME), ended()],
            PROTOCOL,
        ),
        case(
            "6.2 HEADERS of the stream 0 are a connection error PROTOCOL_ERROR",
            vec![get(0, HOME)],
            PROTOCOL,
        ),
        case(
            "6.2 HEADERS with more padding than payload are an error PROTOCOL_ERROR",
            vec![send(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, &[vec![padding], block].concat())],
            StreamError(&[PROTOCOL_ERROR]),
        ),
    ]
}

fn priority_and_reset() -> Vec<Case> {
    vec![
        case(
            "6.3 PRIORITY of the stream 0 is a connection error PROTOCOL_ERROR",
            vec![send(PRIORITY, 0, 0, &[0, 0, 0, 0, 255])],
            PROTOCOL,
        ),
        case(
            "6.3 PRIORITY of another length than 5 is a stream error FRAME_SIZE_ERROR",
            vec![get(1, NEVER), send(PRIORITY, 0, 1, &[128, 0, 0, 1])],
            StreamError(&[FRAME_SIZE_ERROR]),
        )
        .deviates(GoAway(PROTOCOL_ERROR), UNPARSED),
        case(
            "6.3 HEADERS for a stream below one that has a PRIORITY are answered",
            vec![send(PRIORITY, 0, 3, &[0, 0, 0, 0, 255]), get(1, HOME)],
            Headers(1),
        ),
        case(
            "6.4 RST_STREAM of the stream 0 is a connection error PROTOCOL_ERROR",
            vec![send(RST_STREAM, 0, 0, &CANCEL.to_be_bytes())],
            PROTOCOL,
        ),
        case(
            "6.4 RST_STREAM of an idle stream is a connection error PROTOCOL_ERROR",
            vec![send(RST_STREAM, 0, 1, &CANCEL.to_be_bytes())],
            PROTOCOL,
        ),
        case(
            "6.4 RST_STREAM of another length than 4 is a connection error FRAME_SIZE_ERROR",
            vec![get(1, NEVER), send(RST_STREAM, 0, 1, &[0, 0, 0])],
            FRAME_SIZE,
        )
        .deviates(GoAway(PROTOCOL_ERROR), UNPARSED),
    ]
}

fn settings() -> Vec<Case> {
    vec![
        case(
            "6.5 SETTINGS with ACK and a payload are a connection error FRAME_SIZE_ERROR",
            vec![send(SETTINGS, ACK, 0, &[0])],
            FRAME_SIZE,
        )
        .deviates(GoAway(PROTOCOL_ERROR), UNPARSED),
        case(
            "6.5 SETTINGS of a stream are a connection error PROTOCOL_ERROR",
            vec![send(SETTINGS, 0, 1, &setting(3, 100))],
            PROTOCOL,
        ),
        case(
            "6.5 SETTINGS whose length is no multiple of 6 are a connection error FRAME_SIZE_ERROR",
            vec![send(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100, 0, 2])],
            FRAME_SIZE,
        )
        .deviates(GoAway(PROTOCOL_ERROR), UNPARSED),
        case(
            "6.5.3 settings are processed in their order",
            vec![
                send(SETTINGS, 0, 0, &[setting(4, 100), setting(4, 1)].concat()),
                Step::Until(SettingsAck),
                get(1, HOME),
            ],
            Data(1),
        ),
        case("6.5.3 SETTINGS are acknowledged", vec![send(SETTINGS, 0, 0, &setting(2, 0))], SettingsAck),
    ]
}

fn defined_settings() -> Vec<Case> {
    let one = |id, value| vec![send(SETTINGS, 0, 0, &setting(id, value))];
    vec![
        case("6.5.2 a SETTINGS_ENABLE_PUSH of 2 is a connection error PROTOCOL_ERROR", one(2, 2), PROTOCOL),
        case(
            "6.5.2 a SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1 is a connection error FLOW_CONTROL_ERROR",
            one(4, 1 << 31),
            FLOW_CONTROL,
        )
        .deviates(GoAway(PROTOCOL_ERROR), UNPARSED),
        case(
            "6.5.2 a SETTINGS_MAX_FRAME_SIZE below 16,384 is a connection error PROTOCOL_ERROR",
            one(5, 16_383),
            PROTOCOL,
        ),
        case(
            "6.5.2 a SETTINGS_MAX_FRAME_SIZE above 2^24-1 is a connection error PROTOCOL_ERROR",
            one(5, 1 << 24),
            PROTOCOL,
        ),
        case(
            "6.5.2 an unknown setting is ignored",
            vec![send(SETTINGS, 0, 0, &setting(0xff, 1)), send(PING, 0, 0, &NOTHING)],
            Pong(NOTHING),
        ),
    ]
}

fn ping_and_goaway() -> Vec<Case> {
    vec![
        case(
            "6.7 PING is answered with its payload",
            vec![send(PING, 0, 0, b"h2spec\0\0")],
            Pong(*b"h2spec\0\0"),
        ),
        case(
            "6.7 PING with ACK is not answered",
            vec![send(PING, ACK, 0, b"invalid\0"), send(PING, 0, 0, b"h2spec\0\0")],
            Pong(*b"h2spec\0\0"),
        ),
        case(
            "6.7 PING of a stream is a connection error PROTOCOL_ERROR",
            vec![send(PING, 0, 1, &NOTHING)],
            PROTOCOL,
        ),
        case(
            "6.7 PING of another length than 8 is a connection error FRAME_SIZE_ERROR",
            vec![send(PING, 0, 0, &[0; 6])],
            FRAME_SIZE,
        )
        .deviates(GoAway(PROTOCOL_ERROR), UNPARSED),
        case(
            "6.8 GOAWAY of a stream is a connection error PROTOCOL_ERROR",
            vec![send(GOAWAY, 0, 1, &[0; 8])],
            PROTOCOL,
        ),
    ]
}

fn window_update() -> Vec<Case> {
    vec![
        case(
            "6.9 WINDOW_UPDATE by 0 is a connection error PROTOCOL_ERROR",
            vec![send(WINDOW_UPDATE, 0, 0, &[0; 4])],
            PROTOCOL,
        ),
        case(
            "6.9 WINDOW_UPDATE of a stream by 0 is a stream error PROTOCOL_ERROR",
            vec![post(1, NEVER), send(WINDOW_UPDATE, 0, 1, &[0; 4])],
            StreamError(&[PROTOCOL_ERROR]),
        ),
        case(
            "6.9 WINDOW_UPDATE of another length than 4 is a connection error FRAME_SIZE_ERROR",
            vec![send(WINDOW_UPDATE, 0, 0, &[0, 0, 1])],
            FRAME_SIZE,
        )
        .deviates(GoAway(PROTOCOL_ERROR), UNPARSED),
        case(
            "6.9.1 a connection's window above 2^31-1 is answered by GOAWAY with FLOW_CONTROL_ERROR",
            vec![send(WINDOW_UPDATE, 0, 0, &MAX_WINDOW), send(WINDOW_UPDATE, 0, 0, &MAX_WINDOW)],
            GoAway(FLOW_CONTROL_ERROR),
        ),
        case(
            "6.9.1 a stream's window above 2^31-1 is answered by RST_STREAM with FLOW_CONTROL_ERROR",
            vec![
                post(1, NEVER),
                send(WINDOW_UPDATE, 0, 1, &MAX_WINDOW),
                send(WINDOW_UPDATE, 0, 1, &MAX_WINDOW),
            ],
            Reset(FLOW_CONTROL_ERROR),
        ),
    ]
}

fn windows() -> Vec<Case> {
    let window = |size| send(SETTINGS, 0, 0, &setting(4, size));
    vec![
        case(
            "6.9.1 no more is sent than the window has room for",
            vec![window(1), Step::Until(SettingsAck), get(1, HOME)],
            Data(1),
        ),
        case(
            "6.9.2 a changed initial window changes the windows of streams",
            vec![window(0), Step::Until(SettingsAck), get(1, HOME), window(1)],
            Data(1),
        ),
        case(
            "6.9.2 a window that became negative is waited for",
            vec![
                window(3),
                Step::Until(SettingsAck),
                get(1, HOME),
                Step::Until(Data(3)),
                window(2),
                Step::Until(SettingsAck),
                send(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 2]),
            ],
            Data(1),
        ),
        case(
            "6.9.2 an initial window above 2^31-1 is a connection error FLOW_CONTROL_ERROR",
            vec![window(1 << 31)],
            FLOW_CONTROL,
        )
        .deviates(GoAway(PROTOCOL_ERROR), UNPARSED),
    ]
}

fn continuation() -> Vec<Case> {
    let begun = |flags| send(HEADERS, flags, 1, &block("GET", HOME));
    let continued = |flags, stream| send(CONTINUATION, flags, stream, &field("x-dummy", "y"));
    vec![
        case(
            "6.10 several CONTINUATION frames after HEADERS are accepted",
            vec![begun(END_STREAM), continued(0, 1), continued(END_HEADERS, 1)],
            Headers(1),
        ),
        case(
            "6.10 another frame within a block is a connection error PROTOCOL_ERROR",
            vec![begun(0), continued(0, 1), send(DATA, END_STREAM, 1, b"test")],
            PROTOCOL,
        ),
        case(
            "6.10 CONTINUATION of the stream 0 is a connection error PROTOCOL_ERROR",
            vec![begun(END_STREAM), continued(END_HEADERS, 0)],
            PROTOCOL,
        ),
        case(
            "6.10 CONTINUATION after HEADERS with END_HEADERS is a connection error PROTOCOL_ERROR",
            vec![begun(END_STREAM | END_HEADERS), continued(END_HEADERS, 1)],
            PROTOCOL,
        ),
        case(
            "6.10 CONTINUATION after one with END_HEADERS is a connection error PROTOCOL_ERROR",
            vec![begun(END_STREAM), continued(END_HEADERS, 1), continued(END_HEADERS, 1)],
            PROTOCOL,
        ),
        case(
            "6.10 CONTINUATION after DATA is a connection error PROTOCOL_ERROR",
            vec![
                send(HEADERS, END_HEADERS, 1, &block("POST", NEVER)),
                send(DATA, END_STREAM, 1, b"test"),
                continued(0, 1),
            ],
            PROTOCOL,
        ),
    ]
}

fn codes() -> Vec<Case> {
    vec![
        case(
            "7 GOAWAY with an unknown code is one like any other",
            vec![send(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 255])],
            Closed,
        ),
        case(
            "7 RST_STREAM with an unknown code is one like any other",
            vec![post(1, NEVER), send(RST_STREAM, 0, 1, &[0, 0, 0, 255]), send(PING, 0, 0, &NOTHING)],
            Pong(NOTHING),
        ),
    ]
}
