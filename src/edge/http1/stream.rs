//! A client's connection, with TLS or without.

use std::io;

use tokio::net::TcpStream;
use tokio_util::either::Either;

use crate::edge::tls_stream::{StillTlsStream, TlsStream};

/// What a client is spoken to over: plainly, or over TLS.
pub(in crate::edge) type ClientStream = Either<TcpStream, Box<TlsStream>>;

/// One on which nothing is under way, on its way to another runtime.
#[derive(Debug)]
pub(in crate::edge) enum StillStream {
    Plain(std::net::TcpStream),
    Tls(Box<StillTlsStream>),
}

impl StillStream {
    /// Takes a stream from its runtime.
    pub(super) fn of(stream: ClientStream) -> io::Result<Self> {
        Ok(match stream {
            Either::Left(plain) => Self::Plain(plain.into_std()?),
            Either::Right(tls) => Self::Tls(Box::new(tls.into_still()?)),
        })
    }

    /// Goes on, on the present runtime.
    pub(in crate::edge) fn go_on(self) -> io::Result<ClientStream> {
        Ok(match self {
            Self::Plain(plain) => Either::Left(TcpStream::from_std(plain)?),
            Self::Tls(tls) => Either::Right(tls.go_on()?),
        })
    }
}

/// Whether nothing that was read or is to be written waits in a stream.
pub(super) fn is_still(stream: &mut ClientStream) -> bool {
    match stream {
        Either::Left(_) => true,
        Either::Right(tls) => tls.is_still(),
    }
}

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
