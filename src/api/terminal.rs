//! The terminal of a one-off dyno over a WebSocket, in the channels of Kubernetes' `v5.channel.k8s.io`.
//!
//! Each binary message begins with its channel: 0 input, 1 and 2 the outputs, 3 how the dyno ended (JSON), 4 the size
//! of the terminal (JSON with `Width` and `Height`), 255 the end of the channel that the next byte names.

use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::auth::Policy;
use super::extract::{AppPath, Path};
use super::router::Routes;
use super::{ApiState, Error};
use crate::model::log::OutputStream;
use crate::model::oneoff::OneOff;
use crate::model::principal::Principal;
use crate::model::rule::shown;
use crate::service::{self, oneoffs};
use crate::terminals::{Control, Input, Output, Session, TerminalError};

const PROTOCOL: &str = "v5.channel.k8s.io";
/// Largest message of a client.
const MESSAGE_LIMIT: usize = 64 * 1024;
/// A client that is gone is noticed by its silence to these.
const PING_EVERY: Duration = Duration::from_secs(30);
/// How long a client may take to take in a message.
const SEND_LIMIT: Duration = Duration::from_mins(1);

const INPUT: u8 = 0;
const OUTPUT: u8 = 1;
const ERRORS: u8 = 2;
const STATUS: u8 = 3;
const RESIZE: u8 = 4;
const CLOSE: u8 = 255;

/// Not in the document, which has no words for a WebSocket: `attach_url` of a new dyno leads here.
pub(super) fn router() -> Routes {
    Routes::new("dynos").alias(Policy::Changer, "/apps/{app}/dynos/{dyno}/attach", get(open))
}

#[derive(Deserialize)]
struct TerminalPath {
    dyno: String,
}

/// What channel 4 carries.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SizeMessage {
    width: u16,
    height: u16,
}

/// Attaches to a one-off dyno that waits for its terminal, and starts it.
async fn open(
    State(state): State<ApiState>,
    author: Principal,
    AppPath(app): AppPath,
    Path(path): Path<TerminalPath>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Error> {
    let upgrade = upgrade.map_err(|rejection| {
        service::Error::BadRequest(format!("This is reached by a WebSocket: {rejection}."))
    })?;
    let (id, sealer, named) = (app.id, state.sealer.clone(), path.dyno.clone());
    let found = state.store.read(move |c| oneoffs::find(c, &sealer, id, &named)).await?;
    let oneoff = found.ok_or_else(|| {
        service::Error::NotFound(format!("The one-off dyno {} does not exist.", shown(&path.dyno)))
    })?;
    if !oneoff.terminal.is_attached() || oneoff.ended.is_some() {
        return Err(service::Error::Conflict(format!(
            "The dyno {}.{} does not wait for a terminal; start one with \"attach\": true.",
            oneoff.process_type, oneoff.name
        ))
        .into());
    }
    oneoffs::check_compliance(&author, &app)?;
    let session = state.terminals.open(&author, oneoff).await.map_err(refusal)?;
    let upgrade = upgrade.protocols([PROTOCOL]).max_message_size(MESSAGE_LIMIT).max_frame_size(MESSAGE_LIMIT);
    Ok(upgrade.on_upgrade(move |socket| serve(session, socket)))
}

fn refusal(error: TerminalError) -> Error {
    match error {
        TerminalError::Service(error) => error.into(),
        TerminalError::Engine(error) => {
            tracing::warn!(%error, "a terminal could not be opened");
            let message = "The engine did not give the terminal of the dyno out; start another one.";
            service::Error::Unavailable(message.to_owned()).into()
        }
        error @ TerminalError::NotMade => service::Error::Conflict(error.to_string()).into(),
    }
}

/// Carries bytes until one side ends, then tells the client how the dyno ended.
async fn serve(session: Session, socket: WebSocket) {
    let (mut sink, stream) = socket.split();
    let Session { output, input, control } = session;
    let output_ended = tokio::select! {
        () = control.stopping() => false,
        ended = send_output(&mut sink, output) => ended,
        () = take_input(stream, input, &control) => false,
    };
    match control.close(output_ended).await {
        Ok(Some(oneoff)) => {
            let _gone = send(&mut sink, STATUS, status(&oneoff).to_string().as_bytes()).await;
        }
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the end of a terminal was not noted"),
    }
    let _gone = tokio::time::timeout(SEND_LIMIT, sink.close()).await;
}

/// Returns whether the output ended; `false` when the client is gone.
async fn send_output(sink: &mut SplitSink<WebSocket, Message>, mut output: Output) -> bool {
    let mut ping = tokio::time::interval(PING_EVERY);
    loop {
        let piece = tokio::select! {
            piece = output.next() => piece,
            _ = ping.tick() => {
                let sent = tokio::time::timeout(SEND_LIMIT, sink.send(Message::Ping(Bytes::new()))).await;
                if matches!(sent, Ok(Ok(()))) {
                    continue;
                }
                return false;
            }
        };
        let Some((stream, bytes)) = piece else { return true };
        let channel = match stream {
            OutputStream::Stdout => OUTPUT,
            OutputStream::Stderr => ERRORS,
        };
        if !send(sink, channel, &bytes).await {
            return false;
        }
    }
}

/// Returns whether the client took it.
async fn send(sink: &mut SplitSink<WebSocket, Message>, channel: u8, bytes: &[u8]) -> bool {
    let mut message = BytesMut::with_capacity(bytes.len() + 1);
    message.put_u8(channel);
    message.put_slice(bytes);
    let sent = tokio::time::timeout(SEND_LIMIT, sink.send(Message::Binary(message.freeze()))).await;
    matches!(sent, Ok(Ok(())))
}

/// Returns when the client is gone.
async fn take_input(mut stream: SplitStream<WebSocket>, mut input: Input, control: &Control) {
    while let Some(Ok(message)) = stream.next().await {
        let bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return,
        };
        match bytes.split_first() {
            // A process that has closed its input goes on.
            Some((&INPUT, rest)) => drop(input.write_all(rest).await),
            Some((&RESIZE, rest)) => {
                if let Ok(SizeMessage { width, height }) = serde_json::from_slice(rest) {
                    control.resize(width, height).await;
                }
            }
            Some((&CLOSE, [INPUT])) => drop(input.shutdown().await),
            Some(_) | None => {}
        }
    }
}

/// How a dyno ended, as Kubernetes says it.
fn status(oneoff: &OneOff) -> Value {
    let Some(ended) = &oneoff.ended else { return Value::Null };
    if oneoff.succeeded() {
        return json!({ "metadata": {}, "status": "Success" });
    }
    let causes: Vec<Value> = ended
        .exit_code
        .iter()
        .map(|code| json!({ "reason": "ExitCode", "message": code.to_string() }))
        .collect();
    let reason = if causes.is_empty() { "InternalError" } else { "NonZeroExitCode" };
    json!({
        "metadata": {},
        "status": "Failure",
        "reason": reason,
        "message": ended.text(),
        "details": { "causes": causes },
    })
}
