//! One end of the pair of sockets: whole messages, with file descriptors beside them.
//!
//! Invariant: messages are kept apart by the kernel (`SOCK_SEQPACKET`), so that no descriptor is taken for another's.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Descriptors that one message carries; the kernel allows 253.
pub(super) const MOST_DESCRIPTORS: usize = 64;
/// Bytes of a message.
const LONGEST: usize = 8 * 1024;

/// One end.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    /// Two connected ends, neither of which a child inherits by itself.
    pub(super) fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let (one, other) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)?;
        Ok((Self(one), Self(other)))
    }

    /// The end that this process was given as its standard input, which becomes `/dev/null`.
    pub(super) fn from_stdin() -> io::Result<Self> {
        let own = io::stdin().as_fd().try_clone_to_owned()?;
        if rustix::net::sockopt::socket_type(&own)? != SocketType::SEQPACKET {
            return Err(io::Error::other("standard input is no socket of a predecessor"));
        }
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        Ok(Self(own))
    }

    /// Sends a message with at most [`MOST_DESCRIPTORS`] descriptors. Does not wait: the few messages that there
    /// are fit into the socket.
    pub(super) fn send(&self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let too_many = || io::Error::other("too many descriptors for one message");
        if descriptors.len() > MOST_DESCRIPTORS {
            return Err(too_many());
        }
        let text = serde_json::to_vec(message)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() && !beside.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(too_many());
        }
        sendmsg(&self.0, &[IoSlice::new(&text)], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Waits for the next message; `None` when the other end is closed. Cancel-safe.
    pub(super) async fn receive<M: DeserializeOwned>(&self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        // The runtime waits for any socket that it takes for a stream; the reading is done here.
        let readable = UnixStream::from_std(self.0.try_clone()?.into())?;
        let (text, descriptors) = readable.async_io(Interest::READABLE, || receive(readable.as_fd())).await?;
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some((serde_json::from_slice(&text)?, descriptors)))
    }

    /// The end itself, to be another process's standard input.
    pub(super) fn into_descriptor(self) -> OwnedFd {
        self.0
    }
}

fn receive(fd: BorrowedFd<'_>) -> io::Result<(Vec<u8>, Vec<OwnedFd>)> {
    let mut text = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut beside = RecvAncillaryBuffer::new(&mut space);
    let received = match recvmsg(fd, &mut [IoSliceMut::new(&mut text)], &mut beside, RecvFlags::CMSG_CLOEXEC)
    {
        // The other process was killed with a message of ours unread.
        Err(rustix::io::Errno::CONNRESET) => return Ok((Vec::new(), Vec::new())),
        received => received?,
    };
    text.truncate(received.bytes);
    let mut descriptors = Vec::new();
    for message in beside.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((text, descriptors))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_listener_that_was_sent_is_the_same_socket() {
        let (one, other) = Channel::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        one.send(&"first", &[listener.as_fd(), listener.as_fd()]).unwrap();
        one.send(&"second", &[]).unwrap();
        let (text, descriptors) = other.receive::<String>().await.unwrap().unwrap();
        assert_eq!((text.as_str(), descriptors.len()), ("first", 2));
        for descriptor in descriptors {
            let same = TcpListener::from(descriptor);
            assert_eq!(same.local_addr().unwrap(), listener.local_addr().unwrap());
        }
        assert_eq!(other.receive::<String>().await.unwrap().unwrap().0, "second");
        drop(one);
        assert!(other.receive::<String>().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_udp_socket_goes_over_as_what_it_is() {
        let (one, other) = Channel::pair().unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        one.send(&super::super::ToSuccessor::Released, &[]).unwrap();
        one.send(&super::super::ToSuccessor::Datagrams, &[socket.as_fd()]).unwrap();
        drop(one);
        let predecessor = super::super::Predecessor::at(other);
        assert!(predecessor.released().await.unwrap().is_empty());
        let same = predecessor.datagrams().await.unwrap();
        assert_eq!(same.local_addr().unwrap(), socket.local_addr().unwrap());
        assert!(predecessor.datagrams().await.is_none(), "it has ended");
    }

    #[tokio::test]
    async fn as_many_descriptors_as_are_allowed_fit_into_a_message() {
        let (one, other) = Channel::pair().unwrap();
        let file = File::open("/dev/null").unwrap();
        one.send(&(), &[file.as_fd(); MOST_DESCRIPTORS]).unwrap();
        assert_eq!(other.receive::<()>().await.unwrap().unwrap().1.len(), MOST_DESCRIPTORS);
        assert!(one.send(&(), &[file.as_fd(); MOST_DESCRIPTORS + 1]).is_err());
    }

    #[tokio::test]
    async fn an_unknown_message_is_an_error() {
        let (one, other) = Channel::pair().unwrap();
        one.send(&"something", &[]).unwrap();
        assert!(other.receive::<super::super::FromSuccessor>().await.is_err());
    }
}
