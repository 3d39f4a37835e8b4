//! The predecessor's view of the process that it started.
//!
//! Invariant: a successor that is dropped before it was let go of is killed and waited for, so that no two processes
//! ever work on the same data.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::channel::{Channel, MOST_DESCRIPTORS};
use super::{FromSuccessor, ToSuccessor};

/// The started process, up to the moment at which it serves.
#[derive(Debug)]
pub struct Successor {
    id: u32,
    /// `None` once it was let go of.
    child: Option<Child>,
    channel: Channel,
    deadline: Instant,
    limit: Duration,
}

/// Why a successor does not take over; each says what an operator shall look at.
#[derive(Debug, thiserror::Error)]
pub enum SuccessorError {
    #[error("cannot start {}: {source}; name a program with --binary", binary.display())]
    Start { binary: PathBuf, source: io::Error },
    #[error("the new daemon cannot take over: {0}")]
    Failed(String),
    #[error("the new daemon ended ({status}) before it was {awaited}; see the log")]
    Ended { status: ExitStatus, awaited: &'static str },
    #[error("the new daemon was not {awaited} within {limit:?}; see the log, or allow more with --timeout")]
    TimedOut { awaited: &'static str, limit: Duration },
    #[error("the new daemon does not follow the protocol of an upgrade ({0}); is it an akkerisd?")]
    Protocol(String),
    #[error("the new daemon was told to stop before it was ready")]
    Stopped,
    #[error("the new daemon cannot be talked to")]
    Channel(#[source] io::Error),
}

impl Successor {
    /// Starts `binary` as this process was started: same arguments, environment and working directory. It must be
    /// ready within `limit` from now on.
    pub fn start(binary: &Path, limit: Duration) -> Result<Self, SuccessorError> {
        let (channel, other) = Channel::pair().map_err(SuccessorError::Channel)?;
        let child = spawn(binary, other)
            .map_err(|source| SuccessorError::Start { binary: binary.to_owned(), source })?;
        Ok(Self { id: child.id(), child: Some(child), channel, deadline: Instant::now() + limit, limit })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Waits until it can take over; says whether it will migrate the database.
    pub async fn prepared(&mut self) -> Result<bool, SuccessorError> {
        match self.next("prepared").await? {
            FromSuccessor::Prepared { migrates } => Ok(migrates),
            FromSuccessor::Ready => Err(SuccessorError::Protocol("it was ready too early".to_owned())),
            FromSuccessor::Failed { reason } => Err(SuccessorError::Failed(reason)),
            FromSuccessor::Stopping => Err(SuccessorError::Stopped),
        }
    }

    /// Hands over the sockets and the data dir.
    pub async fn release(&mut self, listeners: &[&TcpListener]) -> Result<(), SuccessorError> {
        match self.send_all(listeners) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(self.ended("ready").await),
            Err(error) => Err(SuccessorError::Channel(error)),
        }
    }

    /// Waits until it serves.
    pub async fn ready(&mut self) -> Result<(), SuccessorError> {
        match self.next("ready").await? {
            FromSuccessor::Ready => Ok(()),
            FromSuccessor::Prepared { .. } => {
                Err(SuccessorError::Protocol("it was prepared twice".to_owned()))
            }
            FromSuccessor::Failed { reason } => Err(SuccessorError::Failed(reason)),
            FromSuccessor::Stopping => Err(SuccessorError::Stopped),
        }
    }

    /// It goes on by itself; what is dropped from now on does not end it.
    pub fn let_go(&mut self) {
        // The process is not waited for: it outlives this one, whose end gives it another parent.
        drop(self.child.take());
    }

    /// Hands on the UDP socket of HTTP/3, which nobody here reads any more. Does not wait.
    pub fn hand_on(&self, socket: &UdpSocket) -> io::Result<()> {
        self.channel.send(&ToSuccessor::Datagrams, &[socket.as_fd()])
    }

    /// Waits for the end of one that was let go of (`None`), or for what it says. Cancel-safe.
    pub async fn said(&self) -> Option<FromSuccessor> {
        self.channel.receive::<FromSuccessor>().await.ok().flatten().map(|(message, _)| message)
    }

    fn send_all(&self, listeners: &[&TcpListener]) -> io::Result<()> {
        for some in listeners.chunks(MOST_DESCRIPTORS) {
            let descriptors: Vec<BorrowedFd<'_>> = some.iter().map(|listener| listener.as_fd()).collect();
            self.channel.send(&ToSuccessor::Listeners, &descriptors)?;
        }
        self.channel.send(&ToSuccessor::Released, &[])
    }

    async fn next(&mut self, awaited: &'static str) -> Result<FromSuccessor, SuccessorError> {
        let received = timeout_at(self.deadline, self.channel.receive::<FromSuccessor>()).await;
        match received {
            Err(_) => Err(SuccessorError::TimedOut { awaited, limit: self.limit }),
            Ok(Ok(Some((message, _)))) => Ok(message),
            Ok(Ok(None)) => Err(self.ended(awaited).await),
            Ok(Err(error)) => Err(SuccessorError::Protocol(error.to_string())),
        }
    }

    /// How a process ended whose end of the channel is closed. One that closed it and goes on is killed.
    async fn ended(&mut self, awaited: &'static str) -> SuccessorError {
        const LOOK_AGAIN: Duration = Duration::from_millis(10);
        const PATIENCE: Duration = Duration::from_secs(2);
        let Some(child) = &mut self.child else { return SuccessorError::Protocol("it is gone".to_owned()) };
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            match child.try_wait() {
                Ok(Some(status)) => return SuccessorError::Ended { status, awaited },
                Ok(None) => tokio::time::sleep(LOOK_AGAIN).await,
                Err(error) => return SuccessorError::Channel(error),
            }
        }
        SuccessorError::Protocol("it closed its standard input".to_owned())
    }
}

impl Drop for Successor {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else { return };
        // SIGKILL, so the wait is for the kernel only. One that has ended already is fine.
        if let Err(error) = child.kill().and_then(|()| child.wait()) {
            tracing::error!(%error, pid = child.id(), "the new daemon could not be ended");
        }
    }
}

#[expect(
    clippy::disallowed_types,
    reason = "the one child process that there is: the next daemon, started with typed arguments"
)]
fn spawn(binary: &Path, channel: Channel) -> io::Result<Child> {
    std::process::Command::new(binary)
        .args(std::env::args_os().skip(1))
        .env(crate::config::SUCCESSOR, "1")
        // It names this process; without it the watchdog of systemd is meant for whoever has the rest.
        .env_remove("WATCHDOG_PID")
        .stdin(channel.into_descriptor())
        .spawn()
}
