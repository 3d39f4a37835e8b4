//! The ring of one app: the newest lines of its log on disk, within a limit of bytes.
//!
//! Invariants: the files together never hold more than the limit (but for a single larger append); each line has a
//! position, one more than the line before it, which a restart does not change; what an append wrote before a crash
//! is there whole or not at all. Nothing is flushed to the disk: a power cut may take the last seconds.

use std::collections::{HashMap, VecDeque};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

pub use super::frame::{Checkpoint, Taken};
use super::frame::{FRAME_LIMIT, NewFrame};
use super::segment::{self, Cursor, Scan};
use crate::model::log::{LogFilter, LogLine};

/// A ring has about so many segments; the oldest goes as a whole.
const SEGMENTS: u64 = 16;

/// One app's ring. All calls block on files; [`super::Rings`] and [`super::Reader`] are for async code.
#[derive(Debug)]
pub struct Ring {
    folder: PathBuf,
    limit: u64,
    state: Mutex<State>,
    ends: watch::Sender<End>,
}

/// Up to where a ring can be read now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The position that the next line will have.
    At(u64),
    /// The ring is gone with its app.
    Removed,
}

#[derive(Debug)]
struct State {
    /// Oldest first; those that are complete.
    sealed: VecDeque<Segment>,
    newest: Segment,
    /// Of the newest segment; `None` when the ring was removed.
    file: Option<File>,
    next: u64,
    checkpoints: HashMap<String, Checkpoint>,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    start: u64,
    bytes: u64,
}

