//! Build logs: one append-only file a build, readable while it grows and after a restart.
//!
//! Invariant: a finished log ends with exactly one `Finished: SUCCESS` or `Finished: FAILURE` (reading 11),
//! and no other line of it reads so.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::logs::Rings;
use crate::model::ids::{AppId, BuildId};
use crate::model::log::{LogLine, LogSource};

/// Bytes after which the output of a build is no longer kept; the daemon's own closing lines always are.
pub const LOG_LIMIT: u64 = 8 * 1024 * 1024;
/// Longest line, in bytes.
pub const LINE_LIMIT: usize = 8 * 1024;

const SUCCESS: &str = "Finished: SUCCESS";
const FAILURE: &str = "Finished: FAILURE";
const MARKER: &str = "[the log is full: at most 8 MiB are kept, what follows is left out]";

/// The folder of all build logs. Clones share it.
#[derive(Debug, Clone)]
pub struct BuildLogs(Arc<Path>);

/// The log of one build, open for appending. Only one is open for a build at a time.
#[derive(Debug)]
pub struct BuildLog {
    file: Arc<File>,
    length: u64,
    full: bool,
    /// A write whose caller went away before it ended; the next one waits for it, so that lines keep their order.
    writing: Option<JoinHandle<io::Result<()>>>,
    mirror: Option<Mirror>,
}

/// The log of the app, which shows its builds too.
#[derive(Debug)]
struct Mirror {
    rings: Rings,
    app: AppId,
    clock: Clock,
}

/// What was added to a log after a place in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tail {
    /// Without the last line of a finished log, which only says how it ended.
    pub lines: Vec<String>,
    /// The place to go on from, in bytes.
    pub next: u64,
    /// The log is finished, and these are its last lines.
    pub ended: bool,
}

impl BuildLogs {
    /// Uses `folder`, which is made with the first log.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(Arc::from(folder.into()))
    }

    /// The lines written so far; none when the build has no log. A line is seen whole or not at all.
    pub async fn read(&self, id: BuildId) -> io::Result<Vec<String>> {
        let path = self.path(id);
        blocking(move || Ok(complete_lines(&read_or_empty(&path)?).lines().map(str::to_owned).collect()))
            .await
    }

    /// The lines after the first `offset` bytes; none when the build has no log yet.
    pub async fn read_from(&self, id: BuildId, offset: u64) -> io::Result<Tail> {
        let path = self.path(id);
        blocking(move || read_from(&path, offset)).await
    }

    /// Opens the log of a build for appending, at its end when it is there already.
    pub async fn open(&self, id: BuildId) -> io::Result<BuildLog> {
        let (folder, path) = (Arc::clone(&self.0), self.path(id));
        blocking(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let present = read_or_empty(&path)?;
            let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
            let mut length = present.len() as u64;
            if !present.is_empty() && !present.ends_with(b"\n") {
                // The daemon died while it wrote this line.
                file.write_all(b"\n")?;
                length += 1;
            }
            let full = complete_lines(&present).lines().any(|line| line == MARKER);
            Ok(BuildLog { file: Arc::new(file), length, full, writing: None, mirror: None })
        })
        .await
    }

    /// Adds the last line to the log of a finished build where a crash prevented it.
    pub async fn close(&self, id: BuildId, success: bool) -> io::Result<()> {
        let lines = self.read(id).await?;
        if lines.last().is_some_and(|line| line == SUCCESS || line == FAILURE) {
            return Ok(());
        }
        self.open(id).await?.finish(success).await
    }

    /// Removes the log of a build; nothing when it has none.
    pub async fn remove(&self, id: BuildId) -> io::Result<()> {
        let path = self.path(id);
        blocking(move || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
        .await
    }

    fn path(&self, id: BuildId) -> PathBuf {
        self.0.join(format!("{id}.log"))
    }
}

impl BuildLog {
    /// What is written from now on is also shown in the log of the app.
    pub fn show_in(&mut self, rings: Rings, app: AppId, clock: Clock) {
        self.mirror = Some(Mirror { rings, app, clock });
    }

