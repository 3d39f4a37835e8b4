//! HTTP/1.1 (RFC 9112), as the edge speaks it.
//!
//! The data path: bytes are read into one buffer for each connection, of which heads and bodies are slices; what goes
//! out is joined while it is small. Nothing here has a task of its own: who waits for a message polls its connection.

mod body;
mod chunked;
mod client;
mod head;
mod input;
mod output;
mod spare;
mod stream;
mod upstream;
mod wire;

pub(super) use self::client::serve;
pub(super) use self::stream::{ClientStream, StillStream};
pub(super) use self::upstream::UpstreamConnection;
pub(super) use self::wire::{ClientSide, Http1Body, Wire};

/// What is wrong with the messages of a peer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Http1Error {
    #[error("the connection broke off")]
    Io(#[from] std::io::Error),
    #[error("the connection was closed in the middle of a message, or instead of one")]
    Closed,
    #[error("something came that nobody asked for")]
    Unasked,
    #[error("a head is not well formed")]
    Head(#[from] httparse::Error),
    #[error("a head is not well formed")]
    Parts(#[from] http::Error),
    #[error("a head is too long")]
    HeadTooLarge,
    #[error("a message does not say clearly where its body ends")]
    Framing,
    #[error("the chunks of a body are not well formed")]
    Chunk,
    #[error("a body is longer or shorter than its head says")]
    Length,
}