impl Ring {
    /// Opens the ring in `folder`, which is made where there is none. A torn end is cut off; where that leaves no line of
    /// the newest segment, the one before has what a power cut took with it.
    pub fn open(folder: &Path, limit: u64) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let mut sealed: VecDeque<Segment> =
            segment::list(folder)?.into_iter().map(|(start, bytes)| Segment { start, bytes }).collect();
        let mut newest = sealed.pop_back().unwrap_or(Segment { start: 0, bytes: 0 });
        let empty = Scan { next: newest.start, ..Scan::default() };
        let scan = if newest.bytes == 0 { empty } else { segment::scan(folder, newest.start)? };
        let (next, mut checkpoints) = (scan.next, HashMap::new());
        let mut know = |scan: Scan| {
            checkpoints.extend(scan.checkpoints.into_iter().map(|each| (each.container.clone(), each)));
        };
        let file = if next > newest.start {
            newest.bytes = scan.bytes;
            know(scan);
            let file = segment::open(folder, newest.start)?;
            file.set_len(newest.bytes)?;
            file
        } else {
            if let Some(before) = sealed.back() {
                know(segment::scan(folder, before.start)?);
            }
            know(scan);
            let head = head_of(&checkpoints, next)?;
            newest.bytes = head.len() as u64;
            segment::create(folder, next, &head)?
        };
        let state = State { sealed, newest, file: Some(file), next, checkpoints };
        let ends = watch::Sender::new(End::At(next));
        Ok(Self { folder: folder.to_owned(), limit, state: Mutex::new(state), ends })
    }

    /// Adds lines, and with them how far the output of a container is taken: after a crash both are there or neither.
    /// Lines of a removed ring are dropped. After an error nothing was added.
    pub fn append(&self, lines: &[LogLine], checkpoint: Option<Checkpoint>) -> io::Result<()> {
        self.append_frame(NewFrame::of(lines, checkpoint)?)
    }

    /// The same, of what is in a frame.
    pub(super) fn append_frame(&self, mut frame: NewFrame) -> io::Result<()> {
        let mut state = self.lock();
        let lines = u64::from(frame.lines);
        if state.file.is_none() || (lines == 0 && frame.checkpoint.is_none()) {
            return Ok(());
        }
        let bytes = frame.at(state.next)?;
        if bytes.len() > FRAME_LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too much for one append to a log"));
        }
        self.make_room(&mut state, bytes.len() as u64)?;
        if let Some(file) = &state.file {
            file.write_all_at(bytes, state.newest.bytes)?;
        }
        state.newest.bytes += bytes.len() as u64;
        state.next += lines;
        if let Some(checkpoint) = frame.checkpoint {
            state.checkpoints.insert(checkpoint.container.clone(), checkpoint);
        }
        if lines > 0 {
            let end = End::At(state.next);
            // Telling nobody costs as much as telling everybody. Who comes to be told holds the lock, too.
            self.ends.send_if_modified(|present| {
                *present = end;
                self.ends.receiver_count() > 0
            });
        }
        Ok(())
    }

    /// How far the output of a container was taken; `None` when nothing was.
    pub fn checkpoint(&self, container: &str) -> Option<Checkpoint> {
        self.lock().checkpoints.get(container).cloned()
    }

    /// Forgets the checkpoints of containers that are gone.
    pub fn keep_checkpoints(&self, exists: impl Fn(&str) -> bool) {
        self.lock().checkpoints.retain(|container, _| exists(container));
    }

    /// The position of the oldest line that is kept, and that of the next one to come.
    pub fn bounds(&self) -> (u64, u64) {
        let state = self.lock();
        (state.sealed.front().unwrap_or(&state.newest).start, state.next)
    }

    /// Bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.lock().bytes()
    }

    /// The position from which on there are `count` lines that `filter` wants, or all of them where there are fewer.
    pub fn position_of_last(&self, count: usize, filter: &LogFilter) -> io::Result<u64> {
        let (oldest, next) = self.bounds();
        if filter.is_empty() {
            return Ok(next.saturating_sub(count as u64).max(oldest));
        }
        let starts: Vec<u64> = self.lock().segments().map(|segment| segment.start).collect();
        let (mut wanted, mut end, mut position) = (count, next, next);
        for start in starts.into_iter().rev() {
            let found = match self.matches_in(start, end, wanted, filter) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                // As for who reads on, nothing is left of it after a power cut.
                Err(error) if segment::is_torn(&error) => VecDeque::new(),
                found => found?,
            };
            wanted -= found.len();
            position = found.front().copied().unwrap_or(position);
            if wanted == 0 {
                break;
            }
            end = start;
        }
        Ok(position)
    }

    /// Removes the ring from the disk; its readers end.
    pub fn remove(&self) -> io::Result<()> {
        let mut state = self.lock();
        (state.file, state.sealed, state.checkpoints) = (None, VecDeque::new(), HashMap::new());
        self.ends.send_replace(End::Removed);
        match fs::remove_dir_all(&self.folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Tells when there is more to read.
    pub(super) fn ends(&self) -> watch::Receiver<End> {
        let _state = self.lock();
        self.ends.subscribe()
    }

    /// Opens the segment with the line at `position`, and says where that segment ends.
    pub(super) fn cursor(&self, position: u64) -> io::Result<Cursor> {
        let (start, _) = self.segment_at(position);
        Cursor::open(&self.folder, start, position)
    }

    /// Start and end of the segment with the line at `position`.
    pub(super) fn segment_at(&self, position: u64) -> (u64, u64) {
        let state = self.lock();
        if position >= state.newest.start {
            return (state.newest.start, state.next);
        }
        let after = state.sealed.partition_point(|segment| segment.start <= position);
        let start = after.checked_sub(1).and_then(|index| state.sealed.get(index));
        let end = state.sealed.get(after).unwrap_or(&state.newest).start;
        (start.map_or(0, |segment| segment.start), end)
    }

    /// The positions of the last wanted lines of a segment, at most `count`.
    fn matches_in(
        &self,
        start: u64,
        end: u64,
        count: usize,
        filter: &LogFilter,
    ) -> io::Result<VecDeque<u64>> {
        let mut cursor = Cursor::open(&self.folder, start, start)?;
        let (mut position, mut found, mut lines) = (start, VecDeque::new(), Vec::new());
        while position < end {
            let from = position;
            position = cursor.read(from, end, &mut lines)?;
            for (at, line) in (from..).zip(lines.drain(..)) {
                if filter.wants(&line.source) {
                    found.push_back(at);
                }
                if found.len() > count {
                    found.pop_front();
                }
            }
        }
        Ok(found)
    }

    /// Begins a new segment where the newest one is full, and removes the oldest ones that do not fit any more.
    fn make_room(&self, state: &mut State, bytes: u64) -> io::Result<()> {
        // Without a line of its own a segment would have the name of the next one.
        if state.newest.bytes + bytes > self.limit / SEGMENTS && state.next > state.newest.start {
            let head = head_of(&state.checkpoints, state.next)?;
            state.file = Some(segment::create(&self.folder, state.next, &head)?);
            let newest = Segment { start: state.next, bytes: head.len() as u64 };
            let full = std::mem::replace(&mut state.newest, newest);
            state.sealed.push_back(full);
        }
        while state.bytes() + bytes > self.limit {
            let Some(oldest) = state.sealed.pop_front() else { break };
            segment::remove(&self.folder, oldest.start)?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With what a segment begins: the checkpoints that hold at its start.
fn head_of(checkpoints: &HashMap<String, Checkpoint>, start: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    for checkpoint in checkpoints.values() {
        head.extend(NewFrame::of(&[], Some(checkpoint.clone()))?.at(start)?);
    }
    Ok(head)
}

impl State {
    fn segments(&self) -> impl DoubleEndedIterator<Item = &Segment> {
        self.sealed.iter().chain([&self.newest])
    }

    fn bytes(&self) -> u64 {
        self.segments().map(|segment| segment.bytes).sum()
    }
}