    /// Adds output of the build; what does not fit any more is replaced by one line that says so.
    pub async fn append(&mut self, lines: impl IntoIterator<Item = String>) -> io::Result<()> {
        let mut text = String::new();
        for line in lines {
            if self.full {
                break;
            }
            let line = cleaned(&line);
            let length = (text.len() + line.len() + 1) as u64;
            if self.length + length > LOG_LIMIT {
                self.full = true;
                text.push_str(MARKER);
            } else {
                text.push_str(&line);
            }
            text.push('\n');
        }
        self.write(text, false).await
    }

    /// Adds a line of the daemon's own, which also fits into a full log.
    pub async fn note(&mut self, line: &str) -> io::Result<()> {
        self.write(format!("{}\n", cleaned(line)), false).await
    }

    /// Adds the last line and flushes the log to disk.
    pub async fn finish(mut self, success: bool) -> io::Result<()> {
        let last = if success { SUCCESS } else { FAILURE };
        self.write(format!("{last}\n"), true).await
    }

    async fn write(&mut self, text: String, flush: bool) -> io::Result<()> {
        if text.is_empty() && !flush {
            return Ok(());
        }
        self.settle().await?;
        if let Some(mirror) = &self.mirror {
            mirror.show(&text).await;
        }
        self.length += text.len() as u64;
        let file = Arc::clone(&self.file);
        self.writing = Some(tokio::task::spawn_blocking(move || {
            (&*file).write_all(text.as_bytes())?;
            if flush { file.sync_data() } else { Ok(()) }
        }));
        self.settle().await
    }

    async fn settle(&mut self) -> io::Result<()> {
        let Some(writing) = &mut self.writing else { return Ok(()) };
        let written = writing.await;
        self.writing = None;
        written.map_err(io::Error::other)?
    }
}

impl Mirror {
    /// A build does not fail because of the app's log.
    async fn show(&self, text: &str) {
        let line = |line: &str| LogLine::new(self.clock.now(), LogSource::Build, line);
        let lines: Vec<LogLine> = text.lines().map(line).collect();
        if let Err(error) = self.rings.append(self.app, lines, None).await {
            tracing::warn!(app = %self.app, %error, "output of a build is missing in the app's log");
        }
    }
}

fn read_or_empty(path: &Path) -> io::Result<Vec<u8>> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other,
    }
}

fn read_from(path: &Path, offset: u64) -> io::Result<Tail> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tail::default()),
        opened => opened?,
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut content = Vec::new();
    file.take(LOG_LIMIT).read_to_end(&mut content)?;
    let end = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let mut lines: Vec<String> = complete_lines(&content).lines().map(str::to_owned).collect();
    let ended = lines.pop_if(|last| last == SUCCESS || last == FAILURE).is_some();
    Ok(Tail { lines, next: offset + end as u64, ended })
}

/// The text up to the last line end.
fn complete_lines(content: &[u8]) -> std::borrow::Cow<'_, str> {
    let end = content.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    String::from_utf8_lossy(content.get(..end).unwrap_or_default())
}

