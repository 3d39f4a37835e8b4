//! A client's connection over TLS, on rustls.
//!
//! It takes as few system calls as there can be: the ticket of a new session goes out with the first answer, and the
//! word that closes the connection with the last.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, BufRead as _, IoSlice, Write as _};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use rustls::{ProtocolVersion, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::socket::Socket;

/// A connection whose handshake is over.
pub(super) struct TlsStream {
    socket: Socket,
    session: ServerConnection,
    closing: Closing,
}

/// A connection on which nothing is under way, without its runtime.
#[derive(Debug)]
pub(super) struct StillTlsStream {
    stream: std::net::TcpStream,
    session: ServerConnection,
}

/// How far the end of what is written has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    /// It is told with the next bytes that are taken whole.
    WithNext,
    Told,
}

impl TlsStream {
    /// Agrees with a client on a session. Dropping the future breaks the connection off.
    pub(super) async fn accept(config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<Box<Self>> {
        let session = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = Box::new(Self { socket: Socket::new(stream), session, closing: Closing::No });
        poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }

    /// The host that the client asked for.
    pub(super) fn server_name(&self) -> Option<&str> {
        self.session.server_name()
    }

    /// The protocol that both agreed on.
    pub(super) fn protocol(&self) -> Option<&[u8]> {
        self.session.alpn_protocol()
    }

    /// The next write is the last: with it the client is told that nothing follows.
    pub(super) fn close_with_next(&mut self) {
        self.closing = Closing::WithNext;
    }

    /// Whether the client was told that nothing follows, as far as the system took it.
    pub(super) fn is_closed(&self) -> bool {
        self.closing == Closing::Told && !self.session.wants_write()
    }

    /// Whether nothing that was read or is to be written waits here, and the end is far.
    pub(super) fn is_still(&mut self) -> bool {
        let mut reader = self.session.reader();
        let read = reader.fill_buf().map_err(|error| error.kind());
        read == Err(io::ErrorKind::WouldBlock) && !self.session.wants_write() && self.closing == Closing::No
    }

    /// Takes a still stream from its runtime.
    pub(super) fn into_still(self) -> io::Result<StillTlsStream> {
        Ok(StillTlsStream { stream: self.socket.into_stream().into_std()?, session: self.session })
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            // Only in 1.3 what is left then is nothing that the client waits for.
            let last = !self.session.is_handshaking();
            if !last || self.session.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
                ready!(self.poll_write_out(cx))?;
            }
            if last {
                return Poll::Ready(Ok(()));
            }
            if ready!(self.poll_read_in(cx))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Reads what the client sent; 0 at the end.
    fn poll_read_in(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let read = match self.session.read_tls(&mut Now { socket: &mut self.socket, cx }) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
            read => read?,
        };
        if let Err(error) = self.session.process_new_packets() {
            // The client is told why, as far as it takes it at once.
            let _told = self.poll_write_out(cx);
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
        }
        Poll::Ready(Ok(read))
    }

    fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut Now { socket: &mut self.socket, cx }) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }

    fn tell_close(&mut self) {
        self.session.send_close_notify();
        self.closing = Closing::Told;
    }

    /// Has the session take what it can of some pieces, and sends that.
    fn poll_take(&mut self, pieces: &[IoSlice<'_>], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut taken = self.session.writer().write_vectored(pieces)?;
        while taken == 0 && length > 0 {
            ready!(self.poll_write_out(cx))?;
            taken = self.session.writer().write_vectored(pieces)?;
        }
        if self.closing == Closing::WithNext && taken == length {
            self.tell_close();
        }
        // What the system does not take now is written when it is flushed.
        if let Poll::Ready(Err(error)) = self.poll_write_out(cx) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(taken))
    }
}

impl StillTlsStream {
    /// Goes on, on the present runtime.
    pub(super) fn go_on(self) -> io::Result<Box<TlsStream>> {
        let socket = Socket::new(TcpStream::from_std(self.stream)?);
        Ok(Box::new(TlsStream { socket, session: self.session, closing: Closing::No }))
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match this.session.reader().fill_buf() {
                Ok(plain) => {
                    let length = plain.len().min(buffer.remaining());
                    buffer.put_slice(plain.get(..length).unwrap_or_default());
                    this.session.reader().consume(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            // The session itself says what the end of the stream means.
            ready!(this.poll_read_in(cx))?;
        }
    }
}

impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_take(&[IoSlice::new(bytes)], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_take(pieces, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_write_out(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing != Closing::Told {
            this.tell_close();
        }
        ready!(this.poll_write_out(cx))?;
        Pin::new(&mut this.socket).poll_shutdown(cx)
    }
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsStream").field("closing", &self.closing).finish_non_exhaustive()
    }
}

/// The socket as rustls wants it: what would have to wait is [`io::ErrorKind::WouldBlock`].
struct Now<'a, 'c, 'w> {
    socket: &'a mut Socket,
    cx: &'c mut Context<'w>,
}

fn now<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}

impl io::Read for Now<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        now(Pin::new(&mut *self.socket).poll_read(self.cx, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl io::Write for Now<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        now(Pin::new(&mut *self.socket).poll_write(self.cx, bytes))
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        now(Pin::new(&mut *self.socket).poll_write_vectored(self.cx, pieces))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
