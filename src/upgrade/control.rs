//! `<data dir>/control.sock`: how `akkerisd upgrade` reaches the running daemon.
//!
//! One line of JSON asks, lines of JSON answer until one is the last. Only the daemon's own user and root can
//! connect: the socket has mode 0600 and lies in a folder with mode 0700.

use std::convert::Infallible;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};

/// How long a client may take to ask, and to take an answer.
const CLIENT_LIMIT: Duration = Duration::from_secs(5);
/// Bytes of a line.
const LONGEST_LINE: u64 = 64 * 1024;
const PRIVATE: u32 = 0o600;

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UpgradeRequest {
    /// The program to go on with, an absolute path.
    pub binary: PathBuf,
    /// How long it may take to be ready.
    pub timeout: Duration,
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpgradeAnswer {
    /// What happens now; more follows.
    Progress { text: String },
    /// The new daemon serves.
    Done { pid: u32 },
    /// The old daemon serves on, and why.
    Failed { reason: String },
}

/// Why a daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("no daemon answers at {}; is it running, and may this user use its data dir? ({source})", path.display())]
    NotThere { path: PathBuf, source: io::Error },
    #[error("the daemon did not finish its answer; see its log")]
    Broken(#[source] io::Error),
}

/// The daemon's side.
#[derive(Debug)]
pub struct ControlSocket(UnixListener);

/// A client that waits for answers.
#[derive(Debug)]
pub struct Asker {
    /// Open as long as the client listens.
    _reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
}

impl ControlSocket {
    /// Listens at `path`, in place of whoever listened there before. Must be called within a runtime.
    pub fn bind(path: &Path) -> io::Result<Self> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(PRIVATE))?;
        Ok(Self(listener))
    }

    /// Waits for the next request. Clients that ask nothing sensible are answered here. Cancel-safe but for a
    /// client that is just being read.
    pub async fn next(&self) -> (UpgradeRequest, Asker) {
        const PAUSE: Duration = Duration::from_millis(100);
        loop {
            match self.0.accept().await {
                Ok((stream, _)) => {
                    if let Ok(Ok(asked)) = tokio::time::timeout(CLIENT_LIMIT, read_request(stream)).await {
                        return asked;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection to the control socket");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Refuses every request, with a reason; never ends.
    pub async fn refuse_all(&self, reason: &str) -> Infallible {
        loop {
            let (_, mut asker) = self.next().await;
            asker.answer(&UpgradeAnswer::Failed { reason: reason.to_owned() }).await;
        }
    }
}

impl Asker {
    /// Answers. One that went away, or does not read, is left alone: what it asked for goes on.
    pub async fn answer(&mut self, answer: &UpgradeAnswer) {
        let Ok(mut line) = serde_json::to_vec(answer) else { return };
        line.push(b'\n');
        if !matches!(tokio::time::timeout(CLIENT_LIMIT, self.writer.write_all(&line)).await, Ok(Ok(()))) {
            tracing::debug!("the one who asked for the upgrade has gone");
        }
    }
}

/// Asks the daemon at `path`; `progress` is shown what happens. Gives the last answer.
pub async fn ask(
    path: &Path,
    request: &UpgradeRequest,
    mut progress: impl FnMut(&str),
) -> Result<UpgradeAnswer, ControlError> {
    let not_there = |source| ControlError::NotThere { path: path.to_owned(), source };
    let stream = UnixStream::connect(path).await.map_err(not_there)?;
    let (reader, mut writer) = stream.into_split();
    let mut line = serde_json::to_vec(request).map_err(|error| ControlError::Broken(error.into()))?;
    line.push(b'\n');
    writer.write_all(&line).await.map_err(ControlError::Broken)?;
    let mut reader = BufReader::new(reader);
    loop {
        match read_line(&mut reader).await.map_err(ControlError::Broken)? {
            UpgradeAnswer::Progress { text } => progress(&text),
            last @ (UpgradeAnswer::Done { .. } | UpgradeAnswer::Failed { .. }) => return Ok(last),
        }
    }
}

async fn read_request(stream: UnixStream) -> io::Result<(UpgradeRequest, Asker)> {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    let request = read_line(&mut reader).await;
    let mut asker = Asker { _reader: reader, writer };
    match request {
        Ok(request) => Ok((request, asker)),
        Err(error) => {
            let reason = format!("the daemon does not understand the request: {error}");
            asker.answer(&UpgradeAnswer::Failed { reason }).await;
            Err(error)
        }
    }
}

async fn read_line<T: DeserializeOwned>(reader: &mut BufReader<OwnedReadHalf>) -> io::Result<T> {
    let mut line = String::new();
    reader.take(LONGEST_LINE).read_line(&mut line).await?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn progress_and_the_last_answer_reach_the_one_who_asks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, PRIVATE);
        let request = UpgradeRequest { binary: "/bin/next".into(), timeout: Duration::from_secs(7) };
        let mut shown = Vec::new();
        let serve = async {
            let (asked, mut asker) = socket.next().await;
            asker.answer(&UpgradeAnswer::Progress { text: "begun".to_owned() }).await;
            asker.answer(&UpgradeAnswer::Done { pid: 7 }).await;
            asked
        };
        let (asked, last) = tokio::join!(serve, ask(&path, &request, |text| shown.push(text.to_owned())));
        assert_eq!(asked, request);
        assert_eq!(last.unwrap(), UpgradeAnswer::Done { pid: 7 });
        assert_eq!(shown, ["begun"]);
    }

    #[tokio::test]
    async fn what_is_not_understood_is_answered_and_the_next_one_is_heard() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("control.sock");
        let socket = ControlSocket::bind(&path).unwrap();
        let ask_wrongly = async {
            let mut stream = UnixStream::connect(&path).await.unwrap();
            stream.write_all(b"nonsense\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let request = UpgradeRequest { binary: "/bin/next".into(), timeout: Duration::from_secs(7) };
        let serve = socket.refuse_all("an upgrade is running");
        let both = async {
            let answer = ask_wrongly.await;
            assert!(answer.contains("does not understand"), "{answer}");
            ask(&path, &request, |_| {}).await.unwrap()
        };
        let last = tokio::select! {
            never = serve => match never {},
            last = both => last,
        };
        assert_eq!(last, UpgradeAnswer::Failed { reason: "an upgrade is running".to_owned() });
    }

    #[tokio::test]
    async fn without_a_daemon_the_path_is_named() {
        let request = UpgradeRequest { binary: "/bin/next".into(), timeout: Duration::from_secs(7) };
        let error = ask(Path::new("/nowhere/control.sock"), &request, |_| {}).await.unwrap_err();
        assert!(error.to_string().contains("/nowhere/control.sock"), "{error}");
    }
}
