//! A client's connection, with TLS or without.

use tokio::net::TcpStream;
use tokio_util::either::Either;

use crate::edge::tls_stream::TlsStream;

/// What a client is spoken to over: plainly, or over TLS.
pub(in crate::edge) type ClientStream = Either<TcpStream, Box<TlsStream>>;

/// The next write is the last; with TLS the client is told so with it.
pub(super) fn close_with_next(stream: &mut ClientStream) {
    match stream {
        Either::Left(_) => {}
        Either::Right(tls) => tls.close_with_next(),
    }
}

/// Whether the client has been told all there is: without TLS the end of the connection is all.
pub(super) fn is_closed(stream: &ClientStream) -> bool {
    match stream {
        Either::Left(_) => true,
        Either::Right(tls) => tls.is_closed(),
    }
}
