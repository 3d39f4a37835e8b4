//! One request of a client of git, answered by `git http-backend` (CGI, RFC 3875).
//!
//! Invariants: bodies flow in both directions without being gathered; a push that has arrived goes on to its end,
//! whether its client still listens or not; every wait has a limit.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::timeout;

use super::process::Running;
use super::{Git, GitError, Links, Push, folder_of, lock};
use crate::ids;
use crate::model::app::App;
use crate::model::principal::Principal;

/// How long a client waits for its turn among others.
const TURN_LIMIT: Duration = Duration::from_secs(10);
/// How long git may take to the head of its answer.
const HEAD_LIMIT: Duration = Duration::from_secs(30);
/// How long a client may send nothing in the middle of its body, or take in nothing of the answer.
const IDLE_LIMIT: Duration = Duration::from_mins(1);
/// How long git may take to its end when the daemon stops.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// Bytes of the head of git's answer.
const LONGEST_HEAD: usize = 16 * 1024;
/// Bytes that are read from git at once.
const PIECE: usize = 32 * 1024;
/// Pieces that wait for the client.
const PIECES_WAITING: usize = 4;

/// What git serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// To fetch and to clone.
    UploadPack,
    /// To push.
    ReceivePack,
}

/// What a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Which branches there are, before the service itself.
    Advertise(Service),
    Run(Service),
}

/// A request that may be answered: who asks may do it.
#[derive(Debug)]
pub struct Exchange {
    pub app: App,
    pub author: Principal,
    pub call: Call,
    pub head: RequestHead,
    pub links: Links,
}

/// What git wants to know of a request's head.
#[derive(Debug, Default)]
pub struct RequestHead {
    pub content_type: Option<String>,
    pub content_encoding: Option<String>,
    pub content_length: Option<u64>,
    /// `Git-Protocol`.
    pub protocol: Option<String>,
}

/// The body of a request.
pub type RequestBody = BoxStream<'static, io::Result<Bytes>>;

/// git's answer.
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    /// Ends with git's output.
    pub body: mpsc::Receiver<Bytes>,
}

/// The head of a CGI answer.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
}

/// What is kept while a client is served.
struct Session {
    git: Git,
    running: Running,
    call: Call,
    _client: OwnedSemaphorePermit,
    _push: Option<Registered>,
}

/// A push whose hook may ask; forgotten with its end.
struct Registered {
    git: Git,
    key: String,
}

impl Service {
    /// The service of that name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::UploadPack, Self::ReceivePack].into_iter().find(|service| service.name() == name)
    }

    /// As clients call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }
}

impl Git {
    /// Answers a request. The repository is made where there is none.
    ///
    /// A push whose body has arrived is not ended when the answer is dropped; anything else is.
    pub async fn answer(&self, exchange: Exchange, body: RequestBody) -> Result<Reply, GitError> {
        let clients = std::sync::Arc::clone(&self.0.clients);
        let turn = timeout(TURN_LIMIT, clients.acquire_owned()).await;
        let client = turn.ok().and_then(Result::ok).ok_or(GitError::Busy)?;
        self.repository(exchange.app.id).make().await?;
        let push = match exchange.call {
            Call::Run(Service::ReceivePack) => Some(self.register(&exchange).await?),
            Call::Run(Service::UploadPack) | Call::Advertise(_) => None,
        };
        let mut running = self.start_backend(&exchange, push.as_ref())?;
        let read = timeout(HEAD_LIMIT, read_head(running.output.as_mut())).await;
        let (head, rest) = read.map_err(|_| GitError::Slow)??;
        let (sender, receiver) = mpsc::channel(PIECES_WAITING);
        let session =
            Session { git: self.clone(), running, call: exchange.call, _client: client, _push: push };
        self.0.parts.tasks.spawn("git-client", session.serve(body, rest, sender));
        Ok(Reply { status: head.status, headers: head.headers, body: receiver })
    }

    /// Notes a push under a key that is used once. Without its hook git would move branches unasked.
    async fn register(&self, exchange: &Exchange) -> Result<Registered, GitError> {
        tokio::fs::metadata(self.hook()).await.map_err(GitError::NoHook)?;
        let (app, author, links) = (exchange.app.clone(), exchange.author.clone(), exchange.links.clone());
        let key = ids::random_secret();
        lock(&self.0.pushes).insert(key.clone(), Push { app, author, links });
        Ok(Registered { git: self.clone(), key })
    }

    fn start_backend(&self, exchange: &Exchange, push: Option<&Registered>) -> Result<Running, GitError> {
        let settings = &self.0.parts.settings;
        let text = str::to_owned;
        let mut invocation = self
            .0
            .program
            .invoke(&[
                ("core.hooksPath", self.hooks().display().to_string()),
                ("http.receivepack", text("true")),
                ("http.getanyfile", text("false")),
                ("transfer.fsckObjects", text("true")),
                ("receive.maxInputSize", settings.max_push.to_string()),
                // Tidied by the daemon, and by no process that outlives this one.
                ("receive.autogc", text("false")),
                ("gc.auto", text("0")),
                ("maintenance.auto", text("false")),
            ])
            .arg("http-backend")
            .with_input()
            .env("GIT_PROJECT_ROOT", &settings.folder)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("REMOTE_USER", exchange.author.user.as_str());
        let (method, query, path) = match exchange.call {
            Call::Advertise(service) => ("GET", format!("service={}", service.name()), "info/refs"),
            Call::Run(service) => ("POST", String::new(), service.name()),
        };
        invocation = invocation
            .env("REQUEST_METHOD", method)
            .env("QUERY_STRING", query)
            .env("PATH_INFO", format!("/{}/{path}", folder_of(exchange.app.id)));
        let head = &exchange.head;
        let length = head.content_length.map(|length| length.to_string());
        for (name, value) in [
            ("CONTENT_TYPE", &head.content_type),
            ("CONTENT_LENGTH", &length),
            ("HTTP_CONTENT_ENCODING", &head.content_encoding),
            ("GIT_PROTOCOL", &head.protocol),
        ] {
            if let Some(value) = value {
                invocation = invocation.env(name, value);
            }
        }
        if let Some(push) = push {
            let (socket, key) = crate::config::PUSH_VARIABLES;
            invocation = invocation.env(socket, self.socket()).env(key, &push.key);
        }
        invocation.start()
    }
}