/// One line without control characters, terminal colours and what a progress bar overwrote.
fn cleaned(line: &str) -> String {
    let line = line.trim_end();
    let line = line.rsplit('\r').next().unwrap_or(line);
    let mut out = String::with_capacity(line.len().min(LINE_LIMIT));
    let mut chars = line.chars().map(|c| if matches!(c, '\t' | '\n') { ' ' } else { c }).peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.next_if_eq(&'[').is_some() => {
                // A control sequence ends with its first letter or one of @ to ~.
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
            _ if c.is_control() => {}
            _ if out.len() + c.len_utf8() > LINE_LIMIT - '…'.len_utf8() => {
                out.push('…');
                break;
            }
            _ => out.push(c),
        }
    }
    if out == SUCCESS || out == FAILURE {
        // Clients stop reading at these words, so only the daemon may say them.
        out.insert_str(0, "> ");
    }
    out
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    const ID: BuildId = BuildId::new(Uuid::from_u128(1));

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[tokio::test]
    async fn a_log_grows_while_it_is_read_and_ends_with_the_result() {
        let dir = tempfile::tempdir().unwrap();
        let logs = BuildLogs::new(dir.path().join("logs"));
        assert!(logs.read(ID).await.unwrap().is_empty());
        let mut log = logs.open(ID).await.unwrap();
        log.append(lines(&["one", "Finished: SUCCESS"])).await.unwrap();
        assert_eq!(logs.read(ID).await.unwrap(), ["one", "> Finished: SUCCESS"]);
        log.finish(false).await.unwrap();
        assert_eq!(logs.read(ID).await.unwrap().last().unwrap(), "Finished: FAILURE");
    }

    #[tokio::test]
    async fn a_log_is_read_on_from_where_one_stopped() {
        let dir = tempfile::tempdir().unwrap();
        let logs = BuildLogs::new(dir.path());
        assert_eq!(logs.read_from(ID, 0).await.unwrap(), Tail::default());
        let mut log = logs.open(ID).await.unwrap();
        log.append(lines(&["one"])).await.unwrap();
        let first = logs.read_from(ID, 0).await.unwrap();
        assert_eq!(first, Tail { lines: lines(&["one"]), next: 4, ended: false });
        log.append(lines(&["two"])).await.unwrap();
        log.finish(true).await.unwrap();
        let rest = logs.read_from(ID, first.next).await.unwrap();
        assert_eq!((rest.lines, rest.ended), (lines(&["two"]), true));
        assert!(!logs.read_from(ID, rest.next).await.unwrap().ended);
    }

    #[tokio::test]
    async fn a_line_that_a_crash_cut_short_stays_apart_from_the_next() {
        let dir = tempfile::tempdir().unwrap();
        let logs = BuildLogs::new(dir.path());
        fs::write(dir.path().join(format!("{ID}.log")), b"whole\nhal").unwrap();
        assert_eq!(logs.read(ID).await.unwrap(), ["whole"]);
        logs.close(ID, true).await.unwrap();
        logs.close(ID, true).await.unwrap();
        assert_eq!(logs.read(ID).await.unwrap(), ["whole", "hal", "Finished: SUCCESS"]);
    }

    #[tokio::test]
    async fn a_full_log_says_so_once_and_still_takes_the_last_lines() {
        let dir = tempfile::tempdir().unwrap();
        let logs = BuildLogs::new(dir.path());
        let mut log = logs.open(ID).await.unwrap();
        let long = "x".repeat(100_000);
        log.append(std::iter::repeat_n(long, 1_100)).await.unwrap();
        log.append(lines(&["lost"])).await.unwrap();
        drop(log);
        let mut log = logs.open(ID).await.unwrap();
        log.append(lines(&["lost"])).await.unwrap();
        log.note("The reason.").await.unwrap();
        log.finish(false).await.unwrap();
        let read = logs.read(ID).await.unwrap();
        assert_eq!(read.iter().filter(|line| *line == MARKER).count(), 1);
        assert_eq!(read.iter().rev().take(3).rev().collect::<Vec<_>>(), [MARKER, "The reason.", FAILURE]);
        assert!(read.iter().all(|line| line.len() <= LINE_LIMIT));
        let bytes: usize = read.iter().map(|line| line.len() + 1).sum();
        assert!(bytes as u64 <= LOG_LIMIT + 200);
    }

    #[test]
    fn colours_and_overwritten_progress_are_taken_out() {
        assert_eq!(cleaned("\u{1b}[1;32mok\u{1b}[0m\tdone\r\n"), "ok done");
        assert_eq!(cleaned("10%\r50%\r100%"), "100%");
    }

    #[test]
    fn a_long_line_is_cut_whatever_it_is_made_of() {
        for text in ["x", "\t", "…"] {
            let cleaned = cleaned(&format!("{}x", text.repeat(LINE_LIMIT)));
            assert!(cleaned.len() <= LINE_LIMIT && cleaned.ends_with('…'), "{text:?}: {}", cleaned.len());
        }
    }

    proptest! {
        #[test]
        fn a_line_is_one_short_line_whatever_a_build_prints(line in "(?s).{0,400}", times in 1_usize..40) {
            let cleaned = cleaned(&line.repeat(times));
            prop_assert!(cleaned.len() <= LINE_LIMIT);
            prop_assert!(!cleaned.chars().any(char::is_control));
        }
    }
}
