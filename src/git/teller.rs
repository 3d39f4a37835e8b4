//! The daemon's end of the conversation with the hook of one push.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::message::{Asked, LONGEST_LINE, Told};

/// How long the hook may take to say what it is about, or to take in a line.
const LIMIT: Duration = Duration::from_mins(1);
/// A sign of life is given after so long without a line.
const SILENCE: Duration = Duration::from_secs(10);

/// Tells the one who pushes what happens.
#[derive(Debug)]
pub(super) struct Teller {
    stream: BufReader<UnixStream>,
    last: Instant,
}

/// The hook is not there any more: the push was ended.
#[derive(Debug)]
pub(super) struct Gone;

impl Teller {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self { stream: BufReader::new(stream), last: Instant::now() }
    }

    /// What the hook asks; once.
    pub(super) async fn asked(&mut self) -> Result<Asked, Gone> {
        let mut line = String::new();
        let mut limited = (&mut self.stream).take(LONGEST_LINE);
        match timeout(LIMIT, limited.read_line(&mut line)).await {
            Ok(Ok(_)) => serde_json::from_str(&line).map_err(|_| Gone),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    pub(super) async fn line(&mut self, text: impl Into<String>) -> Result<(), Gone> {
        self.tell(&Told::Line(text.into())).await
    }

    /// Shows that the daemon is there, where nothing was told for a while.
    pub(super) async fn alive(&mut self) -> Result<(), Gone> {
        if self.last.elapsed() < SILENCE {
            return Ok(());
        }
        self.tell(&Told::Alive).await
    }

    /// The last word.
    pub(super) async fn end(mut self, accepted: bool) {
        let told = self.tell(if accepted { &Told::Accepted } else { &Told::Refused }).await;
        if told.is_err() {
            tracing::debug!("a push was ended before its answer");
        }
    }

    async fn tell(&mut self, told: &Told) -> Result<(), Gone> {
        let Ok(mut line) = serde_json::to_vec(told) else { return Err(Gone) };
        line.push(b'\n');
        self.last = Instant::now();
        match timeout(LIMIT, self.stream.write_all(&line)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }
}
