//! The program that git runs before it moves a branch (`pre-receive`): it shows the push to the daemon and what the
//! daemon says to the one who pushes.
//!
//! Invariant: without the daemon's word nothing moves.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::message::{Asked, LONGEST_LINE, Told};

/// What git calls it.
pub const NAME: &str = "pre-receive";
/// The daemon gives signs of life more often than this.
const SILENCE_LIMIT: Duration = Duration::from_mins(1);
/// Bytes of git's lines.
const CHANGES_LIMIT: u64 = 256 * 1024;

/// Which push of which daemon this is.
pub struct Ticket {
    pub socket: PathBuf,
    pub key: String,
    pub quarantine: Option<PathBuf>,
}

/// Shows the changes that `input` names to the daemon, and its lines on `screen`. Whether the branches may move.
pub fn ask(ticket: Ticket, input: impl Read, screen: &mut impl Write) -> io::Result<bool> {
    let mut changes = String::new();
    input.take(CHANGES_LIMIT).read_to_string(&mut changes)?;
    let Ticket { socket, key, quarantine } = ticket;
    let stream = connect(&socket)?;
    let mut line = serde_json::to_vec(&Asked { key, quarantine, changes })?;
    line.push(b'\n');
    (&stream).write_all(&line)?;
    let mut answers = BufReader::new(stream);
    loop {
        let mut line = String::new();
        answers.by_ref().take(LONGEST_LINE).read_line(&mut line)?;
        if line.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the daemon went away"));
        }
        match serde_json::from_str(&line)? {
            Told::Line(text) => {
                writeln!(screen, "{text}")?;
                screen.flush()?;
            }
            Told::Alive => {}
            Told::Accepted => return Ok(true),
            Told::Refused => return Ok(false),
        }
    }
}

fn connect(socket: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(SILENCE_LIMIT))?;
    stream.set_write_timeout(Some(SILENCE_LIMIT))?;
    Ok(stream)
}