impl Session {
    /// Carries the bodies until git has ended, its time is over, or the daemon stops.
    async fn serve(mut self, body: RequestBody, rest: Bytes, client: mpsc::Sender<Bytes>) {
        let settings = &self.git.0.parts.settings;
        let (limit, max_push, closed) = (settings.limit, settings.max_push, self.git.0.closed.clone());
        let (input, output) = (self.running.input.take(), self.running.output.take());
        let goes_on = self.call == Call::Run(Service::ReceivePack);
        let both = async {
            tokio::join!(feed(input, body, max_push), drain(output, rest, client, goes_on));
            self.running.wait().await
        };
        let stopped = async {
            closed.cancelled().await;
            tokio::time::sleep(LAST_WORDS).await;
        };
        tokio::select! {
            ended = timeout(limit, both) => match ended {
                Ok(Ok(success)) => tracing::debug!(success, "git has served a client"),
                Ok(Err(error)) => tracing::warn!(%error, "the end of git is not known"),
                Err(_) => tracing::warn!(?limit, "git took too long to serve a client and is ended"),
            },
            () = stopped => {}
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        lock(&self.git.0.pushes).remove(&self.key);
    }
}

/// Writes a request's body to git. What comes after git has closed its input is read and left out, up to `spare`
/// bytes, because a client that still sends does not see why it was refused.
async fn feed(input: Option<ChildStdin>, mut body: RequestBody, mut spare: u64) {
    let mut input = input;
    while let Ok(Some(Ok(piece))) = timeout(IDLE_LIMIT, body.next()).await {
        if let Some(open) = &mut input
            && open.write_all(&piece).await.is_err()
        {
            input = None;
        }
        if input.is_none() {
            match spare.checked_sub(piece.len() as u64) {
                Some(left) => spare = left,
                None => return,
            }
        }
    }
}

/// Gives git's output to the client. Once that is gone, the output is read and left out when git shall go on, else
/// git is left to notice.
async fn drain(output: Option<ChildStdout>, rest: Bytes, client: mpsc::Sender<Bytes>, goes_on: bool) {
    let Some(mut output) = output else { return };
    let mut client = Some(client);
    let mut piece = rest;
    loop {
        if let Some(open) = &client
            && !piece.is_empty()
            && !matches!(timeout(IDLE_LIMIT, open.send(piece)).await, Ok(Ok(())))
        {
            client = None;
            if !goes_on {
                return;
            }
        }
        let mut buffer = BytesMut::with_capacity(PIECE);
        match output.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => piece = buffer.freeze(),
        }
    }
}

/// Reads to the empty line; gives the head and what came after it.
async fn read_head(output: Option<&mut ChildStdout>) -> Result<(Head, Bytes), GitError> {
    let bad = || GitError::Failed("its answer has no head".to_owned());
    let output = output.ok_or_else(bad)?;
    let mut buffer = BytesMut::new();
    loop {
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = buffer.split_to(end + 4);
            let head = std::str::from_utf8(&head).ok().and_then(parse_head).ok_or_else(bad)?;
            return Ok((head, buffer.freeze()));
        }
        if buffer.len() > LONGEST_HEAD || output.read_buf(&mut buffer).await? == 0 {
            return Err(bad());
        }
    }
}

/// Reads the lines of a head; without a `Status` it is 200.
fn parse_head(text: &str) -> Option<Head> {
    let mut head = Head { status: 200, headers: Vec::new() };
    for line in text.split("\r\n").filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':')?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("status") {
            let status = value.split(' ').next()?.parse().ok()?;
            head.status = (100..600).contains(&status).then_some(status)?;
        } else {
            head.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    Some(head)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_head_has_a_status_or_is_success() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let read = parse_head("Expires: 0\r\nContent-Type: a/b\r\n\r\n").unwrap();
        assert_eq!(
            read,
            Head { status: 200, headers: vec![pair("Expires", "0"), pair("Content-Type", "a/b")] }
        );
        let read = parse_head("Status: 403 Forbidden\r\nPragma: no-cache\r\n\r\n").unwrap();
        assert_eq!((read.status, read.headers), (403, vec![pair("Pragma", "no-cache")]));
        assert_eq!(parse_head("Status: 1\r\n\r\n"), None);
        assert_eq!(parse_head("nothing\r\n\r\n"), None);
    }

    proptest! {
        #[test]
        fn no_head_makes_the_reader_panic(text in "(?s).{0,100}") {
            drop(parse_head(&text));
        }
    }
}
